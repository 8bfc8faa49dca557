"""What a run saw, in numbers: seconds and share of every emotion, and the faces."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fer_edge.results import Face, FrameResult

MAX_RESULT_S = 1.0  # a camera that was away for an hour did not see a smile for an hour
MAX_TRACKS = 1000  # listed; a run of months sees more

Emotion = str | None
"""A label, or None for a face whose emotion is unsure: a separate class, whatever the labels are."""


class RunSummary:
    """Sums up the results of one source, in constant memory however long it runs. Threads may share it.

    labels: emotions to list even if no face shows them. still: the results are single images, which last no time and
    whose faces have nothing in common.

    A row is one face of one result. The share of an emotion is its part of all rows. A result lasts until the next one,
    at most 1 s, and the last one as long as the one before it; its seconds count once per face.

    >>> from fer_edge import Face, FrameResult, RunSummary
    >>> happy = Face((0, 0, 9, 9), 0.9, "happy", 0.8, {"happy": 0.8, "sad": 0.2}, track_id=0)
    >>> summary = RunSummary()
    >>> for frame in range(3):
    ...     summary.add(FrameResult(frame, t=frame / 2, detected=True, faces=(happy,)))
    >>> summary.to_dict()["emotions"]
    {'happy': {'rows': 3, 'share': 1.0, 'seconds': 1.5}}
    """

    def __init__(self, labels: Iterable[str] = (), still: bool = False) -> None:
        self._still = still
        self._lock = threading.Lock()
        self._rows: dict[Emotion, int] = dict.fromkeys((*labels, None), 0)
        self._seconds: dict[Emotion, float] = dict.fromkeys(self._rows, 0.0)
        self._frames = self._frames_with_faces = self._faces = self._most_faces = 0
        self._tracks: OrderedDict[int, dict[str, Any]] = OrderedDict()  # the face seen last is the last one
        self._t: float | None = None  # of the newest result
        self._now: tuple[Face, ...] = ()
        self._gap_s = 0.0  # between the newest two results

    @property
    def now(self) -> tuple[Face, ...]:
        """The faces of the newest result."""
        return self._now

    @property
    def t(self) -> float:
        """The time of the newest result in seconds; 0 before the first."""
        return self._t or 0.0

    @property
    def rows(self) -> dict[Emotion, int]:
        """Faces summed over results, by emotion."""
        with self._lock:
            return dict(self._rows)

    def add(self, result: FrameResult) -> None:
        """Add the next result of the source."""
        with self._lock:
            if self._t is not None:
                self._gap_s = min(max(result.t - self._t, 0.0), MAX_RESULT_S)
                _add_seconds(self._seconds, self._now, self._gap_s)
            self._t, self._now = result.t, result.faces
            self._frames += 1
            self._frames_with_faces += bool(result.faces)
            self._most_faces = max(self._most_faces, len(result.faces))
            for face in result.faces:
                self._rows[emotion_or_unsure(face)] = self._rows.get(emotion_or_unsure(face), 0) + 1
                self._add_face(face, result)

    def _add_face(self, face: Face, result: FrameResult) -> None:
        track = None if self._still or face.track_id is None else self._tracks.pop(face.track_id, None)
        self._faces += track is None
        if self._still or face.track_id is None:
            return
        if track is None:
            track = {"id": face.track_id, "rows": 0, "first_t": result.t, "first_time": result.time}
        track.update(rows=track["rows"] + 1, last_t=result.t, last_time=result.time)
        self._tracks[face.track_id] = track
        if len(self._tracks) > MAX_TRACKS:
            self._tracks.popitem(last=False)

    def to_dict(self) -> dict[str, Any]:
        """The summary so far, as in the report.

        seconds: None for single images. tracks: the faces that were seen last, at most 1000, by id, with their first
        and last `t`, and time of day if the results have one. tracks_left_out: how many more there were.
        """
        with self._lock:
            seconds = dict(self._seconds)
            _add_seconds(seconds, self._now, self._gap_s)
            tracks = [_track(self._tracks[track_id]) for track_id in sorted(self._tracks)]
            summary = _summary(
                {
                    "frames": self._frames,
                    "frames_with_faces": self._frames_with_faces,
                    "faces": self._faces,
                    "most_faces": self._most_faces,
                },
                self._rows,
                None if self._still else seconds,
            )
            left_out = 0 if self._still else self._faces - len(tracks)
        return summary | {"tracks": tracks, "tracks_left_out": left_out}


def total_summary(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One summary of several sources, from `RunSummary.to_dict` of each, without their tracks.

    Rows, seconds and faces are added up: a person in two videos counts as two faces.
    """
    counts = {name: sum(each[name] for each in summaries) for name in ("frames", "frames_with_faces", "faces")}
    counts["most_faces"] = max((each["most_faces"] for each in summaries), default=0)
    rows: dict[Emotion, int] = {}
    seconds: dict[Emotion, float] = {}
    for each in summaries:
        for emotion, figures in [*each["emotions"].items(), (None, each["unsure"])]:
            rows[emotion] = rows.get(emotion, 0) + figures["rows"]
            seconds[emotion] = seconds.get(emotion, 0.0) + (figures["seconds"] or 0.0)
    timed = any(each["seconds"] is not None for each in summaries)
    return _summary(counts, rows, seconds if timed else None)


def emotion_or_unsure(face: Face) -> Emotion:
    """The class that a face counts under."""
    return None if face.unsure else face.emotion


def _add_seconds(seconds: dict[Emotion, float], faces: Iterable[Face], gap_s: float) -> None:
    for face in faces:
        seconds[emotion_or_unsure(face)] = seconds.get(emotion_or_unsure(face), 0.0) + gap_s


def _summary(
    counts: dict[str, int], rows: Mapping[Emotion, int], seconds: Mapping[Emotion, float] | None
) -> dict[str, Any]:
    total = sum(rows.values())

    def figures(emotion: Emotion) -> dict[str, Any]:
        count = rows.get(emotion, 0)
        lasted = None if seconds is None else round(seconds.get(emotion, 0.0), 3)
        return {"rows": count, "share": round(count / total, 6) if total else 0.0, "seconds": lasted}

    return counts | {
        "rows": total,
        "seconds": None if seconds is None else round(sum(seconds.values()), 3),
        "emotions": {emotion: figures(emotion) for emotion in rows if emotion is not None},
        "unsure": figures(None),
    }


def _track(track: Mapping[str, Any]) -> dict[str, Any]:
    rounded = {name: round(value, 6) if name.endswith("_t") else value for name, value in track.items()}
    return {name: value for name, value in rounded.items() if value is not None}
