"""Labelled faces in memory, and which of them are the same picture."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

# The order of fer2013.csv's `emotion` column, 0 to 6.
FER2013_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FACE_SIZE = 48  # pixels a side
TRAINING, PUBLIC_TEST, PRIVATE_TEST = "Training", "PublicTest", "PrivateTest"
SPLITS = (TRAINING, PUBLIC_TEST, PRIVATE_TEST)


@dataclass(frozen=True)
class FaceData:
    """Labelled grey faces.

    images: uint8 [N, 48, 48], 0 black to 255 white.
    labels: int64 [N], indices into `classes`.
    usage: str [N], the split a row belongs to ("Training", "PublicTest", "PrivateTest").
    classes: the labels in index order.
    path: the file or folder they came from.
    votes: float32 [N, 10], FER+ votes in the order of FERPLUS_COLUMNS, or None.
    names: str [N], where each face stands ("row 12", "train/happy/3.png"), or None.
    class_mapping: by class of the source, the class it became here, or None where its faces were left out;
        empty if the classes are as the source has them.
    relabelled: the labels are not the source's own, but the majority of FER+ votes.
    notes: what was changed or left out on reading, a sentence each.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    usage: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    path: Path
    votes: npt.NDArray[np.float32] | None = None
    names: npt.NDArray[np.str_] | None = None
    class_mapping: Mapping[str, str | None] = field(default_factory=dict)
    relabeled: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def title(self) -> str:
        """What to call the data set in a checkpoint, a table or a picture."""
        name = (self.path.name or self.path.resolve().name).removeprefix("kaggle:")
        return f"{name} with FER+ majority labels" if self.relabeled else name

    def rows(self, keep: npt.NDArray[np.bool_]) -> "FaceData":
        """The rows where `keep` (bool [N]) is true, in the same order."""
        votes = None if self.votes is None else self.votes[keep]
        names = None if self.names is None else self.names[keep]
        images, labels, usage = self.images[keep], self.labels[keep], self.usage[keep]
        return replace(self, images=images, labels=labels, usage=usage, votes=votes, names=names)

    def split(self, *usages: str) -> "FaceData":
        """The rows of the named splits."""
        return self.rows(np.isin(self.usage, usages))

    def splits(self) -> tuple[str, ...]:
        """The splits that have a row, in the order Training, PublicTest, PrivateTest."""
        return tuple(split for split in SPLITS if (self.usage == split).any())

    def counts(self) -> dict[str, int]:
        """Images per class, in class order."""
        counted = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, counted.tolist(), strict=True))

    def noting(self, *notes: str) -> "FaceData":
        """The same faces with further notes."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True)
class UnlabeledFaces:
    """Grey faces of which nothing is known, in the source's order.

    images: uint8 [N, 48, 48]. rows: int64 [N], 1 for the first row or picture of the source; what could not be
    read is missing. files: str [N], the pictures' names, or None for a table.
    """

    images: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    files: npt.NDArray[np.str_] | None
    path: Path
    notes: tuple[str, ...] = ()


def fingerprints(images: npt.NDArray[np.uint8]) -> list[bytes]:
    """16 bytes an image of `images` (uint8 [N, H, W]) that are equal if, and but for 2^-64 only if, the images are."""
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]


def also_in(images: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of `images` (uint8 [N, H, W]) are pixel-identical to one of `others` ([M, H, W]): bool [N]."""
    known = set(fingerprints(others))
    return np.array([mark in known for mark in fingerprints(images)], dtype=np.bool_)
