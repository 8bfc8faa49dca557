"""Where the frames of a video change their size or shape in its middle, by the parameters between its frames.

OpenCV scales all frames to the size of the first one, and never says that a later one had another size or shape of
pixels. Files that state no number of frames (ts, mpg, raw H.264, HEVC, MPEG-2) hold their parameters between start
codes, which occur nowhere else in these streams. Sources: ITU-T H.264 (7.3.2.2, 7.3.3), H.265 (7.3.2.3, 7.3.6), ISO/IEC
13818-2 (6.2.2, 6.2.3) and 11172-2 (2.4.3.2).
"""

import io
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from fer_edge.media.bitstream.elementary import Piece, is_program, moved_video, ts_layout, ts_videos, video_pieces
from fer_edge.media.bitstream.jpegs import START, image_sizes
from fer_edge.media.bitstream.parameters import H264_SET, HEVC_SET, Bits, Frames, Kept, read_set, unit_bits

UNIT_BYTES = 1024  # of a set of parameters, or of the start of a frame's data; real ones are shorter
MAX_FILE_BYTES = 4_000_000_000  # of a larger file nothing is claimed
MAX_PARTS = 1000
MAX_UNITS = 1_000_000  # nothing is claimed of what follows; hostile bytes would take minutes
UNITS = {  # start codes of parameters, and of the data of frames
    "h264": re.compile(rb"\x00\x00\x01[\x01\x21\x41\x61\x25\x45\x65\x27\x47\x67\x28\x48\x68]"),
    "hevc": re.compile(rb"\x00\x00\x01[\x00-\x13\x20-\x2b\x42\x44][\x01-\x07]"),
    "mpg1": re.compile(rb"\x00\x00\x01[\x00\xb3]"),
    "mpg2": re.compile(rb"\x00\x00\x01(?:[\x00\xb3]|\xb5[\x10-\x1f\x80-\x8f])"),
}
SETS = {"h264": H264_SET, "hevc": HEVC_SET}
H264_PICTURE, H264_KEY, H264_PICTURE_SET = 1, 5, 8  # kinds of NAL units
HEVC_PICTURE_SET, HEVC_FIRST_KEY = 34, 16
DISPLAY_ASPECTS = {2: 4 / 3, 3: 16 / 9, 4: 2.21}  # of a frame of MPEG-2, by their number
MPEG1_ASPECTS = (  # height of a pixel by its width, by their number in MPEG-1
    1.0, 1.0, 0.6735, 0.7031, 0.7615, 0.8055, 0.8437, 0.8935, 0.9157, 0.9815, 1.0255, 1.0695, 1.0950, 1.1575, 1.2015,
)  # fmt: skip
MPEG2_PICTURE, MPEG2_SEQUENCE, SEQUENCE_EXTENSION, PICTURE_EXTENSION, WHOLE_FRAME = 0, 0xB3, 1, 8, 3
FEW_KEPT = Kept(2, 1.5)
FIELD, FRAME = 1, 2  # fields


class Part(NamedTuple):
    """Frames of one size and shape: `total` of them, the first of them near the byte `place` of the file."""

    place: int
    frames: Frames
    total: int


def parts_of(path: Path, codec: str) -> list[Part]:
    """The parts of a ts, mpg or raw file whose frames are of one size and shape, by their first frame.

    codec: FFmpeg's code of it (h264, hevc, mpg1, mpg2, mjpg). Empty for other files and codecs, and for files of more
    than MAX_FILE_BYTES. OSError if the file is gone.
    """
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:  # a pipe has been read
        return []
    with path.open("rb") as file:
        if codec == "mjpg" and file.read(len(START)) == START:
            return _joined((at, _plain(*size), FRAME) for at, *size in image_sizes(file))
        if codec in UNITS:
            return _joined(_Reader(codec).read(_units(video_pieces(file, codec), codec)))
    return []


def moved_frames(path: Path, codec: str) -> int:
    """How many frames of a ts file follow under another number (PID); 0 for other files. OSError if it is gone."""
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        return 0
    with path.open("rb") as file:
        moved = moved_video(file, path.stat().st_size, "mpg2" if codec == "mpg1" else codec)
        parts = _joined(_Reader(moved[0]).read(_units(moved[1], moved[0]))) if moved else []
    return sum(part.total for part in parts)


def _joined(found: Iterable[tuple[int, Frames, int]]) -> list[Part]:
    """The parts from the places of units, the frames that they belong to, and how many fields begin there."""
    parts: dict[tuple[object, ...], Part] = {}
    for place, frames, fields in found:
        if not frames.width * frames.height * frames.aspect:  # damaged
            continue
        kind = frames[1:5]
        if kind not in parts:
            if len(parts) == MAX_PARTS:
                break
            parts[kind] = Part(place, frames, 0)
        parts[kind] = parts[kind]._replace(total=parts[kind].total + fields)
    return [part._replace(total=(part.total + 1) // FRAME) for part in parts.values() if part.total > 0]


def _plain(width: int, height: int, aspect: float = 1.0) -> Frames:
    """Frames of a codec whose parameters say only this."""
    return Frames(0, width, height, aspect, (1, 8), False, FEW_KEPT)


def _shaped(width: int, height: int, shape: int) -> Frames:
    """Frames of MPEG-2, by the number of their shape."""
    return _plain(width, height, DISPLAY_ASPECTS[shape] * height / width if shape in DISPLAY_ASPECTS else 1.0)


def first_frames(head: bytes) -> Frames | None:
    """What frames a ts, mpg or raw file of H.264 or HEVC has that begins with the bytes `head`; None for others."""
    for codec in _possible_codecs(head):
        for _, unit in _units(video_pieces(io.BytesIO(head), codec), codec):
            if _is_set(codec, unit):
                return read_set(codec, unit)
    return None


def _possible_codecs(head: bytes) -> Collection[str]:
    if head.startswith((b"\0\0\1", b"\0\0\0\1")):
        return () if is_program(head) else {_raw_codec(head)} & SETS.keys()
    layout = ts_layout(head)
    return ts_videos(head, layout).keys() & SETS.keys() if layout else ()


def _units(pieces: Iterable[Piece], codec: str) -> Iterator[tuple[int, bytes]]:
    """The place and the bytes of the units of a video, its parameters and the starts of its frames' data."""
    return islice(_all_units(pieces, UNITS[codec]), MAX_UNITS)


def _all_units(pieces: Iterable[Piece], pattern: re.Pattern[bytes]) -> Iterator[tuple[int, bytes]]:
    start, data = 0, b""
    for place, piece in chain(pieces, [(None, b"")]):
        start, data = start if place is None else place - len(data), data + piece
        end = len(data) if place is None else max(0, len(data) - UNIT_BYTES)  # the next piece completes the others
        for found in pattern.finditer(data):
            if found.start() >= end:
                break
            yield start + found.start(), data[found.start() + 3 : found.start() + UNIT_BYTES]
        start, data = start + end, data[end:]


def _raw_codec(head: bytes) -> str:
    """The codec of a raw stream; "" if it is neither H.264 nor HEVC."""
    kind = head[head.find(b"\1") + 1 :][:2]
    if kind[:1] in (b"\x40", b"\x42") and kind[1:] == b"\1":
        return "hevc"
    return "h264" if kind[:1] and kind[0] & 0x80 == 0 and kind[0] & 31 in (H264_SET, 9) else ""


def _is_set(codec: str, unit: bytes) -> bool:
    return (unit[0] & 31 if codec == "h264" else unit[0] >> 1) == SETS[codec]


class _Reader:
    """Follows which sequence parameters are in force: those that the data of a key frame refers to."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._sets: dict[int, Frames] = {}
        self._pictures: dict[int, int] = {}  # number of a picture's set, and of the sequence's that it refers to
        self._now: Frames | None = None
        self._shape = 0  # the number of MPEG-2 for it

    def read(self, units: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, Frames, int]]:
        """The place of each unit that belongs to a frame, what frames these are, and how many fields begin there."""
        read = {"h264": self._h264, "hevc": self._hevc, "mpg1": self._mpeg2, "mpg2": self._mpeg2}[self._codec]
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
        bits = Bits(unit[1:9])
        if unit[0] == MPEG2_PICTURE:
            return FRAME
        if unit[0] == MPEG2_SEQUENCE:
            self._begin_sequence(bits)
        elif (kind := bits.take(4)) == SEQUENCE_EXTENSION and self._now is not None:
            bits.take(11)
            wide, high = bits.take(2) << 12, bits.take(2) << 12
            self._now = _shaped(self._now.width | wide, self._now.height | high, self._shape)
        elif kind == PICTURE_EXTENSION:  # of the picture before
            bits.take(18)
            return 0 if bits.take(2) == WHOLE_FRAME else FIELD - FRAME
        return None

    def _begin_sequence(self, bits: Bits) -> None:
        width, height, shape = bits.take(12), bits.take(12), bits.take(4)
        if width and height and 0 < bits.take(4) < 9:  # a rate of frames that exists
            if self._codec == "mpg1":
                self._now = _plain(width, height, 1 / MPEG1_ASPECTS[shape] if 0 < shape < 15 else 1.0)
            else:
                self._shape, self._now = shape, _shaped(width, height, shape)
