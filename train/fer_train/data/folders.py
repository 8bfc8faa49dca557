"""Folders of pictures: which folder is a split, which a class, whatever it is called."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from fer_edge.errors import DataError
from fer_train.data.classes import canonical, ordered_classes
from fer_train.data.containers import Container
from fer_train.data.faces import PRIVATE_TEST, PUBLIC_TEST, TRAINING, FaceData
from fer_train.data.faults import Faults
from fer_train.data.images import is_picture, read_pictures

TEST = "test"  # PublicTest or PrivateTest, by what else there is
SPLIT_FOLDERS = {
    "train": TRAINING, "training": TRAINING,
    "val": PUBLIC_TEST, "valid": PUBLIC_TEST, "validation": PUBLIC_TEST, "publictest": PUBLIC_TEST,
    "test": TEST, "testing": TEST, "privatetest": PRIVATE_TEST,
}  # fmt: skip
ADVICE = "pictures stand in a folder a class, and these in train/ and test/ or alone"
MAX_NAMES_SHOWN = 8


@dataclass(frozen=True)
class Layout:
    """Pictures in reading order. usages, labels: of each, usage "" where there are no splits; stray: in no class."""

    pictures: list[PurePosixPath]
    usages: list[str]
    labels: list[int]
    classes: tuple[str, ...]
    stray: int
    notes: tuple[str, ...]


def split_of(folder: str) -> str | None:
    """The split a folder of that name holds: Training, PublicTest, PrivateTest, "test", or None."""
    plain = folder.casefold().replace("_", "").replace("-", "").replace(" ", "")
    return SPLIT_FOLDERS.get(plain.removeprefix("fer2013"))  # as FER+'s tool calls them


def lay_out(files: Sequence[PurePosixPath], folders: Sequence[PurePosixPath], path: Path) -> Layout:
    """Tell splits and classes from names; DataError if that can't be done.

    Pictures come sorted by split, class and name. Folders around all of it are passed over.
    """
    pictures = [name for name in files if is_picture(name)]
    outer = _around(pictures)
    tops = dict.fromkeys(name.parts[outer] for name in pictures if len(name.parts) > outer + 1)
    splits = _splits(tops, path)
    usage_of = _usages(splits)
    level = outer + 1 if splits else outer
    members = [name for name in pictures if len(name.parts) > level + 1]
    if not members:
        raise DataError(f"{path} has no pictures in class folders: {ADVICE}")
    around = members[0].parts[:outer]
    empty = [  # a class may be an empty folder
        name.parts[level]
        for name in folders
        if len(name.parts) == level + 1 and name.parts[:outer] == around and (not splits or name.parts[outer] in splits)
    ]
    classes = ordered_classes([*(name.parts[level] for name in members), *empty])
    index = {plain: place for place, plain in enumerate(classes)}
    order = ("", TRAINING, PUBLIC_TEST, PRIVATE_TEST)
    rows = [
        (order.index(usage_of.get(name.parts[outer], "")), index[canonical(name.parts[level])], name)
        for name in members
    ]
    rows.sort()
    notes = tuple(
        f"{top}/ is used as PublicTest, by which the best epoch is chosen: add validation/ to keep it unseen"
        for top, split in splits.items()
        if split == TEST and usage_of[top] == PUBLIC_TEST
    )
    return Layout(
        [name for _, _, name in rows], [order[usage] for usage, _, _ in rows], [label for _, label, _ in rows],
        tuple(classes.values()), len(pictures) - len(members), notes,
    )  # fmt: skip


def read_folders(container: Container, skip_bad: bool) -> FaceData:
    """The faces of folders of pictures; usage "" where there are no splits. DataError for what can't be read."""
    path = container.path
    layout = lay_out(container.files, container.folders, path)
    faults = Faults(path, "picture")
    images, good, notes = read_pictures(container, layout.pictures, faults)
    if layout.stray:
        notes += (f"{layout.stray:,} pictures in no class folder are not used",)
    notes += faults.settle(int(good.sum()), skip_bad)
    return FaceData(
        images,
        np.array(layout.labels, dtype=np.int64)[good],
        np.array(layout.usages, dtype=np.str_)[good],
        layout.classes,
        path,
        names=np.array([str(name) for name in layout.pictures], dtype=np.str_)[good],
        notes=layout.notes + notes,
    )


def _around(pictures: Sequence[PurePosixPath]) -> int:
    """How many folders lie around all of it, as an archive's only folder does."""
    depth = 0
    while True:
        tops = {name.parts[depth] for name in pictures}
        if len(tops) != 1 or any(len(name.parts) < depth + 3 for name in pictures) or split_of(next(iter(tops))):
            return depth
        depth += 1


def _splits(tops: Iterable[str], path: Path) -> dict[str, str]:
    """By outermost folder, the split it holds; empty if these are classes. DataError if they are both."""
    splits = {top: split for top in tops if (split := split_of(top))}
    others = [top for top in tops if top not in splits]
    if splits and others:
        raise DataError(
            f"{path} has {_listed(others)} beside the split{'s' * (len(splits) > 1)} {_listed(splits)}: "
            "move these away, or name one folder of splits or of classes"
        )
    return splits


def _usages(splits: dict[str, str]) -> dict[str, str]:
    """By split folder, the usage of its rows: test/ is PublicTest unless something else is."""
    test = PRIVATE_TEST if PUBLIC_TEST in splits.values() else PUBLIC_TEST
    return {top: test if split == TEST else split for top, split in splits.items()}


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = ", ..." if len(shown) > MAX_NAMES_SHOWN else ""
    return ", ".join(shown[:MAX_NAMES_SHOWN]) + more
