"""How a stream is read and processed: its frames, when it stops, how often the detector runs, how labels are smoothed.

Imports nothing heavy: the command line reads its defaults here.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from numbers import Real
from typing import Any

from fer_edge.defaults import DEFAULT_GIVE_UP_S
from fer_edge.privacy.modes import check_blur

DEFAULT_SMOOTH_S = 0.3  # expressions last half a second and longer
LIVE_CLASSIFY_INTERVAL_S = 0.1  # an expression lasts longer than that
START_YEARS = range(1900, 3000)  # of a start time
ROTATIONS_DEG = (0, 90, 180, 270)


@dataclass(frozen=True)
class StreamOptions:
    """How the frames and faces of a stream are read and processed.

    lossless: True processes every frame; False processes the newest frame and plays a file in real time; None is
        lossless for files, not for live sources.
    detect_hz: the detector runs at most this often per second, and faces are tracked in between; None: on every frame.
    track: keep a face for a moment when the detector misses it.
    classify_interval_s: a face is classified again when its label is this old; None: 0 if lossless, else 0.1.
    smooth_s: time constant in seconds of the labels' smoothing; 0 turns it off.
    min_confidence: a face whose label is less probable is unsure, 0 to 1; None: as the network's contract says.
    recursive: read the images below a folder, too.
    start_time: when a file was recorded: the time of its first frame, so that `FrameResult.time` is start_time + t;
        local time if it has no time zone. None for live sources, which have a clock.
    mirror: flip frames horizontally, after they are rotated.
    rotate_deg: rotate frames clockwise by 0, 90, 180 or 270 degrees.
    camera_size: frame size (width, height) to request from a camera; None requests 640 x 480.
    give_up_s: a lost camera or stream is opened again until it has given no frame for this many seconds.
    max_frames: stop after this many captured frames.
    duration_s: stop at the first frame whose time reaches this many seconds (media time for files).
    blur: "faces" hides the found faces of `FrameResult.image` under a mosaic, "all" hides the whole image.

    Raises ValueError for a value out of range, TypeError for one of a wrong type.

    >>> from fer_edge import EmotionRecognizer, StreamOptions
    >>> sparing = StreamOptions(detect_hz=5, classify_interval_s=0.5)
    >>> results = list(EmotionRecognizer().stream("demo:", options=sparing))
    >>> sum(result.detected for result in results) < len(results)
    True
    """

    lossless: bool | None = None
    detect_hz: float | None = None
    track: bool = True
    classify_interval_s: float | None = None
    smooth_s: float = DEFAULT_SMOOTH_S
    min_confidence: float | None = None
    recursive: bool = True
    start_time: datetime | None = None
    mirror: bool = False
    rotate_deg: int = 0
    camera_size: tuple[int, int] | None = None
    give_up_s: float = DEFAULT_GIVE_UP_S
    max_frames: int | None = None
    duration_s: float | None = None
    blur: str | None = None

    def __post_init__(self) -> None:
        if self.start_time is not None:
            check_start_time(self.start_time)
        check_blur(self.blur)
        if self.rotate_deg not in ROTATIONS_DEG:
            raise ValueError(f"rotate_deg={self.rotate_deg}: use 0, 90, 180 or 270")
        if self.camera_size is not None:
            _check_size("camera_size", self.camera_size)
        for name in ("smooth_s", "give_up_s"):
            check_number(name, getattr(self, name))
        for name in ("detect_hz", "max_frames", "duration_s", "min_confidence", "classify_interval_s"):
            check_number(name, getattr(self, name), optional=True)
        for name in ("detect_hz", "give_up_s", "max_frames", "duration_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value} must be above 0")
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence={self.min_confidence} must be from 0 to 1")
        for name in ("classify_interval_s", "smooth_s"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name}={value} must be at least 0")

    def resolved(self, live: bool) -> "StreamOptions":
        """These options for a live source or a file, with `lossless` and `classify_interval_s` filled in."""
        lossless = not live if self.lossless is None else self.lossless
        interval_s = self.classify_interval_s
        if interval_s is None:
            interval_s = 0.0 if lossless else LIVE_CLASSIFY_INTERVAL_S
        return replace(self, lossless=lossless, classify_interval_s=interval_s)


def check_start_time(start: datetime) -> datetime:
    """`start`, the time at which a file begins; TypeError if no datetime, ValueError if not of 1900 to 2999."""
    if not isinstance(start, datetime):
        raise TypeError(
            f"start_time={start!r} is not a datetime: use datetime.fromisoformat('2026-05-01T14:30:00+02:00')"
        )
    if start.year not in START_YEARS:
        raise ValueError(f"the start time {start} is not in the years {START_YEARS[0]} to {START_YEARS[-1]}")
    return start


def check_number(name: str, value: Any, optional: bool = False) -> None:
    """TypeError, with the name of the option, unless `value` is a number; `optional` allows None."""
    if not (isinstance(value, Real) or (optional and value is None)):
        raise TypeError(f"{name}={value!r} is not a number{' or None' * optional}")


def _check_size(name: str, size: Any) -> None:
    pair = isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(side, Real) for side in size)
    if not pair or min(size) < 1:
        raise ValueError(f"{name}={size!r}: use (width, height) in pixels")


class Schedule:
    """Decides when the detector runs: at most `hz` times per second on average, or on every frame if None.

    Due times lie on a fixed grid, so that 25 Hz at 30 frames per second means five frames of six, not every second one.
    """

    def __init__(self, hz: float | None) -> None:
        self._period_s = 0.0 if hz is None else 1 / hz
        self._due_t = -math.inf

    def is_due(self, t: float) -> bool:
        """True if the detector is due on the frame at `t` seconds; the next due time is then one period later."""
        slack_s = 1e-6 + self._period_s / 1000  # media times are rounded
        # A time far before the due time means that the stream's clock restarted.
        if self._due_t - self._period_s - slack_s <= t < self._due_t - slack_s:
            return False
        on_grid = self._due_t + self._period_s
        self._due_t = on_grid if t < on_grid <= t + self._period_s else t + self._period_s
        return True
