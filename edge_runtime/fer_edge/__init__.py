"""Facial emotion recognition for small computers.

    from fer_edge import EmotionRecognizer

    recognizer = EmotionRecognizer()
    for face in recognizer.recognize(image_bgr):
        print(face.emotion, face.confidence, face.box)

    for result in recognizer.stream("demo:"):
        print(result.t, [face.emotion for face in result.faces])

The folders follow the data: sources -> detectors -> network -> tracking -> pipeline -> sinks; `cli` is the command, and
`demo` draws a test scene. Training and export live in the packages fer_train and fer_export.
"""

from fer_edge.errors import (
    ContractError,
    DataError,
    FerError,
    GateError,
    MissingExtraError,
    ModelError,
    OutputError,
    SourceError,
)

TYPE_CHECKING = False  # importing `typing` takes longer than the rest of this module
if TYPE_CHECKING:
    from typing import Any

    from fer_edge.detectors.base import Detection, Detector
    from fer_edge.pipeline.options import StreamOptions
    from fer_edge.recognizer import EmotionRecognizer
    from fer_edge.results import Face, FrameResult

    __version__: str

__all__ = [
    "ContractError", "DataError", "Detection", "Detector", "EmotionRecognizer", "Face", "FerError", "FrameResult",
    "GateError", "MissingExtraError", "ModelError", "OutputError", "SourceError", "StreamOptions", "__version__",
]  # fmt: skip

_LAZY = {
    "Detection": "fer_edge.detectors.base",
    "Detector": "fer_edge.detectors.base",
    "EmotionRecognizer": "fer_edge.recognizer",
    "Face": "fer_edge.results",
    "FrameResult": "fer_edge.results",
    "StreamOptions": "fer_edge.pipeline.options",
}


def __getattr__(name: str) -> "Any":
    # cv2 and onnxruntime take most of a second to import: only code that uses them pays for it.
    if name == "__version__":
        from fer_edge.system import package_version

        return package_version()
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
