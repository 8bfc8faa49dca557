"""The videos and photos that are named, alone or in folders, each with a name of its own for its faces."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import SourceError
from fer_edge.media.suffixes import UNREAD_SUFFIXES, VIDEO_SUFFIXES
from fer_edge.sources.folder import is_image, natural_order
from fer_train.crops.cutting import is_tiles
from fer_train.crops.folder import is_faces_folder
from fer_train.crops.names import person_of, safe_name

MORE_VIDEOS = {".mpeg", ".3gp", ".wmv", ".flv", ".ogv", ".m2ts", ".mts", ".vob"}  # beside those that fer-edge expects
WANTED = UNREAD_SUFFIXES | VIDEO_SUFFIXES | MORE_VIDEOS  # photos that can't be read are counted and named


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
    taken, earlier, twice = set[str](), list[Path](), 0
    for source in given:
        path = Path(source)
        if path.exists() and _is_inside(path, out):
            raise SourceError(f"{source} is inside of --out {out}: name another --out")
        if not path.is_dir() or is_tiles(path):
            files = [(source, path.stem if path.exists() else source.partition(":")[0])]
        else:
            inside = sorted(_files_below(path, out, earlier), key=natural_order)
            if not inside:
                raise SourceError(f"{path} holds no photos and no videos: name another folder")
            files = [(str(file), "_".join(file.relative_to(path).with_suffix("").parts)) for file in inside]
        for file, name in files:
            key = os.path.realpath(file) if Path(file).exists() else file
            if key in found:
                twice += 1
            else:
                found[key] = NamedSource(file, _free(safe_name(name), taken))
    notes = [f"{folder} holds faces that were cut earlier: they are not cut again" for folder in earlier]
    notes += [f"{twice:,} of the sources are named twice, and read once"] * bool(twice)
    return list(found.values()), tuple(notes)


def _files_below(folder: Path, out: Path, earlier: list[Path]) -> Iterator[Path]:
    """The photos and videos in and below `folder`; folders of faces are added to `earlier` instead."""
    for here, folders, names in os.walk(folder):
        below = [Path(here, name) for name in sorted(folders) if not name.startswith(".")]
        cut = [each for each in below if is_faces_folder(each) or _is_inside(each, out)]
        earlier += cut
        folders[:] = [each.name for each in below if each not in cut]
        for name in names:
            file = Path(here, name)
            if not name.startswith(".") and file.is_file() and (file.suffix.casefold() in WANTED or is_image(file)):
                yield file


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
