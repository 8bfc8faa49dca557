"""Video containers that consist of small parts, one after another: where their chain of parts breaks.

A walk from part to part ends at the file's end if the file is healthy, behind it if the last part is cut, and before it
where bytes are damaged or lost. Sources: RFC 9559 (mkv, webm), ISO/IEC 13818-1 (ts, mpg), RFC 3533 (ogg), FLV 10.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

CLUSTER = b"\x1fC\xb6u"
EBML_PARTS = {  # children of the segment, then those of a cluster
    CLUSTER, b"\x11M\x9bt", b"\x15I\xa9f", b"\x16T\xaek", b"\x1cS\xbbk", b"\x19A\xa4i", b"\x10C\xa7p", b"\x12T\xc3g",
    b"\xec", b"\xbf", b"\xa3", b"\xa0", b"\xe7", b"\xab", b"\xa7", b"\xaf", b"XT",
}  # fmt: skip
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
PACKETS_PER_READ = 4096
TAIL_BYTES = 1_000_000  # in which a part begins


def is_damaged(path: Path) -> bool:
    """True if the chain of parts of an mkv, webm, ts, mpg, ogg, flv, avi or asf file breaks before the file's end."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1024)
        if head.startswith(b"\x1aE\xdf\xa3"):
            return ebml_end(file, size) < size
        if head.startswith(b"FLV"):
            return _flv(file, 13, size) < size
        if packet := ts_packet(head):
            return _has_lost_sync(file, *packet)
        if head.startswith(ASF):
            return _has_lost_packets(file, head)
        walk, _ = _walker(head)
        return walk is not None and walk(file, 0, size) < size


def ends_in_a_part(file: BinaryIO, size: int) -> bool:
    """True if the last part of an mpg or ogg file is not complete."""
    file.seek(0)
    walk, start = _walker(file.read(4))
    if walk is None:
        return False
    first = max(0, size - TAIL_BYTES)
    file.seek(first)
    tail = file.read()
    place = tail.find(start)
    while place >= 0:
        end = walk(file, first + place, size)
        if end >= size:
            return end > size
        place = tail.find(start, place + 1)
    return False


def ts_packet(head: bytes) -> tuple[int, int] | None:
    """The bytes of a packet of an MPEG transport stream and where its sync byte is in it; None for other files."""
    for length, offset in ((188, 0), (192, 4)):
        if len(head) > offset + 2 * length and head[offset : offset + 2 * length + 1 : length] == b"GGG":
            return length, offset
    return None


Walk = Callable[[BinaryIO, int, int], int]


def _walker(head: bytes) -> tuple[Walk | None, bytes]:
    """How to walk through the parts of a file that starts with `head`, and the bytes that a part starts with."""
    if head.startswith(b"OggS"):
        return _ogg, b"OggS"
    if head.startswith(b"RIFF"):
        return _riff, b"RIFF"
    return (_program, b"\0\0\1\xba") if head.startswith(b"\0\0\1\xba") else (None, b"")


def ebml_end(file: BinaryIO, size: int) -> int:
    """Where the chain of parts of an mkv or webm file ends."""
    place, is_first = 0, True
    while place < size:
        file.seek(place)
        head = file.read(12)
        length = 9 - head[0].bit_length()
        name, (content, begin) = head[:length], vint(head, length)
        if is_first or name == b"\x18S\x80g" or name == CLUSTER:  # their children follow
            place += begin + (max(content, 0) if is_first else 0)
        elif name in EBML_PARTS and content >= 0:
            place += begin + content
        else:
            return place
        is_first = False
    return place


def _flv(file: BinaryIO, place: int, size: int) -> int:
    while place < size:
        file.seek(place)
        head = file.read(4)
        length = 11 + int.from_bytes(head[1:], "big")
        file.seek(place + length)
        stated = file.read(4)
        if head[0] & 0x1F not in (8, 9, 18) or (len(stated) == 4 and int.from_bytes(stated, "big") != length):
            return place
        place += length + 4
    return place


def _has_lost_sync(file: BinaryIO, length: int, offset: int) -> bool:
    file.seek(0)
    while data := file.read(length * PACKETS_PER_READ):
        if data[offset::length].strip(b"G"):
            return True
    return False


def _has_lost_packets(file: BinaryIO, head: bytes) -> bool:
    """For ASF (wmv), whose packets have one size and start with a byte of error correction; some leave that out."""
    place = head.find(ASF_FILE)
    packet, most = (int.from_bytes(head[place + at : place + at + 4], "little") for at in (92, 96))
    file.seek(int.from_bytes(head[16:24], "little"))
    start = file.read(51)
    if place < 0 or packet != most or packet < 100 or len(start) < 51 or not start[50] & 0x80:
        return False
    count = (int.from_bytes(start[16:24], "little") - 50) // packet
    file.seek(-1, 1)
    while count > 0 and (data := file.read(packet * min(count, PACKETS_PER_READ))):
        if any(byte < 0x80 for byte in data[::packet]):
            return True
        count -= PACKETS_PER_READ
    return False


def _riff(file: BinaryIO, place: int, size: int) -> int:
    """For AVI: its lists of the film's parts are entered, and others are passed."""
    while place + 8 <= size:
        file.seek(place)
        head = file.read(12)
        if not re.fullmatch(rb"[ -~]{4}", head[:4]):
            return place
        length = int.from_bytes(head[4:8], "little")
        is_list = head[:4] == b"RIFF" or (head[:4] == b"LIST" and head[8:] == b"movi")
        place += 12 if is_list else 8 + length + length % 2
    return size


def _ogg(file: BinaryIO, place: int, size: int) -> int:
    while place < size:
        file.seek(place)
        head = file.read(27 + 255)
        if not head.startswith(b"OggS"):
            return place
        count = head[26] if len(head) > 26 else 0
        place += 27 + count + sum(head[27 : 27 + count])
    return place


def _program(file: BinaryIO, place: int, size: int) -> int:
    while place < size:
        file.seek(place)
        head = file.read(14)
        if not head.startswith(b"\0\0\1"[: len(head)]) or (len(head) > 3 and head[3] < 0xB9):
            return place
        if len(head) < 14 and head[3:4] != b"\xb9":
            return size + 1
        if head[3] == 0xB9:  # the end
            place += 4
        elif head[3] == 0xBA:
            place += 14 + (head[13] & 7) if head[4] & 0xC0 == 0x40 else 12
        else:
            place += 6 + int.from_bytes(head[4:6], "big")
    return place


def empty_packets(path: Path) -> int:
    """How many packets of an ogg file are empty, which in Theora repeats the frame before; 0 for other files."""
    size, place, empty = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            head = file.read(27 + 255)
            if not head.startswith(b"OggS") or len(head) < 27:
                break
            lengths = head[27 : 27 + head[26]]  # a packet ends with a length below 255
            continued = bool(head[5] & 1)
            ends = [continued, *(length == 255 for length in lengths)] if 0 in lengths else []
            empty += sum(not length and not open_before for length, open_before in zip(lengths, ends, strict=False))
            place += 27 + len(lengths) + sum(lengths)
    return empty


def vint(data: bytes, place: int) -> tuple[int, int]:
    """An EBML size, -1 if it is unknown, and the place behind it."""
    first = data[place] if place < len(data) else 0
    if not first:
        return -1, len(data)
    length = 9 - first.bit_length()
    value = int.from_bytes(data[place : place + length], "big") & ((1 << 7 * length) - 1)
    return (-1 if value == (1 << 7 * length) - 1 else value), place + length
