"""Image formats by their bytes: the format, the size that the header claims, completeness, the number of images.

Nothing is decoded here. Sources: ITU T.81 (JPEG), PNG, GIF89a, WebP, TIFF 6.0 and ISO/IEC 23008-12 (AVIF, HEIC).
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # what ends entropy-coded data
JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PNM_HEAD = re.compile(
    rb"P([456])(?:\s+|#[^\n]*\n)+(\d{1,9})\s(?:\s|#[^\n]*\n)*(\d{1,9})(?:\s(?:\s|#[^\n]*\n)*(\d{1,5}))?\s"
)


class Layout(NamedTuple):
    """format: its name. width, height: in pixels, 0 if unknown. complete: False if the end of the file is missing.

    images: how many the file holds: frames of an animation, pages.
    """

    format: str
    width: int = 0
    height: int = 0
    complete: bool = True
    images: int = 1


def layout_of(data: bytes) -> Layout | None:
    """What the bytes of an image file are; None for an unknown format. Damaged headers count as incomplete."""
    for start, name, read in _READERS:
        if re.match(start, data, re.DOTALL):
            try:
                return read(data)
            except (IndexError, ValueError):
                return Layout(name, complete=False)
    return None


def _jpeg(data: bytes) -> Layout:
    width = height = 0
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return Layout("JPEG", width, height, False)
        code = data[place + 1]
        if code == 0xD9:
            return Layout("JPEG", width, height)
        if code == 0xFF:
            place += 1
            continue
        if code == 0x01 or 0xD0 <= code <= 0xD8:
            place += 2
            continue
        if code in JPEG_SIZES and not width:
            height, width = _big(data, place + 5, 2), _big(data, place + 7, 2)
        place += 2 + _big(data, place + 2, 2)
        if code == 0xDA:
            found = JPEG_MARKER.search(data, place)
            if found is None:
                return Layout("JPEG", width, height, False)
            place = found.start()
    return Layout("JPEG", width, height, data[place : place + 2] == b"\xff\xd9")


def _png(data: bytes) -> Layout:
    width, height, images, place = _big(data, 16), _big(data, 20), 1, 8
    while place + 12 <= len(data):
        length, kind = _big(data, place), data[place + 4 : place + 8]
        if kind == b"acTL":
            images = max(1, _big(data, place + 8))
        place += 12 + length
        if kind == b"IEND":
            return Layout("PNG", width, height, True, images)
    return Layout("PNG", width, height, False, images)


def _gif(data: bytes) -> Layout:
    width, height, images = _little(data, 6, 2), _little(data, 8, 2), 0
    place = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while place < len(data):
        kind = data[place]
        if kind == 0x3B:
            return Layout("GIF", width, height, True, max(1, images))
        if kind == 0x2C:
            images += 1
            flags = data[place + 9]
            place += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        elif kind == 0x21:
            place += 2
        else:
            break
        while data[place]:
            place += 1 + data[place]
        place += 1
    return Layout("GIF", width, height, False, max(1, images))


def _webp(data: bytes) -> Layout:
    complete, kind = 8 + _little(data, 4) <= len(data) + 1, data[12:16]  # some writers leave out a padding byte
    if kind == b"VP8X":
        width, height = 1 + _little(data, 24, 3), 1 + _little(data, 27, 3)
        return Layout("WebP", width, height, complete, max(1, data.count(b"ANMF")) if data[20] & 2 else 1)
    if kind == b"VP8L":
        bits = _little(data, 21)
        return Layout("WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), complete)
    return Layout("WebP", _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF, complete)


def _bmp(data: bytes) -> Layout:
    if _little(data, 14) < 40:
        return Layout("BMP", _little(data, 18, 2), _little(data, 20, 2))
    width, height = _little(data, 18), _little(data, 22)
    height = min(height, (1 << 32) - height)  # negative: stored from top to bottom
    row = (width * _little(data, 28, 2) + 31) // 32 * 4
    whole = _little(data, 30) not in (0, 3) or _little(data, 10) + row * height <= len(data)
    return Layout("BMP", width, height, whole)


def _tiff(data: bytes) -> Layout:
    read: Callable[[int, int], int] = (lambda at, size: _little(data, at, size)) if data[:1] == b"I" else (
        lambda at, size: _big(data, at, size)
    )  # fmt: skip
    tags = dict(_tiff_tags(data, read, read(4, 4)))
    first = {tag: values[0] for tag, values in tags.items() if values}
    ends = [
        offset + length
        for offsets, lengths in ((273, 279), (324, 325))
        for offset, length in zip(tags.get(offsets, []), tags.get(lengths, []), strict=False)
    ]
    pages, seen, place = 0, set[int](), read(4, 4)
    while place and place not in seen and len(seen) < 10_000:
        seen.add(place)
        pages += 1
        place = read(place + 2 + 12 * read(place, 2), 4)
    return Layout("TIFF", first.get(256, 0), first.get(257, 0), max(ends, default=0) <= len(data), pages)


def _tiff_tags(data: bytes, read: Callable[[int, int], int], place: int) -> Iterator[tuple[int, list[int]]]:
    for entry in range(place + 2, place + 2 + 12 * read(place, 2), 12):
        size, count = {3: 2, 4: 4}.get(read(entry + 2, 2), 0), read(entry + 4, 4)
        if size:
            at = entry + 8 if size * count <= 4 else read(entry + 8, 4)
            yield read(entry, 2), [read(at + size * index, size) for index in range(min(count, len(data) // size))]


def _pnm(data: bytes) -> Layout:
    found = PNM_HEAD.match(data)
    if found is None or (found[1] != b"4" and found[4] is None):
        return Layout("PNM", complete=not data.startswith((b"P4", b"P5", b"P6")))
    width, height = int(found[2]), int(found[3])
    if found[1] == b"4":
        return Layout("PNM", width, height)
    needed = width * height * (3 if found[1] == b"6" else 1) * (1 if int(found[4]) < 256 else 2)
    return Layout("PNM", width, height, found.end() + needed <= len(data))


def _boxed(name: str) -> Callable[[bytes], Layout]:
    """A format of boxes (ISO/IEC 14496-12): complete if every box ends inside the file."""

    def read(data: bytes) -> Layout:
        place, complete = 0, True
        while place + 8 <= len(data):
            length = _big(data, place)
            length = _big(data, place + 8, 8) if length == 1 else length
            if length == 0 or not any(data[place : place + 8]):
                break
            place += max(length, 8)
            complete = place <= len(data)
        if name == "JPEG 2000":
            at = data.find(b"ihdr")
            return Layout(name, _big(data, at + 8), _big(data, at + 4), complete and at > 0)
        sizes = [(_big(data, at.end() + 4), _big(data, at.end() + 8)) for at in re.finditer(b"ispe", data[:1_000_000])]
        width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
        return Layout(name, width, height, complete)

    return read


def _big(data: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(_slice(data, at, size), "big")


def _little(data: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(_slice(data, at, size), "little")


def _slice(data: bytes, at: int, size: int) -> bytes:
    if at < 0 or at + size > len(data):
        raise IndexError(at)
    return data[at : at + size]


_READERS: tuple[tuple[bytes, str, Callable[[bytes], Layout]], ...] = (
    (rb"\xff\xd8\xff", "JPEG", _jpeg),
    (rb"\x89PNG\r\n\x1a\n", "PNG", _png),
    (rb"GIF8[79]a", "GIF", _gif),
    (rb"RIFF....WEBP", "WebP", _webp),
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", "BMP", _bmp),
    (rb"II\*\0|MM\0\*", "TIFF", _tiff),
    (rb"P[1-6]\s", "PNM", _pnm),
    (rb"\0\0\0\x0cjP  ", "JPEG 2000", _boxed("JPEG 2000")),
    (rb"....ftyp(?:avif|avis)", "AVIF", _boxed("AVIF")),
    (rb"....ftyp(?:heic|heix|hevc|hevx|heim|heis|mif1|msf1)", "HEIC", _boxed("HEIC")),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL", lambda _data: Layout("JPEG XL")),
)
