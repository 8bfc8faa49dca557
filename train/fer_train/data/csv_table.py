"""Read any CSV file into pandas, a block of rows at a time, and keep the number of each row for messages."""

import csv
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import pandas as pd
from pandas.errors import ParserError

from fer_edge.errors import DataError
from fer_train.data.containers import DAMAGED, Container, damaged, open_text

BLOCK_ROWS = 1000
MAX_COLUMNS_SHOWN = 80  # characters
MAX_SURPLUS_CELLS = 10  # per row; with more of them pandas gives up
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
                columns = self._checked(_header(text))
                for raw in _raw_blocks(text, len(columns)):
                    block = raw.iloc[:, : len(columns)].set_axis(columns, axis="columns")
                    surplus = _surplus(raw.iloc[:, len(columns) :])
                    block = block.loc[:, ~block.columns.duplicated(keep="last")].assign(**{SURPLUS: surplus})
                    yield block[(block != "").any(axis="columns")]
        except ParserError as error:
            raise self._too_many_cells(error) or self._not_csv(error) from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._not_csv(error) from error
        except DAMAGED as error:
            raise damaged(self.path, error) from error

    def columns(self) -> frozenset[str]:
        """Return the lower-case column names; empty if the file is not a CSV file."""
        try:
            with open_text(self._container, self._name) as text:
                return frozenset(_header(text))
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

    def _too_many_cells(self, error: ParserError) -> DataError | None:
        found = re.search(r"in line (\d+), saw (\d+)", str(error))
        if found is None:
            return None
        place = place_of(int(found[1]))
        return DataError(f"{self.path}, {place}: it has {found[2]} cells, more than the first line has names")


def _header(text: Iterator[str]) -> list[str]:
    return [name.strip().lower() for name in next(csv.reader(text, strict=True), [])]


def _raw_blocks(text: Iterator[str], width: int) -> Iterator[pd.DataFrame]:
    """Yield blocks of the remaining lines, with numbered columns and MAX_SURPLUS_CELLS columns more than `width`."""
    reader = pd.read_csv(
        text,  # type: ignore[call-overload]  # any object with read() will do
        header=None, names=range(width + MAX_SURPLUS_CELLS), index_col=False, chunksize=BLOCK_ROWS,
        dtype=object, na_filter=False, skip_blank_lines=False, low_memory=False,
    )  # fmt: skip
    for block in reader:
        block.index += 1
        yield block


def _surplus(cells: pd.DataFrame) -> pd.Series:
    """Join each row's cells by commas, "" where all are empty."""
    filled = cells[(cells != "").any(axis="columns")]
    joined = pd.Series([",".join(row).rstrip(",") for row in filled.to_numpy()], filled.index, dtype=object)
    return joined.reindex(cells.index, fill_value="")


def place_of(row: int) -> str:
    """Name a row both by its number, as a spreadsheet's user counts, and by its line, as an editor does."""
    return f"row {row} (line {row + 1})"
