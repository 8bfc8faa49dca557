"""Faces that are already cut out and framed, a row each: a CSV file of pixels such as FER2013's test.csv."""

import csv
import math
from pathlib import Path

import numpy as np

from fer_edge.errors import SourceError
from fer_edge.framing import Image
from fer_edge.sources.base import Source, SourceFrame

COLUMN = "pixels"
LONGEST_CELL = 10_000_000  # characters; csv's own limit of 131,072 ends at 180 x 180 pixels
ADVICE = f"its first line must name a column {COLUMN!r}, with the grey values of a square picture in each row"


class CsvFacesSource(Source):
    """The column `pixels` of a CSV file: grey values 0 to 255, blank-separated, row by row of a square picture.

    Other columns are ignored. A row that can't be read is an error, named by its number (1 = the first
    after the header). The file is read row by row, so that its length does not matter.
    """

    is_cropped = True

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._row = self._readable = 0
        try:
            self._file = path.open(encoding="utf-8-sig", errors="replace", newline="")
        except OSError as error:
            raise SourceError(f"{path} can't be read: {error.strerror}") from error
        csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
        self._rows = csv.reader(self._file)
        try:
            header = [name.strip().lower() for name in next(self._rows, [])]
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
            while not cells:  # an empty line is no row
                cells = next(self._rows)
        except StopIteration:
            if not self._readable:
                raise SourceError(f"{self.name} holds no readable face: {ADVICE}") from None
            return None
        except csv.Error as error:
            return self._bad(str(error))
        if len(cells) <= self._column:
            return self._bad(f"it has no cell in column {COLUMN!r}")
        try:
            face = face_of(cells[self._column])
        except ValueError as error:
            return self._bad(str(error))
        self._row += 1
        self._readable += 1
        return SourceFrame(face)

    def _bad(self, why: str) -> SourceFrame:
        self._row += 1
        return SourceFrame(None, file=f"{self.name}, row {self._row}", problem=why)

    def close(self) -> None:
        self._file.close()


def face_of(text: str) -> Image:
    """The square picture, uint8 [side, side], whose grey values `text` lists; ValueError if it lists none."""
    try:
        values = bytes(map(int, text.split()))
    except ValueError:
        raise ValueError("it has a value that is no whole number from 0 to 255") from None
    side = math.isqrt(len(values))
    if not values or side * side != len(values):
        raise ValueError(f"it has {len(values)} pixels, which make no square")
    return np.frombuffer(values, dtype=np.uint8).reshape(side, side)
