"""Split few faces for cross-validation, so that a person, or a scene of a video, is on one side."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

MAX_FOLDS = 5
NUMBER = re.compile(r"_\d+$")
Labels = npt.NDArray[np.int64]


def person_of(name: str) -> str:
    """The person in a file's name without suffix: all of it up to its last _NUMBER.

    >>> person_of("clip_2_0001000"), person_of("anna")
    ('clip_2', 'anna')
    """
    return NUMBER.sub("", name)


def name_people(names: Sequence[str]) -> bool:
    """Whether any of the names is PERSON_NUMBER, so that we know which faces are one person's.

    >>> name_people(["ann_1.png", "bob_1.png"]), name_people(["row 1", "row 2"])
    (True, False)
    """
    return any(NUMBER.search(_stem(name)) for name in names)


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").name


def make_folds(labels: Labels, names: Sequence[str]) -> tuple[Labels, bool]:
    """The fold of each face, and whether each person's faces are all in one fold.

    Every fold leaves faces of each class to learn from. Where people can't be kept together (one person per class), a
    fold is a run of files in the order of their names, so that neighbors in a video stay together.
    """
    people, owner = np.unique([person_of(_stem(name)) for name in names], return_inverse=True)
    sizes = np.bincount(owner)
    count = min(MAX_FOLDS, int(np.bincount(labels)[np.unique(labels)].min()))
    fold_of, load = np.zeros(len(people), np.int64), np.zeros(max(count, 1))
    for person in np.argsort(-sizes, kind="stable"):  # the largest first, each to the fold with the fewest faces
        fold_of[person] = load.argmin()
        load[fold_of[person]] += sizes[person]
    folds: Labels = fold_of[owner]
    if len(people) >= 2 * count and _learnable(folds, labels):
        return folds, True
    order = np.array(sorted(range(len(labels)), key=lambda row: names[row]))
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        folds[rows] = np.arange(len(rows)) * count // len(rows)
    return folds, False


def _learnable(folds: Labels, labels: Labels) -> bool:
    """Whether every fold leaves each class, and there are two or more."""
    used = np.unique(folds)
    everything = set(labels.tolist())
    return len(used) > 1 and all(set(labels[folds != fold].tolist()) == everything for fold in used)
