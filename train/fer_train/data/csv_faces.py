"""Faces from CSV files: fer2013.csv and its relatives, a row per face."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from fer_edge.errors import DataError
from fer_train.data.classes import canonical, ordered_classes
from fer_train.data.csv_table import SURPLUS, CsvTable, place_of
from fer_train.data.faces import FACE_SIZE, FER2013_CLASSES, SPLITS, FaceData, UnlabeledFaces
from fer_train.data.faults import Faults

PIXELS = FACE_SIZE * FACE_SIZE
MAX_BAD_VALUE_SHOWN = 20  # characters
GROUP = 16  # texts parsed together: larger arrays (128 KB and more) would be returned to the system each time
CODES = {str(index): name for index, name in enumerate(FER2013_CLASSES)}

Images = npt.NDArray[np.uint8]
Check = Callable[[pd.DataFrame], pd.Series]
"""Says per row what is wrong with it, "" for nothing."""


def read_labeled(table: CsvTable, skip_bad: bool) -> tuple[FaceData, npt.NDArray[np.int64]]:
    """Return labeled faces, usage "" without a Usage column, and each face's position among all rows, from 0.

    `table` needs the columns emotion and pixels. Raises DataError, which names the bad rows, unless `skip_bad`.
    """
    emotions = _EmotionColumn()
    images, rows, notes = _read(table, skip_bad, emotions.problems, _usage_problems)
    labels, classes = emotions.labels(rows["emotion"])
    usage = rows["usage"].str.strip() if "usage" in rows else pd.Series("", rows.index)
    names = np.array([f"row {row}" for row in rows.index], dtype=np.str_)
    data = FaceData(images, labels, usage.to_numpy(dtype=np.str_), classes, table.path, names=names, notes=notes)
    return data, rows["position"].to_numpy(dtype=np.int64)


def read_unlabeled(table: CsvTable, skip_bad: bool) -> UnlabeledFaces:
    """Return the faces of a table that needs only the column pixels, as FER2013's test.csv.

    Blank lines are not counted, as in fer-edge. Raises DataError as read_labeled does.
    """
    images, rows, notes = _read(table, skip_bad)
    return UnlabeledFaces(images, rows["position"].to_numpy(dtype=np.int64) + 1, None, table.path, notes)


def _read(
    table: CsvTable, skip_bad: bool, before: Check | None = None, after: Check | None = None
) -> tuple[Images, pd.DataFrame, tuple[str, ...]]:
    """Return the good rows: images, cells by row number with the column position, and notes.

    A row that has several faults is reported with the first: `before`'s come before those of its pixels.
    """
    faults, count = Faults(table.path, "row"), 0
    images, rows = np.empty((0, FACE_SIZE, FACE_SIZE), dtype=np.uint8), list[pd.DataFrame]()
    with tqdm(desc=f"Reading {table.path.name}", unit=" rows", leave=False, disable=None) as bar:
        for block in table.blocks():
            faces, pixel_problems = parse_faces(block.pop("pixels").tolist())
            checks = [_surplus_problems(block), before and before(block), pixel_problems, after and after(block)]
            problems = _first_problems(block.index, checks)
            for row, problem in problems[problems != ""].items():
                faults.add(place_of(int(str(row))), problem)
            good = (problems == "").to_numpy()
            _append(images, faces if good.all() else faces[good])
            rows.append(block.assign(position=np.arange(count, count + len(block)))[good])
            count += len(block)
            bar.update(len(block))
    notes = faults.raise_or_note(len(images), skip_bad)
    if not len(images):
        raise DataError(f"{table.path} has a header but no rows: download it again")
    return images, pd.concat(rows), notes


def _first_problems(index: pd.Index, checks: Iterable[pd.Series | Sequence[str] | None]) -> pd.Series:
    """Return per row the first of the checks' problems, "" where there is none."""
    problems = pd.Series("", index, dtype=object)
    for found in checks:
        if found is not None:
            problems = problems.where(problems != "", pd.Series(found, index, dtype=object))
    return problems


def _append(images: Images, more: Images) -> None:
    """Append in place; realloc moves pages instead of copying them, so that faces never lie in memory twice."""
    start = len(images)
    images.resize((start + len(more), FACE_SIZE, FACE_SIZE), refcheck=False)
    images[start:] = more


class _EmotionColumn:
    """The emotion column: FER2013's numbers 0 to 6, or names; the first cell decides."""

    def __init__(self) -> None:
        self._has_names: bool | None = None

    def problems(self, block: pd.DataFrame) -> pd.Series:
        filled = block["emotion"].str.strip().loc[lambda cells: cells != ""]
        if self._has_names is None and len(filled):
            self._has_names = not filled.iloc[0].lstrip("-").replace(".", "").isdigit()
        return block["emotion"].map(self._problem)

    def _problem(self, cell: str) -> str:
        if self._has_names:
            return "" if cell.strip() else "it has no emotion"
        if cell.strip() in CODES:
            return ""
        known = ", ".join(f"{code} {name}" for code, name in CODES.items())
        return f"emotion {cell[:MAX_BAD_VALUE_SHOWN]!r} is none of {known}"

    def labels(self, cells: pd.Series) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        """Return int64 [N], and the classes that they index."""
        cells = cells.str.strip()
        if not self._has_names:
            return cells.to_numpy(dtype=np.int64), FER2013_CLASSES
        classes = ordered_classes(cells)
        indices = pd.Index(classes).get_indexer(pd.Index(cells.map(canonical)))
        return indices.astype(np.int64), tuple(classes.values())


def _usage_problems(block: pd.DataFrame) -> pd.Series:
    def problem(cell: str) -> str:
        if cell.strip() in SPLITS:
            return ""
        return f"Usage {cell[:MAX_BAD_VALUE_SHOWN]!r} is none of {', '.join(SPLITS)}"

    return block["usage"].map(problem) if "usage" in block else pd.Series("", block.index)


def _surplus_problems(block: pd.DataFrame) -> pd.Series:
    def problem(cells: str) -> str:
        shown = cells[:MAX_BAD_VALUE_SHOWN]
        return f"it has more cells than the first line has names ({shown!r})" if cells else ""

    return block[SURPLUS].map(problem)


def parse_faces(texts: Sequence[str]) -> tuple[Images, list[str]]:
    """Return the faces, uint8 [N, 48, 48], and per text what is wrong with it, "" for a face.

    The face of a wrong text is undefined.
    """
    faces, problems = np.empty((len(texts), FACE_SIZE, FACE_SIZE), dtype=np.uint8), [""] * len(texts)
    for start in range(0, len(texts), GROUP):
        group = texts[start : start + GROUP]
        values = _parse_well_formed(group)
        if values is not None:
            faces[start : start + len(group)] = values
            continue
        for place, text in enumerate(group, start):
            try:
                faces[place] = _parse_any(text)
            except ValueError as error:
                problems[place] = str(error)
    return faces, problems


def _parse_well_formed(texts: Sequence[str]) -> Images | None:
    """Parse plain numbers with single spaces between them, three times as fast; None if a text has anything else.

    Treats every byte as the last digit of a number of up to three digits, then picks the true last digits.
    """
    data = np.frombuffer(f"   {' '.join(texts)} ".encode(), dtype=np.uint8)
    digits = data - np.uint8(ord("0"))  # wraps around: all other characters become 10 or more
    is_digit = digits < 10
    digits *= is_digit
    ones, tens, hundreds, thousands = is_digit[3:-1], is_digit[2:-2], is_digit[1:-3], is_digit[:-4]
    below_100 = digits[2:-2] * np.uint8(10) + digits[3:-1]
    hundreds_digit = digits[1:-3] * (tens & ones)
    values = hundreds_digit * np.uint8(100) + below_100  # wraps around above 255
    too_large = (hundreds_digit > 2).any() or (values < below_100).any() or (thousands & hundreds & tens & ones).any()
    ends = np.flatnonzero(ones > is_digit[4:])
    text_ends = np.cumsum([len(text) + 1 for text in texts]) - 2
    spaces = np.count_nonzero(data == ord(" "))
    is_plain = spaces == len(ends) + 3 and spaces + np.count_nonzero(is_digit) == len(data)
    if too_large or not is_plain or not np.array_equal(ends[PIXELS - 1 :: PIXELS], text_ends):
        return None
    return np.asarray(values.take(ends)).reshape(-1, FACE_SIZE, FACE_SIZE)


def _parse_any(text: str) -> Images:
    """Parse one face, uint8 [48, 48], with any white space and leading zeros; ValueError says what is wrong with it."""
    words = text.split()
    faces = _parse_well_formed([" ".join(words)])
    if faces is not None:
        return np.asarray(faces[0])
    for word in words:
        digits = word.lstrip("0")
        if not (word.isascii() and word.isdigit()) or len(digits) > 3 or int(digits or 0) > 255:
            raise ValueError(f"{word[:MAX_BAD_VALUE_SHOWN]!r} is not a pixel value, 0 to 255")
    if len(words) != PIXELS:
        raise ValueError(f"{len(words)} pixel values where {PIXELS} ({FACE_SIZE} x {FACE_SIZE}) are expected")
    return np.array([int(word) for word in words], dtype=np.uint8).reshape(FACE_SIZE, FACE_SIZE)
