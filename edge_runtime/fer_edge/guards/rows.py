"""Rows of CSV files, of bounded length: a file without line ends, or with a quote that never ends, is one row."""

import csv
from collections.abc import Iterator
from typing import TextIO

from fer_edge.guards.limits import Limit


class RowTooLongError(csv.Error):
    """A row has more characters than its limit; what follows it can't be read."""


class BoundedRows(Iterator[list[str]]):
    """The rows of a CSV text as csv.reader gives them; blank lines are empty lists.

    text: opened with newline="". limit: the most characters of a row, its line ends included. strict: as in csv.

    `next` raises RowTooLongError, and csv.Error for a row that is no CSV.

    >>> import io
    >>> from fer_edge.guards.limits import MAX_ROW_CHARS
    >>> list(BoundedRows(io.StringIO("a,b\\n1,2\\n"), MAX_ROW_CHARS))
    [['a', 'b'], ['1', '2']]
    """

    def __init__(self, text: TextIO, limit: Limit, strict: bool = False) -> None:
        self._text, self._limit, self._most = text, limit, limit.value
        self._left = self._most
        csv.field_size_limit(max(csv.field_size_limit(), self._most))  # csv's own limit is 131,072
        self._rows = csv.reader(iter(self._line, ""), strict=strict)

    def __next__(self) -> list[str]:
        self._left = self._most
        return next(self._rows)

    def _line(self) -> str:
        """The next line; those of a quoted cell count together."""
        line = self._text.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise RowTooLongError(
                f"a row has more than {self._most:,} characters: correct it, or set {self._limit.variable}"
            )
        return line
