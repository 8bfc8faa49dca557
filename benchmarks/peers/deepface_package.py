"""`deepface` (PyPI): its emotion network, through DeepFace.analyze; it downloads its weights at first use."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import Faces, PeerMissingError, Probabilities, in_our_order, one_line, required
from fer_edge.opencv import cv2
from fer_train.data import FER2013_CLASSES


class DeepFacePackage:
    """DeepFace.analyze without its detector, since FER2013's faces are already cropped."""

    name, file_mb = "deepface", None
    preprocessing = "DeepFace.analyze(detector_backend='skip'): resized to 224x224, then gray 48x48"

    def __init__(self, analyze: Any) -> None:
        self.version = importlib.metadata.version("deepface")
        self._analyze = analyze

    def predict(self, faces: Faces, classes: Sequence[str] = FER2013_CLASSES) -> Probabilities:
        rows = []
        for face in faces:
            [found] = self._analyze(
                cv2.cvtColor(face, cv2.COLOR_GRAY2BGR), actions=["emotion"], detector_backend="skip",
                enforce_detection=False, silent=True,
            )  # fmt: skip
            rows.append([float(found["emotion"][label]) for label in FER2013_CLASSES])
        return in_our_order(rows, FER2013_CLASSES, classes)


def open_peer(_name: str, _files: Sequence[Path]) -> DeepFacePackage:
    """Open it, and run it once, because it loads its weights at first use."""
    module: Any = required("deepface.DeepFace", "deepface")
    peer = DeepFacePackage(module.analyze)
    try:
        peer.predict(np.full((1, 48, 48), 128, dtype=np.uint8))
    except Exception as error:  # downloads fail in many ways
        raise PeerMissingError(f"deepface can't load its network ({one_line(error)})") from error
    return peer
