"""Output files: refused if they exist, written under a temporary name, renamed into place when complete."""

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_edge.errors import OutputError


def check_writable(path: Path, overwrite: bool = False) -> None:
    """Raise OutputError if `path` can't be written: an existing file, or a missing or read-only folder.

    A device or pipe is always written to: it holds no earlier output that `overwrite` would have to allow.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder: name a file in it")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path} is write-protected: name another file, or change its permissions")
    if _is_device(path):
        return
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists: name another file, or pass --overwrite to replace it")
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder, so {path.name} can't be written there: create it first")
    # Permissions don't show read-only disks and file systems with other rules: try it.
    probe = folder / f".{path.stem}.{os.getpid()}.part"
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT, 0o600))
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{path.name} can't be written in {folder}: {error.strerror}") from error


def _is_device(path: Path) -> bool:
    """True for /dev/null, /dev/stdout, a named pipe and the like."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in `path`'s folder; rename it to `path` on success, remove it on failure.

    The temporary name keeps the suffix, from which OpenCV and others choose the format. For a device or pipe, `path`
    itself is yielded. An OSError becomes OutputError.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        if _is_device(path):
            yield path
        else:
            yield part
            part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # the folder may be gone, too
            part.unlink(missing_ok=True)


def sync(descriptor: int) -> None:
    """Flush an open file to the disk, so that it survives a power cut; OSError if the disk fails."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):  # the file system has no fsync
            raise


def sync_file(path: Path) -> None:
    """`sync` the file at `path`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, atomically; ValueError for NaN and infinity."""
    with atomic_write(path) as part:
        part.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        if part.is_file():
            sync_file(part)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
