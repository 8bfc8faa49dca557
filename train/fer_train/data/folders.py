"""Folders of images: find out which folders are splits and which are classes, by their names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from fer_edge.errors import DataError
from fer_train.data.classes import canonical, ordered_classes
from fer_train.data.containers import Container
from fer_train.data.faces import PRIVATE_TEST, PUBLIC_TEST, TRAINING, FaceData
from fer_train.data.faults import Faults
from fer_train.data.images import is_image, read_images

TEST = "test"  # PublicTest or PrivateTest, which depends on the other folders
SPLIT_FOLDERS = {
    "train": TRAINING, "training": TRAINING,
    "val": PUBLIC_TEST, "valid": PUBLIC_TEST, "validation": PUBLIC_TEST, "publictest": PUBLIC_TEST,
    "test": TEST, "testing": TEST, "privatetest": PRIVATE_TEST,
}  # fmt: skip
UNSORTED = "unsorted"  # faces that `fer-train faces` cut and nobody has labeled yet
CONTACT_SHEET = "contact-sheet-"  # its sheets: the start of their names
ADVICE = "put images into one folder per class, and these into train/ and test/ if there are splits"
MAX_NAMES_SHOWN = 8


@dataclass(frozen=True)
class Layout:
    """What the folders mean.

    images: in reading order. usages, labels: one per image; usage is "" where there are no splits. stray: how many
    images are in no class folder.
    """

    images: list[PurePosixPath]
    usages: list[str]
    labels: list[int]
    classes: tuple[str, ...]
    stray: int
    notes: tuple[str, ...]


def split_of(folder: str) -> str | None:
    """Return the split that a folder of that name holds: Training, PublicTest, PrivateTest, "test" or None."""
    plain = folder.casefold().replace("_", "").replace("-", "").replace(" ", "")
    return SPLIT_FOLDERS.get(plain.removeprefix("fer2013"))  # FER+'s tool names them FER2013Train and so on


def find_layout(files: Sequence[PurePosixPath], folders: Sequence[PurePosixPath], path: Path) -> Layout:
    """Recognize splits and classes by folder names; DataError if that is impossible.

    Images are sorted by split, class and name. Outer folders that hold everything are ignored.
    """
    images = [name for name in files if is_image(name) and not name.name.startswith(CONTACT_SHEET)]
    unsorted = sum(UNSORTED in name.parts[:-1] for name in images)
    images = [name for name in images if UNSORTED not in name.parts[:-1]]
    folders = [name for name in folders if UNSORTED not in name.parts]
    if unsorted and not images:
        raise DataError(f"{path} has {unsorted:,} images in {UNSORTED}/ only: move them into one folder per class")
    outer = _outer_depth(images)
    tops = dict.fromkeys(name.parts[outer] for name in images if len(name.parts) > outer + 1)
    splits = _splits(tops, path)
    usage_of = _usages(splits)
    level = outer + 1 if splits else outer
    members = [name for name in images if len(name.parts) > level + 1]
    if not members:
        raise DataError(f"{path} has no images in class folders: {ADVICE}")
    outer_parts = members[0].parts[:outer]
    empty = [  # an empty folder is a class, too
        name.parts[level]
        for name in folders
        if len(name.parts) == level + 1
        and name.parts[:outer] == outer_parts
        and (not splits or name.parts[outer] in splits)
    ]
    classes = ordered_classes([*(name.parts[level] for name in members), *empty])
    index = {plain: label for label, plain in enumerate(classes)}
    order = ("", TRAINING, PUBLIC_TEST, PRIVATE_TEST)
    rows = [
        (order.index(usage_of.get(name.parts[outer], "")), index[canonical(name.parts[level])], name)
        for name in members
    ]
    rows.sort()
    notes = tuple(
        f"{top}/ is used as PublicTest, which chooses the best epoch: add validation/ to keep {top}/ unseen"
        for top, split in splits.items()
        if split == TEST and usage_of[top] == PUBLIC_TEST
    )
    if unsorted:
        notes += (f"{unsorted:,} images in {UNSORTED}/ are not used: move them into class folders",)
    return Layout(
        [name for _, _, name in rows], [order[usage] for usage, _, _ in rows], [label for _, label, _ in rows],
        tuple(classes.values()), len(images) - len(members), notes,
    )  # fmt: skip


def read_folders(container: Container, skip_bad: bool) -> FaceData:
    """Read folders of images; usage is "" where there are no splits. Raises DataError for unreadable images."""
    path = container.path
    layout = find_layout(container.files, container.folders, path)
    faults = Faults(path, "image")
    images, good, notes = read_images(container, layout.images, faults)
    if layout.stray:
        notes += (f"{layout.stray:,} images outside of class folders are not used",)
    notes += faults.raise_or_note(int(good.sum()), skip_bad)
    return FaceData(
        images,
        np.array(layout.labels, dtype=np.int64)[good],
        np.array(layout.usages, dtype=np.str_)[good],
        layout.classes,
        path,
        names=np.array([str(name) for name in layout.images], dtype=np.str_)[good],
        notes=layout.notes + notes,
    )


def _outer_depth(images: Sequence[PurePosixPath]) -> int:
    """Return how many nested folders hold everything, as the only folder of an archive does."""
    depth = 0
    while True:
        tops = {name.parts[depth] for name in images}
        if len(tops) != 1 or any(len(name.parts) < depth + 3 for name in images) or split_of(next(iter(tops))):
            return depth
        depth += 1


def _splits(tops: Iterable[str], path: Path) -> dict[str, str]:
    """Map the outermost folders to their splits; empty if they are classes. DataError if they are mixed."""
    splits = {top: split for top in tops if (split := split_of(top))}
    others = [top for top in tops if top not in splits]
    if splits and others:
        raise DataError(
            f"{path} has {_listed(others)} beside the split{'s' * (len(splits) > 1)} {_listed(splits)}: "
            "move one kind away, or name a folder that holds only splits or only classes"
        )
    return splits


def _usages(splits: dict[str, str]) -> dict[str, str]:
    """Map split folders to usages: test/ is PublicTest unless another folder is."""
    test = PRIVATE_TEST if PUBLIC_TEST in splits.values() else PUBLIC_TEST
    return {top: test if split == TEST else split for top, split in splits.items()}


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = ", ..." if len(shown) > MAX_NAMES_SHOWN else ""
    return ", ".join(shown[:MAX_NAMES_SHOWN]) + more
