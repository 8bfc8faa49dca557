"""Whether a video at an HTTP URL is whole: all its bytes can be had, and its container ends with them."""

import io
import re
import struct
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from typing import cast

from fer_edge.media.containers import ends_early
from fer_edge.media.remote.redirects import open_http

BLOCK_BYTES = 1 << 20  # of one request
MAX_BYTES = 32_000_000  # of a file that its server only gives as a whole
MAX_REQUESTS = 32
LIMIT_S = 10.0  # for all requests; a server may give byte after byte


def is_whole(url: str) -> bool:
    """True if the video is whole; False also if that can't be found out."""
    try:
        file = _RemoteFile(url)
        file.seek(file.size - 1)
        return len(file.read(1)) == 1 and not ends_early(cast("io.BufferedReader", file), file.size)
    except (OSError, HTTPException, ValueError, struct.error, IndexError):
        return False


class _RemoteFile(io.RawIOBase):
    """A file of a server, read by blocks of which the latest is kept. OSError if its bytes can't be had."""

    def __init__(self, url: str) -> None:
        self._url, self._place, self._start, self._data, self._requests = url, 0, 0, b"", 0
        self._until = time.monotonic() + LIMIT_S
        self.size = 0
        self._load(0)

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Go to `place`, from the start or the current one."""
        self._place = place + (self._place if whence == io.SEEK_CUR else 0)
        return self._place

    def read(self, count: int = -1) -> bytes:
        """The next bytes; fewer at the file's end."""
        end = self.size if count < 0 else min(self.size, self._place + count)
        found = b""
        while self._place < end:
            if not self._start <= self._place < self._start + len(self._data):
                self._load(self._place)
            begin = self._place - self._start
            found += self._data[begin : begin + end - self._place]
            self._place = min(end, self._start + len(self._data))
        return found

    def _load(self, place: int) -> None:
        """Read the block in which `place` is, or the whole file."""
        self._requests += 1
        if self._requests > MAX_REQUESTS:
            raise OSError("too many parts")
        self._start = place // BLOCK_BYTES * BLOCK_BYTES
        with open_http(self._url, f"bytes={self._start}-{self._start + BLOCK_BYTES - 1}") as answer:
            self.size = self._size(answer)
            owed = min(BLOCK_BYTES if answer.status == 206 else MAX_BYTES, self.size - self._start)
            self._data = b"".join(self._arriving(answer, owed))
        if len(self._data) < owed:
            raise OSError("the connection was cut")

    def _arriving(self, answer: HTTPResponse, count: int) -> Iterator[bytes]:
        while count > 0 and (data := answer.read1(count)):
            if time.monotonic() > self._until:
                raise OSError("too slow")
            count -= len(data)
            yield data

    def _size(self, answer: HTTPResponse) -> int:
        if answer.status == 206:
            return int(re.sub(".*/", "", answer.headers.get("Content-Range", "")))
        self._start = 0
        size = int(answer.headers.get("Content-Length", ""))
        if size > MAX_BYTES:
            raise OSError("too large")
        return size
