"""Changes from one result to the next: faces that come and go, and faces whose emotion changes."""

from dataclasses import dataclass
from typing import Any

from fer_edge.results import Face, FrameResult

APPEARED, CHANGED, LEFT = "appeared", "changed", "left"
AWAY_S = 1.0  # a face that is missed for less has not left
UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Change:
    """What changed about one face.

    kind: appeared, changed or left. id: of the face. emotion: its label now, or "unsure"; the last one of a face that
    left. before: its label until now; None of a face that appeared. t: seconds since the first frame. time: time of
    day, or None. file: the image, or the source if there are several.
    """

    kind: str
    id: int
    emotion: str
    before: str | None
    confidence: float
    t: float
    time: str | None
    file: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The change as JSON knows it; without a time of day and a file if there is none."""
        value = {
            "change": self.kind,
            "id": self.id,
            "emotion": self.emotion,
            "before": self.before,
            "confidence": round(self.confidence, 4),
            "t": round(self.t, 3),
        }
        optional = {"time": self.time, "file": self.file}
        return value | {name: text for name, text in optional.items() if text is not None}


class ChangeDetector:
    """Compares each result with those before it.

    >>> happy, sad = (Face((0, 0, 9, 9), 0.9, name, 0.8, {}, track_id=3) for name in ("happy", "sad"))
    >>> detector = ChangeDetector()
    >>> for frame, face in enumerate([happy, happy, sad]):
    ...     for change in detector.update(FrameResult(frame, float(frame), True, (face,))):
    ...         print(change.kind, change.id, change.before, change.emotion)
    appeared 3 None happy
    changed 3 happy sad
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Face, float]] = {}  # by id: the face, and the time of its newest result
        self._last: FrameResult | None = None

    def update(self, result: FrameResult) -> list[Change]:
        """The changes that `result` shows. Faces without an id are ignored.

        Results of another image or source, or of one that starts again, show other faces: those before have left.
        """
        changes, last = [], self._last
        self._last = result
        if last is not None and (result.file != last.file or result.frame <= last.frame):
            changes += [_change(LEFT, face, _label(face), last) for face, _ in self._seen.values()]
            self._seen.clear()
        for face in result.faces:
            if face.track_id is None:
                continue
            before = self._seen.get(face.track_id)
            self._seen[face.track_id] = (face, result.t)
            if before is None:
                changes.append(_change(APPEARED, face, None, result))
            elif _label(before[0]) != _label(face):
                changes.append(_change(CHANGED, face, _label(before[0]), result))
        gone = [key for key, (_, t) in self._seen.items() if not 0 <= result.t - t < AWAY_S]
        for key in gone:
            face, _ = self._seen.pop(key)
            changes.append(_change(LEFT, face, _label(face), result))
        return changes


def _label(face: Face) -> str:
    return UNSURE if face.unsure else face.emotion


def _change(kind: str, face: Face, before: str | None, result: FrameResult) -> Change:
    assert face.track_id is not None
    return Change(kind, face.track_id, _label(face), before, face.confidence, result.t, result.time, result.file)
