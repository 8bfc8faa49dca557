"""Image formats by their bytes: the format, the size that the header claims, completeness, the number of images.

Nothing is decoded here. Sources: ITU T.81 (JPEG), PNG, GIF89a, WebP, TIFF 6.0, ISO/IEC 15444-1 (JPEG 2000) and
ISO/IEC 23008-12 (AVIF, HEIC).
"""

import re
from collections.abc import Callable
from typing import NamedTuple

# Patterns are compiled when their format comes: that shortens the start.
JPEG_MARKER = rb"\xff[^\x00\xd0-\xd7\xff]"  # what ends entropy-coded data
JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
JPEG_REDUCIBLE = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})  # libjpeg can decode a part of their size
PNM_HEAD = rb"P([1-6])(?:\s+|#[^\n]*\n)+(\d{1,9})\s(?:\s|#[^\n]*\n)*(\d{1,9})(?:\s(?:\s|#[^\n]*\n)*(\d{1,5}))?\s"
JPEG_2000_SIZE = b"\xff\x4f\xff\x51"  # the start of a codestream
MAX_STRIPS = 100_000  # of a TIFF; more are not looked at
# Bytes of memory that OpenCV's decoder takes per pixel at most, as benchmarks.speed.limits measures: pixels in BGR, and
# a copy of them for numpy. Others keep coefficients, wide integers or several canvases.
PLAIN, ANIMATED, AVIF_BYTES = 6.0, 16.0, 16.8


class Layout(NamedTuple):
    """format: its name. width, height: in pixels, 0 if unknown. complete: False if the end of the file is missing.

    images: how many the file holds: frames of an animation, pages. pixel_bytes: of memory that decoding a pixel takes.
    kept_bytes: of those, what stays if it is decoded at a part of its size; None if it can't be. scans: of a JPEG.
    """

    format: str
    width: int = 0
    height: int = 0
    complete: bool = True
    images: int = 1
    pixel_bytes: float = PLAIN
    kept_bytes: float | None = None
    scans: int = 1


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
    coefficients, kept, reducible = 0.0, 0.0, False  # bytes per pixel, where they come in several scans
    place, components, scans, complete = 2, 0, 0, None
    while complete is None and place + 4 <= len(data):
        code = data[place + 1]
        if data[place] != 0xFF or code == 0xD9:
            complete = data[place] == 0xFF
        elif code == 0xFF:
            place += 1
        elif code == 0x01 or 0xD0 <= code <= 0xD8:
            place += 2
        else:
            if code in JPEG_SIZES and not width:
                height, width = _big(data, place + 5, 2), _big(data, place + 7, 2)
                coefficients, reducible = 2 * _jpeg_samples(data, place), code in JPEG_REDUCIBLE
                kept = coefficients if code in JPEG_PROGRESSIVE else 0.0
                components = data[place + 9]
            elif code == 0xDA and width and data[place + 4] < components:
                kept = coefficients
            scans += code == 0xDA
            place += 2 + _big(data, place + 2, 2)
            if code == 0xDA:
                found = re.compile(JPEG_MARKER).search(data, place)
                place = found.start() if found else len(data)
    if complete is None:
        complete = data[place : place + 2] == b"\xff\xd9"
    memory = max(PLAIN, PLAIN / 2 + kept)
    return Layout("JPEG", width, height, complete, 1, memory, kept if reducible else None, scans)


def _jpeg_samples(data: bytes, place: int) -> float:
    """Samples per pixel of a JPEG, by the frame header at `place`: 3 without subsampling."""
    factors = [data[place + 11 + 3 * index] for index in range(data[place + 9])]
    areas = [(factor >> 4) * (factor & 15) for factor in factors]
    most = max((factor >> 4 for factor in factors), default=1) * max((factor & 15 for factor in factors), default=1)
    return sum(areas) / max(most, 1)


def _png(data: bytes) -> Layout:
    width, height, images, place, memory = _big(data, 16), _big(data, 20), 1, 8, PLAIN
    while place + 12 <= len(data):
        length, kind = _big(data, place), data[place + 4 : place + 8]
        if kind == b"acTL":
            images, memory = max(1, _big(data, place + 8)), ANIMATED
        place += 12 + length
        if kind == b"IEND":
            return Layout("PNG", width, height, True, images, memory)
    return Layout("PNG", width, height, False, images, memory)


def _gif(data: bytes) -> Layout:
    width, height, images = _little(data, 6, 2), _little(data, 8, 2), 0
    place = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while place < len(data):
        kind = data[place]
        if kind == 0x3B:
            return Layout("GIF", width, height, True, max(1, images), ANIMATED)
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
    return Layout("GIF", width, height, False, max(1, images), ANIMATED)


def _webp(data: bytes) -> Layout:
    complete, kind = 8 + _little(data, 4) <= len(data) + 1, data[12:16]  # some writers leave out a padding byte
    if kind == b"VP8X":
        width, height = 1 + _little(data, 24, 3), 1 + _little(data, 27, 3)
        if data[20] & 2:
            return Layout("WebP", width, height, complete, max(1, data.count(b"ANMF")), ANIMATED)
        return Layout("WebP", width, height, complete)
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
    tags = _tiff_tags(read, read(4, 4))
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
    width, height = first.get(256, 0), first.get(257, 0)
    stored = first.get(277, 1) * -(-max(tags.get(258, [1])) // 8)  # bytes of a pixel
    memory = PLAIN + max(1, stored if stored > 4 else 1)  # a strip or tile may be the whole image
    tile = first.get(322, 0) * first.get(323, 0)  # may be larger than the image
    memory *= max(1.0, tile / max(1, width * height))
    return Layout("TIFF", width, height, max(ends, default=0) <= len(data), pages, memory)


TIFF_TAGS = {256, 257, 258, 273, 277, 279, 322, 323, 324, 325}  # sizes, bits, strips and tiles


def _tiff_tags(read: Callable[[int, int], int], place: int) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for entry in range(place + 2, place + 2 + 12 * read(place, 2), 12):
        tag, size, count = read(entry, 2), {1: 1, 3: 2, 4: 4}.get(read(entry + 2, 2), 0), read(entry + 4, 4)
        if size and tag in TIFF_TAGS and tag not in found:
            at = entry + 8 if size * count <= 4 else read(entry + 8, 4)
            found[tag] = [read(at + size * index, size) for index in range(min(count, MAX_STRIPS))]
    return found


def _pnm(data: bytes) -> Layout:
    found = re.match(PNM_HEAD, data)
    if found is None or (found[1] not in b"14" and found[4] is None):
        return Layout("PNM", complete=False)
    width, height = int(found[2]), int(found[3])
    if found[1] in b"1234":  # text, or single bits
        return Layout("PNM", width, height)
    needed = width * height * (3 if found[1] == b"6" else 1) * (1 if int(found[4]) < 256 else 2)
    return Layout("PNM", width, height, found.end() + needed <= len(data))


def pnm_levels(data: bytes) -> int:
    """The brightest level of a PNM, 255 where OpenCV scales to that itself: up to 255 in text, and single bits."""
    found = re.match(PNM_HEAD, data)
    levels = int(found[4]) if found is not None and found[1] not in b"14" and found[4] is not None else 255
    return 255 if found is not None and found[1] in b"23" and levels < 256 else levels


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
            return _jpeg_2000(data, complete)
        sizes = [(_big(data, at.end() + 4), _big(data, at.end() + 8)) for at in re.finditer(b"ispe", data[:1_000_000])]
        width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
        counts = re.finditer(b"stsz.{8}", data[:1_000_000] if b"avis" in data[:64] else b"", re.DOTALL)
        images = max((_big(data, at.end()) for at in counts), default=1)  # of a sequence
        return Layout(name, width, height, complete, max(1, images), AVIF_BYTES)

    return read


def _jpeg_2000(data: bytes, complete: bool) -> Layout:
    """By its codestream, which is what is decoded. Each component takes 4 bytes per pixel."""
    found = re.search(JPEG_2000_SIZE, data)
    if found is None:
        return Layout("JPEG 2000", complete=False)
    at = found.start() + 8
    width, height = _big(data, at) - _big(data, at + 8), _big(data, at + 4) - _big(data, at + 12)
    return Layout("JPEG 2000", max(0, width), max(0, height), complete, 1, 4.0 * (_big(data, at + 32, 2) + 1))


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
