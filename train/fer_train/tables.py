"""Tables as aligned text and as CSV files. Imports nothing heavy."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table: the first column is left-aligned, the others are right-aligned."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "   ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def save_csv(table: "pd.DataFrame", path: Path) -> None:
    """Write `table` with its column names but without its index to `path`, atomically; OutputError on failure.

    Floats are written so that reading them gives the same value.
    """
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        table.to_csv(file, index=False, lineterminator="\n")
