"""The console script's first step: be ready for Ctrl-C before the imports, which take longer than Python's start."""

import gc
import os
import signal

TYPE_CHECKING = False  # see fer_edge/__init__.py
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}  # as in fer_edge.console, which takes long to import
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def _leave(number: int, _frame: "FrameType | None") -> "NoReturn":
    # Nothing is open yet; an exception might be swallowed by the import that it hits.
    os.write(2, f"fer-edge: {WORDS[signal.Signals(number)]}\n".encode())
    os._exit(EXIT_CODES[signal.Signals(number)])


def main() -> "NoReturn":
    """Entry point of the console script."""
    # Whoever started us with a signal ignored, as nohup does, shall have it so.
    before = {number: signal.getsignal(number) for number in EXIT_CODES}
    early = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    for number in early:
        signal.signal(number, _leave)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # asks for a report; there is none yet
    # numpy's OpenBLAS starts a thread a core at import, a good part of the time that numpy, OpenCV and onnxruntime
    # take to import together, for matrix products of which there are none here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()  # what imports make is there to stay: looking through it again and again is in vain
    from fer_edge.cli.commands import edge
    from fer_edge.console import run_main

    for number in early:
        signal.signal(number, before[number])
    run_main(edge, "fer-edge")


if __name__ == "__main__":
    main()
