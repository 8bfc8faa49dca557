"""What frames a video has and how many its decoder keeps, by the parameters of its stream.

H.264 and HEVC say in their sequence parameter sets how large frames are, how many earlier ones a frame may refer to,
and how many may wait for their turn. Sources: ITU-T H.264 (7.3.2.1.1, E.1.1, E.2.1), H.265 (7.3.2.2, 7.3.3) and ISO/IEC
14496-15 (avcC, hvcC).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

START_CODE = re.compile(b"\0\0\1")
H264_SET, HEVC_SET = 7, 33  # kinds of NAL units
HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244})
SAMPLES = {0: 1.0, 1: 1.5, 2: 2.0, 3: 3.0}  # of all planes per pixel, by the format of chroma
H264_MOTION, HEVC_MOTION = 0.6, 0.8  # bytes per pixel that FFmpeg keeps of each frame's motion
MOST_KEPT = 16  # frames, in H.264 and HEVC
MAX_CODE_BITS = 32  # of a number
MAX_BYTES = 65_536  # of parameters; real ones are shorter
SUBSAMPLING = {0: (1, 1), 1: (2, 2), 2: (2, 1), 3: (1, 1)}  # of chroma, horizontally and vertically
ASPECTS = (  # of pixels, by their number in H.264
    (1, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11), (80, 33), (18, 11), (15, 11),
    (64, 33), (160, 99), (4, 3), (3, 2), (2, 1),
)  # fmt: skip
OWN_ASPECT = 255  # width and height of a pixel follow


class Kept(NamedTuple):
    """What a decoder keeps: `frames`, as references or until they are due, and `pixel_bytes` for a pixel of each."""

    frames: int
    pixel_bytes: float


class Frames(NamedTuple):
    """What frames a sequence parameter set stands for.

    number: of the set, by which others refer to it. width, height: of a frame, in pixels. aspect: width of a pixel by
    its height; 1 if not stated, and in HEVC. samples: the format of chroma and the bits of a sample.
    is_progressive: no frame is interlaced; in HEVC not known. number_bits: of a frame's number, in H.264.
    """

    number: int
    width: int
    height: int
    aspect: float
    samples: tuple[int, int]
    is_progressive: bool
    kept: Kept
    number_bits: int = 0


def read_set(codec: str, unit: bytes) -> Frames | None:
    """What the NAL unit `unit` of h264 or hevc, a sequence parameter set, stands for; None if it is damaged."""
    try:
        return {"h264": _h264, "hevc": _hevc}[codec](unit_bits(unit))
    except (IndexError, KeyError):
        return None


def unit_bits(unit: bytes) -> "Bits":
    """The bits of a NAL unit, without the bytes that prevent start codes."""
    return Bits(unit.replace(b"\0\0\3", b"\0\0"))


def kept_frames(codec: str, parameters: bytes) -> Kept | None:
    """What a decoder of h264 or hevc keeps, by FFmpeg's extradata; None for another codec or unknown parameters."""
    readers = {
        "h264": (_avcc_units, _h264_kind, H264_SET, _h264),
        "hevc": (_hvcc_units, _hevc_kind, HEVC_SET, _hevc),
    }
    if codec not in readers:
        return None
    boxed, kind_of, kind, read = readers[codec]
    parameters = parameters[:MAX_BYTES]
    units = _start_coded(parameters) if parameters.startswith(b"\0\0") else boxed(parameters)
    found = []
    try:
        found = [read(unit_bits(unit)).kept for unit in units if unit and kind_of(unit) == kind]
    except (IndexError, KeyError):  # FFmpeg has to know what it makes of them
        return None
    return max(found, default=None)


class Bits:
    """Reads numbers of some bits from bytes; IndexError behind their end, or for one that is too large."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError(count)
        return self._value >> self._left & (1 << count) - 1

    def golomb(self) -> int:
        """An Exp-Golomb code; a signed one is as long, and not needed as a value."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > MAX_CODE_BITS:
                raise IndexError(zeros)
        return (1 << zeros) - 1 + self.take(zeros)

    def skip(self, codes: int) -> None:
        for _ in range(codes):
            self.golomb()


def _start_coded(data: bytes) -> Iterator[bytes]:
    yield from START_CODE.split(data)[1:]


def _h264_kind(unit: bytes) -> int:
    return unit[0] & 31


def _hevc_kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _avcc_units(data: bytes) -> Iterator[bytes]:
    place = 6
    for _ in range(data[5] & 31):
        end = place + 2 + int.from_bytes(data[place : place + 2], "big")
        yield data[place + 2 : end]
        place = end


def _hvcc_units(data: bytes) -> Iterator[bytes]:
    place = 23
    for _ in range(data[22]):
        count, place = int.from_bytes(data[place + 1 : place + 3], "big"), place + 3
        for _ in range(count):
            end = place + 2 + int.from_bytes(data[place : place + 2], "big")
            if end > len(data):
                return
            yield data[place + 2 : end]
            place = end


def _h264(bits: Bits) -> Frames:
    bits.take(8)
    profile = bits.take(8)
    bits.take(16)
    number = bits.golomb()
    chroma, depth = 1, 8
    if profile in HIGH_PROFILES:
        chroma = bits.golomb()
        bits.take(chroma == 3)
        depth += bits.golomb()
        bits.golomb()
        bits.take(1)
        if bits.take(1):
            _skip_scaling(bits, 12 if chroma == 3 else 8)
    number_bits = bits.golomb() + 4
    _skip_order(bits)
    references = bits.golomb()
    bits.take(1)
    width, height = 16 * (bits.golomb() + 1), 16 * (bits.golomb() + 1)
    halves = 1 if bits.take(1) else 2  # a row of macroblocks is that of a field
    bits.take(halves)
    width, height = _cropped(bits, width, halves * height, chroma, halves)
    aspect, waiting = _h264_usability(bits) if bits.take(1) else (1.0, None)
    frames = min(references, MOST_KEPT) + min(references if waiting is None else waiting, MOST_KEPT)
    kept = Kept(frames, SAMPLES[chroma] * (1 if depth == 8 else 2) + H264_MOTION)
    return Frames(number, width, height, aspect, (chroma, depth), halves == 1, kept, number_bits)


def _cropped(bits: Bits, width: int, height: int, chroma: int, halves: int = 1) -> tuple[int, int]:
    """The width and height of a frame without the margins that follow."""
    if not bits.take(1):
        return width, height
    left, right, top, bottom = (bits.golomb() for _ in range(4))
    across, down = SUBSAMPLING[chroma]
    return max(0, width - across * (left + right)), max(0, height - halves * down * (top + bottom))


def _skip_scaling(bits: Bits, lists: int) -> None:
    for number in range(lists):
        if bits.take(1):
            last = following = 8
            for _ in range(16 if number < 6 else 64):
                if following:
                    code = bits.golomb()
                    following = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
                last = following or last


def _skip_order(bits: Bits) -> None:
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.skip(2)
        bits.skip(min(bits.golomb(), 255))


def _h264_usability(bits: Bits) -> tuple[float, int | None]:
    """The shape of pixels, and how many frames may wait for their turn; None if the information doesn't say."""
    wide, high = 1, 1
    if bits.take(1):
        known = bits.take(8)
        if known == OWN_ASPECT:
            wide, high = bits.take(16), bits.take(16)
        elif known < len(ASPECTS):
            wide, high = ASPECTS[known]
    return (wide / high if wide and high else 1.0), _h264_waiting(bits)


def _h264_waiting(bits: Bits) -> int | None:
    if bits.take(1):  # overscan
        bits.take(1)
    if bits.take(1):  # kind of signal
        bits.take(4)
        bits.take(24 if bits.take(1) else 0)
    if bits.take(1):  # place of chroma
        bits.skip(2)
    if bits.take(1):  # timing
        bits.take(65)
    has_buffers = False
    for _ in range(2):
        if bits.take(1):
            has_buffers = True
            count = min(bits.golomb(), 31) + 1
            bits.take(8)
            for _ in range(count):
                bits.skip(2)
                bits.take(1)
            bits.take(20)
    bits.take(2 if has_buffers else 1)
    if not bits.take(1):
        return None
    bits.take(1)
    bits.skip(4)
    return bits.golomb()


def _hevc(bits: Bits) -> Frames:
    bits.take(16 + 4)
    layers = bits.take(3)  # below the highest
    bits.take(1 + 88 + 8)
    levels = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    bits.take(2 * (8 - layers) if layers else 0)
    for has_profile, has_level in levels:
        bits.take(88 * has_profile + 8 * has_level)
    number = bits.golomb()
    chroma = bits.golomb()
    bits.take(chroma == 3)
    width, height = bits.golomb(), bits.golomb()
    width, height = _cropped(bits, width, height, chroma)
    depth = 8 + bits.golomb()
    bits.skip(2)
    frames = 0
    for _ in range(layers + 1 if bits.take(1) else 1):
        frames = max(frames, bits.golomb() + 1)
        bits.skip(2)
    kept = Kept(min(frames, MOST_KEPT), SAMPLES[chroma] * (1 if depth == 8 else 2) + HEVC_MOTION)
    return Frames(number, width, height, 1.0, (chroma, depth), False, kept)
