"""Frames as JPEG for clients: downscaled, encoded, and drawn on for those that draw no boxes themselves."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.results import Face
from fer_edge.sinks.overlay import annotate

MAX_WIDTH_PX = 1280
QUALITY = 80


class Picture(NamedTuple):
    """A JPEG. width, height: of the frame it was made of, to which the boxes of faces refer; in pixels."""

    jpeg: bytes
    width: int
    height: int


def encode(image: Image, size: tuple[int, int] | None = None) -> Picture:
    """The JPEG of a frame, uint8 BGR [H, W, 3] or gray [H, W]. size: (width, height) of its picture, if reduced."""
    width, height = size or (image.shape[1], image.shape[0])
    return Picture(_jpeg(_downscaled(image)), width, height)


def draw(image: Image, faces: Sequence[Face], size: tuple[int, int] | None = None) -> Picture:
    """The JPEG of a frame with a box and a label per face. size: as of `encode`; boxes refer to it."""
    width, height = size or (image.shape[1], image.shape[0])
    small = _downscaled(image)
    scale = small.shape[1] / width
    if scale < 1:
        faces = [face.scaled(scale, scale) for face in faces]
    return Picture(_jpeg(annotate(small, faces)), width, height)


def _downscaled(image: Image) -> Image:
    height, width = image.shape[:2]
    if width <= MAX_WIDTH_PX:
        return image
    size = (MAX_WIDTH_PX, max(1, round(height * MAX_WIDTH_PX / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _jpeg(image: Image) -> bytes:
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded.tobytes()
