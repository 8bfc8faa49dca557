"""The interface of a face detector: its options, its input and output, and the downscaling of frames for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from fer_edge.detectors.defaults import DEFAULT_DETECT_SIZE_PX, DEFAULT_MIN_FACE_PX
from fer_edge.framing import Box, Framing, Image
from fer_edge.opencv import cv2


class Detection(NamedTuple):
    """A face box (x, y, width, height in source pixels, not clipped) and the detector's own score."""

    box: Box
    score: float


class Detector(Protocol):
    """Finds faces in an image. Threads may share one instance: `detect` takes a lock where it must.

    name: as on the command line. framing: turns its box into the FER2013 square. needs_color: True if BGR gives better
    results than gray, so that callers should pass BGR if they have it.
    """

    name: str
    framing: Framing
    needs_color: bool

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`, uint8 [H, W] gray or [H, W, 3] BGR, in any order."""
        ...


@dataclass(frozen=True)
class DetectorOptions:
    """The argument of a detector module's `create`; a detector uses the options that apply to it.

    model: the detector's file, None for its own. min_face_px: smaller faces (side of the FER2013 square, in source
    pixels) need not be searched; FilteredDetector drops those found anyway. detect_size_px: longest side of the
    searched image. threads: CPU threads per inference.
    """

    model: Path | None = None
    min_face_px: int = DEFAULT_MIN_FACE_PX
    detect_size_px: int = DEFAULT_DETECT_SIZE_PX
    threads: int = 1


def downscale(image: Image, longest_px: int) -> tuple[Image, float]:
    """`image` with at most `longest_px` on its longest side, and the source pixels per pixel of the result (>= 1)."""
    factor = max(image.shape[:2]) / longest_px
    if factor <= 1:
        return image, 1.0
    size = (max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), factor
