"""Faces in memory, labeled and unlabeled, and which of them are the same image."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

# The order of fer2013.csv's `emotion` column, 0 to 6.
FER2013_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FACE_SIZE = 48  # pixels per side
TRAINING, PUBLIC_TEST, PRIVATE_TEST = "Training", "PublicTest", "PrivateTest"
MAJORITY_LABELS = "FER+ majority labels"  # instead of the data set's own
SPLITS = (TRAINING, PUBLIC_TEST, PRIVATE_TEST)


@dataclass(frozen=True)
class FaceData:
    """Labeled gray faces.

    images: uint8 [N, 48, 48], 0 black to 255 white.
    labels: int64 [N], indices into `classes`.
    usage: str [N], the split of each face ("Training", "PublicTest", "PrivateTest").
    classes: class names in index order.
    path: the file or folder they came from.
    votes: float32 [N, 10], FER+ votes in the order of FERPLUS_COLUMNS, or None.
    names: str [N], the place of each face in its source ("row 12", "train/happy/3.png"), or None.
    class_mapping: per class of the source, the class it became here, or None if its faces were dropped;
        empty if the classes are the source's.
    relabeled: whether the labels are the majority of FER+ votes instead of the source's own.
    held_out: whether the PublicTest faces are a part of the source's Training faces, because it has no others.
    test_folder: the folder test/ whose faces are PublicTest because there is no folder validation/, or "".
    notes: what was changed or skipped while reading, one sentence each.
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
    held_out: bool = False
    test_folder: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def title(self) -> str:
        """The data set's name in checkpoints, tables and plots."""
        name = (self.path.name or self.path.resolve().name).removeprefix("kaggle:")
        return f"{name} with {MAJORITY_LABELS}" if self.relabeled else name

    def rows(self, keep: npt.NDArray[np.bool_]) -> "FaceData":
        """Return the faces where `keep` (bool [N]) is true, in the same order."""
        votes = None if self.votes is None else self.votes[keep]
        names = None if self.names is None else self.names[keep]
        images, labels, usage = self.images[keep], self.labels[keep], self.usage[keep]
        return replace(self, images=images, labels=labels, usage=usage, votes=votes, names=names)

    def split(self, *usages: str) -> "FaceData":
        """Return the faces of the named splits."""
        return self.rows(np.isin(self.usage, usages))

    def splits(self) -> tuple[str, ...]:
        """Return the splits that have faces, in the order Training, PublicTest, PrivateTest."""
        return tuple(split for split in SPLITS if (self.usage == split).any())

    def counts(self) -> dict[str, int]:
        """Return the number of faces per class, in class order."""
        counted = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, counted.tolist(), strict=True))

    def with_notes(self, *notes: str) -> "FaceData":
        """Return the same faces with more notes."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True)
class UnlabeledFaces:
    """Gray faces without labels, in the source's order.

    images: uint8 [N, 48, 48]. rows: int64 [N], 1 for the first row or image of the source; unreadable ones leave
    gaps. files: str [N], the images' file names, or None for a table.
    """

    images: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    files: npt.NDArray[np.str_] | None
    path: Path
    notes: tuple[str, ...] = ()


def fingerprints(images: npt.NDArray[np.uint8]) -> list[bytes]:
    """Return 16 bytes per image of `images` (uint8 [N, H, W]); equal images have equal fingerprints."""
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]


def also_in(images: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return which of `images` (uint8 [N, H, W]) are pixel-identical to one of `others` ([M, H, W]), as bool [N]."""
    known = set(fingerprints(others))
    return np.array([fingerprint in known for fingerprint in fingerprints(images)], dtype=np.bool_)
