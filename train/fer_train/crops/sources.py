"""Find the videos and photos that were named, alone or in folders, and give each a unique name for its faces."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import SourceError
from fer_edge.guards.regular_files import kind_of
from fer_edge.media.suffixes import IMAGE_SUFFIXES, UNREAD_SUFFIXES, VIDEO_SUFFIXES
from fer_edge.sentences import counted
from fer_edge.sources.folder import is_image, natural_order, walk
from fer_train.crops.cutting import is_tiles
from fer_train.crops.folder import is_faces_folder
from fer_train.crops.names import UniqueNames, safe_name

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

    A file that is named twice is one source. Folders of faces that were cut earlier, `out` among them, are not
    searched. Names are unique, because faces under the same name count as one person's. SourceError for a source
    inside of `out`, and for a folder with nothing to read.
    """
    found: dict[str, NamedSource] = {}
    names, notes, twice = UniqueNames(), list[str](), 0
    for source in given:
        for file, name in _expanded(source, out, notes):
            key = os.path.realpath(file) if exists(file) else file
            if key in found:
                twice += 1
            else:
                found[key] = NamedSource(file, names.unique(safe_name(name)))
    if twice:
        notes.append(f"{counted(twice, 'source')} named twice: each is read once")
    return list(found.values()), tuple(notes)


def exists(source: str) -> bool:
    """Whether a source is a file, folder or device."""
    try:
        return Path(source).exists()
    except OSError:  # a URL may be longer than any file's name
        return False


def is_photo(path: Path) -> bool:
    """Whether a file is read as a photo. A GIF is read as a video: of an animation every frame counts."""
    if not is_image(path) or path.suffix.casefold() == ".gif":
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) != b"GIF8"
    except OSError:  # reading it as a photo then reports why that is impossible
        return True


def _expanded(source: str, out: Path, notes: list[str]) -> list[tuple[str, str]]:
    """The files of a source, with the names that their faces' files start with; `notes` grows."""
    path, is_there = Path(source), exists(source)
    if is_there and _is_inside(path, out):
        raise SourceError(f"{source} is inside of --out {out}: name another --out")
    if kind_of(path) == "a device" if is_there else source.isdecimal():  # never opened: cameras have a light
        raise SourceError(f"{source} is a camera or another device, not a file: {RECORD_FIRST}")
    if not is_there:
        return [(source, source.partition(":")[0])]
    if not path.is_dir() or is_tiles(path):
        return [(source, path.stem)]
    try:
        files = sorted(_files_below(path, out, notes), key=natural_order)
    except OSError as error:
        raise SourceError(f"{path} can't be listed: {error.strerror}") from error
    if not files:
        raise SourceError(f"{path} holds no photos and no videos: name another folder")
    return [(str(file), "_".join(file.relative_to(path).with_suffix("").parts)) for file in files]


def _files_below(folder: Path, out: Path, notes: list[str]) -> Iterator[Path]:
    """The photos and videos below `folder`, by suffix or content; `notes` grows at the end."""
    earlier, no_files = list[Path](), list[Path]()

    def is_skipped(below: Path) -> bool:
        if is_cut := is_faces_folder(below):
            earlier.append(below)
        return is_cut or _is_inside(below, out)

    for file in walk(folder, is_skipped=is_skipped):
        is_named_so = file.suffix.casefold() in WANTED
        if not file.is_file():
            no_files += [file] * is_named_so
        elif is_named_so or is_image(file):
            yield file
    notes += [f"{cut} holds faces that were cut earlier: they are not cut again" for cut in sorted(earlier)]
    if no_files:
        first = min(no_files)
        notes.append(f"{counted(len(no_files), 'entry', 'entries')} not read, such as {first}: it is {kind_of(first)}")


def _is_inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
