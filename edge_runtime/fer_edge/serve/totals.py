"""Counters over all sources of a run, none of which goes back when the next source begins."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.summary import Emotion

DROP_CAUSES = ("newer_frame", "seek", "stopped")
STAGE_BOUNDS_MS = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)


@dataclass(frozen=True, slots=True)
class StageTimes:
    """counts: how many durations are at most each of STAGE_BOUNDS_MS, and last how many there are. sum_ms: of all."""

    counts: tuple[int, ...] = (0,) * (len(STAGE_BOUNDS_MS) + 1)
    sum_ms: float = 0.0

    def __add__(self, other: "StageTimes") -> "StageTimes":
        counts = tuple(map(sum, zip(self.counts, other.counts, strict=True)))
        return StageTimes(counts, self.sum_ms + other.sum_ms)


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted.

    processed, unreadable: frames. dropped: frames by cause. rows: faces summed over frames, by emotion (None: unsure).
    stages: how long detect, classify (a batch) and end_to_end (capture to result) took. reconnects: of live sources.
    """

    processed: int = 0
    unreadable: int = 0
    dropped: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(DROP_CAUSES, 0))
    rows: Mapping[Emotion, int] = field(default_factory=dict)
    stages: Mapping[str, StageTimes] = field(
        default_factory=lambda: dict.fromkeys(("detect", "classify", "end_to_end"), StageTimes())
    )
    reconnects: int = 0

    @classmethod
    def of(cls, pipeline: Pipeline) -> "Counts":
        """The counts of one source so far."""
        stats = pipeline.stats
        histograms = {"detect": stats.detect_ms, "classify": stats.classify_ms, "end_to_end": stats.end_to_end_ms}
        measured = {name: histogram.cumulative(STAGE_BOUNDS_MS) for name, histogram in histograms.items()}
        stages = {name: StageTimes(tuple(counts), sum_ms) for name, (counts, sum_ms) in measured.items()}
        rows, dropped = pipeline.summary.rows, dict(pipeline.dropped)
        return cls(stats.processed, stats.errors, dropped, rows, stages, pipeline.source.reconnects)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.processed + other.processed,
            self.unreadable + other.unreadable,
            {cause: self.dropped.get(cause, 0) + other.dropped.get(cause, 0) for cause in DROP_CAUSES},
            {label: self.rows.get(label, 0) + other.rows.get(label, 0) for label in {**self.rows, **other.rows}},
            {name: self.stages[name] + other.stages[name] for name in self.stages},
            self.reconnects + other.reconnects,
        )


class Totals:
    """The counts of the sources that have ended and of the current one. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = Counts()
        self._current: Pipeline | None = None

    def begin(self, pipeline: Pipeline) -> None:
        """The next source starts; the one before it counts nothing more."""
        with self._lock:
            if self._current is not None:
                self._ended += Counts.of(self._current)
            self._current = pipeline

    def counts(self) -> Counts:
        """The counts so far."""
        with self._lock:
            return self._ended if self._current is None else self._ended + Counts.of(self._current)
