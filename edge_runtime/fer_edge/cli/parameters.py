"""Types of command-line values: numbers within bounds, frame sizes, output sizes or ages, intervals."""

import math
import re
from datetime import datetime
from typing import Any

import click

from fer_edge.pipeline.options import check_start_time
from fer_edge.privacy.modes import INTERVAL_S

SIZE_UNITS = {"kb": 1e3, "mb": 1e6, "gb": 1e9}
HOUR_S = 3600.0
INTERVAL_UNITS_S = {"s": 1, "min": 60, "m": 60, "h": 3600}


class Number(click.ParamType):  # type: ignore[type-arg]
    """A number within bounds. click's own ranges fill the help with "[1<=x<=64]"."""

    name = "number"

    def __init__(self, kind: type[int] | type[float], minimum: float, maximum: float) -> None:
        self._kind, self._minimum, self._maximum = kind, minimum, maximum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = self._kind(value)
        except ValueError:
            number = math.nan
        if not self._minimum <= number <= self._maximum:
            kind = "whole number" if self._kind is int else "number"
            self.fail(f"{value!r} is not a {kind} from {self._minimum:,} to {self._maximum:,}", param, ctx)
        return number


class FrameSize(click.ParamType):  # type: ignore[type-arg]
    """WIDTHxHEIGHT in pixels, as a tuple."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", value)
        if not match:
            self.fail(f"{value!r} is not WIDTHxHEIGHT, for example 640x480", param, ctx)
        return int(match[1]), int(match[2])


class SizeOrHours(click.ParamType):  # type: ignore[type-arg]
    """(bytes, None) of a size such as 100MB, or (None, seconds) of a time such as 24h."""

    name = "bound"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, float | None]:
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*(kB|MB|GB|h)", value, re.ASCII | re.IGNORECASE)
        amount = float(match[1]) if match else 0.0
        if match is None or amount == 0:
            self.fail(f"{value!r} is neither a size, for example 100MB, nor a time, for example 24h", param, ctx)
        unit = match[2].lower()
        return (None, amount * HOUR_S) if unit == "h" else (int(amount * SIZE_UNITS[unit]), None)


class Interval(click.ParamType):  # type: ignore[type-arg]
    """A time such as 60s, 5min or 1h, in whole seconds."""

    name = "interval"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):  # already converted
            return value
        match = re.fullmatch(r"(\d{1,9})\s*(s|min|m|h)", value, re.ASCII | re.IGNORECASE)
        seconds = int(match[1]) * INTERVAL_UNITS_S[match[2].lower()] if match else 0
        if not INTERVAL_S[0] <= seconds <= INTERVAL_S[1]:
            self.fail(f"{value!r} is not a time from 1s to 24h in whole s, min or h, for example 60s", param, ctx)
        return seconds


class StartTime(click.ParamType):  # type: ignore[type-arg]
    """A time in ISO 8601, as datetime; without a time zone if the text has none."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return check_start_time(datetime.fromisoformat(value))
        except ValueError:
            self.fail(
                f"{value!r} is not a time from 1900 to 2999 in ISO 8601, for example 2026-05-01T14:30:00+02:00",
                param, ctx,
            )  # fmt: skip


def to_seconds(_ctx: click.Context, _param: click.Parameter, value_ms: float | None) -> float | None:
    """A callback for an option in milliseconds."""
    return None if value_ms is None else value_ms / 1000


def to_int(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    """A callback for a choice of numbers."""
    return int(value)


def negated(_ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    """A callback for a flag --no-x that turns the setting x off."""
    return not value


def yes_or_no(_ctx: click.Context, _param: click.Parameter, value: str | None) -> bool | None:
    """A callback for two flags with one name and the values "yes" and "no"; None if neither is given."""
    return None if value is None else value == "yes"
