"""Numbers and tables as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer_train.tables import aligned


@dataclass(frozen=True)
class Table:
    """A table of strings; the first column is text, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __str__(self) -> str:
        return "\n".join([self.title, *aligned([self.columns, *self.rows]), *([self.note] if self.note else [])])

    def to_json(self) -> dict[str, Any]:
        """An entry of "tables" in the results file."""
        rows = [list(row) for row in self.rows]
        return {"title": self.title, "columns": list(self.columns), "rows": rows, "note": self.note}


def number(value: float) -> str:
    """Three significant digits, or all digits before the point."""
    if value != 0 and abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def percent(share: float | None) -> str:
    """A share as a percentage with two decimals, "-" for None."""
    return "-" if share is None else f"{100 * share:.2f} %"
