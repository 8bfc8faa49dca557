"""emotion-ferplus of the ONNX model zoo: VGG13, trained on FER+ by its authors, a file of the user.

--peer emotion-ferplus=emotion-ferplus-8.onnx names the file; without it, the environment variable FER_EMOTION_FERPLUS
does.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import Faces, PeerMissingError, Probabilities, in_our_order, one_line
from fer_edge.opencv import cv2
from fer_train.data import FER2013_CLASSES
from fer_train.evaluation.metrics import softmax

LABELS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")  # the zoo's README
SIDE = 64


class EmotionFerplus:
    """The network in onnxruntime, one face at a time, as its file wants it."""

    name = "emotion-ferplus"
    preprocessing = "resized to 64x64 gray, 0 to 255; its scores through softmax"

    def __init__(self, session: Any, file: Path) -> None:
        self.version, self.file_mb = file.stem, file.stat().st_size / 1e6
        self._session, self._input = session, session.get_inputs()[0].name

    def predict(self, faces: Faces, classes: Sequence[str] = FER2013_CLASSES) -> Probabilities:
        rows = []
        for face in faces:
            resized = cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR).astype(np.float32)
            rows.append(np.asarray(self._session.run(None, {self._input: resized[None, None]})[0])[0])
        return in_our_order(softmax(np.stack(rows)), LABELS, classes)


def open_peer(_name: str, files: Sequence[Path]) -> EmotionFerplus:
    """Open its file, and run it once."""
    named = files[0] if files else Path(os.environ.get("FER_EMOTION_FERPLUS", ""))
    if not files and "FER_EMOTION_FERPLUS" not in os.environ:
        raise PeerMissingError("--peer emotion-ferplus=FILE names emotion-ferplus-8.onnx")
    if not named.is_file():
        raise PeerMissingError(f"{named} is not a file")
    from fer_edge.onnx_runtime import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(named), providers=["CPUExecutionProvider"])
        peer = EmotionFerplus(session, named)
        peer.predict(np.full((1, 48, 48), 128, dtype=np.uint8))
    except Exception as error:  # onnxruntime's exceptions share no other base
        raise PeerMissingError(f"{named.name} can't be run as emotion-ferplus ({one_line(error)})") from error
    return peer
