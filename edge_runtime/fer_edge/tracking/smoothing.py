"""Steady labels: probabilities averaged over time, and hysteresis on the label that is shown."""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MARGIN = 0.1  # another label must lead by this much before it is shown


class _State(NamedTuple):
    probabilities: npt.NDArray[np.float64]
    t: float
    label: int


class LabelSmoother:
    """Exponential moving average of each face's probabilities, with hysteresis on its label.

    time_constant_s: a step has come through to 63 % after this many seconds; 0 turns smoothing and hysteresis off.
    """

    def __init__(self, time_constant_s: float) -> None:
        self._time_constant_s = time_constant_s
        self._states: dict[int, _State] = {}

    def update(
        self, track_id: int, probabilities: npt.NDArray[np.floating], t: float
    ) -> tuple[npt.NDArray[np.float64], int]:
        """Add a classification at time `t` in seconds; return the smoothed probabilities [classes] and label index."""
        state = self._states.get(track_id)
        if state is None or self._time_constant_s == 0:
            new = _State(np.asarray(probabilities, dtype=np.float64), t, int(np.argmax(probabilities)))
        else:
            weight = 1 - math.exp(-max(t - state.t, 0.0) / self._time_constant_s)
            mean = state.probabilities + weight * (probabilities - state.probabilities)
            best = int(np.argmax(mean))
            changed = mean[best] - mean[state.label] > MARGIN
            new = _State(mean, t, best if changed else state.label)
        self._states[track_id] = new
        return new.probabilities, new.label

    def keep(self, track_ids: Collection[int]) -> None:
        """Forget every face that is not in `track_ids`."""
        self._states = {track_id: state for track_id, state in self._states.items() if track_id in track_ids}
