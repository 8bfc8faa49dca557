"""What can't be used in a data set: gathered while reading, then refused or, if the user wants, left out."""

from dataclasses import dataclass, field
from pathlib import Path

from fer_edge.errors import DataError

MAX_SHOWN = 10
SKIP = "--skip-bad-rows"


@dataclass
class Faults:
    """The faulty rows or pictures of `path`. unit: "row" or "picture"."""

    path: Path
    unit: str
    places: list[str] = field(default_factory=list)
    first: str = ""

    def add(self, place: str, why: str) -> None:
        """Count one: where it stands ("row 5 (line 6)"), and what is wrong with it."""
        if not self.places:
            self.first = f"{place}: {why}"
        self.places.append(place)

    def settle(self, good: int, skip: bool) -> tuple[str, ...]:
        """Notes on what was left out; DataError if there is a fault and `skip` is false, or nothing good is left."""
        if not self.places:
            return ()
        bad, total = len(self.places), good + len(self.places)
        if not good:
            raise DataError(f"{self.path}, {self.first}; none of its {total:,} {self.unit}s can be used")
        if skip:
            return (f"{bad:,} of {total:,} {self.unit}s can't be used and are left out: {self.first}{self._others()}",)
        if bad == 1:
            raise DataError(f"{self.path}, {self.first}: mend or delete the {self.unit}, or pass {SKIP} to go on")
        raise DataError(
            f"{self.path}, {self.first}; {bad:,} of its {total:,} {self.unit}s can't be used{self._others()}: "
            f"mend or delete them, or pass {SKIP} to go on"
        )

    def _others(self) -> str:
        """The places of all but the first, as far as there is room."""
        others = self.places[1 : MAX_SHOWN + 1]
        more = ", ..." if len(self.places) > MAX_SHOWN + 1 else ""
        return f"; also {', '.join(others)}{more}" if others else ""
