"""Run a network within a time limit: one that loops for ever is ended, and that is an error."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fer_edge.errors import ModelError
from fer_edge.guards.limits import MAX_MODEL_SECONDS
from fer_edge.onnx_runtime import onnxruntime

POLL_S = 0.25
STUCK_S = 5.0  # an operator that goes on so long after its run was ended does not stop


class _Run:
    """A call of onnxruntime that is in progress. ended_at: when it was told to end, or None."""

    def __init__(self, limit_s: float) -> None:
        self.options = onnxruntime.RunOptions()
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
    _start_watcher()
    current = _Run(MAX_MODEL_SECONDS.value)
    _runs.add(current)
    if not _busy.is_set():
        _busy.set()
    try:
        results: list[Any] = session.run(outputs, inputs, current.options)
    except Exception as error:
        if current.ended_at is None:
            raise
        seconds = f"{current.ended_at - current.started:.0f} s"
        raise ModelError(
            f"{name} gives no result within {seconds}: it may loop for ever; "
            f"for a slow network, raise {MAX_MODEL_SECONDS.variable}"
        ) from error
    finally:
        _runs.discard(current)
    return results


def end_runs_longer_than(seconds: float) -> None:
    """End the runs in progress that have taken more than `seconds`: `run` raises ModelError in their threads."""
    for current in list(_runs):
        current.end_if_longer(seconds)


def is_stuck() -> bool:
    """Whether a run that was ended goes on, because one operator of the network takes very long."""
    now = time.monotonic()
    return any(current.ended_at is not None and now - current.ended_at > STUCK_S for current in list(_runs))


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
