"""How a stream is processed: when it stops, how often the detector runs, how labels are smoothed."""

import math
from typing import NamedTuple

from fer_edge.tracking.smoothing import DEFAULT_TIME_CONSTANT_S

LIVE_CLASSIFY_INTERVAL_S = 0.1  # a face holds an expression for longer


class Limits(NamedTuple):
    """When to stop by itself: after so many captured frames, or when a frame's time reaches so many seconds."""

    max_frames: int | None = None
    duration_s: float | None = None


class StreamOptions(NamedTuple):
    """How frames and faces pass through.

    lossless: every frame is processed (True), or the newest wins and a file is played in real time
        (False); None: files are lossless, live sources are not.
    detect_hz: how often the detector runs at most; in between faces are followed. None: on every frame.
    follow: hold on to faces that the detector misses.
    classify_interval_s: how old a face's label may get; None: 0 if lossless, else 0.1.
    smooth_s: time constant of the labels' smoothing in seconds; 0: none.
    """

    lossless: bool | None = None
    detect_hz: float | None = None
    follow: bool = True
    classify_interval_s: float | None = None
    smooth_s: float = DEFAULT_TIME_CONSTANT_S


class Schedule:
    """When the detector is due: at most `hz` times a second on average; None: always.

    Due times keep to a grid, so that 25 Hz of 30 frames a second means five frames of six, and not every second one.
    """

    def __init__(self, hz: float | None) -> None:
        self._period_s = 0.0 if hz is None else 1 / hz
        self._due_t = -math.inf

    def is_due(self, t: float) -> bool:
        """Whether it is due on the frame at `t` in seconds; if so, the next time is one period on."""
        slack_s = 1e-6 + self._period_s / 1000  # media times are rounded
        # A time far before the due one has jumped back: a stream that starts anew.
        if self._due_t - self._period_s - slack_s <= t < self._due_t - slack_s:
            return False
        on_grid = self._due_t + self._period_s
        self._due_t = on_grid if t < on_grid <= t + self._period_s else t + self._period_s
        return True
