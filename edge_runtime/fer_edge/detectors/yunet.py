"""The detector `yunet`: the YuNet network, run by OpenCV."""

import threading
from pathlib import Path

import numpy as np

from fer_edge.detectors.base import Detection, DetectorOptions, downscale
from fer_edge.detectors.defaults import DEFAULT_DETECT_SIZE_PX
from fer_edge.errors import FerError, ModelError
from fer_edge.framing import Framing, Image
from fer_edge.guards.exit_guard import responsive
from fer_edge.guards.memory import bounded_memory
from fer_edge.network.session import read_model_file
from fer_edge.opencv import cv2

MAX_OUTPUT = 1e6  # pixels; larger values would overflow the box arithmetic


def create(options: DetectorOptions) -> "YunetDetector":
    """Open YuNet's file, which the user names; OpenCV chooses its threads."""
    return YunetDetector(options.model, options.detect_size_px)


class YunetDetector:
    """YuNet (Wu, Peng, Yu 2023) through cv2.FaceDetectorYN: finds turned and small faces.

    model: face_detection_yunet_2023mar.onnx, which does not ship with fer-edge. Raises FerError if it is None, and
    ModelError if it is another file.
    """

    name = "yunet"
    # Its box is narrower than a FER2013 image (0.82 wide, 1.06 high); a square of 0.95 of its height about the same
    # center restores the framing (measured on enlarged PublicTest faces).
    framing = Framing(of_height=0.95)
    needs_color = True

    MIN_SIDE_PX = 64  # at 32 and less, OpenCV's FaceDetectorYN returns garbage boxes, some infinite
    SCORE_THRESHOLD = 0.6
    NMS_THRESHOLD = 0.3
    MAX_CANDIDATES = 5000

    def __init__(self, model: Path | None = None, detect_size_px: int = DEFAULT_DETECT_SIZE_PX) -> None:
        if model is None:
            raise FerError(
                "the detector yunet needs its file: "
                "give face_detection_yunet_2023mar.onnx from OpenCV's zoo as the detector model"
            )
        if not model.is_file():
            raise ModelError(f"{model} is not a file: name YuNet's, face_detection_yunet_2023mar.onnx")
        data = read_model_file(model)
        self.path = model
        self._lock = threading.Lock()
        self.detect_size_px = detect_size_px
        try:
            with bounded_memory(str(model)):
                self._network = responsive(lambda: self._open(data))
            # Another network's file fails here, not during a stream.
            responsive(lambda: self._run(np.zeros((320, 320, 3), np.uint8)))
        except cv2.error as error:
            raise ModelError(
                f"{model} is not YuNet's ONNX file, or is truncated: get it from OpenCV's zoo again"
            ) from error

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`; the score is 0.6 to 1."""
        small, factor = downscale(image, self.detect_size_px)
        bgr = small if small.ndim == 3 else np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
        bottom, right = (max(0, self.MIN_SIDE_PX - side) for side in bgr.shape[:2])
        if bottom or right:
            bgr = np.asarray(cv2.copyMakeBorder(bgr, 0, bottom, 0, right, cv2.BORDER_CONSTANT), dtype=np.uint8)
        try:
            rows = self._run(bgr)
        except cv2.error as error:
            reason = " ".join(str(error).split())[:160]
            raise ModelError(f"{self.path} can't be run on an image ({reason}): use another detector") from error
        return [
            Detection((x * factor, y * factor, width * factor, height * factor), score)
            for x, y, width, height, *_landmarks, score in rows
        ]

    def _open(self, data: bytes) -> cv2.FaceDetectorYN:
        return cv2.FaceDetectorYN.create(
            "onnx",
            np.frombuffer(data, np.uint8),
            np.empty(0, np.uint8),
            (320, 320),
            self.SCORE_THRESHOLD,
            self.NMS_THRESHOLD,
            self.MAX_CANDIDATES,
        )

    def _run(self, bgr: Image) -> list[list[float]]:
        """A row per face: x, y, width, height, five landmarks, score."""
        size = (bgr.shape[1], bgr.shape[0])
        with self._lock, bounded_memory(str(self.path)):
            if size != tuple(self._network.getInputSize()):
                self._network.setInputSize(size)
            faces = self._network.detect(bgr)[1]
        if faces is None:
            return []
        rows = np.asarray(faces)
        if not (np.abs(rows) < MAX_OUTPUT).all():  # of a NaN, too
            raise ModelError(f"{self.path} gives values that are not numbers (such as NaN): use another detector")
        found: list[list[float]] = rows.tolist()
        return found
