"""Open files of strangers without ever waiting: a pipe has no end, and a device may do anything when it is opened."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from fer_edge.guards import portable
from fer_edge.guards.limits import Limit

KINDS = (
    (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)  # fmt: skip


def kind_of(path: Path) -> str:
    """What `path` is if it is not a regular file: "a pipe", "a link to nothing"; "" for a regular file."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link to itself"
        return "a link to nothing" if path.is_symlink() else "missing"
    return next((kind for is_kind, kind in KINDS if is_kind(mode)), "")


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; OSError for anything else, also if it took the file's place just now."""
    if kind := kind_of(path):
        raise OSError(errno.EINVAL, f"it is {kind}", str(path))
    descriptor = os.open(path, os.O_RDONLY | portable.O_NONBLOCK | portable.O_CLOEXEC | portable.O_BINARY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no longer a file", str(path))
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, limit: Limit) -> bytes:
    """The content of a regular file; OSError as of `open_regular`, ValueError for more bytes than `limit`."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > limit.value:
            raise too_large(limit)
        data = file.read(limit.value + 1)  # it may grow
    if len(data) > limit.value:
        raise too_large(limit)
    return data


def too_large(limit: Limit) -> ValueError:
    """The error for a file of more bytes than `limit`."""
    return ValueError(f"it has more than {limit.value:,} bytes: set {limit.variable}")
