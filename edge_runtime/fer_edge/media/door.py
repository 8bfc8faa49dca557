"""The one way from an image file's bytes to pixels, for fer-edge and fer-train.

The content decides what a file is, never its name. It is decoded from memory: OpenCV's readers of files ignore some
orientations, take the first tile of an AVIF, and crash on names that are not UTF-8.
"""

from typing import NamedTuple

import numpy as np

from fer_edge.framing import Image
from fer_edge.guards.limits import MAX_PIXELS
from fer_edge.media.formats import Layout, layout_of
from fer_edge.opencv import cv2

UNREAD_FORMATS = ("HEIC", "JPEG XL")


class Picture(NamedTuple):
    """A decoded image, uint8 BGR [H, W, 3] or gray [H, W], upright; `note`: what of its file was left out, or ""."""

    image: Image
    note: str = ""


def check_pixels(width: int, height: int) -> None:
    """Raise ValueError if an image of that size has more pixels than the limit allows."""
    limit = MAX_PIXELS.value
    if width * height > limit:
        raise ValueError(f"it claims {width} x {height} pixels, more than {limit:,}: set {MAX_PIXELS.variable}")


def decode_image(data: bytes, flags: int = cv2.IMREAD_COLOR) -> Picture:
    """Decode an image file, turned upright by its Exif orientation; of several images in it, the first.

    flags: of cv2.imdecode. Raises ValueError, which says why, for a file that is not an image, is cut short, damaged or
    too large.
    """
    if not data:
        raise ValueError("the file is empty")
    layout = layout_of(data)
    if layout is not None:
        _check(layout)
    try:
        decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:  # more pixels than OpenCV's own limit
        decoded = None
    if decoded is None:
        raise ValueError("it is not an image, or is damaged" if layout is None else f"the {layout.format} is damaged")
    image = np.asarray(decoded, dtype=np.uint8)
    if layout is None:
        return Picture(image)
    if layout.format == "AVIF" and image.shape[0] * image.shape[1] < layout.width * layout.height // 2:
        raise ValueError("the AVIF consists of tiles, of which OpenCV reads one: convert it to JPEG")
    return Picture(image, f"the first of its {layout.images} images is used" if layout.images > 1 else "")


def _check(layout: Layout) -> None:
    if layout.format in UNREAD_FORMATS:
        raise ValueError(f"OpenCV can't read {layout.format}: convert it to JPEG")
    if not layout.complete:
        raise ValueError(f"the {layout.format} is cut short: copy or download it again")
    check_pixels(layout.width, layout.height)
