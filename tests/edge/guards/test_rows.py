"""Rows of CSV files, and those that never end."""

import csv
import io

import pytest

from fer_edge.guards.limits import Limit
from fer_edge.guards.rows import BoundedRows, RowTooLongError

SHORT = Limit("FER_EDGE_MAX_TEST", 20, "characters")


class Endless(io.TextIOBase):
    """A text that repeats `part` for ever; readline obeys its size."""

    def __init__(self, part: str) -> None:
        self._part, self.read_chars = part, 0

    def readline(self, size: int = -1) -> str:
        assert size > 0, "an endless line was asked for"
        end = self._part.find("\n") + 1
        line = (self._part * (size // len(self._part) + 1))[: min(size, end or size)]
        self.read_chars += len(line)
        assert self.read_chars < 1000
        return line


@pytest.mark.parametrize("text", ["a,b\n1,2\n", 'a\n"1\n2"\n3\n', "a\r\n\r\n1\r\n", 'a\n5" tall\n6" tall\n', "a\n1"])
def test_rows_are_those_of_csv(text: str) -> None:
    assert list(BoundedRows(io.StringIO(text, newline=""), SHORT)) == list(csv.reader(io.StringIO(text, newline="")))


def test_the_limit_is_of_each_row() -> None:
    text = io.StringIO("123456789,123456789\n" * 5, newline="")
    assert len(list(BoundedRows(text, SHORT))) == 5
    with pytest.raises(RowTooLongError, match="a row has more than 20 characters: correct it, or set FER_EDGE_MAX_TE"):
        list(BoundedRows(io.StringIO("123456789,1234567890\n", newline=""), SHORT))


@pytest.mark.parametrize("part", ["0 ", "a,", '"'])
def test_a_row_that_never_ends_is_read_up_to_its_limit(part: str) -> None:
    with pytest.raises(RowTooLongError):
        next(BoundedRows(Endless(part), SHORT))


def test_a_row_of_many_quoted_lines_is_read_up_to_its_limit() -> None:
    with pytest.raises(RowTooLongError):
        next(BoundedRows(io.StringIO('"1\n",' * 100, newline=""), SHORT))


def test_rows_go_on_after_one_that_is_no_csv() -> None:
    rows = BoundedRows(io.StringIO('a\n"1"2\n3\n', newline=""), SHORT, strict=True)
    assert next(rows) == ["a"]
    with pytest.raises(csv.Error):
        next(rows)
    assert next(rows) == ["3"]
