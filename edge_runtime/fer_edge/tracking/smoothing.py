"""Steady labels: a face's probabilities averaged in time, and a label that changes only for a clear reason."""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DEFAULT_TIME_CONSTANT_S = 0.3  # expressions last half a second and longer
MARGIN = 0.1  # by which another label must lead before it takes over


class _State(NamedTuple):
    probabilities: npt.NDArray[np.float64]
    t: float
    label: int


class LabelSmoother:
    """Exponential average of each face's probabilities with hysteresis on its label.

    time_constant_s: after so many seconds a sudden change has come through to 63 %; 0 turns smoothing
    and hysteresis off.
    """

    def __init__(self, time_constant_s: float = DEFAULT_TIME_CONSTANT_S) -> None:
        self._time_constant_s = time_constant_s
        self._states: dict[int, _State] = {}

    def update(
        self, track_id: int, probabilities: npt.NDArray[np.floating], t: float
    ) -> tuple[npt.NDArray[np.float64], int]:
        """The smoothed probabilities [classes] and the label's index, after a classification at time `t` in seconds."""
        state = self._states.get(track_id)
        if state is None or self._time_constant_s == 0:
            new = _State(np.asarray(probabilities, dtype=np.float64), t, int(np.argmax(probabilities)))
        else:
            weight = 1 - math.exp(-max(t - state.t, 0.0) / self._time_constant_s)
            mixed = state.probabilities + weight * (probabilities - state.probabilities)
            best = int(np.argmax(mixed))
            changed = mixed[best] - mixed[state.label] > MARGIN
            new = _State(mixed, t, best if changed else state.label)
        self._states[track_id] = new
        return new.probabilities, new.label

    def keep(self, track_ids: Collection[int]) -> None:
        """Forget all faces but these."""
        self._states = {track_id: state for track_id, state in self._states.items() if track_id in track_ids}
