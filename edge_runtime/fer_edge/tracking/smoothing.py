"""Steady labels: probabilities averaged over time, and hysteresis on the label and on whether it is sure.

A label changes by a cumulative sum (CUSUM, Page 1954): the lead of another label beyond a margin adds up over time. So
a clear change is shown soon, a weak one after a steady second, and one that comes and goes not at all.
"""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MARGIN = 0.15  # only a lead beyond this adds up
EVIDENCE = 0.5  # of the time constant: the sum, in seconds of a full lead, from which another label is shown
MAX_LEAD = 0.3  # of the mean: another label that leads by this much is shown at once
SURE_MARGIN = 0.05  # an unsure face must exceed the threshold by this much to become sure again


class Smoothed(NamedTuple):
    """A face's averaged probabilities [classes], the index of its label, and whether that label is unsure."""

    probabilities: npt.NDArray[np.float64]
    label: int
    unsure: bool


class _State(NamedTuple):
    """evidence: per label, the sum of its leads over the shown one beyond the margin, in seconds."""

    smoothed: Smoothed
    t: float
    evidence: npt.NDArray[np.float64]


class LabelSmoother:
    """Exponential moving average of each face's probabilities, with hysteresis on its label.

    time_constant_s: a step has come through to 63 % after this many seconds; 0 turns smoothing and hysteresis off.
    min_confidence: a label of lower probability is unsure, 0 to 1. It is sure again `sure_margin` above that.
    margin: by how much another label must lead, frame by frame, for its lead to count.
    evidence: how much of that must add up before it is shown, in time constants. 0: one such frame suffices, if the
    label leads the average, too.
    """

    def __init__(
        self, time_constant_s: float, min_confidence: float = 0.0, margin: float = MARGIN,
        sure_margin: float = SURE_MARGIN, evidence: float = EVIDENCE,
    ) -> None:  # fmt: skip
        self._time_constant_s, self._margin = time_constant_s, margin
        self._needed_s = evidence * time_constant_s
        self._unsure_below, self._sure_from = min_confidence, sure_again(min_confidence, sure_margin)
        self._states: dict[int, _State] = {}

    def update(self, track_id: int, probabilities: npt.NDArray[np.floating], t: float) -> Smoothed:
        """Add a classification, probabilities [classes], at time `t` in seconds."""
        state = self._states.get(track_id)
        if state is None or self._time_constant_s == 0:
            smoothed, evidence = unsmoothed(probabilities, self._unsure_below), np.zeros(len(probabilities))
        else:
            before, step_s = state.smoothed, max(t - state.t, 0.0)
            weight = 1 - math.exp(-step_s / self._time_constant_s)
            mean = before.probabilities + weight * (probabilities - before.probabilities)
            lead = probabilities - probabilities[before.label] - self._margin
            evidence = np.maximum(state.evidence + step_s * lead, 0.0)
            label, best = before.label, int(np.argmax(mean))
            ahead = mean[best] - mean[label]
            if ahead > MAX_LEAD or (ahead > 0 and evidence[best] > self._needed_s):
                label, evidence = best, np.zeros_like(evidence)
            threshold = self._sure_from if before.unsure else self._unsure_below
            smoothed = Smoothed(mean, label, bool(mean[label] < threshold))
        self._states[track_id] = _State(smoothed, t, evidence)
        return smoothed

    def keep(self, track_ids: Collection[int]) -> None:
        """Forget every face that is not in `track_ids`."""
        self._states = {track_id: state for track_id, state in self._states.items() if track_id in track_ids}


def unsmoothed(probabilities: npt.NDArray[np.floating], min_confidence: float) -> Smoothed:
    """The label of one classification, probabilities [classes], by itself."""
    label = int(np.argmax(probabilities))
    return Smoothed(np.asarray(probabilities, dtype=np.float64), label, bool(probabilities[label] < min_confidence))


def sure_again(min_confidence: float, margin: float = SURE_MARGIN) -> float:
    """The confidence at which an unsure face becomes sure: `margin` higher, or halfway to 1 if that is less."""
    return min(min_confidence + margin, (1 + min_confidence) / 2) if min_confidence else 0.0
