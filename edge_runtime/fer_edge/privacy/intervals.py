"""Counts per interval instead of faces: what `--aggregate` writes. Pure: results in, complete intervals out."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from fer_edge.privacy.modes import Aggregation
from fer_edge.results import Face, FrameResult
from fer_edge.summary import MAX_RESULT_S, Emotion, emotion_or_unsure

SCHEMA = 1
FIRST_KEY = "interval_s"  # behind the schema, by which programs know the lines
SECONDS_DECIMALS = 3
ROUNDING_S = 1e-6  # media times are rounded: a frame at 59.9999999 s belongs to the next minute
MAX_MISSING = 0.1  # of a short interval may lack frames, as the last frame of a file does, which has no length
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EmotionCount(NamedTuple):
    """rows: faces summed over frames. seconds: how long faces showed it, summed over faces."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class IntervalCounts:
    """What was seen in one interval.

    frames: results in it. watched_s: how much of the interval the frames cover, in seconds; less than its length where
    the run began or ended in it, or frames are missing. faces: different faces (tracks): somebody who comes back may
    count again. emotions: of every label. unsure: of the faces whose emotion is unsure, which count under no label.
    """

    frames: int
    watched_s: float
    faces: int
    emotions: Mapping[str, EmotionCount]
    unsure: EmotionCount


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval of a source: its start and, unless it is withheld, its counts.

    interval_s: its length. start_time: in UTC and ISO 8601, of results with a time of day. start_t: seconds since the
    first frame, of other results. file: the source, if there are several. counts: None if too few faces were seen.
    """

    interval_s: int
    start_time: str | None
    start_t: int | None
    file: str | None
    counts: IntervalCounts | None

    @property
    def withheld(self) -> bool:
        """True if too few faces were seen."""
        return self.counts is None

    @property
    def partial(self) -> bool:
        """True if more than a tenth, or more than a second, has no frames; False if withheld, which reveals nothing."""
        missing_s = min(MAX_MISSING * self.interval_s, MAX_RESULT_S)
        return self.counts is not None and self.counts.watched_s < self.interval_s - missing_s

    def to_dict(self) -> dict[str, Any]:
        """The value of one line of --aggregate-out."""
        line: dict[str, Any] = {"schema": SCHEMA, FIRST_KEY: self.interval_s}
        line |= {"start_t": self.start_t} if self.start_time is None else {"start_time": self.start_time}
        if self.file is not None:
            line["file"] = self.file
        counts = self.counts
        if counts is None:
            return line | {"withheld": True}
        return line | {
            "withheld": False,
            "partial": self.partial,
            "frames": counts.frames,
            "watched_s": counts.watched_s,
            "faces": counts.faces,
            "emotions": {emotion: count._asdict() for emotion, count in counts.emotions.items()},
            "unsure": counts.unsure._asdict(),
        }


class IntervalAggregator:
    """Turns results, in order, into counts per interval.

    The intervals lie on a fixed grid. Results with a time of day are cut at multiples of the interval since 1970, UTC:
    60 s begin at full minutes. Other results are cut at multiples of the interval since the first frame.
    An interval is returned once it is complete, and never twice; one without a frame has no line.
    A result counts, with all its seconds, in the interval in which it begins; it lasts as in `RunSummary`.
    A result of another source, or of one that starts again, ends the interval. So does a clock that is set back: then
    two intervals have one start, and neither tells anything unless it has enough faces itself.

    labels: emotions to list even if no face shows them.

    >>> faces = [Face((0, 0, 9, 9), 0.9, "happy", 0.8, {}, track_id=number) for number in range(3)]
    >>> aggregator = IntervalAggregator(Aggregation(interval_s=2), ["happy", "sad"])
    >>> for frame in range(5):
    ...     interval = aggregator.add(FrameResult(frame, frame / 2, True, tuple(faces)))
    >>> interval.start_t, interval.counts.faces, interval.counts.emotions["happy"]
    (0, 3, EmotionCount(rows=12, seconds=6.0))
    >>> aggregator.end().partial
    True
    """

    def __init__(self, aggregation: Aggregation, labels: Iterable[str] = ()) -> None:
        self._aggregation, self._labels = aggregation, tuple(labels)
        self._period = timedelta(seconds=aggregation.interval_s)
        self._open: _Tally | None = None
        self._last: FrameResult | None = None
        self._gap_s = 0.0  # between the newest two results

    def add(self, result: FrameResult) -> Interval | None:
        """Count the next result; returns the interval that it ends, if any."""
        last, done = self._last, None
        if last is not None and (result.file != last.file or result.frame <= last.frame):
            done = self.end()
        elif last is not None and self._open is not None:
            self._gap_s = min(max(result.t - last.t, 0.0), MAX_RESULT_S)
            self._open.lasts(last.faces, self._gap_s)
        start_time, start_t = self._start_of(result)
        if self._open is not None and (self._open.start_time, self._open.start_t) != (start_time, start_t):
            done = self._complete()
        if self._open is None:
            self._open = _Tally(start_time, start_t, result.file)
        self._open.count(result.faces)
        self._last = result
        return done

    def end(self) -> Interval | None:
        """The interval under way, when its source ends inside it; None if there is none."""
        if self._open is None or self._last is None:
            return None
        self._open.lasts(self._last.faces, self._gap_s)  # the last result, as long as the one before it
        self._last, self._gap_s = None, 0.0
        return self._complete()

    def _start_of(self, result: FrameResult) -> tuple[str | None, int | None]:
        """The start of the interval of a result: as time of day or in seconds."""
        if result.time is None:
            interval_s = self._aggregation.interval_s
            return None, int((result.t + ROUNDING_S) // interval_s) * interval_s
        start = _EPOCH + (datetime.fromisoformat(result.time) - _EPOCH) // self._period * self._period
        return start.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z", None

    def _complete(self) -> Interval:
        assert self._open is not None
        tally, self._open = self._open, None
        counts = None if tally.faces < self._aggregation.at_least else tally.counts(self._labels)
        return Interval(self._aggregation.interval_s, tally.start_time, tally.start_t, tally.file, counts)


class _Tally:
    """The counts of the interval under way."""

    def __init__(self, start_time: str | None, start_t: int | None, file: str | None) -> None:
        self.start_time, self.start_t, self.file = start_time, start_t, file
        self._frames, self._watched_s = 0, 0.0
        self._rows, self._seconds = Counter[Emotion](), defaultdict[Emotion, float](float)
        self._tracks: set[int] = set()
        self._untracked = 0  # faces without an id: the most in one frame, since they may be the same ones

    @property
    def faces(self) -> int:
        """Different faces so far."""
        return len(self._tracks) + self._untracked

    def count(self, faces: Iterable[Face]) -> None:
        """Count the faces of a result."""
        faces = tuple(faces)
        self._frames += 1
        self._rows.update(map(emotion_or_unsure, faces))
        self._tracks.update(face.track_id for face in faces if face.track_id is not None)
        self._untracked = max(self._untracked, sum(face.track_id is None for face in faces))

    def lasts(self, faces: Iterable[Face], seconds: float) -> None:
        """Count the seconds of the result that was counted last."""
        self._watched_s += seconds
        for face in faces:
            self._seconds[emotion_or_unsure(face)] += seconds

    def counts(self, labels: Iterable[str]) -> IntervalCounts:
        """The counts, with `labels` first."""

        def figures(emotion: Emotion) -> EmotionCount:
            return EmotionCount(self._rows[emotion], round(self._seconds[emotion], SECONDS_DECIMALS))

        emotions = [label for label in dict.fromkeys((*labels, *self._rows)) if label is not None]
        watched_s = round(self._watched_s, SECONDS_DECIMALS)
        return IntervalCounts(
            self._frames, watched_s, self.faces, {label: figures(label) for label in emotions}, figures(None)
        )
