"""What connections publish of the results: label changes, or with --aggregate complete intervals."""

import json
from typing import Any

from fer_edge.privacy.intervals import IntervalAggregator
from fer_edge.results import FrameResult
from fer_edge.serve.changes import ChangeDetector
from fer_edge.serve.run_state import RunState


class Records:
    """Turns results into records, as compact JSON."""

    def __init__(self, state: RunState) -> None:
        self._changes = ChangeDetector()
        self._intervals = None if state.aggregation is None else IntervalAggregator(state.aggregation, state.labels)

    def add(self, result: FrameResult) -> list[str]:
        """The records that the next result makes."""
        if self._intervals is None:
            return [to_json(change.to_dict()) for change in self._changes.update(result)]
        done = self._intervals.add(result)
        return [] if done is None else [to_json(done.to_dict())]

    def end(self) -> list[str]:
        """The record of the interval under way, when the run ends."""
        last = None if self._intervals is None else self._intervals.end()
        return [] if last is None else [to_json(last.to_dict())]


def to_json(value: dict[str, Any]) -> str:
    """`value` in one line; ValueError for NaN and infinity, which JSON does not know."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
