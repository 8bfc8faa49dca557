"""Faces that are already cropped, one per row: a CSV file of pixels such as FER2013's test.csv."""

import csv
import io
import math
import re
from pathlib import Path

import numpy as np

from fer_edge.errors import SourceError
from fer_edge.framing import Image
from fer_edge.guards.limits import MAX_ROW_CHARS
from fer_edge.guards.regular_files import open_regular
from fer_edge.guards.rows import BoundedRows, RowTooLongError
from fer_edge.sources.base import Source, SourceFrame

COLUMN = "pixels"
ADVICE = f"its first line must name a column {COLUMN!r}, with the gray levels of a square image in each row"
PLAIN = re.compile(r"[0-9\s]*", re.ASCII)  # what gray levels are written with


class CsvFacesSource(Source):
    """The column `pixels` of a CSV file: gray levels 0 to 255, separated by blanks, row by row of a square image.

    Other columns are ignored. A row that can't be read is an error, named by its number (1 = the first after the
    header). The file is read row by row, so its length does not matter.
    """

    is_cropped = True

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._row = self._readable = 0
        try:
            self._file = io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", errors="replace", newline="")
        except OSError as error:
            raise SourceError(f"{path} can't be read: {error.strerror}") from error
        self._rows = BoundedRows(self._file, MAX_ROW_CHARS)
        try:
            header = [name.strip().lower() for name in next(self._rows, [])]
        except RowTooLongError as error:
            self._file.close()
            raise SourceError(f"{path} can't be read: {error}") from error
        except csv.Error as error:
            self._file.close()
            raise SourceError(f"{path} is not a CSV file ({error}): {ADVICE}") from error
        if COLUMN not in header:
            self._file.close()
            raise SourceError(f"{path} has no faces: {ADVICE}")
        self._column = header.index(COLUMN)

    def read(self) -> SourceFrame | None:
        """The next row's face, uint8 [side, side]; SourceError at the end if no row held one."""
        try:
            cells = next(self._rows)
            while not cells:  # an empty line does not count as a row
                cells = next(self._rows)
        except StopIteration:
            if not self._readable:
                raise SourceError(f"{self.name} holds no readable face: {ADVICE}") from None
            return None
        except RowTooLongError as error:  # the rest can't be read, either
            raise SourceError(f"{self.name}, row {self._row + 1}: {error}") from error
        except csv.Error as error:
            return self._unreadable(str(error))
        if len(cells) <= self._column:
            return self._unreadable(f"it has no cell in column {COLUMN!r}")
        try:
            face = parse_face(cells[self._column])
        except ValueError as error:
            return self._unreadable(str(error))
        self._row += 1
        self._readable += 1
        return SourceFrame(face)

    def _unreadable(self, reason: str) -> SourceFrame:
        self._row += 1
        return SourceFrame(None, file=f"{self.name}, row {self._row}", problem=reason)

    def close(self) -> None:
        self._file.close()


def parse_face(text: str) -> Image:
    """The square image, uint8 [side, side], whose gray levels `text` lists; ValueError if it lists none.

    >>> parse_face("10 20 30 40")
    array([[10, 20],
           [30, 40]], dtype=uint8)
    """
    try:
        levels = bytes(map(int, text.split() if PLAIN.fullmatch(text) else [""]))  # int reads 1_0 and other digits
    except ValueError:
        raise ValueError("it has a value that is not a whole number from 0 to 255") from None
    side = math.isqrt(len(levels))
    if not levels or side * side != len(levels):
        raise ValueError(f"it has {len(levels)} pixels, not those of a square image")
    return np.frombuffer(levels, dtype=np.uint8).reshape(side, side)
