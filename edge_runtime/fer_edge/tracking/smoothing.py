"""Steady labels: probabilities averaged over time, and hysteresis on the label and on whether it is sure."""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MARGIN = 0.1  # another label must lead by this much before it is shown
SURE_MARGIN = 0.05  # an unsure face must exceed the threshold by this much to become sure again


class Smoothed(NamedTuple):
    """A face's averaged probabilities [classes], the index of its label, and whether that label is unsure."""

    probabilities: npt.NDArray[np.float64]
    label: int
    unsure: bool


class _State(NamedTuple):
    smoothed: Smoothed
    t: float


class LabelSmoother:
    """Exponential moving average of each face's probabilities, with hysteresis on its label.

    time_constant_s: a step has come through to 63 % after this many seconds; 0 turns smoothing and hysteresis off.
    min_confidence: a label of lower probability is unsure, 0 to 1. It is sure again `sure_margin` above that.
    margin: by how much another label must lead.
    """

    def __init__(
        self, time_constant_s: float, min_confidence: float = 0.0, margin: float = MARGIN,
        sure_margin: float = SURE_MARGIN,
    ) -> None:  # fmt: skip
        self._time_constant_s, self._margin = time_constant_s, margin
        self._unsure_below, self._sure_from = min_confidence, sure_again(min_confidence, sure_margin)
        self._states: dict[int, _State] = {}

    def update(self, track_id: int, probabilities: npt.NDArray[np.floating], t: float) -> Smoothed:
        """Add a classification, probabilities [classes], at time `t` in seconds."""
        state = self._states.get(track_id)
        if state is None or self._time_constant_s == 0:
            smoothed = unsmoothed(probabilities, self._unsure_below)
        else:
            before = state.smoothed
            weight = 1 - math.exp(-max(t - state.t, 0.0) / self._time_constant_s)
            mean = before.probabilities + weight * (probabilities - before.probabilities)
            best = int(np.argmax(mean))
            label = best if mean[best] - mean[before.label] > self._margin else before.label
            threshold = self._sure_from if before.unsure else self._unsure_below
            smoothed = Smoothed(mean, label, bool(mean[label] < threshold))
        self._states[track_id] = _State(smoothed, t)
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
