"""Folders of images: find out which folders are splits and which are classes, by their names."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from fer_edge.errors import DataError
from fer_edge.guards.text import printable
from fer_train.data.classes import SPELLINGS, canonical, ordered_classes
from fer_train.data.containers import Container
from fer_train.data.faces import PRIVATE_TEST, PUBLIC_TEST, TRAINING, FaceData
from fer_train.data.faults import Faults
from fer_train.data.images import read_images
from fer_train.photos import Crop

TEST = "test"  # PublicTest or PrivateTest, which depends on the other folders
SPLIT_FOLDERS = {
    "train": TRAINING, "training": TRAINING,
    "val": PUBLIC_TEST, "valid": PUBLIC_TEST, "validation": PUBLIC_TEST, "publictest": PUBLIC_TEST,
    "dev": PUBLIC_TEST, "eval": TEST, "evaluation": TEST, "test": TEST, "testing": TEST, "privatetest": PRIVATE_TEST,
}  # fmt: skip
EMOTIONS = frozenset((*SPELLINGS.values(), "contempt"))
UNSORTED = "unsorted"  # faces that `fer-train faces` cut and that have no label yet
CONTACT_SHEET = "contact-sheet-"  # its sheets: the start of their names
FACES_TABLE = "faces.csv"  # its table, beside the sheets
ADVICE = "put images into one folder per class, and these into train/ and test/ if there are splits"
MAX_NAMES_SHOWN = 8
# Words around a split's name ("train_set", "FER2013Test", "val-images"), which say nothing about it.
FILLERS = (
    r"fer|fer2013|fer2013plus|ferplus|the|my|data|dataset|datasets|set|sets|split|img|imgs|images?|pics|faces?|crops?"
)
SPLIT_NAME = re.compile(
    rf"(?:{FILLERS}|\d+)*?(?P<split>{'|'.join(sorted(SPLIT_FOLDERS, key=len, reverse=True))})(?:{FILLERS}|\d+)*"
)
# Folders that hold a kind of file or a numbered part, never one class.
NO_CLASSES = re.compile(
    r"(?:images?|imgs?|pics|pictures|photos|frames|videos|labels?|annotations?|masks?|landmarks|metadata|data|dataset|"
    r"jpegimages|crops|raw|original|originals|aligned|processed)\d*|(?:fold|part|batch|chunk|shard|subset|cv)\d+"
)
SPLIT_WORD = re.compile(r"(?:^|[^a-z])(?:train|training|val|valid|validation|test|testing|dev|eval)(?:[^a-z]|[ab]?$)")


@dataclass(frozen=True)
class Layout:
    """What the folders mean.

    images: in reading order. usages, labels: one per image; usage is "" where there are no splits. stray: how many
    images are in no class folder. test_folder: as of FaceData.
    """

    images: list[PurePosixPath]
    usages: list[str]
    labels: list[int]
    classes: tuple[str, ...]
    stray: int
    test_folder: str
    notes: tuple[str, ...]


def split_of(folder: str) -> str | None:
    """Return the split that a folder of that name holds: Training, PublicTest, PrivateTest, "test" or None."""
    found = SPLIT_NAME.fullmatch(re.sub(r"[\W_]", "", folder.casefold()))
    return SPLIT_FOLDERS[found["split"]] if found else None


def can_be_class(folder: str) -> bool:
    """Whether a folder of that name, outermost or in a split, can hold a class.

    >>> can_be_class("smile"), can_be_class("images"), can_be_class("test set"), can_be_class("unsorted")
    (True, False, False, False)
    """
    plain = folder.casefold()
    return plain != UNSORTED and not (_holds_other_things(folder) or split_of(folder) or SPLIT_WORD.search(plain))


def _holds_other_things(folder: str) -> bool:
    return NO_CLASSES.fullmatch(re.sub(r"[\W_]", "", folder.casefold())) is not None


def find_layout(files: Sequence[PurePosixPath], folders: Sequence[PurePosixPath], path: Path) -> Layout:
    """Recognize splits and classes of the images `files` by folder names; DataError if that is impossible.

    Images are sorted by split, class and name. Outer folders that hold everything are ignored.
    """
    images = [name for name in files if not name.name.startswith(CONTACT_SHEET)]
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
    _check_classes(members, level, path)
    classes = ordered_classes([*(name.parts[level] for name in members), *empty])
    index = {plain: label for label, plain in enumerate(classes)}
    order = ("", TRAINING, PUBLIC_TEST, PRIVATE_TEST)
    rows = [
        (order.index(usage_of.get(name.parts[outer], "")), index[canonical(name.parts[level])], name)
        for name in members
    ]
    rows.sort()
    test = next((top for top, split in splits.items() if split == TEST and usage_of[top] == PUBLIC_TEST), "")
    notes = (f"{test}/ is used as PublicTest",) * bool(test)
    if unsorted:
        notes += (f"not used: {unsorted:,} image{'s' * (unsorted > 1)} in {UNSORTED}/: move them into class folders",)
    return Layout(
        [name for _, _, name in rows], [order[usage] for usage, _, _ in rows], [label for _, label, _ in rows],
        tuple(classes.values()), len(images) - len(members), test, notes,
    )  # fmt: skip


def read_folders(container: Container, files: Sequence[PurePosixPath], skip_bad: bool, crop: Crop = "auto") -> FaceData:
    """Read folders of images, the `files` of a container; usage is "" where there are no splits.

    Raises DataError for unreadable images.
    """
    path = container.path
    layout = find_layout(files, container.folders, path)
    faults = Faults(path, "image")
    images, good, notes = read_images(container, layout.images, faults, crop)
    if layout.stray:
        notes += (f"{layout.stray:,} images outside of class folders are not used",)
    notes += passed_over(container, files) + faults.raise_or_note(int(good.sum()), skip_bad)
    return FaceData(
        images,
        np.array(layout.labels, dtype=np.int64)[good],
        np.array(layout.usages, dtype=np.str_)[good],
        layout.classes,
        path,
        names=np.array([printable(str(name)) for name in layout.images], dtype=np.str_)[good],
        test_folder=printable(layout.test_folder),
        notes=layout.notes + notes,
    )


def passed_over(container: Container, images: Sequence[PurePosixPath]) -> tuple[str, ...]:
    """Notes that count and name what was not read: files that are not images, and what can't be opened."""
    beside = {name.parent / FACES_TABLE for name in container.files if name.name.startswith(CONTACT_SHEET)}
    others = sorted(set(container.files) - set(images) - beside)
    notes = []
    if others:
        kinds = Counter(name.suffix.casefold() or "no suffix" for name in others).most_common(MAX_NAMES_SHOWN)
        counts = ", ".join(f"{count:,} {printable(kind)}" for kind, count in kinds)
        what = "1 file is not an image and is" if len(others) == 1 else f"{len(others):,} files are not images and are"
        notes.append(f"{what} not used ({counts}): {others[0]}")
    if container.passed_over:
        notes.append(
            f"{len(container.passed_over):,} entries are not read, because they are pipes, devices, broken links, "
            f"second files of one name or names with ..: {container.passed_over[0]}"
        )
    return tuple(map(printable, notes))


def _check_classes(images: Sequence[PurePosixPath], level: int, path: Path) -> None:
    """Raise DataError if the folders at `level` look like splits, people or kinds of files rather than classes."""
    inner: dict[str, set[str]] = {}
    for name in images:
        inner.setdefault(name.parts[level], set()).update(map(canonical, name.parts[level + 1 : -1][:1]))
    emotions = {canonical(name) for name in inner} & set(EMOTIONS)
    below = set().union(*inner.values())
    wrong = [name for name in inner if _holds_other_things(name)]
    if not level or not split_of(images[0].parts[level - 1]):
        wrong += [name for name in inner if SPLIT_WORD.search(name.casefold())]
        wrong += _shares(inner)
    if wrong:
        raise DataError(
            f"{path} has the folders {_listed(inner)}, of which {_listed(wrong)} can't be a class: {ADVICE}"
        )
    if emotions:
        if splits := [name for name in sorted(below) if split_of(name)]:
            raise DataError(f"{path} has the splits {_listed(splits)} in the folders of classes: {ADVICE}")
        return
    counts = Counter(name for names in inner.values() for name in names)
    shared = sorted(name for name, count in counts.items() if count > 1)
    if below & set(EMOTIONS) or len(shared) > 1:
        raise DataError(
            f"{path} has the folders {_listed(inner)}, and in them {_listed(sorted(below & set(EMOTIONS)) or shared)}: "
            "these look like classes inside of people or parts; " + ADVICE
        )


def _shares(names: Collection[str]) -> list[str]:
    """The folders that are named by their shares of a split, such as 80 and 20; none if one has another name."""
    numbers = [name.rstrip("% ") for name in names]
    are_shares = len(names) in (2, 3) and all(re.fullmatch(r"[1-9]\d?", number, re.ASCII) for number in numbers)
    return list(names) if are_shares and sum(map(int, numbers)) == 100 else []


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
    shown = list(map(printable, names))
    more = ", ..." if len(shown) > MAX_NAMES_SHOWN else ""
    return ", ".join(shown[:MAX_NAMES_SHOWN]) + more
