"""Facial emotion recognition for small computers.

from fer_edge import EmotionRecognizer

recognizer = EmotionRecognizer()
for face in recognizer.recognize(image_bgr):
    print(face.emotion, face.confidence, face.box)

for result in recognizer.stream("demo:"):
    print(result.t, [face.emotion for face in result.faces])
"""

from fer_edge.errors import FerError

TYPE_CHECKING = False  # type checkers take it for true; the module typing takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from fer_edge.recognizer import EmotionRecognizer
    from fer_edge.results import Face, FrameResult

__all__ = ["EmotionRecognizer", "Face", "FerError", "FrameResult"]

_LAZY = {
    "EmotionRecognizer": "fer_edge.recognizer",
    "Face": "fer_edge.results",
    "FrameResult": "fer_edge.results",
}


def __getattr__(name: str) -> "Any":
    # cv2 and onnxruntime take most of a second to import: only those who use them pay.
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
