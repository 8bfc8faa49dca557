"""The time axis of the drawings: where its marks are, and what they say."""

import math

import pandas as pd

from fer_edge.analysis.timelines import NICE_S, Axis

MAX_MARKS = 8
DAY_S = 86400.0
Mark = tuple[float, str]


def time_marks(axis: Axis) -> list[Mark]:
    """Positions in seconds and labels of the marks of a time axis: times of day (UTC), or time since the start."""
    step = next((nice for nice in NICE_S if nice * MAX_MARKS >= axis.length_s), 0.0)
    if not step:
        step = DAY_S * math.ceil(axis.length_s / MAX_MARKS / DAY_S)
    if axis.start is None:
        return [(n * step, elapsed(n * step, step)) for n in range(int(axis.length_s // step) + 1)]
    midnight = axis.start.normalize()
    first = math.ceil((axis.start - midnight).total_seconds() / step) * step
    begin = (midnight - axis.start).total_seconds() + first
    times = [begin + n * step for n in range(int(max(0.0, axis.length_s - begin) // step) + 1)]
    return [(x, _clock(axis.start + pd.Timedelta(x, "s"), step, number == 0)) for number, x in enumerate(times)]


def axis_title(axis: Axis) -> str:
    """What the axis shows."""
    if axis.start is None:
        return "time since the start"
    return f"time of day (UTC), {axis.start.strftime('%Y-%m-%d')}"


def elapsed(seconds: float, step: float = 1.0) -> str:
    """Time since the start: "0:05", "1:02:00", "0:01.5".

    >>> elapsed(5), elapsed(3720), elapsed(1.5, 0.5)
    ('0:05', '1:02:00', '0:01.5')
    """
    tenths = step < 1
    whole, rest = divmod(round(seconds * 10), 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return f"{text}.{rest}" if tenths else text


def _clock(time: pd.Timestamp, step: float, is_first: bool) -> str:
    if step >= DAY_S:
        return str(time.strftime("%m-%d"))
    text = str(time.strftime("%H:%M:%S" if step < 60 else "%H:%M"))
    is_midnight = time == time.normalize()
    return f"{text}\n{time.strftime('%m-%d')}" if is_midnight and not is_first else text
