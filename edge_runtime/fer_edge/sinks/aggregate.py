"""--aggregate-out: a JSON line per interval, once it is complete."""

import json
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer_edge.privacy.intervals import FIRST_KEY, SCHEMA, Interval, IntervalAggregator
from fer_edge.privacy.modes import Aggregation
from fer_edge.sinks.base import Published
from fer_edge.sinks.text import TextSink

if TYPE_CHECKING:
    from fer_edge.sinks.rotation import Rotation


class AggregateSink(TextSink):
    """A line per interval, to a file or "-" for stdout; the last interval's line comes when the sink is closed.

    intervals, withheld: how many lines there are, and how many of them only say when.
    written: results that are counted, those of the interval under way too; those of a line that can't be written don't
    count any more.
    """

    name, option = "aggregate", "--aggregate-out"
    first_bytes = json.dumps({"schema": SCHEMA, FIRST_KEY: 0}, separators=(",", ":")).removesuffix("0}").encode()

    def __init__(
        self, target: str, aggregation: Aggregation, labels: Sequence[str], rotation: "Rotation | None" = None
    ) -> None:
        self.intervals = self.withheld = 0
        self._aggregator = IntervalAggregator(aggregation, labels)
        self._under_way = 0  # results of the interval under way
        self._queued_lines: deque[tuple[int, bool]] = deque()  # how many results each has, and whether it is withheld
        self._failed = False
        super().__init__(target, rotation=rotation)

    def write(self, item: Published) -> None:
        done = self._aggregator.add(item.result)
        if done is not None:
            self._add_line(done)
        self._under_way += 1
        self.written += 1

    def _add_line(self, interval: Interval) -> None:
        line = json.dumps(interval.to_dict(), separators=(",", ":"), ensure_ascii=False) + "\n"
        self._queued_lines.append((self._under_way, interval.withheld))
        self._under_way = 0
        self.add_lines(line)

    def _note_written(self, lines: int) -> None:
        for _ in range(lines):
            self.withheld += self._queued_lines.popleft()[1]
            self.intervals += 1

    def _write_queued(self) -> None:
        try:
            super()._write_queued()
        except BaseException:
            self._failed = True
            self.written -= self._under_way + sum(results for results, _ in self._queued_lines)
            raise

    def close(self) -> None:
        try:
            last = None if self._failed else self._aggregator.end()
            if last is not None:
                self._add_line(last)
        finally:
            super().close()
