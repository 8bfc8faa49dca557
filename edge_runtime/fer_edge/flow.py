"""What passes through the pipeline, how it passes, and what is counted on the way."""

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from fer_edge.following import Track
from fer_edge.framing import Image, to_gray
from fer_edge.measure import Latency, Rate
from fer_edge.smoothing import DEFAULT_TIME_CONSTANT_S

LIVE_CLASSIFY_INTERVAL_S = 0.1  # a face holds an expression for longer


@dataclass(frozen=True, eq=False)  # arrays don't compare
class Frame:
    """A captured frame, read-only from here on.

    index: 0-based capture number. t: seconds since the first frame. image: uint8 BGR [H, W, 3] or grey [H, W].
    captured_at: monotonic seconds. file: for pictures, where it came from.
    """

    index: int
    t: float
    captured_at: float
    image: Image
    file: str | None = None

    @cached_property
    def gray(self) -> Image:
        """The luma, uint8 [H, W]; made when first asked for, in the detector's thread."""
        return to_gray(self.image)


class Followed(NamedTuple):
    """A frame with its faces on the way to the classifier; `detected`: the detector ran on it."""

    frame: Frame
    tracks: list[Track]
    detected: bool


class Limits(NamedTuple):
    """When to stop by itself: after so many captured frames, or when a frame's time reaches so many seconds."""

    max_frames: int | None = None
    duration_s: float | None = None


class Flow(NamedTuple):
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


@dataclass(eq=False)
class Stats:
    """What happened so far; captured = processed + dropped + errors + in flight.

    Each figure is written by one thread only.
    """

    captured: int = 0
    processed: int = 0
    errors: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    capture_rate: Rate = field(default_factory=Rate)
    processed_rate: Rate = field(default_factory=Rate)
    detect_rate: Rate = field(default_factory=Rate)
    faces_rate: Rate = field(default_factory=Rate)
    detect_ms: Latency = field(default_factory=Latency)
    classify_ms: Latency = field(default_factory=Latency)
    end_to_end_ms: Latency = field(default_factory=Latency)
    faces_seen: int = 0
    tracks: int = 0
    flips: int = 0
