"""The detector `haar`: OpenCV's frontal-face cascade."""

import threading
from pathlib import Path

import numpy as np

from fer_edge.detectors.base import Detection, DetectorOptions, downscale
from fer_edge.detectors.defaults import DEFAULT_DETECT_SIZE_PX, DEFAULT_MIN_FACE_PX
from fer_edge.errors import FerError, ModelError
from fer_edge.framing import Framing, Image, to_gray
from fer_edge.media.captures import plain_name
from fer_edge.opencv import cv2


def create(options: DetectorOptions) -> "HaarDetector":
    """Open the cascade; OpenCV chooses its threads."""
    return HaarDetector(options.model, options.min_face_px, options.detect_size_px)


class HaarDetector:
    """OpenCV's frontal-face cascade (Viola and Jones 2001): no download needed, upright frontal faces only.

    Scale step 1.1 and 5 neighbors, the usual settings.
    """

    name = "haar"
    # Its box is 0.98 x 0.98 of a FER2013 image, with the same center (median over enlarged PublicTest faces).
    framing = Framing(of_width=1 / 0.98)
    needs_color = False
    needs_border = True

    def __init__(
        self,
        model: Path | None = None,
        min_face_px: int = DEFAULT_MIN_FACE_PX,
        detect_size_px: int = DEFAULT_DETECT_SIZE_PX,
    ) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise FerError(
                f"OpenCV {cv2.__version__} has no Haar cascades, which the detector haar needs: use the detector luma, "
                "or pip install 'opencv-python<5'"
            )
        path = model or _shipped_cascade()
        if not path.is_file():
            raise ModelError(f"{path} is not a file: name a Haar cascade (.xml)")
        self._cascade = cv2.CascadeClassifier()
        try:
            with plain_name(path) as name:
                loaded = self._cascade.load(name)
        except cv2.error:
            loaded = False
        if not loaded:
            raise ModelError(f"{path} is not a Haar cascade: name an .xml file of one")
        self.min_face_px, self.detect_size_px = min_face_px, detect_size_px
        self._lock = threading.Lock()  # a CascadeClassifier keeps the state of its search

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`; the score is the last stage's weight, above 0 and unbounded."""
        small, factor = downscale(image, self.detect_size_px)
        side = max(1, round(self.min_face_px / factor))
        with self._lock:
            boxes, _levels, weights = self._cascade.detectMultiScale3(
                to_gray(small), scaleFactor=1.1, minNeighbors=5, minSize=(side, side), outputRejectLevels=True
            )
        return [
            Detection((x * factor, y * factor, width * factor, height * factor), float(weight))
            for (x, y, width, height), weight in zip(np.asarray(boxes).tolist(), np.ravel(weights), strict=True)
        ]


def _shipped_cascade() -> Path:
    """The frontal-face cascade of pip's OpenCV, or the one that Debian's opencv-data installs."""
    pip_data = getattr(cv2, "data", None)
    folder = "/usr/share/opencv4/haarcascades" if pip_data is None else pip_data.haarcascades
    return Path(folder) / "haarcascade_frontalface_default.xml"
