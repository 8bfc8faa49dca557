"""`hsemotion-onnx` (PyPI): EfficientNet-B0, trained on AffectNet; it downloads its weights at first use."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import Faces, PeerMissingError, Probabilities, in_our_order, one_line, required
from fer_edge.opencv import cv2
from fer_train.data import FER2013_CLASSES

MODEL = "enet_b0_8_best_vgaf"  # its default
BATCH = 32


class Hsemotion:
    """The recognizer of the package on RGB faces; its eighth class is contempt."""

    name, file_mb = "hsemotion-onnx", None
    preprocessing = "resized to 224x224 RGB, ImageNet mean and deviation"

    def __init__(self, recognizer: Any) -> None:
        self.version = importlib.metadata.version("hsemotion-onnx")
        self._recognizer = recognizer
        self._labels = [recognizer.idx_to_class[index] for index in range(len(recognizer.idx_to_class))]

    def predict(self, faces: Faces, classes: Sequence[str] = FER2013_CLASSES) -> Probabilities:
        parts = []
        for start in range(0, len(faces), BATCH):
            rgb = [cv2.cvtColor(face, cv2.COLOR_GRAY2RGB) for face in faces[start : start + BATCH]]
            parts.append(self._recognizer.predict_multi_emotions(rgb, logits=False)[1])
        return in_our_order(np.concatenate(parts), self._labels, classes)


def open_peer(_name: str, files: Sequence[Path]) -> Hsemotion:
    """Open it with its default network, or with the one that hsemotion-onnx=NAME names."""
    module: Any = required("hsemotion_onnx.facial_emotions", "hsemotion-onnx")
    try:
        return Hsemotion(module.HSEmotionRecognizer(model_name=files[0].name if files else MODEL))
    except Exception as error:  # downloads fail in many ways
        raise PeerMissingError(f"hsemotion-onnx can't load its network ({one_line(error)})") from error
