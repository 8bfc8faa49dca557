"""Output files: refused if they exist, written under a temporary name, renamed into place when complete.

A temporary name can't be guessed or be a link that another user has placed, and it is short, so that an output's name
may have all the 255 bytes that file systems allow. Its writer holds a lock on it. The kernel releases the lock of a
process that is killed, by which the next writer knows a leftover and removes it.
"""

import contextlib
import errno
import functools
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_edge.errors import OutputError
from fer_edge.guards import portable
from fer_edge.guards.locks import try_lock

PRIVATE = 0o600  # of files about people; a stricter umask stays
_TEMPORARY = r"\.fer-[0-9a-f]{16}\.part(\.\w+)?"
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | portable.O_NOFOLLOW | portable.O_CLOEXEC | portable.O_BINARY
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)  # of file systems without fsync
_MAX_SUFFIX = 16  # characters of a suffix that a program chooses a format by


def check_writable(path: Path, overwrite: bool = False) -> None:
    """Raise OutputError if `path` can't be written: an existing file, or a missing or read-only folder.

    A device or pipe is always written to: it holds no earlier output that `overwrite` would have to allow.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder: name a file in it")
    exists = os.path.lexists(path)  # a link to a file that is gone, too
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path} is write-protected: name another file, or change its permissions")
    if _is_device(path):
        return
    if exists and not overwrite:
        raise OutputError(f"{path} exists: name another file, or pass --overwrite to replace it")
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder, so {path.name} can't be written there: create it first")
    # Permissions don't show read-only disks and file systems with other rules: try it.
    try:
        descriptor, probe = _create(folder, "", PRIVATE)
        os.close(descriptor)
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{path.name} can't be written in {folder}: {error.strerror}") from error


def _is_device(path: Path) -> bool:
    """True for /dev/null, /dev/stdout, a named pipe and the like."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextlib.contextmanager
def atomic_write(path: Path, private: bool = False, keep_suffix: bool = True) -> Iterator[Path]:
    """Yield a new, empty file in `path`'s folder; rename it to `path` on success, remove it on failure.

    The temporary name keeps the suffix, from which OpenCV and others choose the format; without `keep_suffix` it has
    none, so that a program that reads all files with that suffix leaves it alone. The file gets the mode of the
    one that it replaces. A new one follows the umask, or with `private` is its owner's alone. For a device or pipe,
    `path` itself is yielded. An OSError becomes OutputError.
    """
    try:
        if _is_device(path):
            yield path
            return
        with temporary_file(path, private, keep_suffix) as part:
            yield part
            portable.replace(part, path)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error


@contextlib.contextmanager
def temporary_file(path: Path, private: bool = False, keep_suffix: bool = True) -> Iterator[Path]:
    """Yield a new, empty file beside `path`, with its mode and suffix; remove it at the end unless it was renamed.

    private, keep_suffix: as in `atomic_write`. Raises OSError.
    """
    remove_leftovers(path.parent)
    mode = _mode_of(path)
    descriptor, part = _create(
        path.parent, path.suffix if keep_suffix else "", PRIVATE if private or mode is not None else 0o666
    )
    held = portable.DELETES_OPEN_FILES
    try:
        if mode is not None:
            portable.set_mode(descriptor, mode)
        if not held:
            os.close(descriptor)
        yield part
    finally:
        if held:
            os.close(descriptor)  # and so the lock
        with contextlib.suppress(OSError):  # the folder may be gone, too
            part.unlink(missing_ok=True)


def _mode_of(path: Path) -> int | None:
    """The permissions of a file; None if there is none."""
    try:
        return stat.S_IMODE(path.stat().st_mode) & 0o777
    except OSError:
        return None


def _create(folder: Path, suffix: str, mode: int) -> tuple[int, Path]:
    """A new file under a temporary name, locked: its descriptor and path. Raises OSError."""
    ending = suffix if len(suffix) <= _MAX_SUFFIX and re.fullmatch(r"\.\w+", suffix, re.ASCII) else ""
    while True:
        part = folder / f".fer-{os.urandom(8).hex()}.part{ending}"
        try:
            descriptor = os.open(part, _NEW_FILE, mode)
        except FileExistsError:
            continue
        try_lock(descriptor)
        if os.fstat(descriptor).st_nlink:  # no other process took it for a leftover before it was locked
            return descriptor, part
        os.close(descriptor)


def is_temporary(path: Path) -> bool:
    """Whether the name is one of our temporary files', which can't be guessed, and which its process has locked."""
    return re.fullmatch(_TEMPORARY, path.name) is not None


@functools.cache  # once per folder and process
def remove_leftovers(folder: Path) -> None:
    """Delete our temporary files in `folder` that no process has locked: those of killed runs and of power cuts."""
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder):  # noqa: PTH208 - names suffice
            if re.fullmatch(_TEMPORARY, entry):
                with contextlib.suppress(OSError):
                    _remove_leftover(folder / entry)


def _remove_leftover(part: Path) -> None:
    descriptor = os.open(part, os.O_RDWR | portable.O_NOFOLLOW | portable.O_NONBLOCK | portable.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and portable.is_ours(found.st_uid) and try_lock(descriptor) is True:
            part.unlink()
    finally:
        os.close(descriptor)


def sync(descriptor: int) -> None:
    """Flush an open file to the disk, so that it survives a power cut; OSError if the disk fails."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_file(path: Path) -> None:
    """`sync` the file at `path`."""
    descriptor = os.open(path, os.O_RDWR | portable.O_CLOEXEC)  # Windows syncs only files that are open for writing
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def json_text(value: Any) -> str:
    """`value` as indented JSON that ends in a line break, safe for terminals; ValueError for NaN and infinity.

    Everything but printable ASCII is an escape, DEL, too, which JSON itself would let through.

    >>> print(json_text({"faces": 3}), end="")
    {
      "faces": 3
    }
    """
    return json.dumps(value, indent=2, allow_nan=False).replace("\x7f", "\\u007f") + "\n"


def write_json(path: Path, value: Any, private: bool = False) -> None:
    """Write `value` to `path` as indented JSON, atomically; ValueError for NaN and infinity.

    private: as in `atomic_write`.
    """
    with atomic_write(path, private) as part:
        part.write_text(json_text(value), encoding="utf-8")
        if part.is_file():
            sync_file(part)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
