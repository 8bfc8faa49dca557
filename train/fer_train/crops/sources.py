"""The videos and photos that are named, alone or in folders, each with a name of its own for its faces."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import SourceError
from fer_edge.guards.regular_files import kind_of
from fer_edge.media.suffixes import IMAGE_SUFFIXES, UNREAD_SUFFIXES, VIDEO_SUFFIXES
from fer_edge.sentences import counted
from fer_edge.sources.folder import is_image, natural_order, walk
from fer_train.crops.cutting import is_tiles
from fer_train.crops.folder import is_faces_folder
from fer_train.crops.names import person_of, safe_name

MORE_VIDEOS = {".mpeg", ".3gp", ".wmv", ".flv", ".ogv", ".m2ts", ".mts", ".vob"}  # beside those that fer-edge expects
# Photos that can't be read are wanted, too: they are counted and named.
WANTED = IMAGE_SUFFIXES | UNREAD_SUFFIXES | VIDEO_SUFFIXES | MORE_VIDEOS
RECORD_FIRST = "record a video first, for example with a phone or with fer-edge --camera 0 --output clip.mp4"


@dataclass(frozen=True)
class NamedSource:
    """A video, photo, URL or folder of tiles, and the name that its faces' files start with."""

    path: str
    name: str


def find_sources(given: Sequence[str], out: Path) -> tuple[list[NamedSource], tuple[str, ...]]:
    """Every source, with folders as their photos and videos, and notes about what was left out.

    A file that is named twice is one source, and folders of faces that were cut earlier, `out` among them, are not
    searched. No two sources have one name: their faces would count as one person's. SourceError for a source inside of
    `out`, and for a folder with nothing to read.
    """
    found: dict[str, NamedSource] = {}
    taken, notes, twice = set[str](), list[str](), 0
    for source in given:
        for file, name in _expanded(source, out, notes):
            key = os.path.realpath(file) if Path(file).exists() else file
            if key in found:
                twice += 1
            else:
                found[key] = NamedSource(file, _free(safe_name(name), taken))
    if twice:
        notes.append(f"{counted(twice, 'source')} named twice: each is read once")
    return list(found.values()), tuple(notes)


def is_photo(path: Path) -> bool:
    """Whether a file is read as a photo. A GIF is read as a video: of an animation every frame counts."""
    if not is_image(path) or path.suffix.casefold() == ".gif":
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) != b"GIF8"
    except OSError:  # who reads it as a photo says why that can't be
        return True


def _expanded(source: str, out: Path, notes: list[str]) -> list[tuple[str, str]]:
    """The files of a source, with the names that their faces' files start with; `notes` grows."""
    path = Path(source)
    if path.exists() and _is_inside(path, out):
        raise SourceError(f"{source} is inside of --out {out}: name another --out")
    if kind_of(path) == "a device" or (source.isdecimal() and not path.exists()):  # never opened: cameras have a light
        raise SourceError(f"{source} is a camera or another device, not a file: {RECORD_FIRST}")
    if not path.is_dir() or is_tiles(path):
        return [(source, path.stem if path.exists() else source.partition(":")[0])]
    earlier, no_files = list[Path](), list[Path]()

    def is_skipped(folder: Path) -> bool:
        if is_cut := is_faces_folder(folder):
            earlier.append(folder)
        return is_cut or _is_inside(folder, out)

    try:
        below = [file for file in walk(path, is_skipped=is_skipped) if _is_wanted(file, no_files)]
    except OSError as error:
        raise SourceError(f"{path} can't be listed: {error.strerror}") from error
    if not below:
        raise SourceError(f"{path} holds no photos and no videos: name another folder")
    notes += [f"{folder} holds faces that were cut earlier: they are not cut again" for folder in sorted(earlier)]
    notes += [f"{file} is {kind_of(file)}, not a file: it is not read" for file in sorted(no_files)]
    files = sorted(below, key=natural_order)
    return [(str(file), "_".join(file.relative_to(path).with_suffix("").parts)) for file in files]


def _is_wanted(path: Path, no_files: list[Path]) -> bool:
    """Whether `path` is a photo or video by its suffix or content; if it is no file, it is added to `no_files`."""
    by_name = path.suffix.casefold() in WANTED
    if path.is_file():
        return by_name or is_image(path)
    no_files += [path] * by_name
    return False


def _is_inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _free(name: str, taken: set[str]) -> str:
    """`name`, or with a number in it if it is taken: before its last _NUMBER, which is no part of a person's name."""
    person, number = person_of(name), 1
    free = name
    while free.casefold() in taken:
        number += 1
        free = f"{person}-{number}{name[len(person) :]}"
    taken.add(free.casefold())
    return free
