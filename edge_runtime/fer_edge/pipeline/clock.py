"""The time of day of a frame, as text: of a live source by the machine's clock, of a file from a given start.

The only module that reads the time of day: everything else measures with the monotonic clock.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from fer_edge.pipeline.frame import Frame

log = logging.getLogger(__name__)

MAX_DRIFT_S = 1.0  # between the machine's clock and ours; more means that the clock was set


def now_s() -> float:
    """The time of day now, in seconds since 1970, which may jump: only for ages that must survive a restart."""
    return time.time()


def iso_utc(at: datetime) -> str:
    """`at`, a UTC time, in ISO 8601 with milliseconds.

    >>> iso_utc(datetime(2026, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC))
    '2026-05-01T12:00:00.250Z'
    """
    return at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def is_future(start: datetime) -> bool:
    """True if `start` lies after the present time of the machine's clock, with a minute's margin."""
    return start.astimezone() > datetime.now(UTC) + timedelta(minutes=1)


def frame_clock(live: bool, is_timed: bool, start: datetime | None) -> Callable[[Frame], str | None]:
    """A function that gives the time of day of a frame; None for a file without a start time.

    live: of the source. is_timed: False if the frames' times mean nothing. start: the time of the frame at t = 0 of a
    file, local time if it has no time zone. ValueError if a live source has one.
    """
    if live and start is not None:
        raise ValueError("a live source has its own clock: a start time is for files")
    if live:
        clock = WallClock()
        return lambda frame: clock.at(frame.captured_at)
    if start is None or not is_timed:
        return lambda _frame: None
    first = start.astimezone(UTC)
    return lambda frame: iso_utc(first + timedelta(seconds=frame.t))


class WallClock:
    """The time of day at monotonic times.

    Adds the offset between the two clocks, which is read at the start. So the times keep the frames' intervals while
    the machine's clock is adjusted. If that clock is set by more than a second, this is logged and the offset is read
    again: a Raspberry Pi starts with a wrong time until it reaches a time server.
    """

    def __init__(self) -> None:
        self._offset_s = time.time() - time.monotonic()

    def at(self, monotonic_s: float) -> str:
        """The time of day at `monotonic_s`, in UTC and ISO 8601 with milliseconds."""
        self._follow_jumps()
        return iso_utc(datetime.fromtimestamp(self._offset_s + monotonic_s, UTC))

    def _follow_jumps(self) -> None:
        before = time.monotonic()
        offset_s = time.time() - before
        jump_s = offset_s - self._offset_s
        paused = time.monotonic() - before > MAX_DRIFT_S / 10  # the process was stopped between the two readings
        if abs(jump_s) > MAX_DRIFT_S and not paused:
            log.warning("the machine's clock was set by %+.1f s: the times of the results follow it", jump_s)
            self._offset_s = offset_s
