"""The interface of a face detector: its options, its input and output, and the downscaling of frames for it."""

import math
import threading
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from fer_edge.detectors.defaults import DEFAULT_DETECT_SIZE_PX, DEFAULT_MIN_FACE_PX
from fer_edge.framing import Box, Framing, Image, to_gray
from fer_edge.opencv import cv2


class Detection(NamedTuple):
    """A face box (x, y, width, height in source pixels, not clipped) and the detector's own score.

    >>> Detection((10, 20, 80, 90), score=0.9).box
    (10, 20, 80, 90)
    """

    box: Box
    score: float


@runtime_checkable
class Detector(Protocol):
    """Finds faces in an image: any object with this method can be `EmotionRecognizer(detector=...)`.

    Three attributes are optional. `framing` says how its box becomes the square that FER2013 would show; without it,
    the side is the box's height, which suits boxes from forehead to chin. `needs_color = False` asks for gray images,
    uint8 [H, W]; otherwise they are BGR, uint8 [H, W, 3]. `name` appears in messages.

    >>> class Middle:
    ...     def detect(self, image):
    ...         height, width = image.shape[:2]
    ...         box = (width / 2 - height / 4, height / 4, height / 2, height / 2)
    ...         return [Detection(box, score=1.0)]
    >>> from fer_edge import EmotionRecognizer
    >>> EmotionRecognizer(detector=Middle()).recognize(np.zeros((240, 320, 3), np.uint8))[0].xyxy
    (100, 60, 220, 180)
    """

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image` in any order. Called in a thread; before a stream, once on a blank image to warm up."""
        ...


class FramedDetector(Detector, Protocol):
    """A detector with all its attributes. Threads may share one instance: `detect` takes a lock where it must.

    name: as on the command line. framing: turns its box into the FER2013 square. needs_color: True if BGR gives better
    results than gray, so that callers should pass BGR if they have it; it accepts both.
    """

    name: str
    framing: Framing
    needs_color: bool


class CustomDetector:
    """A caller's detector with the attributes it leaves out and the kind of image it expects; one thread at a time.

    Its results are checked: TypeError or ValueError from `detect` if they are no detections.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector, self._lock = detector, threading.Lock()
        self.name = str(getattr(detector, "name", type(detector).__name__))
        self.framing: Framing = getattr(detector, "framing", Framing(of_height=1.0))
        self.needs_color = bool(getattr(detector, "needs_color", True))

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`, uint8 [H, W] gray or [H, W, 3] BGR, in the caller's order."""
        with self._lock:
            detections = self._detector.detect(self._converted(image))
        return [self._checked(found) for found in detections]

    def _converted(self, image: Image) -> Image:
        if not self.needs_color:
            return to_gray(image)
        return image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)

    def _checked(self, found: Any) -> Detection:
        try:
            (x, y, width, height), value = found
            box, score = (float(x), float(y), float(width), float(height)), float(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{self.name}.detect must return Detection((x, y, width, height), score) per face, not {found!r:.200}"
            ) from error
        if not all(map(math.isfinite, (*box, score))) or min(box[2:]) <= 0:
            raise ValueError(f"{self.name}.detect returned a box without an area or a number: {found!r:.200}")
        return Detection(box, score)


class DetectorOptions(NamedTuple):
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
