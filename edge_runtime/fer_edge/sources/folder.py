"""Find the images in a folder and below it, in natural order (2 before 10)."""

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fer_edge.errors import SourceError
from fer_edge.guards.limits import MAX_FILES
from fer_edge.guards.regular_files import kind_of, open_regular
from fer_edge.media.suffixes import IMAGE_SUFFIXES, START_BYTES, UNREAD_SUFFIXES, VIDEO_SUFFIXES, starts_as_image

log = logging.getLogger(__name__)

MAX_NAMED = 5  # of those that are passed over
NO_IMAGES = UNREAD_SUFFIXES | VIDEO_SUFFIXES | {".json", ".jsonl", ".csv", ".txt", ".md", ".xml", ".html"}


def find_images(folder: Path, recursive: bool = True, exclude: Path | None = None) -> list[Path]:
    """The images in `folder`, and below it if `recursive`, in natural order; their paths start with `folder`.

    Images are known by their suffix, or else by their first bytes. Hidden files and folders are skipped, and so is the
    folder `exclude`. A folder that several links lead to is searched once, so links in a circle are no danger. Logged:
    a folder below that can't be listed, images of formats that can't be read, and what is not a file. OSError if
    `folder` itself can't be listed, SourceError for more images than the limit allows.
    """
    return chosen(walk(folder, recursive, exclude), folder)


def chosen(paths: Iterable[Path], where: Path | str) -> list[Path]:
    """Of `paths`, which `where` holds, the images that can be read, in natural order; the others are named in the log.

    Raises SourceError for more images than the limit allows.
    """
    found, unread, no_files = list[Path](), list[Path](), list[Path]()
    for path in paths:
        suffix = path.suffix.lower()
        if not path.is_file():  # opening a pipe would wait for ever, and a device may have no end
            no_files.append(path)
        elif is_image(path):
            found.append(path)
            if len(found) > MAX_FILES.value:
                raise SourceError(
                    f"{where} holds more than {MAX_FILES.value:,} images: name its folders one by one, or set "
                    f"{MAX_FILES.variable}"
                )
        elif suffix in UNREAD_SUFFIXES:
            unread.append(path)
    if unread:
        log.warning(
            "%s: %d images are passed over, because OpenCV can't read them: %s: convert them to JPEG",
            where, len(unread), _named(unread, where),
        )  # fmt: skip
    if no_files:
        log.warning("%s: passed over, because no files: %d: %s", where, len(no_files), _named(no_files, where, True))
    return sorted(found, key=natural_order)


def is_image(path: Path) -> bool:
    """Whether a file is an image that can be read, by its suffix or else by its first bytes."""
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES or suffix in NO_IMAGES:
        return suffix in IMAGE_SUFFIXES
    try:
        with open_regular(path) as file:
            return starts_as_image(file.read(START_BYTES))
    except OSError:
        return False


def _named(paths: list[Path], where: Path | str, with_kind: bool = False) -> str:
    shown = [
        str(path.relative_to(where) if path.is_relative_to(where) else path) + f" ({kind_of(path)})" * with_kind
        for path in sorted(paths, key=natural_order)[: MAX_NAMED + 1]
    ]
    return ", ".join(shown[:MAX_NAMED]) + (", ..." if len(shown) > MAX_NAMED else "")


def natural_order(path: Path) -> tuple[object, ...]:
    """A sort key for which 2 comes before 10, and upper and lower case are alike.

    >>> [path.name for path in sorted(map(Path, ["img10.png", "img2.png", "Img1.png"]), key=natural_order)]
    ['Img1.png', 'img2.png', 'img10.png']
    """
    parts = [
        [int(piece) if index % 2 else piece.casefold() for index, piece in enumerate(re.split("([0-9]+)", part))]
        for part in path.parts
    ]
    return parts, path  # the path itself decides between names that differ only in case or leading zeros


def walk(
    folder: Path, recursive: bool = True, exclude: Path | None = None, is_skipped: Callable[[Path], bool] | None = None
) -> Iterator[Path]:
    """Every file below `folder` that is not hidden, and what is neither file nor folder.

    Links are followed, to each folder once. A folder below that can't be listed is logged; OSError for `folder` itself.
    exclude: a folder that is left out. is_skipped: says whether a folder below is left out.
    """
    pending, searched = [folder], set[tuple[int, int]]()
    if exclude is not None and exclude.is_dir():
        searched.add(_identity(exclude))
    while pending:
        here = pending.pop()
        try:
            identity, entries = _identity(here), os.scandir(here)
        except OSError as error:
            if here == folder:
                raise
            log.warning("%s can't be listed: %s", here, error.strerror)
            continue
        with entries:
            if identity in searched:
                continue
            searched.add(identity)
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    below = here / entry.name
                    pending += [below] * (recursive and not (is_skipped and is_skipped(below)))
                else:
                    yield here / entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
