"""The state message: what it says, and when it is due."""

from collections import Counter, defaultdict
from typing import Any

from fer_edge.results import FrameResult
from fer_edge.serve.changes import UNSURE
from fer_edge.serve.run_state import RUNNING, RunState

MIN_INTERVAL_S = 5.0  # each state is a row in a home's data base
LOOK_INTERVAL_S = 0.2  # results come more often than anybody needs to know
REFRESH_S = 60.0  # for those who came later: the state is not retained
MIN_FPS_CHANGE, MIN_TEMPERATURE_CHANGE = 0.1, 1.0  # a part of the value before; degrees


class StateFeed:
    """Turns results into state messages: on change, at most one in MIN_INTERVAL_S, at least one in REFRESH_S."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._result: FrameResult | None = None
        self._last: dict[str, Any] | None = None
        self._last_at = self._looked_at = 0.0

    def update(self, result: FrameResult) -> None:
        """The newest result."""
        self._result = result

    def forget(self) -> None:
        """A new subscriber listens: the next state is due at once."""
        self._last = None

    def due(self, now: float) -> dict[str, Any] | None:
        """The message that is due at monotonic time `now`, which counts as sent; None if none is."""
        waited_s = now - self._last_at
        if self._last is not None and waited_s < MIN_INTERVAL_S:
            return None
        if self._last is not None and now - self._looked_at < LOOK_INTERVAL_S:
            return None
        self._looked_at = now
        message = self._message()
        if self._last is not None and waited_s < REFRESH_S and not _differs(self._last, message):
            return None
        self._last, self._last_at = message, now
        return message

    def _message(self) -> dict[str, Any]:
        snapshot = self._state.snapshot()
        message = {"state": snapshot["state"], "faces": None, "emotion": None}
        shares: dict[str, float | None] = dict.fromkeys((*self._state.labels, UNSURE))
        if snapshot["state"] == RUNNING and self._result is not None:  # of a lost camera nothing is known now
            faces = self._result.faces
            counts, confidence = Counter[str](), defaultdict[str, float](float)
            for face in faces:
                label = UNSURE if face.unsure else face.emotion
                counts[label] += 1
                confidence[label] += face.confidence
            message["faces"] = len(faces)
            if faces:
                message["emotion"] = max(counts, key=lambda label: (counts[label], confidence[label]))
            shares = {label: round(counts[label] / len(faces), 3) if faces else 0.0 for label in shares}
        fps = snapshot.get("fps", {}).get("processed")
        temperature = snapshot["temperature_c"]
        return message | {
            "shares": shares,
            "fps": fps,
            "temperature_c": None if temperature is None else round(temperature, 1),
        }


def _differs(last: dict[str, Any], message: dict[str, Any]) -> bool:
    """True if a listener should know; rates and temperatures always change a little."""
    if any(last[name] != message[name] for name in ("state", "faces", "emotion", "shares")):
        return True
    fps = last["fps"]
    return _moved(fps, message["fps"], MIN_FPS_CHANGE * max(fps or 0.0, 1.0)) or _moved(
        last["temperature_c"], message["temperature_c"], MIN_TEMPERATURE_CHANGE
    )


def _moved(before: float | None, now: float | None, step: float) -> bool:
    if before is None or now is None:
        return before is not now
    return abs(now - before) >= step
