"""Rows and images that can't be read: collected while reading, then refused or, with --skip-bad-rows, skipped."""

from dataclasses import dataclass, field
from pathlib import Path

from fer_edge.errors import DataError

MAX_SHOWN = 10
SKIP = "--skip-bad-rows"


@dataclass
class Faults:
    """The unreadable rows or images of `path`. unit: "row" or "image"."""

    path: Path
    unit: str
    places: list[str] = field(default_factory=list)
    first: str = ""

    def add(self, place: str, reason: str) -> None:
        """Record a fault at `place` in the data, such as "row 5 (line 6)"."""
        if not self.places:
            self.first = f"{place}: {reason}"
        self.places.append(place)

    def raise_or_note(self, good: int, skip: bool) -> tuple[str, ...]:
        """Return notes about what was skipped; raise DataError for a fault if `skip` is false or `good` is 0.

        good: how many rows or images could be read.
        """
        if not self.places:
            return ()
        bad, total = len(self.places), good + len(self.places)
        if not good:
            raise DataError(f"{self.path}, {self.first}; none of its {total:,} {self.unit}s can be used")
        if skip:
            return (f"{bad:,} of {total:,} {self.unit}s can't be used and are left out: {self.first}{self._others()}",)
        if bad == 1:
            raise DataError(f"{self.path}, {self.first}: fix or delete the {self.unit}, or pass {SKIP} to skip it")
        raise DataError(
            f"{self.path}, {self.first}; {bad:,} of its {total:,} {self.unit}s can't be used{self._others()}: "
            f"fix or delete them, or pass {SKIP} to skip them"
        )

    def _others(self) -> str:
        others = self.places[1 : MAX_SHOWN + 1]
        more = ", ..." if len(self.places) > MAX_SHOWN + 1 else ""
        return f"; also {', '.join(others)}{more}" if others else ""
