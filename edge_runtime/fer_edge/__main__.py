"""Entry point of `fer-edge` and `python -m fer_edge`: handles signals before the slow imports."""

import gc
import os
import signal

from fer_edge.errors import HungUp, Interrupted, Terminated

TYPE_CHECKING = False  # see fer_edge/__init__.py
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

ENDINGS = {signal.SIGINT: Interrupted, signal.SIGTERM: Terminated, signal.SIGHUP: HungUp}


def _exit_at_once(number: int, _frame: "FrameType | None") -> "NoReturn":
    # Nothing is open yet. An exception could get lost in the import that it interrupts.
    ending = ENDINGS[signal.Signals(number)]
    os.write(2, f"fer-edge: {ending.word}\n".encode())
    os._exit(ending.exit_code)


def main() -> "NoReturn":
    """Run `fer-edge` with the process's arguments."""
    # Keep signals ignored that our parent ignores (nohup).
    before = {number: signal.getsignal(number) for number in ENDINGS}
    handled = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    for number in handled:
        signal.signal(number, _exit_at_once)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # it requests a report; there is none yet
    # numpy's OpenBLAS starts a thread per core on import. That takes a good part of the import time of numpy, OpenCV
    # and onnxruntime together, and we multiply no matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
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

    for number in handled:
        signal.signal(number, before[number])
    run_main(edge, "fer-edge")


if __name__ == "__main__":
    main()
