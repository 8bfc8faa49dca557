"""Where the frames of a video change their size or shape in its middle, by the parameters between its frames.

OpenCV scales all frames to the size of the first one, and never says that a later one had another size or shape of
pixels. Files that state no number of frames (ts, mpg, raw H.264, HEVC, MPEG-2) hold their parameters between start
codes, which occur nowhere else in these streams. Sources: ITU-T H.264 (7.3.2.2, 7.3.3), H.265 (7.3.2.3, 7.3.6), ISO/IEC
13818-1 (2.4.3, 2.4.4) and 13818-2 (6.2.2).
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fer_edge.media.bitstream.jpegs import START, image_sizes
from fer_edge.media.bitstream.parameters import H264_SET, HEVC_SET, Bits, Frames, Kept, read_set, unit_bits
from fer_edge.media.bitstream.structure import ts_packet

CHUNK_BYTES = 1 << 20
UNIT_BYTES = 1024  # of a set of parameters, or of the start of a frame's data; real ones are shorter
MAX_FILE_BYTES = 4_000_000_000  # of a larger file nothing is claimed
HEAD_BYTES = 65_536
TS_CODECS = {0x01: "mpg1", 0x02: "mpg2", 0x1B: "h264", 0x24: "hevc"}
UNITS = {  # start codes of parameters, and of the data of frames
    "h264": re.compile(rb"\x00\x00\x01[\x01\x21\x41\x61\x25\x45\x65\x27\x47\x67\x28\x48\x68]"),
    "hevc": re.compile(rb"\x00\x00\x01[\x00-\x13\x20-\x2b\x42\x44][\x01-\x07]"),
    "mpg2": re.compile(rb"\x00\x00\x01[\x00\xb3]"),
}
H264_PICTURE, H264_KEY, H264_PICTURE_SET = 1, 5, 8  # kinds of NAL units
HEVC_PICTURE_SET, HEVC_FIRST_KEY = 34, 16
DISPLAY_ASPECTS = {2: 4 / 3, 3: 16 / 9, 4: 2.21}  # of a frame of MPEG-2, by their number
FEW_KEPT = Kept(2, 1.5)
FIELD, FRAME = 1, 2  # fields


class Part(NamedTuple):
    """Frames of one kind, one after another: `total` of them, from the byte `place` of the file on."""

    place: int
    frames: Frames
    total: int


def parts_of(path: Path, codec: str) -> list[Part]:
    """The parts of a ts, mpg or raw file in which frames are of one size and shape.

    codec: FFmpeg's code of it (h264, hevc, mpg1, mpg2, mjpg). Empty for other files and codecs, and for files of more
    than MAX_FILE_BYTES. OSError if the file is gone.
    """
    codec = "mpg2" if codec == "mpg1" else codec
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:  # a pipe has been read
        return []
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if codec == "mjpg" and head.startswith(START):
            return _joined((at, _plain(*size), FRAME) for at, *size in image_sizes(file))
        if codec in UNITS and (ts_packet(head) or head.startswith((b"\0\0\1", b"\0\0\0\1"))):
            return _joined(_Reader(codec).read(_units(file, head, codec)))
    return []


def _joined(found: Iterable[tuple[int, Frames, int]]) -> list[Part]:
    """The parts from the places of units, the frames that they belong to, and how many fields begin there."""
    parts: list[Part] = []
    for place, frames, fields in found:
        if not frames.width * frames.height * frames.aspect:  # damaged
            continue
        last = parts[-1] if parts else None
        if last is None or frames[1:5] != last.frames[1:5]:
            parts.append(Part(place, frames, fields))
        else:
            parts[-1] = last._replace(total=last.total + fields)
    return [part._replace(total=(part.total + 1) // FRAME) for part in parts if part.total]


def _plain(width: int, height: int, aspect: float = 1.0) -> Frames:
    """Frames of a codec whose parameters say only this."""
    return Frames(0, width, height, aspect, (1, 8), False, FEW_KEPT)


def first_frames(head: bytes) -> Frames | None:
    """What frames a ts or raw file of H.264 or HEVC has that begins with the bytes `head`; None for others."""
    packet = ts_packet(head)
    if packet is None and not head.startswith((b"\0\0\1", b"\0\0\0\1")):
        return None
    codec = ts_video(head, *packet)[1] if packet else _raw_codec(head)
    for found in UNITS[codec].finditer(head) if codec in ("h264", "hevc") else ():
        unit = _unit(head, found.start(), packet)
        if unit and _is_set(codec, unit):
            return read_set(codec, unit)
    return None


def ts_video(head: bytes, length: int, offset: int) -> tuple[int, str]:
    """The number (PID) and the codec of the first video in an MPEG transport stream; (-1, "") if it isn't found."""
    tables = {0}
    for start in range(offset, len(head) - 188, length):
        packet = head[start : start + 188]
        if _pid(packet) not in tables or not packet[1] & 0x40:
            continue
        payload = _payload(packet)
        section = payload[1 + payload[0] :] if payload else b""
        end = 3 + (int.from_bytes(section[1:3], "big") & 0xFFF) - 4
        if section[:1] == b"\0":  # programs
            tables |= {int.from_bytes(section[at + 2 : at + 4], "big") & 0x1FFF for at in range(8, end, 4)}
        elif section[:1] == b"\2" and len(section) > 12:  # streams of a program
            place = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
            while place + 5 <= min(end, len(section)):
                if section[place] in TS_CODECS:
                    return int.from_bytes(section[place + 1 : place + 3], "big") & 0x1FFF, TS_CODECS[section[place]]
                place += 5 + (int.from_bytes(section[place + 3 : place + 5], "big") & 0xFFF)
    return -1, ""


def _units(file: BinaryIO, head: bytes, codec: str) -> Iterator[tuple[int, bytes]]:
    """The place and the bytes of the units of a file's video, its parameters and the starts of its frames' data."""
    packet = ts_packet(head)
    wanted = ts_video(head, *packet)[0] if packet else -1
    step = CHUNK_BYTES if packet is None else CHUNK_BYTES // packet[0] * packet[0]
    start, data = 0, b""
    file.seek(0)
    while more := file.read(step + (0 if data else UNIT_BYTES)):
        data += more
        for found in UNITS[codec].finditer(data):
            if found.start() >= step and len(more) >= step:  # the next chunk has all of it
                break
            unit = _unit(data, found.start(), packet, wanted)
            if unit:
                yield start + found.start(), unit
        start, data = start + step, data[step:]


def _unit(data: bytes, place: int, packet: tuple[int, int] | None, wanted: int = -1) -> bytes:
    """The bytes behind the start code at `place`; of a transport stream, those of its stream, if that is `wanted`."""
    if packet is None:
        return data[place + 3 : place + UNIT_BYTES]
    length, offset = packet
    start = place - (place - offset) % length
    pid = _pid(data[start : start + 4])
    if pid is None or (wanted >= 0 and pid != wanted):
        return b""
    unit = data[place + 3 : start + 188]
    for following in range(start + length, min(place + UNIT_BYTES, len(data) - 187), length):
        if _pid(data[following : following + 4]) == pid:
            unit += _payload(data[following : following + 188])
    return unit


def _pid(packet: bytes) -> int | None:
    return int.from_bytes(packet[1:3], "big") & 0x1FFF if packet[:1] == b"G" else None


def _payload(packet: bytes) -> bytes:
    """What a transport packet holds behind its header and its adaptation field."""
    if not packet[3] & 0x10:
        return b""
    return packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]


def _raw_codec(head: bytes) -> str:
    """The codec of a raw stream; "" if it is neither H.264 nor HEVC."""
    kind = head[head.find(b"\1") + 1 :][:2]
    if kind[:1] in (b"\x40", b"\x42") and kind[1:] == b"\1":
        return "hevc"
    return "h264" if kind[:1] and kind[0] & 0x80 == 0 and kind[0] & 31 in (H264_SET, 9) else ""


def _is_set(codec: str, unit: bytes) -> bool:
    return unit[0] & 31 == H264_SET if codec == "h264" else unit[0] >> 1 == HEVC_SET


class _Reader:
    """Follows which sequence parameters are in force: those that the data of a key frame refers to."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._sets: dict[int, Frames] = {}
        self._pictures: dict[int, int] = {}  # number of a picture's set, and of the sequence's that it refers to
        self._now: Frames | None = None

    def read(self, units: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, Frames, int]]:
        """The place of each unit that belongs to a frame, what frames these are, and how many fields begin there."""
        read = {"h264": self._h264, "hevc": self._hevc, "mpg2": self._mpeg2}[self._codec]
        for place, unit in units:
            try:
                fields = read(unit)
            except IndexError:  # damaged
                continue
            if fields is not None and self._now is not None:
                yield place, self._now, fields

    def _h264(self, unit: bytes) -> int | None:
        kind, bits = unit[0] & 31, unit_bits(unit[1:64])
        if kind == H264_SET:
            self._keep_set(unit)
        elif kind == H264_PICTURE_SET:
            self._keep_picture_set(bits)
        elif kind in (H264_PICTURE, H264_KEY):
            is_first = bits.golomb() == 0
            bits.golomb()  # kind of slice
            pictures = bits.golomb()
            if kind == H264_KEY or self._now is None:
                self._begin(pictures)
            return self._fields(bits) if is_first else 0
        return None

    def _fields(self, bits: Bits) -> int:
        """How many fields the frame's data holds whose number follows."""
        if self._now is None or self._now.is_progressive:
            return FRAME
        bits.take(self._now.number_bits)
        return FIELD if bits.take(1) else FRAME

    def _hevc(self, unit: bytes) -> int | None:
        kind, bits = unit[0] >> 1, unit_bits(unit[2:64])
        if kind == HEVC_SET:
            self._keep_set(unit)
        elif kind == HEVC_PICTURE_SET:
            self._keep_picture_set(bits)
        elif kind < HEVC_SET:
            is_first = bits.take(1) == 1
            if kind >= HEVC_FIRST_KEY:
                bits.take(1)
                self._begin(bits.golomb())
            return FRAME * is_first
        return None

    def _keep_set(self, unit: bytes) -> None:
        frames = read_set(self._codec, unit)
        if frames is not None:
            self._sets[frames.number] = frames

    def _keep_picture_set(self, bits: Bits) -> None:
        number = bits.golomb()
        self._pictures[number] = bits.golomb()

    def _begin(self, pictures: int) -> None:
        """A key frame begins that refers to the picture's set of that number."""
        sequence = self._pictures.get(pictures)
        self._now = self._now if sequence is None else self._sets.get(sequence, self._now)

    def _mpeg2(self, unit: bytes) -> int | None:
        if unit[0] == 0:
            return FRAME
        bits = Bits(unit[1:9])
        width, height, shape = bits.take(12), bits.take(12), bits.take(4)
        if width and height and 0 < bits.take(4) < 9:  # a rate of frames that exists
            aspect = DISPLAY_ASPECTS[shape] * height / width if shape in DISPLAY_ASPECTS else 1.0
            self._now = _plain(width, height, aspect)
        return None
