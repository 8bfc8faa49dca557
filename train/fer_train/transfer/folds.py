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
    """Whose face a file shows: its name up to the last _NUMBER, as `fer-train faces` names faces."""
    return NUMBER.sub("", PurePosixPath(name).with_suffix("").name)


def tell_people(names: Sequence[str]) -> bool:
    """Whether any of the names is PERSON_NUMBER, so that faces of one person can be known.

    >>> tell_people(["ann_1.png", "bob_1.png"]), tell_people(["row 1", "row 2"])
    (True, False)
    """
    return any(NUMBER.search(PurePosixPath(name).with_suffix("").name) for name in names)


def make_folds(labels: Labels, names: Sequence[str]) -> tuple[Labels, bool]:
    """The fold of each face, and whether each person's faces are all in one fold.

    Every fold leaves faces of each class to learn from. Where people can't be kept together (one person per class), a
    fold is a run of files in the order of their names, so that neighbors in a video stay together.
    """
    people = np.array([person_of(name) for name in names])
    count = min(MAX_FOLDS, int(np.bincount(labels)[np.unique(labels)].min()))
    sizes = {person: int((people == person).sum()) for person in np.unique(people).tolist()}
    folds, load = np.zeros(len(labels), np.int64), np.zeros(max(count, 1))
    for person in sorted(sizes, key=lambda each: (-sizes[each], each)):
        fold = int(load.argmin())
        folds[people == person] = fold
        load[fold] += sizes[person]
    if len(sizes) >= 2 * count and _learnable(folds, labels):
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
