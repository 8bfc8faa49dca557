"""Entry point of `fer-edge` and `python -m fer_edge`: handles signals before the slow imports."""

import gc
import os
import signal
import sys

from fer_edge.guards.early_signals import end_at_once
from fer_edge.opencv import load_early

TYPE_CHECKING = False  # see fer_edge/__init__.py
if TYPE_CHECKING:
    from typing import NoReturn

WITHOUT_OPENCV = {"help", "--help", "--version", "analyze", "notice"}


def main() -> "NoReturn":
    """Run `fer-edge` with the process's arguments."""
    restore_signals = end_at_once("fer-edge")
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # it requests a report; there is none yet
    # numpy's OpenBLAS starts a thread per core on import. That takes a good part of the import time of numpy, OpenCV
    # and onnxruntime together, and we multiply no matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if not WITHOUT_OPENCV.intersection(sys.argv):
        load_early()
    gc.disable()  # what imports create stays alive: collecting meanwhile only costs time
    try:
        from fer_edge.cli.commands import edge
        from fer_edge.console import run_main
    except Exception as error:
        from fer_edge.guards.shortages import shortage

        if (cause := shortage(error)) is None:
            raise
        os.write(2, f"fer-edge: {cause}\n".encode())
        os._exit(1)

    restore_signals()
    run_main(edge, "fer-edge")


if __name__ == "__main__":
    main()
