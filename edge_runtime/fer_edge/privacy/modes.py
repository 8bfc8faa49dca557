"""What `--blur` may hide, and how `--aggregate` counts. Imports nothing heavy: the command line reads it."""

from dataclasses import dataclass

BLUR_MODES = ("faces", "all")
INTERVAL_S = (1, 86_400)  # the allowed lengths of an interval: a second to a day
DEFAULT_AT_LEAST = 3  # with two faces, each person could tell how the other one looked
MAX_AT_LEAST = 10_000


def check_blur(mode: str | None) -> None:
    """Raise ValueError unless `mode` is "faces", "all" or None."""
    if mode is not None and mode not in BLUR_MODES:
        raise ValueError(f"blur={mode!r}: use 'faces', 'all' or None")


@dataclass(frozen=True)
class Aggregation:
    """Counts per interval are all that a run may say about faces.

    interval_s: length of an interval in whole seconds, 1 to 86,400. at_least: an interval with fewer faces is withheld;
    with 0 none is.

    Raises ValueError for a value out of range.

    >>> Aggregation(interval_s=60)
    Aggregation(interval_s=60, at_least=3)
    """

    interval_s: int
    at_least: int = DEFAULT_AT_LEAST

    def __post_init__(self) -> None:
        for name, (low, high) in {"interval_s": INTERVAL_S, "at_least": (0, MAX_AT_LEAST)}.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"{name}={value!r} is not a whole number from {low:,} to {high:,}")
