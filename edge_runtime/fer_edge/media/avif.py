"""What OpenCV does not read of an AVIF: how its picture is turned, and the size of the pictures that it really holds.

Its boxes may claim a smaller size than its decoder then allocates. Every sequence header counts, of each part that an
item or a track points to. Sources: ISO/IEC 14496-12 (iloc, stco), ISO/IEC 23008-12 (ipma, irot, imir) and the AV1
bitstream specification (5.3, 5.5).
"""

import re
from collections.abc import Iterator

from fer_edge.media.bitstream.parameters import Bits
from fer_edge.media.containers import child_boxes, inner_box

MAX_ITEMS = 1000
SEQUENCE_HEADER = 1  # a kind of open bitstream unit (OBU)


def coded_pixels(data: bytes) -> int:
    """Pixels of the largest picture that the AV1 data of an AVIF may have; 0 if none is found."""
    most = 0
    for part in _parts(data):
        for header in _sequence_headers(part):
            try:
                most = max(most, _pixels(Bits(header)))
            except IndexError:  # cut: the decoder refuses it, too
                continue
    return most


def turns(data: bytes) -> list[tuple[bytes, int]]:
    """How the main picture of an AVIF is turned: (b"irot", quarter turns to the left) and (b"imir", axis), in order.

    Phones and converters write these instead of an Exif orientation, which they take precedence over.
    """
    meta = inner_box(memoryview(data), b"meta")
    main = None if meta is None else inner_box(meta[4:], b"pitm")
    properties = None if meta is None else inner_box(meta[4:], b"iprp")
    if not main or not properties:
        return []
    item = int.from_bytes(main[4 : 8 if main[0] else 6], "big")
    boxes = list(child_boxes(inner_box(properties, b"ipco") or memoryview(b"")))
    links = [bytes(box) for kind, box in child_boxes(properties) if kind == b"ipma"]
    named = [boxes[index - 1] for box in links for index in _associated(box, item) if 0 < index <= len(boxes)]
    return [(kind, box[0] & 3) for kind, box in named if kind in (b"irot", b"imir") and box]


def _associated(box: bytes, item: int) -> list[int]:
    """The numbers of an item's properties, by an ipma box."""
    number = _Numbers(box, 0)
    version, flags = number.take(1), number.take(3)
    for _ in range(min(number.take(4), MAX_ITEMS)):
        owner = number.take(4 if version else 2)
        found = [number.take(2) & 0x7FFF if flags & 1 else number.take(1) & 0x7F for _ in range(number.take(1))]
        if owner == item:
            return found
    return []


def _parts(data: bytes) -> Iterator[bytes]:
    """The bytes of each item, and those of each track from its first chunk on."""
    inside = data.find(b"idat") + 4
    for found in re.finditer(b"iloc", data):
        for in_idat, place, length in _extents(data, found.end()):
            start = place + (inside if in_idat else 0)
            yield data[start : start + length] if length else data[start:]
    for name, size in ((b"stco", 4), (b"co64", 8)):
        for found in re.finditer(name, data):
            first = found.end() + 8
            yield data[int.from_bytes(data[first : first + size], "big") :]


def _extents(data: bytes, at: int) -> list[tuple[bool, int, int]]:
    """(whether it is in the idat box, place, length) of every item's first extent, by the iloc box at `at`."""
    number = _Numbers(data, at)
    version = number.take(1)
    number.take(3)
    sizes = number.take(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    extents = []
    for _ in range(min(number.take(4 if version == 2 else 2), MAX_ITEMS)):
        number.take(4 if version == 2 else 2)
        in_idat = version > 0 and number.take(2) & 15 == 1
        number.take(2)
        base = number.take(base_size)
        for _ in range(min(number.take(2), MAX_ITEMS)):
            number.take(index_size if version > 0 else 0)
            extents.append((in_idat, base + number.take(offset_size), number.take(length_size)))
        if number.is_at_end:
            break
    return extents[:MAX_ITEMS]


class _Numbers:
    """Big-endian numbers, one behind the other; 0 behind the end."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def take(self, size: int) -> int:
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at], "big")

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._data)


def _sequence_headers(part: bytes) -> Iterator[bytes]:
    place = 0
    while place + 1 < len(part):
        kind, has_extension, has_size = part[place] >> 3 & 15, part[place] & 4, part[place] & 2
        place += 2 if has_extension else 1
        length, place = _leb128(part, place) if has_size else (len(part) - place, place)
        if kind == SEQUENCE_HEADER:
            yield part[place : place + min(length, 200)]
        place += length


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    for index, byte in enumerate(data[place : place + 8]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, place + index + 1
    return len(data), place


def _pixels(bits: Bits) -> int:
    """Width times height, by a sequence header."""
    bits.take(4)
    if bits.take(1):  # the short form of still pictures
        bits.take(5)
    else:
        _skip_operating_points(bits)
    wide, high = bits.take(4) + 1, bits.take(4) + 1
    return (bits.take(wide) + 1) * (bits.take(high) + 1)


def _skip_operating_points(bits: Bits) -> None:
    delay_bits = None
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):
            bits.golomb()
        if bits.take(1):  # a model of the decoder
            delay_bits = bits.take(5) + 1
            bits.take(42)
    has_display_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        bits.take(1 if bits.take(5) > 7 else 0)
        if delay_bits is not None and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if has_display_delay and bits.take(1):
            bits.take(4)
