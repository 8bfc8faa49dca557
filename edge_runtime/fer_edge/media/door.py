"""The one way from an image file's bytes to pixels, for fer-edge and fer-train.

The content decides what a file is, never its name. It is decoded from memory: OpenCV's readers of files ignore some
orientations, take the first tile of an AVIF, and crash on names that are not UTF-8.
"""

from typing import NamedTuple

import numpy as np

from fer_edge.framing import Image
from fer_edge.guards.limits import MAX_DECODING_BYTES, MAX_PIXELS, Limit
from fer_edge.media.formats import Layout, layout_of
from fer_edge.opencv import cv2

UNREAD_FORMATS = ("HEIC", "JPEG XL")


class Picture(NamedTuple):
    """A decoded image, uint8 BGR [H, W, 3] or gray [H, W], upright; `note`: what of its file was left out, or ""."""

    image: Image
    note: str = ""


def decoding_bytes(layout: Layout, file_bytes: int) -> int:
    """Bytes of memory that decoding an image takes: those of its file, of its pixels and of what the decoder keeps."""
    return file_bytes + round(layout.width * layout.height * layout.pixel_bytes)


def decode_image(data: bytes, flags: int = cv2.IMREAD_COLOR, memory: Limit = MAX_DECODING_BYTES) -> Picture:
    """Decode an image file, turned upright by its Exif orientation; of several images in it, the first.

    flags: of cv2.imdecode. memory: the most bytes that decoding may take. Raises ValueError, which says why, for a file
    that is not an image, is cut short, damaged or too large.
    """
    layout = checked_layout(data, memory)
    try:
        decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:  # more pixels than OpenCV's own limit
        decoded = None
    if decoded is None:
        raise ValueError(f"the {layout.format} is damaged")
    image = np.asarray(decoded, dtype=np.uint8)
    if layout.format == "AVIF" and image.shape[0] * image.shape[1] < layout.width * layout.height // 2:
        raise ValueError("the AVIF consists of tiles, of which OpenCV reads one: convert it to JPEG")
    return Picture(image, f"the first of its {layout.images} images is used" if layout.images > 1 else "")


def checked_layout(data: bytes, memory: Limit = MAX_DECODING_BYTES) -> Layout:
    """The layout of an image file that may be decoded; ValueError, as of `decode_image`, for others."""
    if not data:
        raise ValueError("the file is empty")
    layout = layout_of(data)
    if layout is None:
        raise ValueError("it is not an image, or is damaged")
    if layout.format in UNREAD_FORMATS:
        raise ValueError(f"OpenCV can't read {layout.format}: convert it to JPEG")
    if not layout.complete:
        raise ValueError(f"the {layout.format} is cut short: copy or download it again")
    if not layout.width or not layout.height:
        raise ValueError(f"the {layout.format} is damaged")
    claim = f"it claims {layout.width} x {layout.height} pixels, "
    if layout.width * layout.height > MAX_PIXELS.value:
        raise ValueError(f"{claim}more than {MAX_PIXELS.value:,}: set {MAX_PIXELS.variable}")
    if (needed := decoding_bytes(layout, len(data))) > memory.value:
        raise ValueError(
            f"{claim}for which a {layout.format} takes {needed / 1e6:,.0f} MB, more than {memory.value / 1e6:,.0f}: "
            f"set {memory.variable}"
        )
    return layout
