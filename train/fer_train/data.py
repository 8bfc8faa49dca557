"""Read face data sets: fer2013.csv and its relatives, with FER+ votes beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
MAX_BAD_VALUE_SHOWN = 20


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
    """Read a CSV with the columns emotion, pixels and optionally Usage (any case, any spaces around them).

    Without a Usage column, or without any PublicTest row, every class gives a seeded 20 % of its rows
    to "PublicTest". `ferplus` names fer2013new.csv, whose rows stand in the same order.

    Raises DataError, with the row's number, for anything that is not a face of 48 x 48 grey values
    and a class 0 to 6.
    """
    table = _read_csv(path)
    for column in ("emotion", "pixels"):
        if column not in table:
            raise DataError(
                f"{path} has no column {column!r} (its columns: {', '.join(table.columns)}): "
                "a FER2013 CSV has emotion, pixels and Usage"
            )
    if table.empty:
        raise DataError(f"{path} has a header but no rows: download fer2013.csv again")
    labels = _parse_labels(table["emotion"], path)
    images = np.stack([_parse_face(text, path, row) for row, text in enumerate(table["pixels"], start=1)])
    usage = table["usage"].str.strip().to_numpy(dtype=np.str_) if "usage" in table else np.full(len(labels), TRAINING)
    _check_usage(usage, path)
    data = FaceData(images, labels, usage, FER2013_CLASSES, path)
    if ferplus is not None:
        data = replace(data, votes=_read_ferplus(ferplus, data))
    return data if PUBLIC_TEST in usage else _hold_out(data)


def also_in(images: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of `images` (uint8 [N, H, W]) are pixel-identical to one of `others` ([M, H, W]): bool [N]."""
    known = {image.tobytes() for image in others}
    return np.array([image.tobytes() in known for image in images], dtype=np.bool_)


def _read_csv(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"{path} is not a file: --data names fer2013.csv")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path} is not a CSV file: {error}") from error
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    return table.rename(columns=lambda name: str(name).strip().lower())


def where(path: Path, row: int) -> str:
    """Name row `row` (1 = the first after the header) of `path` as an editor and a spreadsheet do."""
    return f"{path}, row {row} (line {row + 1})"


def _parse_labels(column: Sequence[str], path: Path) -> npt.NDArray[np.int64]:
    names = {str(index): index for index in range(len(FER2013_CLASSES))}
    labels = []
    for row, text in enumerate(column, start=1):
        label = names.get(text.strip())
        if label is None:
            known = ", ".join(f"{index} {name}" for index, name in enumerate(FER2013_CLASSES))
            raise DataError(f"{where(path, row)}: emotion {text[:MAX_BAD_VALUE_SHOWN]!r} is none of {known}")
        labels.append(label)
    return np.array(labels, dtype=np.int64)


def _parse_face(text: str, path: Path, row: int) -> npt.NDArray[np.uint8]:
    """One `pixels` cell, 2304 values row by row, as uint8 [48, 48]."""
    try:
        values = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        values = np.array([_bad_pixel(text, path, row)])
    if values.size != FACE_SIZE * FACE_SIZE:
        raise DataError(
            f"{where(path, row)}: {values.size} pixel values where {FACE_SIZE * FACE_SIZE} "
            f"({FACE_SIZE} x {FACE_SIZE}) are expected: mend or delete the row"
        )
    if values.min() < 0 or values.max() > 255:
        outside = values[(values < 0) | (values > 255)][0]
        raise DataError(f"{where(path, row)}: pixel value {outside} is not in 0 to 255: mend or delete the row")
    return values.astype(np.uint8).reshape(FACE_SIZE, FACE_SIZE)


def _bad_pixel(text: str, path: Path, row: int) -> int:
    bad = next((word for word in text.split() if not word.lstrip("-").isdigit()), text)
    raise DataError(f"{where(path, row)}: {bad[:MAX_BAD_VALUE_SHOWN]!r} is not a pixel value: mend or delete the row")


def _check_usage(usage: npt.NDArray[np.str_], path: Path) -> None:
    known = (TRAINING, PUBLIC_TEST, PRIVATE_TEST)
    for row in np.flatnonzero(~np.isin(usage, known)):
        raise DataError(f"{where(path, int(row) + 1)}: Usage {str(usage[row])!r} is none of {', '.join(known)}")
    if TRAINING not in usage:
        raise DataError(f"{path} has no row whose Usage is {TRAINING}: there is nothing to train on")


def _read_ferplus(path: Path, data: FaceData) -> npt.NDArray[np.float32]:
    """The votes for `data`'s rows; fer2013new.csv may go on where `data` lacks PrivateTest."""
    table = _read_csv(path)
    wanted = [name.lower() for name in FERPLUS_COLUMNS]
    missing = [name for name in wanted if name not in table]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}: --ferplus names FER+'s fer2013new.csv")
    if len(table) < len(data) or ("usage" in table and (table["usage"][: len(data)] != data.usage).any()):
        raise DataError(
            f"{path} does not fit {data.path}: its {len(table)} rows must stand in the same order as the {len(data)} faces"
        )
    try:
        return table[wanted][: len(data)].to_numpy(dtype=np.float32)
    except ValueError as error:
        raise DataError(f"{path}: a vote is not a number ({error})") from error


def _hold_out(data: FaceData) -> FaceData:
    """Move a stratified, seeded 20 % of the Training rows to PublicTest; equal faces stay together in one part."""
    generator = np.random.default_rng(0)
    usage = data.usage.astype("<U11")
    for label in range(len(data.classes)):
        members = np.flatnonzero((data.labels == label) & (usage == TRAINING))
        chosen = generator.permutation(members)[: round(HELD_OUT_FRACTION * len(members))]
        usage[chosen] = PUBLIC_TEST
    held_out = data.images[usage == PUBLIC_TEST]
    twins = also_in(data.images, held_out) & (usage == TRAINING)
    usage[twins] = PUBLIC_TEST
    return replace(data, usage=usage)
