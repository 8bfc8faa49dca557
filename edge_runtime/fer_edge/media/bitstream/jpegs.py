"""Raw MJPEG: JPEG images, one behind the other, and the size that each states (ITU-T T.81, B.1 and B.2)."""

from collections.abc import Iterator
from typing import BinaryIO

START = b"\xff\xd8\xff"
SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of a frame's header
SCAN = 0xDA
CHUNK_BYTES, MAX_CHUNK_BYTES = 1 << 10, 1 << 18  # of the first read of a search, and of any
MAX_SEGMENTS = 1000  # before the pixels of an image
MAX_ALL_SEGMENTS = 5_000_000  # nothing is claimed of what follows; hostile bytes would take minutes


def image_sizes(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """The place, width and height of each image in `file`, without thumbnails, up to bytes that are damaged."""
    place = segments = 0
    while segments < MAX_ALL_SEGMENTS and (place := _find(file, place)) >= 0:
        size, end, count = _header(file, place)
        segments += 1 + count
        if size is not None:
            yield place, *size
        place = end


def _find(file: BinaryIO, place: int) -> int:
    """Where the next image starts; -1 if there is none."""
    file.seek(place)
    data, count = b"", CHUNK_BYTES
    while more := file.read(count):
        data += more
        if (found := data.find(START)) >= 0:
            return place + found
        place, data = place + len(data) - 2, data[-2:]
        count = min(2 * count, MAX_CHUNK_BYTES)
    return -1


def _header(file: BinaryIO, place: int) -> tuple[tuple[int, int] | None, int, int]:
    """The (width, height) of the image at `place`, None if it states none, its header's end, its segments."""
    size, place = None, place + 2
    count = 0
    while count < MAX_SEGMENTS:
        count += 1
        file.seek(place)
        head = file.read(9)
        if len(head) < 9 or head[0] != 0xFF:
            break
        if head[1] in SIZES:
            size = int.from_bytes(head[7:9], "big"), int.from_bytes(head[5:7], "big")
        place += 2 + max(2, int.from_bytes(head[2:4], "big"))
        if head[1] == SCAN:
            break
    return size, place, count
