"""Classify the faces in a file with the shipped networks. Runs on both machines, and only needs the runtime's packages.

python answers.py CROPS.npz ANSWERS.npz
"""

import json
import platform
import sys
from importlib.metadata import version
from typing import Any

import numpy as np

from fer_edge import system
from fer_edge.network.classifier import Classifier
from fer_edge.onnx_runtime import onnxruntime
from fer_edge.opencv import cv2
from fer_models import model_path

BATCH = 16


def main(crops_path: str, answers_path: str) -> None:
    """Write probabilities float32 [faces, classes] by precision; one line of JSON about the machine on stdout."""
    with np.load(crops_path) as archive:
        crops = archive["crops"]
    answers: dict[str, Any] = {}
    for precision in ("fp32", "int8"):
        classifier = Classifier(model_path(precision))
        parts = [classifier.predict(crops[start : start + BATCH]) for start in range(0, len(crops), BATCH)]
        answers[precision] = np.concatenate(parts)
    np.savez(answers_path, **answers)
    about = {
        "machine": platform.machine(),
        "dot_product": system.dot_product_flag(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "onnxruntime": onnxruntime.__version__,
            "opencv": cv2.__version__,
            "fer-edge": version("fer-edge"),
        },
    }
    print(json.dumps(about))


if __name__ == "__main__":
    main(*sys.argv[1:])
