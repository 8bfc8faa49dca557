"""Two runs side by side: the differences of their shares, with intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_edge.analysis.bootstrap import Floats, ShareIntervals
from fer_edge.analysis.results import Results
from fer_edge.analysis.summaries import UNSURE, group_intervals, summarize
from fer_edge.errors import DataError
from fer_edge.sentences import counted

LEVEL = 0.05  # of being wrong about any of the emotions


@dataclass(frozen=True)
class Comparison:
    """Two runs and their differences.

    a, b: summaries. differences: per label and "unsure", `difference` (B - A), `low` and `high`, which hold for all
    emotions together with 95 %, and `clear`, whether 0 lies outside and both runs are long enough to say so.
    """

    names: tuple[str, str]
    a: dict[str, Any]
    b: dict[str, Any]
    differences: dict[str, dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """As `analyze --json` writes it."""
        return {"schema": 1, "names": list(self.names), "a": self.a, "b": self.b, "differences": self.differences}


def compare(first: Results, second: Results, names: tuple[str, str]) -> Comparison:
    """Compare two runs; DataError if their labels differ."""
    if first.labels and second.labels and set(first.labels) != set(second.labels):
        raise DataError(
            f"{names[0]} has the labels {', '.join(first.labels)}, but {names[1]} has {', '.join(second.labels)}: "
            "runs of networks with other labels can't be compared"
        )
    labels = first.labels or second.labels
    a, b = group_intervals(first.faces, labels), group_intervals(second.faces, labels)
    difference, low, high = share_differences(a, b)
    reliable = _is_enough(a) and _is_enough(b)
    found = {}
    for place, label in enumerate((*labels, UNSURE)):
        lowest, highest = float(low[place]), float(high[place])
        found[label] = {
            "difference": round(float(difference[place]), 6),
            "low": round(lowest, 6),
            "high": round(highest, 6),
            "clear": bool(reliable and (lowest > 0 or highest < 0)),
        }
    return Comparison(names, summarize(first), summarize(second), found)


def share_differences(a: ShareIntervals, b: ShareIntervals) -> tuple[Floats, Floats, Floats]:
    """The differences of the shares, B - A, float64 [K], and the ends of intervals that hold together with 95 %.

    Newcombe's method 10 (1998): from the intervals of both shares, here at the level that Bonferroni asks for.
    """
    confidence = 1 - LEVEL / len(a.shares)
    (a_low, a_high), (b_low, b_high) = a.bounds(confidence), b.bounds(confidence)
    difference = b.shares - a.shares
    low = difference - np.hypot(b.shares - b_low, a_high - a.shares)
    high = difference + np.hypot(b_high - b.shares, a.shares - a_low)
    return difference, low, high


def _is_enough(intervals: ShareIntervals) -> bool:
    return bool(intervals.is_reliable and intervals.shares.sum() > 0)


def comparison_sentences(comparison: Comparison) -> list[str]:
    """What differs, in sentences."""
    a, b = comparison.a, comparison.b
    if not a["rows"] or not b["rows"]:
        empty = comparison.names[0 if not a["rows"] else 1]
        return [f"No face was seen in {empty}, so there is nothing to compare."]
    clear = [(name, row["difference"]) for name, row in comparison.differences.items() if row["clear"]]
    clear.sort(key=lambda item: -abs(item[1]))
    points = [f"{100 * abs(by):.1f} points {'more' if by > 0 else 'less'} {name}" for name, by in clear]
    seen = f"A shows {counted(a['faces'], 'face')}, B {counted(b['faces'], 'face')}."
    if points:
        return [seen, f"B shows {', '.join(points)} than A; these differences are larger than chance explains."]
    if not (a["intervals_reliable"] and b["intervals_reliable"]):
        return [seen, "At least one run is too short to tell a difference from chance."]
    return [seen, "No difference is larger than chance explains."]
