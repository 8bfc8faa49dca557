"""Read any CSV file into pandas, a block of rows at a time, and keep the number of each row for messages."""

import csv
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import pandas as pd

from fer_edge.errors import DataError
from fer_edge.guards.limits import MAX_DATA_ROW_CHARS
from fer_edge.guards.rows import BoundedRows, RowTooLongError
from fer_train.data.containers import DAMAGED, Container, damaged, open_text

BLOCK_ROWS = 1000
BLOCK_CHARS = 10_000_000  # in which a block ends, whatever its rows
MAX_COLUMNS_SHOWN = 80  # characters
MAX_SURPLUS_CELLS = 10  # per row; with more of them the file is not a table
SURPLUS = ""  # the column of the cells beyond the header's


class CsvTable:
    """One CSV file of a container, maybe compressed. Opening and checking it happen when it is read.

    needed: columns that must be there exactly once. hint: the end of error messages, which says what to give instead.
    """

    def __init__(self, container: Container, name: PurePosixPath, needed: Sequence[str], hint: str) -> None:
        alone = container.files == [name] and not container.path.is_dir()
        self.path = container.path if alone else container.path / name
        self._container, self._name, self._needed, self._hint = container, name, needed, hint

    def blocks(self) -> Iterator[pd.DataFrame]:
        """Yield the rows as text, up to BLOCK_ROWS per frame; the index is the row number, 1 for the first data row.

        Columns have their lower-case names. Missing cells are "". The column SURPLUS holds the cells beyond the
        header's, joined by commas. Blank rows are counted but left out.

        Raises DataError if the file is damaged, not a CSV file, or lacks a needed column.
        """
        try:
            with open_text(self._container, self._name) as text:
                rows = BoundedRows(text, MAX_DATA_ROW_CHARS, strict=True)
                columns = self._checked(_header(rows))
                for raw in _blocks(rows, len(columns)):
                    block = raw.iloc[:, : len(columns)].set_axis(columns, axis="columns")
                    surplus = _surplus(raw.iloc[:, len(columns) :])
                    block = block.loc[:, ~block.columns.duplicated(keep="last")].assign(**{SURPLUS: surplus})
                    yield block[(block != "").any(axis="columns")]
        except (RowTooLongError, _TooManyCellsError) as error:
            raise DataError(f"{self.path}, {error}") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._not_csv(error) from error
        except DAMAGED as error:
            raise damaged(self.path, error) from error

    def columns(self) -> frozenset[str]:
        """Return the lower-case column names; empty if the file is not a CSV file."""
        try:
            with open_text(self._container, self._name) as text:
                return frozenset(_header(BoundedRows(text, MAX_DATA_ROW_CHARS, strict=True)))
        except (UnicodeDecodeError, csv.Error, *DAMAGED):
            return frozenset()

    def _checked(self, columns: list[str]) -> list[str]:
        if not columns:
            raise self._not_csv("it has no first line")
        for column in self._needed:
            if columns.count(column) != 1:
                found = textwrap.shorten(", ".join(columns), MAX_COLUMNS_SHOWN, placeholder=" ...")
                problem = "two columns" if column in columns else "no column"
                raise DataError(f"{self.path} has {problem} {column!r} in its first line ({found}): {self._hint}")
        return columns

    def _not_csv(self, why: object) -> DataError:
        return DataError(f"{self.path} is not a CSV file ({str(why).strip()}): {self._hint}")


def _header(rows: Iterator[list[str]]) -> list[str]:
    return [name.strip().lower() for name in next(rows, [])]


def _blocks(rows: Iterator[list[str]], width: int) -> Iterator[pd.DataFrame]:
    """Blocks of the remaining rows, with numbered columns and MAX_SURPLUS_CELLS columns more than `width`.

    Blank rows are empty. csv.Error for a row with even more cells.
    """
    number, most = 0, width + MAX_SURPLUS_CELLS
    block, chars = list[list[str]](), 0
    for row in rows:
        if len(row) > most:
            raise _TooManyCellsError(number + len(block) + 1, len(row))
        block.append(row + [""] * (most - len(row)))
        chars += sum(map(len, row))
        if len(block) == BLOCK_ROWS or chars > BLOCK_CHARS:
            yield _frame(block, number)
            number, block, chars = number + len(block), [], 0
    if block:
        yield _frame(block, number)


def _frame(block: list[list[str]], number: int) -> pd.DataFrame:
    return pd.DataFrame(block, index=range(number + 1, number + len(block) + 1), dtype=object)


class _TooManyCellsError(csv.Error):
    def __init__(self, row: int, cells: int) -> None:
        super().__init__(f"{place_of(row)}: it has {cells} cells, more than the first line has names")


def _surplus(cells: pd.DataFrame) -> pd.Series:
    """Join each row's cells by commas, "" where all are empty."""
    filled = cells[(cells != "").any(axis="columns")]
    joined = pd.Series([",".join(row).rstrip(",") for row in filled.to_numpy()], filled.index, dtype=object)
    return joined.reindex(cells.index, fill_value="")


def place_of(row: int) -> str:
    """Name a row both by its number, as a spreadsheet's user counts, and by its line, as an editor does."""
    return f"row {row} (line {row + 1})"
