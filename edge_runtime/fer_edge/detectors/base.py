"""What every face detector is: its answer, its form, and the size at which it searches."""

from typing import NamedTuple, Protocol

import numpy as np

from fer_edge.framing import Box, Framing, Image
from fer_edge.opencv import cv2

DEFAULT_MIN_FACE_PX = 40
DEFAULT_DETECT_SIZE_PX = 640  # longer frames are searched at this size: detectors' cost grows with the area


class Detection(NamedTuple):
    """A face box (x, y, width, height in source pixels, not clipped) and the detector's own score."""

    box: Box
    score: float


class Detector(Protocol):
    """Finds faces in a picture. Threads may share it: they take turns."""

    name: str
    framing: Framing
    needs_color: bool  # whether BGR gives it more than grey does

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`, uint8 [H, W] grey or [H, W, 3] BGR."""
        ...


def downscale(image: Image, longest_px: int) -> tuple[Image, float]:
    """`image` at most `longest_px` long, and how many source pixels one of its pixels stands for."""
    factor = max(image.shape[:2]) / longest_px
    if factor <= 1:
        return image, 1.0
    size = (max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), factor
