"""Run a network within a time limit: one that loops for ever is ended, and that is an error."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from fer_edge.errors import ModelError
from fer_edge.guards.exit_guard import responsive
from fer_edge.guards.limits import MAX_MODEL_SECONDS
from fer_edge.onnx_runtime import onnxruntime

POLL_S = 0.25
STUCK_S = 5.0  # an operator that goes on so long after its run was ended does not stop
PATIENCE_S = 5.0  # for a run when the command is to end, unless runs are known to take longer


Result = TypeVar("Result")

_longest_s = 0.0  # of the runs that gave a result


class _Run:
    """A call of onnxruntime that is in progress. name: of the model. ended_at: when it was told to end, or None."""

    def __init__(self, name: str, limit_s: float) -> None:
        self.name, self.options = name, onnxruntime.RunOptions()
        self.started, self.limit_s = time.monotonic(), limit_s
        self.ended_at: float | None = None

    def end_if_longer(self, seconds: float) -> None:
        now = time.monotonic()
        if self.ended_at is None and now - self.started > seconds:
            self.ended_at, self.options.terminate = now, True


_runs: set[_Run] = set()  # changed by single operations, which need no lock
_busy = threading.Event()
_starting = threading.Lock()
_watcher: threading.Thread | None = None


def run(
    session: onnxruntime.InferenceSession, outputs: Sequence[str] | None, inputs: Mapping[str, Any], name: str
) -> list[Any]:
    """`session.run(outputs, inputs)`; ModelError if it takes more than MAX_MODEL_SECONDS.

    name: the model's file, for messages. Raises onnxruntime's errors as well.
    """
    global _longest_s
    _start_watcher()
    current = _Run(name, MAX_MODEL_SECONDS.value)
    _runs.add(current)
    if not _busy.is_set():
        _busy.set()
    try:
        results: list[Any] = session.run(outputs, inputs, current.options)
    except Exception as error:
        if current.ended_at is None:
            raise
        seconds = current.ended_at - current.started
        advice = f"; for a slow network, raise {MAX_MODEL_SECONDS.variable}" if seconds >= current.limit_s else ""
        raise ModelError(f"{name} gives no result within {seconds:.0f} s: it may loop for ever{advice}") from error
    finally:
        _runs.discard(current)
    _longest_s = max(_longest_s, time.monotonic() - current.started)
    return results


def first_run(call: Callable[[], Result], name: str) -> Result:
    """`call()`, which runs a network to check it; signals are handled meanwhile.

    Raises ModelError, which names the file `name`, if an operator does not even stop when its run is ended.
    """
    try:
        return responsive(call, MAX_MODEL_SECONDS.value + STUCK_S)
    except TimeoutError as error:
        raise _stuck(name) from error


def _stuck(name: str) -> ModelError:
    return ModelError(f"{name} does not end: one of its operators takes very long; use another network")


def end_runs_longer_than(seconds: float) -> None:
    """End the runs in progress that have taken more than `seconds`: `run` raises ModelError in their threads."""
    for current in list(_runs):
        current.end_if_longer(seconds)


def end_hanging_runs() -> None:
    """End the runs in progress that seem to hang: for a command that is to end."""
    end_runs_longer_than(max(PATIENCE_S, 2 * _longest_s))


def stuck_network() -> ModelError | None:
    """The error of a run that goes on after it was ended, because one operator takes very long; None without one."""
    now = time.monotonic()
    for current in list(_runs):
        if current.ended_at is not None and now - current.ended_at > STUCK_S:
            return _stuck(current.name)
    return None


def _start_watcher() -> None:
    global _watcher
    if _watcher is None:
        with _starting:
            if _watcher is None:
                _watcher = threading.Thread(target=_watch, name="network-timer", daemon=True)
                _watcher.start()


def _watch() -> None:
    while True:
        _busy.wait()
        time.sleep(POLL_S)
        for current in list(_runs):
            current.end_if_longer(current.limit_s)
        _busy.clear()
        if _runs:
            _busy.set()
