"""The detector `yunet`: YuNet's network, run by OpenCV."""

import threading
from pathlib import Path

import numpy as np

from fer_edge.detectors.base import DEFAULT_DETECT_SIZE_PX, DEFAULT_MIN_FACE_PX, Detection, downscale
from fer_edge.errors import FerError, ModelError
from fer_edge.framing import Framing, Image
from fer_edge.opencv import cv2


class YunetDetector:
    """YuNet (Wu, Peng, Yu 2023) through cv2.FaceDetectorYN: finds turned and small faces; its file is the user's."""

    name = "yunet"
    # Its box is narrower than a FER2013 picture (0.82 wide, 1.06 high); a square of 0.95 of its
    # height about the same centre restores the framing (measured on enlarged PublicTest faces).
    framing = Framing(of_height=0.95)
    needs_color = True

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
        small, factor = downscale(image, self._detect_size_px)
        bgr = small if small.ndim == 3 else np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
        below, right = (max(0, self.MIN_SIDE_PX - side) for side in bgr.shape[:2])
        if below or right:
            bgr = np.asarray(cv2.copyMakeBorder(bgr, 0, below, 0, right, cv2.BORDER_CONSTANT), dtype=np.uint8)
        found = []
        for x, y, width, height, *_landmarks, score in self._run(bgr):
            if max(width, height) * factor >= self._min_face_px:
                found.append(Detection((x * factor, y * factor, width * factor, height * factor), score))
        return found
