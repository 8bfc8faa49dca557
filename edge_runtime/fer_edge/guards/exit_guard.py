"""End our threads before Python does at its exit.

At its exit Python ends daemon threads wherever they are. A thread inside OpenCV or onnxruntime then aborts the process
("terminate called without an active exception"), because that end is an exception in C++ code that allows none. So
streams are closed first, and calls in daemon threads are waited for.
"""

import atexit
import contextlib
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

WAIT_S = 5.0  # for the threads of all streams together, then for calls that daemon threads are in


Result = TypeVar("Result")


class Closable(Protocol):
    """Ends its threads in `close`, which may be called again and from any thread, and waits only `seconds_left`."""

    def close(self) -> None:
        """End all threads."""
        ...


_open: weakref.WeakSet[Closable] = weakref.WeakSet()
_changed = threading.Condition()
_calls = 0  # that run now
_exiting = False
_deadline = math.inf  # monotonic time until which streams may wait for their threads


def close_at_exit(item: Closable) -> None:
    """Close `item` when Python exits, if it still exists; it must be hashable by identity."""
    _open.add(item)


def seconds_left() -> float:
    """How long a stream may wait for its threads: without limit, but only WAIT_S in all once Python exits."""
    return max(0.0, _deadline - time.monotonic())


@contextlib.contextmanager
def native_calls() -> Iterator[None]:
    """Around calls of OpenCV or onnxruntime that a caller's daemon thread may make; a decorator, too.

    Python's exit waits for the end of the block. A daemon thread that enters it during the exit stops there for good.
    """
    global _calls
    with _changed:
        stops = _exiting and threading.current_thread().daemon
        _calls += not stops
    if stops:
        threading.Event().wait()
    try:
        yield
    finally:
        with _changed:
            _calls -= 1
            _changed.notify_all()


def responsive(call: Callable[[], Result], limit_s: float | None = None) -> Result:
    """`call()`, such that signals are handled meanwhile, even if it is long in OpenCV or onnxruntime.

    Python handles signals in the main thread, between two of its instructions. So there, `call` runs in another
    thread; an exception of a signal's handler leaves it behind, and so does TimeoutError after `limit_s` seconds.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        with native_calls():
            try:
                results.append(call())
            except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
                errors.append(error)

    thread = threading.Thread(target=run, name="fer-call", daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        raise TimeoutError
    if errors:
        raise errors[0]
    return results[0]


@atexit.register
def _end_all() -> None:
    global _exiting, _deadline
    with _changed:
        _exiting = True
    _deadline = time.monotonic() + WAIT_S
    with contextlib.ExitStack() as steps:  # an error in one step does not skip the others
        steps.callback(_wait_for_calls)
        for item in list(_open):
            steps.callback(item.close)


def _wait_for_calls() -> None:
    with _changed:
        _changed.wait_for(lambda: not _calls, WAIT_S)
