"""One interface to folders, .zip and .tar archives and single files, compressed or not: names in, streams out."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, TextIO, cast

from fer_edge.errors import DataError
from fer_edge.guards.limits import MAX_MEMBERS
from fer_edge.guards.regular_files import open_regular
from fer_train.archive_limits import BoundedStream, Growth, open_zip, too_many_members

GZIP, BZIP2, XZ, ZIP = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"PK\x03\x04"
OUTSIDE = ".."  # in a name that leads out of its archive
TABLE_SUFFIXES = (".csv", ".csv.gz", ".csv.xz", ".csv.zip")
# Raised while reading a damaged archive or compressed file; RuntimeError comes from a zip with a password.
DAMAGED = (EOFError, OSError, RuntimeError, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, zlib.error)


class Container(Protocol):
    """Files by name. `files` and `folders` are sorted and relative to the container; hidden ones are left out.

    passed_over: names that can't be opened: pipes, devices, links to nothing, second files of the same name, and names
        of an archive with "..", which lead out of it.
    """

    path: Path
    files: list[PurePosixPath]
    passed_over: list[PurePosixPath]
    folders: list[PurePosixPath]

    def open(self, name: PurePosixPath) -> IO[bytes]:
        """Open one of `files`; streams may be read in different threads."""
        ...


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        files, folders = list[PurePosixPath](), list[PurePosixPath]()
        seen = {path.resolve()}
        for folder, below, names in os.walk(path, followlinks=True, onerror=_raise_unreadable):
            if len(files) + len(folders) + len(names) + len(below) > MAX_MEMBERS.value:
                raise too_many_members(path)
            targets = {name: (Path(folder) / name).resolve() for name in sorted(below) if not _hidden(name)}
            below[:] = [name for name, target in targets.items() if target not in seen]  # links may be circular
            seen.update(targets.values())
            here = PurePosixPath(Path(folder).relative_to(path))
            folders += [here / name for name in below]
            files += [here / name for name in names if not _hidden(name)]
        # Opening a pipe would wait for ever, and a device may have no end.
        self.files = sorted(name for name in files if (path / name).is_file())
        self.passed_over = sorted(set(files) - set(self.files))
        self.folders = sorted(folders)

    def open(self, name: PurePosixPath) -> IO[bytes]:
        return open_regular(self.path / name)


class _File:
    """A single file, as a container that holds only this file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files, self.folders = [PurePosixPath(path.name)], list[PurePosixPath]()
        self.passed_over: list[PurePosixPath] = []

    def open(self, name: PurePosixPath) -> IO[bytes]:
        return open_regular(self.path.parent / name)


class _Zip:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self._archive = path, archive
        self._members: dict[PurePosixPath, zipfile.ZipInfo] = {}
        self.passed_over: list[PurePosixPath] = []
        folders = set()
        Growth(path).check(sum(member.file_size for member in archive.infolist()))
        for member in archive.infolist():
            name = member_name(member.filename)
            if OUTSIDE in name.parts:
                self.passed_over.append(name)
                continue
            if any(map(_hidden, name.parts)):
                continue
            folders |= {parent for parent in name.parents if parent.parts}
            if member.filename.endswith(("/", "\\")):
                folders |= {name} if name.parts else set()
            elif name in self._members:
                self.passed_over.append(name)
            else:
                self._members[name] = member
        self.files, self.folders = sorted(self._members), sorted(folders)

    def open(self, name: PurePosixPath) -> IO[bytes]:
        return self._archive.open(self._members[name])


class _Tar:
    """A .tar archive, unpacked to a temporary folder because a compressed tar has no random access.

    Files are unpacked under numbers, so that no member's name can lead outside the folder.
    """

    def __init__(self, path: Path, archive: tarfile.TarFile, unpacked: Path, growth: Growth) -> None:
        self.path = path
        self.passed_over: list[PurePosixPath] = []
        self._places: dict[PurePosixPath, Path] = {}
        folders = set()
        for number, member in enumerate(archive):
            if number >= MAX_MEMBERS.value:
                raise too_many_members(path)
            name = member_name(member.name)
            if OUTSIDE in name.parts:
                self.passed_over.append(name)
                continue
            if any(map(_hidden, name.parts)):
                continue
            folders |= {parent for parent in name.parents if parent.parts}
            if member.isdir():
                folders |= {name} if name.parts else set()
                continue
            stream = None
            with contextlib.suppress(KeyError):  # a link that leads out of the archive
                stream = archive.extractfile(member)  # follows links; None for pipes and devices
            if stream is None or name in self._places:
                self.passed_over.append(name)
            else:
                self._places[name] = unpacked / str(number)
                with stream, self._places[name].open("wb") as file:
                    while block := stream.read(1 << 20):
                        growth.add(len(block))  # sparse members hold more than the archive has
                        file.write(block)
        self.files, self.folders = sorted(self._places), sorted(folders)

    def open(self, name: PurePosixPath) -> IO[bytes]:
        return self._places[name].open("rb")


def member_name(name: str) -> PurePosixPath:
    r"""An archive member's name as a relative path: archives have "./a", "a//b", "/a" and, from Windows, "a\\b".

    >>> [str(member_name(name)) for name in ("./happy//1.png", "/happy/1.png", r"happy\1.png")]
    ['happy/1.png', 'happy/1.png', 'happy/1.png']
    """
    path = PurePosixPath(name.replace("\\", "/"))
    return path.relative_to(path.anchor)


@contextlib.contextmanager
def open_container(path: Path, hint: str) -> Iterator[Container]:
    """Open a folder, an archive or a single file. Raises DataError, which ends in `hint`, if `path` is none of them."""
    if path.is_dir():
        yield _Folder(path)
        return
    if not path.is_file():
        raise DataError(f"{path} is not a file or folder: {hint}")
    with contextlib.ExitStack() as stack:
        try:
            container = _archive(path, stack)
        except DAMAGED as error:
            raise damaged(path, error) from error
        yield container


def _archive(path: Path, stack: contextlib.ExitStack) -> Container:
    file = stack.enter_context(open_regular(path))
    if file.read(len(ZIP)) == ZIP:
        return _Zip(path, stack.enter_context(open_zip(file, path)))
    file.seek(0)
    growth = Growth(path)
    stream = stack.enter_context(BoundedStream(_unpacked(file), growth))
    try:
        archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r:"))  # noqa: SIM115 - the stack closes it
    except (*DAMAGED, UnicodeError):
        return _File(path)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fer-train-"))
    return _Tar(path, archive, Path(folder), growth)


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    start = file.read(len(XZ))
    file.seek(0)
    if start.startswith(GZIP):
        return gzip.open(file)  # type: ignore[return-value]
    if start.startswith(BZIP2):
        return bz2.open(file)
    return lzma.open(file) if start.startswith(XZ) else file


def is_table(name: PurePosixPath) -> bool:
    """Whether the name is that of a CSV file, maybe compressed."""
    return name.name.casefold().endswith(TABLE_SUFFIXES)


@contextlib.contextmanager
def open_text(container: Container, name: PurePosixPath) -> Iterator[TextIO]:
    """Open a file of the container as text, decompressed if its content (not its name) is that of a compressed file."""
    with contextlib.ExitStack() as stack:
        stream = _decompressed(stack.enter_context(container.open(name)), stack, container.path)
        if container.path.is_file():
            stream = io.BufferedReader(BoundedStream(stream, Growth(container.path)))
        # newline="" keeps line ends inside quoted cells; utf-8-sig skips a byte-order mark
        yield stack.enter_context(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""))


def _decompressed(stream: IO[bytes], stack: contextlib.ExitStack, path: Path) -> IO[bytes]:
    buffered = io.BufferedReader(cast(io.RawIOBase, stream)) if not hasattr(stream, "peek") else stream
    start = cast(io.BufferedReader, buffered).peek(len(XZ))
    if start.startswith(GZIP):
        return gzip.open(buffered)  # type: ignore[return-value]
    if start.startswith(XZ):
        return lzma.open(buffered)
    if start.startswith(ZIP):
        archive = stack.enter_context(open_zip(buffered, path))
        names = [name for name in archive.namelist() if is_table(PurePosixPath(name))]
        if len(names) != 1:
            raise zipfile.BadZipFile(f"it holds {len(names)} CSV files where one is expected")
        return archive.open(names[0])
    return buffered


def damaged(path: Path, error: Exception) -> DataError:
    """Return the error to raise for one of DAMAGED."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return DataError(f"{path} can't be read ({reason}): it is damaged or has a password: download it again")


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _raise_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename} can't be read: {error.strerror}") from error
