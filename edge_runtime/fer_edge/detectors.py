"""Face detectors by name, each with the framing that turns its box into a FER2013 square."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from fer_edge.errors import FerError, ModelError
from fer_edge.framing import Box, Framing, Image
from fer_edge.opencv import cv2

DEFAULT_MIN_FACE_PX = 40
DEFAULT_DETECT_SIZE_PX = 640  # longer frames are searched at this size: detectors' cost grows with the area


@dataclass(frozen=True, slots=True)
class Detection:
    """A face box (x, y, width, height in source pixels, not clipped) and the detector's own score."""

    box: Box
    score: float


class Detector(Protocol):
    """Finds faces in a picture. Threads may share it: they take turns."""

    name: str
    framing: Framing
    wants_colour: bool  # whether BGR gives it more than grey does

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`, uint8 [H, W] grey or [H, W, 3] BGR."""
        ...


def _shrunk(image: Image, longest_px: int) -> tuple[Image, float]:
    """`image` at most `longest_px` long, and how many source pixels one of its pixels stands for."""
    factor = max(image.shape[:2]) / longest_px
    if factor <= 1:
        return image, 1.0
    size = (max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), factor


class HaarDetector:
    """OpenCV's frontal-face cascade (Viola and Jones 2001): no download needed, upright frontal faces only.

    Scale step 1.1 and 5 neighbours, the customary settings.
    """

    name = "haar"
    # Its box is 0.98 x 0.98 of a FER2013 picture, centred (median over enlarged PublicTest faces).
    framing = Framing(of_width=1 / 0.98)
    wants_colour = False

    def __init__(
        self,
        model: Path | None = None,
        min_face_px: int = DEFAULT_MIN_FACE_PX,
        detect_size_px: int = DEFAULT_DETECT_SIZE_PX,
    ) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise FerError(
                f"--detector haar: OpenCV {cv2.__version__} has no Haar cascades; "
                "pip install 'opencv-python<5', or use --detector yunet --detector-model FILE"
            )
        path = model or _shipped_cascade()
        if not path.is_file():
            raise ModelError(f"{path} is not a file: --detector-model names a Haar cascade (.xml)")
        self._cascade = cv2.CascadeClassifier()
        try:
            loaded = self._cascade.load(str(path))
        except cv2.error:
            loaded = False
        if not loaded:
            raise ModelError(f"{path} is not a Haar cascade: --detector-model names an .xml file")
        self._min_face_px, self._detect_size_px = min_face_px, detect_size_px
        self._lock = threading.Lock()  # a CascadeClassifier holds the state of its search

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`; the score is the last stage's weight, above 0 and unbounded."""
        small, factor = _shrunk(image, self._detect_size_px)
        gray = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        side = max(1, round(self._min_face_px / factor))
        with self._lock:
            boxes, _levels, weights = self._cascade.detectMultiScale3(
                gray, scaleFactor=1.1, minNeighbors=5, minSize=(side, side), outputRejectLevels=True
            )
        return [
            Detection((x * factor, y * factor, width * factor, height * factor), float(weight))
            for (x, y, width, height), weight in zip(np.asarray(boxes).tolist(), np.ravel(weights), strict=True)
        ]


def _shipped_cascade() -> Path:
    """The frontal-face cascade of pip's OpenCV, or where Debian's opencv-data has it."""
    pip_data = getattr(cv2, "data", None)
    folder = "/usr/share/opencv4/haarcascades" if pip_data is None else pip_data.haarcascades
    return Path(folder) / "haarcascade_frontalface_default.xml"


class YunetDetector:
    """YuNet (Wu, Peng, Yu 2023) through cv2.FaceDetectorYN: finds turned and small faces; its file is the user's."""

    name = "yunet"
    # Its box is narrower than a FER2013 picture (0.82 wide, 1.06 high); a square of 0.95 of its
    # height about the same centre restores the framing (measured on enlarged PublicTest faces).
    framing = Framing(of_height=0.95)
    wants_colour = True

    MIN_SIDE_PX = 64  # at 32 and less, OpenCV's FaceDetectorYN gives boxes of garbage, some infinite
    SCORE_THRESHOLD = 0.6
    NMS_THRESHOLD = 0.3

    def __init__(
        self,
        model: Path | None = None,
        min_face_px: int = DEFAULT_MIN_FACE_PX,
        detect_size_px: int = DEFAULT_DETECT_SIZE_PX,
    ) -> None:
        if model is None:
            raise FerError(
                "--detector yunet needs its network: --detector-model FILE names "
                "face_detection_yunet_2023mar.onnx from OpenCV's zoo"
            )
        if not model.is_file():
            raise ModelError(f"{model} is not a file: --detector-model names YuNet's ONNX file")
        self._lock = threading.Lock()
        try:
            self._network = cv2.FaceDetectorYN.create(
                str(model), "", (320, 320), self.SCORE_THRESHOLD, self.NMS_THRESHOLD, 5000
            )
            self._size = (320, 320)
            self._run(np.zeros((320, 320, 3), np.uint8))  # a file of another network fails here, not amid a stream
        except cv2.error as error:
            raise ModelError(
                f"{model} is not YuNet's ONNX file, or is truncated: get it from OpenCV's zoo again"
            ) from error
        self._min_face_px, self._detect_size_px = min_face_px, detect_size_px

    def _run(self, small: Image) -> list[list[float]]:
        size = (small.shape[1], small.shape[0])
        with self._lock:
            if size != self._size:
                self._network.setInputSize(size)
                self._size = size
            faces = self._network.detect(small)[1]
        rows: list[list[float]] = [] if faces is None else np.asarray(faces).tolist()
        return rows

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`; the score is 0.6 to 1."""
        small, factor = _shrunk(image, self._detect_size_px)
        bgr = small if small.ndim == 3 else np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
        below, right = (max(0, self.MIN_SIDE_PX - side) for side in bgr.shape[:2])
        if below or right:
            bgr = np.asarray(cv2.copyMakeBorder(bgr, 0, below, 0, right, cv2.BORDER_CONSTANT), dtype=np.uint8)
        found = []
        for x, y, width, height, *_landmarks, score in self._run(bgr):
            if max(width, height) * factor >= self._min_face_px:
                found.append(Detection((x * factor, y * factor, width * factor, height * factor), score))
        return found


DETECTORS: dict[str, Callable[[Path | None, int, int], Detector]] = {"haar": HaarDetector, "yunet": YunetDetector}


def open_detector(
    name: str,
    model: Path | None = None,
    min_face_px: int = DEFAULT_MIN_FACE_PX,
    detect_size_px: int = DEFAULT_DETECT_SIZE_PX,
) -> Detector:
    """The detector `name`; ValueError if there is none of that name, FerError if it can't be made.

    Frames longer than `detect_size_px` are shrunk to it for the search.
    """
    if name not in DETECTORS:
        raise ValueError(f"no detector is called {name!r}; there are {', '.join(DETECTORS)}")
    return DETECTORS[name](model, min_face_px, detect_size_px)
