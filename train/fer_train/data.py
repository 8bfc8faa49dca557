"""Read face data sets: fer2013.csv and its relatives, with FER+ votes beside them."""

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_edge.errors import DataError

# The order of fer2013.csv's `emotion` column, 0 to 6.
FER2013_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
# The columns of fer2013new.csv (FER+, Barsoum et al. 2016): ten taggers' votes an image.
FERPLUS_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip
FACE_SIZE = 48  # pixels a side
TRAINING, PUBLIC_TEST, PRIVATE_TEST = "Training", "PublicTest", "PrivateTest"
HELD_OUT_FRACTION = 0.2
CHUNK_ROWS = 1000
MAX_BAD_VALUE_SHOWN = 20  # characters
MAX_COLUMNS_SHOWN = 80


@dataclass(frozen=True)
class FaceData:
    """Labelled grey faces.

    images: uint8 [N, 48, 48], 0 black to 255 white.
    labels: int64 [N], indices into `classes`.
    usage: str [N], the split a row belongs to ("Training", "PublicTest", "PrivateTest").
    classes: the labels in index order.
    votes: float32 [N, 10], FER+ votes in the order of FERPLUS_COLUMNS, or None.
    path: the file they came from.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    usage: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    path: Path
    votes: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, keep: npt.NDArray[np.bool_]) -> "FaceData":
        """The rows where `keep` (bool [N]) is true, in the same order."""
        votes = None if self.votes is None else self.votes[keep]
        return replace(self, images=self.images[keep], labels=self.labels[keep], usage=self.usage[keep], votes=votes)

    def split(self, *usages: str) -> "FaceData":
        """The rows of the named splits."""
        return self.rows(np.isin(self.usage, usages))

    def counts(self) -> dict[str, int]:
        """Images per class, in class order."""
        counted = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, counted.tolist(), strict=True))


def load_faces(path: Path, ferplus: Path | None = None) -> FaceData:
    """Read a CSV with the columns emotion, pixels and optionally Usage (any order and case, any spaces around them).

    Without a Usage column, or without any PublicTest row, every class gives a seeded 20 % of its rows
    to "PublicTest". `ferplus` names fer2013new.csv, whose rows stand in the same order.

    Raises DataError, with the row's number, for anything that is not a face of 48 x 48 grey values
    and a class 0 to 6.
    """
    faces, labels, usages = [], [], []
    for table in _read_csv(path, ("emotion", "pixels"), "--data names a FER2013 CSV, with emotion, pixels and Usage"):
        labels.append(_parse_labels(table["emotion"], path))
        faces.append(_parse_faces(table["pixels"], path))
        usages.append(_parse_usage(table, path))
    if not sum(map(len, labels)):
        raise DataError(f"{path} has a header but no rows: download fer2013.csv again")
    data = FaceData(
        np.concatenate(faces), np.concatenate(labels), np.concatenate(usages), classes=FER2013_CLASSES, path=path
    )
    if TRAINING not in data.usage:
        raise DataError(f"{path} has no row whose Usage is {TRAINING}: there is nothing to train on")
    if ferplus is not None:
        data = replace(data, votes=_read_ferplus(ferplus, data))
    return data if PUBLIC_TEST in data.usage else _hold_out(data)


def also_in(images: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of `images` (uint8 [N, H, W]) are pixel-identical to one of `others` ([M, H, W]): bool [N]."""
    known = {image.tobytes() for image in others}
    return np.array([image.tobytes() in known for image in images], dtype=np.bool_)


def where(path: Path, row: int) -> str:
    """Name row `row` (1 = the first after the header) of `path` as an editor and a spreadsheet do."""
    return f"{path}, row {row} (line {row + 1})"


def _read_csv(path: Path, columns: Sequence[str], hint: str) -> Iterator[pd.DataFrame]:
    """The table in pieces, which keeps memory low: all cells str, names in lower case, index = the row's number."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: {hint}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # it would drop what the header doesn't name
        try:
            with pd.read_csv(
                path, dtype=str, keep_default_na=False, skip_blank_lines=False, index_col=False, chunksize=CHUNK_ROWS
            ) as reader:
                for table in reader:
                    yield _tidied(table, path, columns, hint)
        except pd.errors.ParserWarning as error:
            raise DataError(f"{path} has rows with more values than its first line has names: {hint}") from error
        except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise DataError(f"{path} is not a CSV file ({error}): {hint}") from error
        except OSError as error:
            raise DataError(f"{path} can't be read: {error.strerror}") from error


def _tidied(table: pd.DataFrame, path: Path, columns: Sequence[str], hint: str) -> pd.DataFrame:
    table = table.rename(columns=lambda name: str(name).strip().lower())
    for column in columns:
        if list(table.columns).count(column) != 1:
            found = textwrap.shorten(", ".join(table.columns), MAX_COLUMNS_SHOWN, placeholder=" ...")
            problem = "two columns" if column in table else "no column"
            raise DataError(f"{path} has {problem} {column!r} in its first line ({found}): {hint}")
    table = table.fillna("").set_axis(table.index + 1)
    return table[(table != "").any(axis=1)]  # blank lines


def _rows(column: "pd.Series[str]") -> Iterator[tuple[int, str]]:
    return zip(column.index.tolist(), column, strict=True)


def _parse_labels(column: "pd.Series[str]", path: Path) -> npt.NDArray[np.int64]:
    names = {str(index): index for index in range(len(FER2013_CLASSES))}
    labels = []
    for row, text in _rows(column):
        label = names.get(text.strip())
        if label is None:
            known = ", ".join(f"{index} {name}" for index, name in enumerate(FER2013_CLASSES))
            raise DataError(f"{where(path, row)}: emotion {text[:MAX_BAD_VALUE_SHOWN]!r} is none of {known}")
        labels.append(label)
    return np.array(labels, dtype=np.int64)


def _parse_faces(column: "pd.Series[str]", path: Path) -> npt.NDArray[np.uint8]:
    """Cells of 2304 values, row by row, as uint8 [N, 48, 48]."""
    faces = np.empty((len(column), FACE_SIZE, FACE_SIZE), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy < 2.3 only warns where later ones raise ValueError
        for face, (row, text) in zip(faces, _rows(column), strict=True):
            try:
                values = np.fromstring(text, dtype=np.int64, sep=" ")  # five times as fast as text.split()
            except (ValueError, DeprecationWarning):
                _refuse_face(text, path, row)
            if values.size != FACE_SIZE * FACE_SIZE or values.min() < 0 or values.max() > 255:
                _refuse_face(text, path, row)
            face[:] = values.reshape(FACE_SIZE, FACE_SIZE)
    return faces


def _refuse_face(text: str, path: Path, row: int) -> NoReturn:
    words = text.split()
    for word in words:
        if not (word.isascii() and word.isdigit() and int(word[:MAX_BAD_VALUE_SHOWN]) <= 255):
            raise DataError(
                f"{where(path, row)}: {word[:MAX_BAD_VALUE_SHOWN]!r} is not a pixel value, 0 to 255: "
                "mend or delete the row"
            )
    raise DataError(
        f"{where(path, row)}: {len(words)} pixel values where {FACE_SIZE * FACE_SIZE} "
        f"({FACE_SIZE} x {FACE_SIZE}) are expected: mend or delete the row"
    )


def _parse_usage(table: pd.DataFrame, path: Path) -> npt.NDArray[np.str_]:
    if "usage" not in table:
        return np.full(len(table), TRAINING)
    known = (TRAINING, PUBLIC_TEST, PRIVATE_TEST)
    usage = table["usage"].str.strip()
    for row, text in _rows(usage[~usage.isin(known)]):
        raise DataError(f"{where(path, row)}: Usage {text[:MAX_BAD_VALUE_SHOWN]!r} is none of {', '.join(known)}")
    return usage.to_numpy(dtype=np.str_)


def _read_ferplus(path: Path, data: FaceData) -> npt.NDArray[np.float32]:
    """The votes for `data`'s rows; fer2013new.csv may go on where `data` lacks PrivateTest."""
    columns = [name.lower() for name in FERPLUS_COLUMNS]
    table = pd.concat(_read_csv(path, columns, "--ferplus names FER+'s fer2013new.csv"))
    if len(table) < len(data) or ("usage" in table and (table["usage"][: len(data)].str.strip() != data.usage).any()):
        raise DataError(
            f"{path} does not fit {data.path}: its {len(table)} rows must stand in the same order "
            f"as the {len(data)} faces, with the same Usage"
        )
    votes = table[columns][: len(data)].apply(pd.to_numeric, errors="coerce")
    for row in votes.index[~(votes >= 0).all(axis=1)]:
        raise DataError(f"{where(path, int(row))}: a vote is not a number of 0 or more: download fer2013new.csv again")
    return np.asarray(votes, dtype=np.float32)


def _hold_out(data: FaceData) -> FaceData:
    """Move a stratified, seeded 20 % of the Training rows to PublicTest; equal faces stay together in one part."""
    generator = np.random.default_rng(0)
    first: dict[bytes, int] = {}
    original = np.array([first.setdefault(image.tobytes(), row) for row, image in enumerate(data.images)])
    trained = data.usage == TRAINING
    held_out = np.zeros(len(data), dtype=np.bool_)
    for label in range(len(data.classes)):
        members = np.flatnonzero(trained & (data.labels == label) & (original == np.arange(len(data))))
        held_out[generator.permutation(members)[: round(HELD_OUT_FRACTION * len(members))]] = True
    if not held_out.any():
        raise DataError(f"{data.path} has too few different faces to hold any out for testing: give 3 or more a class")
    usage = np.where(trained & held_out[original], PUBLIC_TEST, data.usage)
    return replace(data, usage=usage)
