"""Signals that end a command: the first one in order, the second one within about a second.

Python calls a signal's handler in the main thread, between two Python instructions: not while that thread is in
OpenCV, onnxruntime or PyTorch, or opens a file. But the part of the handler that is written in C runs at once. It
writes the signal's number to a pipe (signal.set_wakeup_fd), which a thread reads. At the second number, this thread
gives the main thread GRACE_S to end. Then it gives `last_words` LAST_WORDS_S to complete and report what there is,
and ends the process.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from fer_edge.errors import Stopped
from fer_edge.guards.early_signals import ENDINGS, handled
from fer_edge.guards.portable import PIPES_WAKE

GRACE_S = 0.4
# timeout(1) and some shells send a signal to the process and to its group: two at once are one wish, which gets more
# time. A further one later does not wait for that.
TWIN_S, TWIN_GRACE_S = 0.1, 3.0
LAST_WORDS_S = 0.8

LastWords = Callable[[str, float], object]
"""Called in another thread with the word of the signal, such as "interrupted", and the monotonic time of the end."""

_last_words: list[LastWords] = []
_watches = False  # this process, and not the one that it is a fork of
second_came = threading.Event()
_line = threading.Lock()  # held by the thread that prints the last line


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Hold a signal that ends the command back until the block is done; `second_signal_ends` does not wait for that."""
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    before = {number: signal.signal(number, hold) for number in handled()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in held[:1]:
        handler = before[number]
        if callable(handler):
            handler(number, None)  # to raise the signal again would count as a second one
        else:
            signal.raise_signal(number)


@contextlib.contextmanager
def last_words(say: LastWords) -> Iterator[None]:
    """Call `say` if a second signal ends the process during the block."""
    _last_words.append(say)
    try:
        yield
    finally:
        _last_words.remove(say)


@contextlib.contextmanager
def second_signal_ends(prog_name: str) -> Iterator[None]:
    """Let the second signal of ENDINGS end the process with its exit code, whatever the main thread does.

    Signals that our parent ignores don't count. Call it in the main thread.
    """
    global _watches, _line
    if not PIPES_WAKE:
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(reader, prog_name, over), name="signals", daemon=True)
    try:
        watch.start()
    except RuntimeError:  # no thread is left: go on without
        os.close(reader)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _watches = True
    second_came.clear()
    _line = threading.Lock()
    try:
        yield
    finally:
        over.set()
        _watches = False
        signal.set_wakeup_fd(before)
        os.close(writer)


def claim_last_line() -> bool:
    """Whether the caller is the first to ask, and so prints the line that says which signal ended the command."""
    return _line.acquire(blocking=False)


def _watch(reader: int, prog_name: str, over: threading.Event) -> None:
    first_at: float | None = None
    graces: set[float] = set()  # that have begun
    while numbers := os.read(reader, 64):
        for number in filter(ENDINGS.__contains__, numbers):
            now = time.monotonic()
            if first_at is None:
                first_at = now
                continue
            second_came.set()
            grace_s = TWIN_GRACE_S if now - first_at < TWIN_S else GRACE_S
            if grace_s not in graces:
                graces.add(grace_s)
                arguments = (grace_s, ENDINGS[number], prog_name, over)
                threading.Thread(target=_end, args=arguments, name="last-signal", daemon=True).start()
    os.close(reader)


def _end(grace_s: float, ending: type[Stopped], prog_name: str, over: threading.Event) -> None:
    if over.wait(grace_s):
        return
    speaker = threading.Thread(target=_speak, args=(ending, prog_name), daemon=True)
    with contextlib.suppress(RuntimeError):  # no thread is left
        speaker.start()
        speaker.join(LAST_WORDS_S)  # a terminal or a disk may hang, too
    if not over.is_set():
        os._exit(ending.exit_code)


def _speak(ending: type[Stopped], prog_name: str) -> None:
    until = time.monotonic() + LAST_WORDS_S * 0.9
    for say in reversed(_last_words):
        with contextlib.suppress(Exception):  # the process ends anyway
            say(ending.word, until)
    if claim_last_line():
        os.write(2, f"{prog_name}: {ending.word}\n".encode())


def _forget_in_child() -> None:
    if _watches:
        signal.set_wakeup_fd(-1)  # or the parent would count the child's signals


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_in_child)
