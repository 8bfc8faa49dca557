"""CSV files of faces: fer2013.csv and its relatives, a face a row."""

import contextlib
import csv
import itertools
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fer_edge.errors import DataError
from fer_train.data.classes import canonical, ordered_classes
from fer_train.data.containers import DAMAGED, Container, damaged, text_of
from fer_train.data.faces import FACE_SIZE, FER2013_CLASSES, SPLITS, FaceData, UnlabeledFaces
from fer_train.data.faults import Faults

BLOCK_ROWS = 1000
MAX_BAD_VALUE_SHOWN = 20  # characters
MAX_COLUMNS_SHOWN = 80
CODES = {str(index): index for index in range(len(FER2013_CLASSES))}

Face = npt.NDArray[np.uint8]


class Table:
    """A CSV file under way: columns by name in lower case, rows by number (1 = the first after the header).

    DataError, ending in `hint`, if it is no CSV file or has not each of `needed` once.
    """

    def __init__(self, container: Container, name: PurePosixPath, needed: Sequence[str], hint: str) -> None:
        alone = container.files == [name] and not container.path.is_dir()
        self.path = container.path if alone else container.path / name
        self._container, self._name, self._needed, self._hint = container, name, needed, hint

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Each row that is not blank: its number, and its cells by column, "" where the row is too short.

        More cells than columns come under the name "": as one text, for which nothing has a use.
        """
        try:
            with text_of(self._container, self._name) as text:
                records = _records(text)
                columns = self._columns(next(records, []))
                for number, cells in enumerate(records, start=1):
                    if any(cells):
                        row = dict(zip(columns, cells, strict=False))
                        if len(cells) != len(columns):
                            row = dict.fromkeys(columns, "") | row
                            row[""] = ",".join(cells[len(columns) :])
                        yield number, row
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{self.path} is not a CSV file ({error}): {self._hint}") from error
        except DAMAGED as error:
            raise damaged(self.path, error) from error

    def has(self) -> frozenset[str]:
        """The columns' names; none if it is no CSV file."""
        try:
            with text_of(self._container, self._name) as text:
                return frozenset(_tidy(next(_records(text), [])))
        except (UnicodeDecodeError, csv.Error, *DAMAGED):
            return frozenset()

    def _columns(self, header: list[str]) -> list[str]:
        if not header:
            raise DataError(f"{self.path} is not a CSV file (it has no first line): {self._hint}")
        columns = _tidy(header)
        for column in self._needed:
            if columns.count(column) != 1:
                found = textwrap.shorten(", ".join(columns), MAX_COLUMNS_SHOWN, placeholder=" ...")
                problem = "two columns" if column in columns else "no column"
                raise DataError(f"{self.path} has {problem} {column!r} in its first line ({found}): {self._hint}")
        return columns


def _records(lines: Iterator[str]) -> Iterator[list[str]]:
    """The cells of each record. Lines without a quote, as FER2013's are, are split directly, which is faster."""
    for line in lines:
        if '"' in line:  # the record may go on in the next lines
            yield next(csv.reader(itertools.chain([line], lines), strict=True))
        else:
            yield line.rstrip("\r\n").split(",")


def _tidy(header: list[str]) -> list[str]:
    return [name.strip().lower() for name in header]


def place_of(row: int) -> str:
    """Name row `row` as a spreadsheet and an editor do."""
    return f"row {row} (line {row + 1})"


@contextlib.contextmanager
def _strict_numpy() -> Iterator[None]:
    """Let numpy < 2.3 raise DeprecationWarning where later ones raise ValueError: for what is not a number."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        yield


def face_of(text: str) -> Face:
    """The face, uint8 [48, 48], whose grey values `text` lists row by row; ValueError if it lists none.

    To be called under _strict_numpy.
    """
    try:
        values = np.fromstring(text, dtype=np.int64, sep=" ")  # five times as fast as text.split()
    except (ValueError, DeprecationWarning):
        values = np.empty(0, dtype=np.int64)
    if values.size != FACE_SIZE * FACE_SIZE or values.min() < 0 or values.max() > 255:
        raise ValueError(_fault(text))
    return values.astype(np.uint8).reshape(FACE_SIZE, FACE_SIZE)


def _fault(text: str) -> str:
    words = text.split()
    for word in words:
        if not (word.isascii() and word.isdigit() and int(word[:MAX_BAD_VALUE_SHOWN]) <= 255):
            return f"{word[:MAX_BAD_VALUE_SHOWN]!r} is not a pixel value, 0 to 255"
    expected = f"{FACE_SIZE * FACE_SIZE} ({FACE_SIZE} x {FACE_SIZE}) are expected"
    return f"{len(words)} pixel values where {expected}"


class _Faces:
    """Faces as they come, and at the end as one array without ever having them twice in memory."""

    def __init__(self) -> None:
        self._blocks: list[Face] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, face: Face) -> None:
        place = self._count % BLOCK_ROWS
        if not place:
            self._blocks.append(np.empty((BLOCK_ROWS, FACE_SIZE, FACE_SIZE), dtype=np.uint8))
        self._blocks[-1][place] = face
        self._count += 1

    def taken(self) -> Face:
        """All faces, uint8 [N, 48, 48]; nothing is left."""
        faces = np.empty((self._count, FACE_SIZE, FACE_SIZE), dtype=np.uint8)
        while self._blocks:
            start = (len(self._blocks) - 1) * BLOCK_ROWS
            faces[start : self._count] = self._blocks.pop()[: self._count - start]
            self._count = start
        return faces


class _Labels:
    """The emotion column: FER2013's numbers 0 to 6, or names, as the first row has it."""

    def __init__(self) -> None:
        self._are_names: bool | None = None
        self.values: list[str] = []

    def check(self, text: str) -> str:
        """The cell, tidied; ValueError if it names no class."""
        cell = text.strip()
        if self._are_names is None and cell:
            self._are_names = not cell.lstrip("-").replace(".", "").isdigit()
        if self._are_names:
            if not cell:
                raise ValueError("it has no emotion")
        elif cell not in CODES:
            known = ", ".join(f"{index} {name}" for index, name in enumerate(FER2013_CLASSES))
            raise ValueError(f"emotion {text[:MAX_BAD_VALUE_SHOWN]!r} is none of {known}")
        return cell

    def indices(self) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        """int64 [N], and the classes that they index."""
        if not self._are_names:
            return np.array([CODES[value] for value in self.values], dtype=np.int64), FER2013_CLASSES
        classes = ordered_classes(self.values)
        index = {plain: place for place, plain in enumerate(classes)}
        return np.array([index[canonical(value)] for value in self.values], dtype=np.int64), tuple(classes.values())


@_strict_numpy()
def read_table(table: Table, skip_bad: bool) -> tuple[FaceData, npt.NDArray[np.int64]]:
    """Labelled faces, with usage "" where there is no Usage column, and the place of each row among all, from 0.

    `table` needs the columns emotion and pixels. DataError tells of all rows that are no face, unless `skip_bad`.
    """
    faces, labels, usages = _Faces(), _Labels(), list[str]()
    rows, places = list[int](), list[int]()
    faults = Faults(table.path, "row")
    for place, (row, cells) in enumerate(_shown(table)):
        try:
            _refuse_surplus(cells)
            label, face, usage = labels.check(cells["emotion"]), face_of(cells["pixels"]), _usage(cells)
        except ValueError as error:
            faults.add(place_of(row), str(error))
            continue
        faces.add(face)
        labels.values.append(label)
        usages.append(usage)
        rows.append(row)
        places.append(place)
    notes = faults.settle(len(rows), skip_bad)
    if not rows:
        raise DataError(f"{table.path} has a header but no rows: download it again")
    indices, classes = labels.indices()
    names = np.array([f"row {row}" for row in rows], dtype=np.str_)
    data = FaceData(
        faces.taken(), indices, np.array(usages, dtype=np.str_), classes, table.path, names=names, notes=notes
    )
    return data, np.array(places, dtype=np.int64)


@_strict_numpy()
def read_unlabeled_table(table: Table, skip_bad: bool) -> UnlabeledFaces:
    """The faces of a table that needs only the column pixels, as FER2013's test.csv; DataError as read_table.

    As in fer-edge, a blank line is no row here.
    """
    faces, rows, faults = _Faces(), list[int](), Faults(table.path, "row")
    for number, (row, cells) in enumerate(_shown(table), start=1):
        try:
            _refuse_surplus(cells)
            faces.add(face_of(cells["pixels"]))
        except ValueError as error:
            faults.add(place_of(row), str(error))
        else:
            rows.append(number)
    notes = faults.settle(len(rows), skip_bad)
    if not rows:
        raise DataError(f"{table.path} has a header but no rows: download it again")
    return UnlabeledFaces(faces.taken(), np.array(rows, dtype=np.int64), None, table.path, notes)


def _shown(table: Table) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows, with their number so far on a terminal."""
    return iter(tqdm(table.rows(), desc=f"Reading {table.path.name}", unit=" rows", leave=False, disable=None))


def _refuse_surplus(cells: dict[str, str]) -> None:
    if cells.get(""):
        raise ValueError(f"it has more cells than the first line has names ({cells[''][:MAX_BAD_VALUE_SHOWN]!r})")


def _usage(cells: dict[str, str]) -> str:
    if "usage" not in cells:
        return ""
    usage = cells["usage"].strip()
    if usage not in SPLITS:
        raise ValueError(f"Usage {cells['usage'][:MAX_BAD_VALUE_SHOWN]!r} is none of {', '.join(SPLITS)}")
    return usage
