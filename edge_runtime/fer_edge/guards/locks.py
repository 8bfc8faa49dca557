"""One writer at a time: a lock file beside each output names the process that writes it.

Locks are flock(2)'s: the kernel releases them when a process ends, however it ends, so none is ever stale. Where a file
system has no locks, as some network file systems, or the operating system has none of this kind, nothing is locked.
"""

import contextlib
import errno
import os
from pathlib import Path

from fer_edge.errors import OutputError
from fer_edge.guards import portable

MAX_NAME_BYTES = 255 - len("..lock")
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file without waiting; False if another process has it, None if its file system has no locks."""
    try:
        import fcntl  # not needed by --help
    except ImportError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


class OutputLock:
    """Holds an output, a file or folder, for this process until `release`. Devices and pipes are not locked.

    Raises OutputError if another process holds it, under this or another name (a link). A folder that does not exist
    yet needs its parent.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        if path.exists() and not (path.is_file() or path.is_dir()):  # of /dev/stdout, realpath may name no file
            return
        real = Path(os.path.realpath(path))
        *others, last = _lock_files(real)
        for self._file in (*others, last):
            try:
                if self._acquire(path):
                    return
            except OSError as error:
                if not isinstance(error, PermissionError) or self._file == last:
                    raise OutputError(f"{path} can't be locked by {self._file}: {error.strerror}") from error

    def _acquire(self, path: Path) -> bool:
        """Lock the file; False if it can't be locked."""
        while True:
            descriptor, writable = _open(self._file)
            locked = try_lock(descriptor)
            if locked is False:
                owner = os.read(descriptor, 20).decode(errors="replace").strip()
                os.close(descriptor)
                process = f"process {owner}" if owner.isdecimal() else "another process"
                raise OutputError(f"{path} is being written by {process}: name another file, or end that process")
            if locked is None:
                os.close(descriptor)
                with contextlib.suppress(OSError):
                    self._file.unlink()
                return False
            if os.fstat(descriptor).st_nlink:
                break
            os.close(descriptor)  # its last owner has just removed it
        if writable:
            portable.set_mode(descriptor, 0o644)  # other users can tell who holds it
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the output free."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                self._file.unlink()
            os.close(self._descriptor)
            self._descriptor = None


def _open(file: Path) -> tuple[int, bool]:
    """Open a lock file: its descriptor, and whether it can be written. One of another user can only be read."""
    flags = portable.O_NOFOLLOW | portable.O_CLOEXEC
    try:
        return os.open(file, flags | os.O_RDWR | os.O_CREAT, 0o644), True
    except PermissionError:
        if not file.is_file():
            raise
        return os.open(file, flags | os.O_RDONLY), False


def _lock_files(path: Path) -> list[Path]:
    """Where the lock of `path` may lie: beside it, or inside a folder whose parent is not writable."""
    name = os.fsencode(path.name)
    if len(name) > MAX_NAME_BYTES:
        import zlib

        name = name[: MAX_NAME_BYTES - 9] + f"-{zlib.crc32(name):08x}".encode()
    beside = path.parent / os.fsdecode(b"." + name + b".lock")
    return [beside, path / ".lock"] if path.is_dir() else [beside]
