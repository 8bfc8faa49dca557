"""Signals while a command still imports its modules: nothing is open yet, so it ends at once.

Imports nothing that takes time.
"""

import os
import signal

from fer_edge.errors import HungUp, Interrupted, Stopped, Terminated

TYPE_CHECKING = False  # see fer_edge/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

ENDINGS: dict[int, type[Stopped]] = {
    signal.SIGINT: Interrupted,
    signal.SIGTERM: Terminated,
}
if hasattr(signal, "SIGHUP"):  # not on Windows
    ENDINGS[signal.SIGHUP] = HungUp


def handled() -> list[int]:
    """The signals of ENDINGS that our parent does not ignore; nohup ignores SIGHUP."""
    return [number for number in ENDINGS if signal.getsignal(number) != signal.SIG_IGN]


def end_at_once(prog_name: str) -> "Callable[[], None]":
    """Let a signal print one line and end the process with its exit code; returns what undoes that."""

    def end(number: int, _frame: "FrameType | None") -> "NoReturn":
        # An exception could get lost in the import that it interrupts.
        ending = ENDINGS[number]
        os.write(2, f"{prog_name}: {ending.word}\n".encode())
        os._exit(ending.exit_code)

    before = {number: signal.signal(number, end) for number in handled()}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore
