"""Faces with a truth: FER2013's labels, FER+'s votes, and people whose photographs were not trained on.

FER2013's labels are the words that each photograph was searched by. FER+ asked ten people per face. They often
disagree, so every head is measured against the truth that it was trained for.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from benchmarks.harness.heads import EMOTIONS, Faces
from fer_edge.errors import DataError
from fer_train.data import (
    PUBLIC_TEST,
    TRAINING,
    FaceData,
    also_in,
    load_faces,
    majority_labels,
    majority_protocol,
    read_faces,
)
from fer_train.data.classes import canonical

LABELS, MAJORITY, UNIQUE_TOP = "FER2013 labels", "FER+ majority", "FER+ unique top"
PEOPLE = "people kept aside"
OWN_TRUTHS = {"people": (MAJORITY, PEOPLE), "ferplus": (MAJORITY,), "fer2013": (LABELS,)}
# FER2013 was collected by web search, so its parts share photographs that were cropped, lit or compressed otherwise.
CELLS = 16  # per side of a coarse face, each the mean of its pixels
MIN_CORRELATION = 0.95  # of 48 pairs from there to 0.97, 47 show one photograph by eye; below 0.95, half of them
BLOCK = 512  # faces that are compared with all others at once
PERSON = re.compile(r"(.+)_\d{4}")  # as Labeled Faces in the Wild names a photograph: First_Last_0001


@dataclass(frozen=True)
class FaceSet:
    """Faces that are measured against one truth.

    truth: LABELS, MAJORITY, UNIQUE_TOP or PEOPLE. images: uint8 [N, 48, 48]. labels: int64 [N], indices into EMOTIONS.
    copies: bool [N], pixel-identical to a training face. near_copies: bool [N], these and other cuts of a training
    face's photograph, if they were looked for. people: int64 [N], whom each shows, from 0; faces of unknown
    people are one each. names: str [N], the place of each in its source.
    """

    truth: str
    images: Faces
    labels: npt.NDArray[np.int64]
    copies: npt.NDArray[np.bool_]
    near_copies: npt.NDArray[np.bool_]
    people: npt.NDArray[np.int64]
    names: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, keep: npt.NDArray[np.bool_]) -> "FaceSet":
        """The faces where `keep` is true."""
        people = np.unique(self.people[keep], return_inverse=True)[1].astype(np.int64)
        return replace(
            self, images=self.images[keep], labels=self.labels[keep], copies=self.copies[keep],
            near_copies=self.near_copies[keep], people=people, names=self.names[keep],
        )  # fmt: skip


def own_truths(head: str | None) -> tuple[str, ...]:
    """The truths that a head was trained for; a file without heads has FER2013's labels, a head of a user's none."""
    return (LABELS,) if head is None else OWN_TRUTHS.get(head, ())


def fer2013_sets(
    data: Path, ferplus: Path | None, split: str = PUBLIC_TEST, find_near: bool = False
) -> dict[str, FaceSet]:
    """A split of fer2013.csv by truth: its labels and, with fer2013new.csv, both truths of FER+'s votes.

    find_near: look for near copies, too, which takes some seconds.
    DataError if a file cannot be read, or the split has no face.
    """
    faces = load_faces(data, ferplus)
    test = faces.split(split)
    if not len(test):
        raise DataError(f"{data} has no row whose Usage is {split}: it has {', '.join(faces.splits())}")
    whole = face_set(LABELS, test, faces.split(TRAINING), find_near)
    sets = {LABELS: whole}
    if test.votes is not None:
        unique = majority_labels(replace(test, classes=EMOTIONS, class_mapping={}))
        for truth, labels in ((MAJORITY, majority_protocol(test.votes)), (UNIQUE_TOP, unique)):
            sets[truth] = replace(whole, truth=truth, labels=labels).rows(labels >= 0)
    return sets


def own_fer2013_set(head: str | None, data: Path, ferplus: Path | None) -> FaceSet:
    """PublicTest with the truth that a head was trained for; a head of a user's is measured against FER2013's labels.

    DataError if it takes FER+'s votes and `ferplus` is None: another truth would make it look worse than it is.
    """
    truths = own_truths(head)
    sets = fer2013_sets(data, ferplus)
    if MAJORITY not in truths:
        return sets[LABELS]
    if MAJORITY not in sets:
        raise DataError(f"the head {head} is measured against FER+'s votes: give --ferplus, or --head fer2013")
    return sets[MAJORITY]


def people_set(folder: Path, find_near: bool = False) -> FaceSet:
    """The faces of `folder`/test/CLASS, which none of the networks was trained on; those of train/ tell copies.

    DataError if it has no test folder, or classes that are no emotions.
    """
    faces = read_faces(folder)
    test = faces.split(PUBLIC_TEST)
    if not len(test):
        raise DataError(f"{folder} has no faces kept aside: put them into test/CLASS, and those trained on into train/")
    return face_set(PEOPLE, test, faces.split(TRAINING), find_near)


def face_set(truth: str, data: FaceData, training: FaceData, find_near: bool) -> FaceSet:
    """The faces and labels of `data`, and which are copies of `training`; DataError for a class that is no emotion."""
    names = np.arange(len(data)).astype(np.str_) if data.names is None else data.names
    copies = also_in(data.images, training.images)
    near = copies | near_copies(data.images, training.images) if find_near else copies
    return FaceSet(truth, data.images, emotion_indices(data), copies, near, people_of(names.tolist()), names)


def near_copies(images: Faces, others: Faces) -> npt.NDArray[np.bool_]:
    """Which of `images`, uint8 [N, 48, 48], show the same photograph as one of `others` [M, 48, 48], or its mirror.

    Their coarse gray values correlate by MIN_CORRELATION or more. A face of a single gray value is no copy.

    >>> face = np.arange(48 * 48).reshape(1, 48, 48).astype(np.uint8)
    >>> near_copies(face // 2 + 9, face).tolist(), near_copies(face, 255 - face).tolist()
    ([True], [False])
    """
    found = np.zeros(len(images), np.bool_)
    if not len(others):
        return found
    known = _coarse(others)
    for seen in (images, images[:, :, ::-1]):
        rows = _coarse(seen)
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            found[part] |= (rows[part] @ known.T).max(axis=1) >= MIN_CORRELATION
    return found


def _coarse(images: Faces) -> npt.NDArray[np.float32]:
    """Rows float32 [N, CELLS**2] of mean 0 and length 1, whose products are correlations."""
    count, side, _ = images.shape
    cells = images.reshape(count, CELLS, side // CELLS, CELLS, side // CELLS).mean(axis=(2, 4), dtype=np.float32)
    rows = cells.reshape(count, CELLS**2)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return np.asarray(rows, dtype=np.float32)


def emotion_indices(data: FaceData) -> npt.NDArray[np.int64]:
    """The labels of `data` as indices into EMOTIONS."""
    plain = [canonical(name) for name in data.classes]
    if odd := sorted(set(plain) - set(EMOTIONS)):
        raise DataError(f"{data.path} has the classes {', '.join(odd)}, which are not among {', '.join(EMOTIONS)}")
    return np.array([EMOTIONS.index(name) for name in plain], dtype=np.int64)[data.labels]


def people_of(names: list[str]) -> npt.NDArray[np.int64]:
    """Whom each face shows, numbered from 0, by file names such as First_Last_0001; others are one person each."""
    found = [PERSON.match(PurePosixPath(name).stem) for name in names]
    keys = [f"{number}" if match is None else match[1] for number, match in enumerate(found)]
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def photograph_of(name: str) -> str:
    """The photograph that a face's file is named by: "test/sad/First_Last_0001-2.png" is of First_Last_0001."""
    stem = PurePosixPath(name).stem
    match = PERSON.match(stem)
    return stem if match is None else match[0]


def sampled(faces: FaceSet, count: int, seed: int = 0) -> FaceSet:
    """`count` random faces; all of them if there are no more, or if `count` is 0."""
    if not 0 < count < len(faces):
        return faces
    keep = np.zeros(len(faces), dtype=np.bool_)
    keep[np.random.default_rng(seed).permutation(len(faces))[:count]] = True
    return faces.rows(keep)


SkipPart = Callable[[str], None]


def load_sets(
    data: Path | None,
    ferplus: Path | None,
    people: Path | None,
    skip: SkipPart,
    split: str = PUBLIC_TEST,
    find_near: bool = False,
) -> dict[str, FaceSet]:
    """All sets of faces that the files give, by truth; `skip` gets a sentence for each that is not given."""
    sets = {} if data is None else fer2013_sets(data, ferplus, split, find_near)
    if data is None:
        skip("FER2013 and FER+, which need --data and --ferplus")
    elif ferplus is None:
        skip("FER+, which needs --ferplus")
    if people is None:
        skip("people, which need --people: a folder with train/CLASS and test/CLASS")
    else:
        sets[PEOPLE] = people_set(people, find_near)
    if not sets:
        raise DataError("there are no faces to measure on: give --data, --ferplus or --people")
    return sets
