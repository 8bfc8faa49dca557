"""Statistics of a run: frames, faces, rates and latencies, in constant memory however long the run is."""

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Sequence

from fer_edge.results import LeftOut

WARMUP_FRAMES = 5
SHORT_RUN_FRAMES = 20  # a run this short has no steady state: its warm-up is not excluded
_STEP = 1.01  # histogram bins grow by 1 %, so a percentile is exact to within 0.5 %
_SMALLEST_MS = 1e-3


class LatencyHistogram:
    """Percentiles of durations in milliseconds; the first WARMUP_FRAMES are excluded unless the run is short.

    total: the histogram of a whole run, which also gets every duration.
    """

    def __init__(self, total: "LatencyHistogram | None" = None) -> None:
        self._total = total
        self._first: list[float] = []
        self._bins: Counter[int] = Counter()
        self._max_ms = 0.0

    def add(self, duration_ms: float) -> None:
        """Add one duration."""
        if self._total is not None:
            self._total.add(duration_ms)
        if len(self._first) < WARMUP_FRAMES:
            self._first.append(duration_ms)
        else:
            self._bins[_bin(duration_ms)] += 1
            self._max_ms = max(self._max_ms, duration_ms)

    def summary(self) -> dict[str, float | None]:
        """{"p50", "p95", "p99", "max"} in milliseconds by nearest rank; each is None if nothing was measured."""
        bins, max_ms = self._bins.copy(), self._max_ms
        if bins.total() + len(self._first) <= SHORT_RUN_FRAMES:
            bins.update(map(_bin, self._first))
            max_ms = max([max_ms, *self._first])
        if not bins:
            return dict.fromkeys(("p50", "p95", "p99", "max"))
        ordered = sorted(bins)
        ranks = list(itertools.accumulate(bins[index] for index in ordered))
        percentiles: dict[str, float | None] = {}
        for name, fraction in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99)):
            index = ordered[bisect.bisect_left(ranks, math.ceil(fraction * ranks[-1]))]
            percentiles[name] = round(min(_SMALLEST_MS * _STEP**index, max_ms), 3)
        return percentiles | {"max": round(max_ms, 3)}

    def cumulative(self, bounds_ms: Sequence[float]) -> tuple[list[int], float]:
        """How many durations are at most each bound, and last how many there are; and their sum in milliseconds.

        Those of the warm-up count, too, so neither the counts nor the sum ever become less. Both are as exact as a bin.
        """
        bins = self._bins.copy()
        bins.update(map(_bin, self._first))
        counts = [sum(count for index, count in bins.items() if index <= _bin(bound)) for bound in bounds_ms]
        return [*counts, bins.total()], sum(_SMALLEST_MS * _STEP**index * count for index, count in bins.items())


def _bin(duration_ms: float) -> int:
    return round(math.log(max(duration_ms, _SMALLEST_MS) / _SMALLEST_MS, _STEP))


class Rate:
    """Events per second, from the end of the warm-up to the last event.

    total: the rate of a whole run, which also gets every event.
    """

    def __init__(self, total: "Rate | None" = None) -> None:
        self._total = total
        self.count = 0
        self._amount = 0
        self._started: float | None = None
        self._warm: float | None = None
        self._warm_amount = 0
        self._last = 0.0

    def add(self, now: float, amount: int = 1) -> None:
        """Count `amount` events at monotonic time `now` in seconds."""
        if self._total is not None:
            self._total.add(now, amount)
        if self._started is None:
            self._started = now
        else:
            self._amount += amount  # the first event only starts the clock
        self.count += 1
        self._last = now
        if self.count == WARMUP_FRAMES:
            self._warm, self._warm_amount = now, self._amount

    def per_second(self) -> float | None:
        """The rate; None before the second event."""
        if self._started is None or self._last <= self._started:
            return None
        if self.count > SHORT_RUN_FRAMES and self._warm is not None and self._warm < self._last:
            return (self._amount - self._warm_amount) / (self._last - self._warm)
        return self._amount / (self._last - self._started)


class Stats:
    """Counters of one source; captured = processed + dropped + errors + in flight.

    Only one thread writes each of them. `Stats.within(total)` also adds its rates and latencies to those of `total`.
    """

    def __init__(self) -> None:
        self.captured = self.processed = self.errors = 0
        self.dropped: Counter[str] = Counter()
        self.capture_rate, self.processed_rate, self.detect_rate, self.faces_rate = Rate(), Rate(), Rate(), Rate()
        self.detect_ms, self.classify_ms, self.end_to_end_ms = (
            LatencyHistogram(),
            LatencyHistogram(),
            LatencyHistogram(),
        )
        self.faces_seen = self.left_out = 0
        self.most_left_out = LeftOut()
        self.tracks = self.label_changes = 0

    @classmethod
    def within(cls, total: "Stats") -> "Stats":
        """New statistics of one source of a run, whose rates and latencies `total` has."""
        stats = cls()
        for name, of_run in vars(total).items():
            if isinstance(of_run, Rate):
                setattr(stats, name, Rate(of_run))
            elif isinstance(of_run, LatencyHistogram):
                setattr(stats, name, LatencyHistogram(of_run))
        return stats
