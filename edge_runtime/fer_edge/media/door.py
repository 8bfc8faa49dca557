"""The one way from an image file's bytes to pixels, for fer-edge and fer-train.

The content decides what a file is, never its name. It is decoded from memory: OpenCV's readers of files ignore some
orientations, take the first tile of an AVIF, and crash on names that are not UTF-8.
"""

from typing import NamedTuple

import numpy as np

from fer_edge.framing import Image
from fer_edge.guards.limits import MAX_DECODING_BYTES, MAX_PIXELS, Limit
from fer_edge.media.formats import PLAIN, Layout, layout_of, pnm_levels
from fer_edge.opencv import cv2

CUT_SHORT = "the {} is cut short: copy or download it again"
ENDS_EARLY = "premature end of data segment"  # libjpeg, where an end marker comes before the last pixels
PLAIN_LEVELS = (255, 65535)  # which OpenCV scales rightly
UNREAD_FORMATS = ("HEIC", "JPEG XL")
# libjpeg can decode a half, a quarter or an eighth of the width and height, without ever holding all pixels. So large
# photos are read. That takes time for each pixel of the file, so there is a bound: 200 million fit, as phones have.
REDUCTIONS = (2, 4, 8)
AVIF_PADDING = 64  # pixels by which a coded side may be longer
MAX_SCANS = 200  # of a JPEG; encoders make ten or so, and each one goes over all pixels
REDUCIBLE_TIMES = 6  # as many pixels as MAX_PIXELS
REDUCE_FLAG = {1: 0, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
               8: cv2.IMREAD_REDUCED_GRAYSCALE_8}  # fmt: skip


class Picture(NamedTuple):
    """A decoded image, uint8 BGR [H, W, 3] or gray [H, W], upright; `note`: what of its file was left out, or "".

    size: (width, height) of the image in its own pixels, upright, if it was decoded at a part of that size.
    """

    image: Image
    note: str = ""
    size: tuple[int, int] | None = None

    @property
    def scale(self) -> tuple[float, float]:
        """The image's own pixels per pixel of `image`, in x and y."""
        if self.size is None:
            return 1.0, 1.0
        return self.size[0] / self.image.shape[1], self.size[1] / self.image.shape[0]


class Plan(NamedTuple):
    """How an image file is decoded: at 1 / `reduction` of its width and height, in `needed` bytes of memory."""

    layout: Layout
    reduction: int
    needed: int


def decoding_bytes(layout: Layout, file_bytes: int, reduction: int = 1) -> int:
    """Bytes of memory that decoding an image takes: those of its file, of its pixels and of what the decoder keeps."""
    pixel_bytes = layout.pixel_bytes
    if reduction > 1:
        part = reduction * reduction
        pixel_bytes = max(PLAIN / part, PLAIN / 2 / part + (layout.kept_bytes or 0.0))
    return file_bytes + round(layout.width * layout.height * pixel_bytes)


def decode_image(
    data: bytes, flags: int = cv2.IMREAD_COLOR, memory: Limit = MAX_DECODING_BYTES, pixels: Limit = MAX_PIXELS
) -> Picture:
    """Decode an image file, turned upright by its Exif orientation (AVIF: irot and imir); of several in it, the first.

    flags: of cv2.imdecode. memory, pixels: the most bytes that decoding may take, and the most pixels to decode. A JPEG
    of more is decoded at a part of its size. Raises ValueError, which says why, for a file that is not an image, is cut
    short, damaged or too large.
    """
    from fer_edge.media.library_messages import library_messages  # a start without images is faster

    layout, reduction, _ = decoding_plan(data, memory, pixels)
    levels = pnm_levels(data) if layout.format == "PNM" else PLAIN_LEVELS[0]
    if levels not in PLAIN_LEVELS:
        flags |= cv2.IMREAD_ANYDEPTH
    steps = _steps_upright(data, layout)
    if steps:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    with library_messages() as messages:
        try:
            decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags | REDUCE_FLAG[reduction])
        except cv2.error:  # more pixels than OpenCV's own limit
            decoded = None
    if ENDS_EARLY in messages():
        raise ValueError(CUT_SHORT.format(layout.format))
    if decoded is None:
        kind = ", or of a kind that OpenCV can't read" if layout.format == "TIFF" else ""
        raise ValueError(f"the {layout.format} is damaged{kind}")
    if levels not in PLAIN_LEVELS:  # OpenCV takes 100 of 100 for 100 of 255
        decoded = cv2.convertScaleAbs(decoded, alpha=PLAIN_LEVELS[0] / levels)
    image = np.asarray(decoded, dtype=np.uint8)
    if layout.format == "AVIF" and image.shape[0] * image.shape[1] < layout.width * layout.height // 2:
        raise ValueError("the AVIF consists of tiles, of which OpenCV reads one: convert it to JPEG")
    if reduction > 1:
        return _reduced(image, layout, memory, pixels)
    note = f"the first of its {layout.images} images is used" if layout.images > 1 else ""
    return Picture(_turned(image, steps), note)


def _steps_upright(data: bytes, layout: Layout) -> list[tuple[bytes, int]]:
    if layout.format != "AVIF":
        return []
    from fer_edge.media.avif import turns  # few images are AVIF

    return turns(data)


def _turned(image: Image, steps: list[tuple[bytes, int]]) -> Image:
    """`image` after the turns to the left and the mirroring that an AVIF asks for, which OpenCV leaves out."""
    for kind, value in steps:
        image = np.rot90(image, value) if kind == b"irot" else np.flip(image, value & 1)
    return np.ascontiguousarray(image) if steps else image


def _reduced(image: Image, layout: Layout, memory: Limit, pixels: Limit) -> Picture:
    """What was decoded at a part of its size; by its shape, whether its Exif orientation has turned it."""
    height, width = image.shape[:2]
    long, short = max(layout.width, layout.height), min(layout.width, layout.height)
    size = (long, short) if width > height else (short, long)
    note = (
        f"it is read at {width} x {height} of its {size[0]} x {size[1]} pixels, in which boxes are given: it is larger "
        f"than {pixels.variable} or {memory.variable} allows"
    )
    return Picture(image, note, size)


def reduction_for(layout: Layout, file_bytes: int, memory: int, pixels: int) -> int | None:
    """The least of 1 and REDUCTIONS at which an image stays within both bounds; None if there is none."""
    claimed = layout.width * layout.height
    can_be_reduced = layout.kept_bytes is not None and claimed <= pixels * REDUCIBLE_TIMES
    candidates: tuple[int, ...] = (1, *REDUCTIONS) if can_be_reduced else (1,)
    for reduction in candidates:
        if claimed <= pixels * reduction * reduction and decoding_bytes(layout, file_bytes, reduction) <= memory:
            return reduction
    return None


def decoding_plan(data: bytes, memory: Limit = MAX_DECODING_BYTES, pixels: Limit = MAX_PIXELS) -> Plan:
    """How an image file may be decoded; ValueError, as of `decode_image`, if it may not."""
    if not data:
        raise ValueError("the file is empty")
    layout = layout_of(data)
    if layout is None:
        raise ValueError("it is not an image, or is damaged")
    if layout.format in UNREAD_FORMATS:
        raise ValueError(f"OpenCV can't read {layout.format}: convert it to JPEG")
    if not layout.complete:
        raise ValueError(CUT_SHORT.format(layout.format))
    if not layout.width or not layout.height:
        raise ValueError(f"the {layout.format} is damaged")
    if layout.format == "AVIF" and _contradicts_itself(data, layout):
        raise ValueError("the AVIF is damaged: its picture is larger than its header says")
    if layout.scans > MAX_SCANS:
        raise ValueError(f"the {layout.format} has {layout.scans:,} scans, which would take very long: save it again")
    reduction = reduction_for(layout, len(data), memory.value, pixels.value)
    if reduction is None:
        raise ValueError(_too_large(layout, len(data), memory, pixels))
    return Plan(layout, reduction, decoding_bytes(layout, len(data), reduction))


def _contradicts_itself(data: bytes, layout: Layout) -> bool:
    from fer_edge.media.avif import coded_pixels  # few images are AVIF

    return coded_pixels(data) > layout.width * layout.height + AVIF_PADDING * (layout.width + layout.height)


def _too_large(layout: Layout, file_bytes: int, memory: Limit, pixels: Limit) -> str:
    claim = f"it claims {layout.width} x {layout.height} pixels, "
    most, reduction = pixels.value, 1
    if layout.kept_bytes is not None:
        most, reduction = most * REDUCIBLE_TIMES, REDUCTIONS[-1]
    if layout.width * layout.height > most:
        return f"{claim}more than {most:,}: set {pixels.variable}"
    needed = decoding_bytes(layout, file_bytes, reduction)
    return (
        f"{claim}for which a {layout.format} takes {needed / 1e6:,.0f} MB, more than {memory.value / 1e6:,.0f}: "
        f"set {memory.variable}"
    )
