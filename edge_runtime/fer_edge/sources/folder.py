"""Find the images in a folder and below it, in natural order (2 before 10)."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from fer_edge.media.suffixes import IMAGE_SUFFIXES, UNREAD_SUFFIXES

log = logging.getLogger(__name__)

MAX_NAMED = 5  # of the images that can't be read


def find_images(folder: Path, recursive: bool = True, exclude: Path | None = None) -> list[Path]:
    """The images in `folder`, and below it if `recursive`, in natural order; their paths start with `folder`.

    Hidden files and folders are skipped, and so is the folder `exclude`. A folder that several links lead to is
    searched once, so links in a circle are no danger. Logged: a folder below that can't be listed, and images of
    formats that can't be read. OSError if `folder` itself can't be listed.
    """
    passed_over: list[Path] = []
    found = sorted(_walk(folder, recursive, exclude, passed_over), key=natural_order)
    if passed_over:
        names = [str(path.relative_to(folder)) for path in sorted(passed_over, key=natural_order)]
        more = ", ..." if len(names) > MAX_NAMED else ""
        log.warning(
            "%s: %d images are passed over, because OpenCV can't read them: %s: convert them to JPEG",
            folder, len(names), ", ".join(names[:MAX_NAMED]) + more,
        )  # fmt: skip
    return found


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


def _walk(folder: Path, recursive: bool, exclude: Path | None, passed_over: list[Path]) -> Iterator[Path]:
    pending, searched = [folder], set[tuple[int, int]]()
    if exclude is not None and exclude.is_dir():
        searched.add(_identity(exclude))
    while pending:
        here = pending.pop()
        try:
            identity, names = _identity(here), os.listdir(here)  # noqa: PTH208 - names suffice
        except OSError as error:
            if here == folder:
                raise
            log.warning("%s can't be listed: %s", here, error.strerror)
            continue
        if identity in searched:
            continue
        searched.add(identity)
        for path in (here / name for name in names if not name.startswith(".")):
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                yield path
            elif path.suffix.lower() in UNREAD_SUFFIXES and path.is_file():
                passed_over.append(path)
            elif recursive and path.is_dir():
                pending.append(path)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
