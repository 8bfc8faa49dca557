"""Archives and compressed files within limits: members are counted before they are read, and bombs are known by growth.

Sources: APPNOTE 6.3.10 (zip), POSIX.1-2001 (tar). The modules zipfile and tarfile trust what an archive says: the size
of its directory, and of the headers that hold long names.
"""

import contextlib
import io
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fer_edge.errors import DataError
from fer_edge.guards.limits import MAX_MEMBERS, MAX_RATIO, MAX_UNPACKED_BYTES

if TYPE_CHECKING:
    from typing_extensions import Buffer as WriteableBuffer

FREE_BYTES = 100_000_000  # small archives may grow as they like: they do no harm
MAX_READ_BYTES = 16_000_000  # at once: tarfile reads a header's name of any length in one piece
MAX_ENTRY_BYTES = 256  # of a zip's directory, on average: 46 and the name
END, END_64, LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"  # records at the end of a zip
TAIL_BYTES = 65_557 + 20 + 56  # the longest comment, and the records before it
ENTRY = b"PK\x01\x02"  # starts an entry of a zip's directory


class Growth:
    """Counts the bytes that the file `path` is unpacked to; DataError beyond the limits."""

    def __init__(self, path: Path) -> None:
        self._path, self._packed, self._bytes = path, path.stat().st_size, 0

    def add(self, count: int) -> None:
        """Count further bytes."""
        self.check(self._bytes + count)
        self._bytes += count

    def check(self, total: int) -> None:
        """DataError if the file may not grow to `total` bytes."""
        if total > MAX_UNPACKED_BYTES.value:
            raise DataError(
                f"{self._path} holds more than {MAX_UNPACKED_BYTES.value:,} bytes: unpack it first, or set "
                f"{MAX_UNPACKED_BYTES.variable}"
            )
        if total > max(FREE_BYTES, MAX_RATIO.value * self._packed):
            raise DataError(
                f"{self._path} grows to more than {MAX_RATIO.value:,} times its size: it is not a data set, or set "
                f"{MAX_RATIO.variable}"
            )

    def too_large_part(self, size: int) -> DataError:
        """The error for a part of `size` bytes that would be read in one piece."""
        return DataError(f"{self._path} has a header of {size:,} bytes: it is damaged, or not a data set")


class BoundedStream(io.RawIOBase):
    """An unpacked stream: counts how far it is read, and bounds the bytes of one read. Closes `stream`."""

    def __init__(self, stream: IO[bytes], growth: Growth) -> None:
        self._stream, self._growth = stream, growth

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; DataError if that is too many, or the stream has become too long."""
        if not 0 <= size <= MAX_READ_BYTES:
            raise self._growth.too_large_part(size)
        data = self._stream.read(size)
        self._growth.check(self._stream.tell())
        return data

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill `buffer`, as `read`."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Go to `place`; a packed stream is unpacked up to it."""
        if whence == os.SEEK_SET:
            self._growth.check(place)
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Zip(zipfile.ZipFile):
    """A zip whose damaged directory is always a BadZipFile: zipfile also raises what its bytes happen to cause."""

    def __init__(self, file: IO[bytes]) -> None:
        with _damage_told():
            super().__init__(file)

    def open(self, *args: Any, **options: Any) -> IO[bytes]:
        with _damage_told():
            return super().open(*args, **options)


@contextlib.contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (ValueError, struct.error, OverflowError) as error:  # a name that is no UTF-8, a place before the start
        raise zipfile.BadZipFile("its directory is damaged") from error


def open_zip(file: IO[bytes], path: Path) -> zipfile.ZipFile:
    """Open a zip whose directory is within the limits and can be read.

    file: open for reading, with seek; the result reads from it and does not close it. path: for the message. Raises
    DataError beyond the limits, zipfile.BadZipFile if the directory is missing or damaged.
    """
    check_zip(file, path)
    return _Zip(file)


def check_zip(file: IO[bytes], path: Path) -> None:
    """Raise DataError if a zip has more members than the limit; zipfile would read the directory of all of them.

    path: for the message. Raises zipfile.BadZipFile if it has no directory.
    """
    start, size = _directory(file)
    if size > MAX_ENTRY_BYTES * MAX_MEMBERS.value:
        raise too_many_members(path)
    file.seek(start)
    directory, place, count = file.read(size), 0, 0
    while place < len(directory):
        if directory[place : place + 4] != ENTRY or place + 46 > len(directory):
            raise zipfile.BadZipFile("its directory is damaged")
        place += 46 + sum(struct.unpack_from("<HHH", directory, place + 28))
        count += 1
        if count > MAX_MEMBERS.value:
            raise too_many_members(path)


def _directory(file: IO[bytes]) -> tuple[int, int]:
    """Where the directory of a zip starts, and its bytes, as zipfile finds them."""
    file_bytes = file.seek(0, os.SEEK_END)
    first = max(0, file_bytes - TAIL_BYTES)
    file.seek(first)
    tail = file.read()
    at = len(tail) - 22
    if at < 0 or tail[at : at + 4] != END or tail[-2:] != bytes(2):
        at = tail.rfind(END)
    if at < 0 or at + 22 > len(tail):
        raise zipfile.BadZipFile("File is not a zip file")
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    at_64 = at - 20 - 56
    if at_64 >= 0 and tail[at - 20 : at - 16] == LOCATOR_64 and tail[at_64 : at_64 + 4] == END_64:
        at, size = at_64, int.from_bytes(tail[at_64 + 40 : at_64 + 48], "little")
    if size > first + at:
        raise zipfile.BadZipFile("its directory is damaged")
    return first + at - size, size


def too_many_members(path: Path) -> DataError:
    """The error for an archive or folder of more members than the limit."""
    return DataError(
        f"{path} holds more than {MAX_MEMBERS.value:,} files: name a part of it, or set {MAX_MEMBERS.variable}"
    )
