"""OpenCV's model zoo: facial_expression_recognition_mobilefacenet (trained on RAF-DB), a file of the user.

--peer opencv-zoo=FER.onnx gives it unaligned faces; opencv-zoo=FER.onnx,YUNET.onnx aligns them by YuNet's landmarks
first, as the zoo's demo does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peers import Faces, PeerMissingError, Probabilities, in_our_order, one_line
from fer_edge.opencv import cv2
from fer_train.data import FER2013_CLASSES
from fer_train.evaluation.metrics import softmax

Points = npt.NDArray[np.float64]
LABELS = ("angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised")
SIDE = 112
# The eyes, the tip of the nose and the corners of the mouth in the 112 x 112 input of the zoo's demo.
POINTS = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
ENLARGED, CANVAS = 192, 320


class OpencvZoo:
    """The network in cv2.dnn, as the zoo runs it."""

    name = "opencv-zoo"

    def __init__(self, network: Any, detector: Any, file: Path) -> None:
        self.version, self.file_mb = file.stem, file.stat().st_size / 1e6
        self._network, self._detector = network, detector
        self.preprocessing = (
            "aligned by YuNet's five landmarks (where it finds them) to 112x112 RGB, scaled to -1 to 1"
            if detector is not None
            else "resized to 112x112 RGB, not aligned, scaled to -1 to 1"
        )

    def predict(self, faces: Faces, classes: Sequence[str] = FER2013_CLASSES) -> Probabilities:
        rows = []
        for face in faces:
            rgb = cv2.cvtColor(self._framed(face), cv2.COLOR_GRAY2RGB)
            self._network.setInput(cv2.dnn.blobFromImage((rgb.astype(np.float32) / 255.0 - 0.5) / 0.5), "data")
            rows.append(np.asarray(self._network.forward("label"))[0])
        return in_our_order(softmax(np.stack(rows)), LABELS, classes)

    def _framed(self, face: Faces) -> Faces:
        """The face as the network's input, uint8 [112, 112]."""
        if self._detector is not None:
            canvas = np.full((CANVAS, CANVAS), int(face.mean()), dtype=np.uint8)
            start = (CANVAS - ENLARGED) // 2
            canvas[start:-start, start:-start] = cv2.resize(face, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
            found = self._detector.detect(cv2.cvtColor(canvas, cv2.COLOR_GRAY2BGR))[1]
            if found is not None:
                largest = max(found, key=lambda row: row[2] * row[3])
                matrix = similarity(np.asarray(largest[4:14], dtype=np.float64).reshape(5, 2), POINTS)
                return np.asarray(cv2.warpAffine(canvas, matrix, (SIDE, SIDE)), dtype=np.uint8)
        return np.asarray(cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def similarity(points: Points, targets: Points) -> Points:
    """The rotation, scale and shift [2, 3] that maps `points` [N, 2] closest to `targets` (least squares)."""
    x, y = points.T
    one, none = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate([np.stack([x, -y, one, none], axis=1), np.stack([y, x, none, one], axis=1)])
    a, b, right, down = np.linalg.lstsq(rows, targets.T.ravel(), rcond=None)[0]
    return np.array([[a, -b, right], [b, a, down]])


def open_peer(_name: str, files: Sequence[Path]) -> OpencvZoo:
    """Open its file, and YuNet's if that is given."""
    if not files:
        raise PeerMissingError("--peer opencv-zoo=FILE names facial_expression_recognition_mobilefacenet_2022july.onnx")
    for file in files:
        if not file.is_file():
            raise PeerMissingError(f"{file} is not a file")
    try:
        detector = cv2.FaceDetectorYN.create(str(files[1]), "", (CANVAS, CANVAS), 0.6) if files[1:] else None
        return OpencvZoo(cv2.dnn.readNet(str(files[0])), detector, files[0])
    except cv2.error as error:
        raise PeerMissingError(f"OpenCV can't read {files[0].name} ({one_line(error)})") from error
