"""Facial emotion recognition for small computers.

    from fer_edge import EmotionRecognizer, annotate

    recognizer = EmotionRecognizer()
    for face in recognizer("photo.jpg"):  # a path, a numpy array, a PIL image, or a list of these
        print(face.emotion, face.confidence, face.xyxy)

    for result in recognizer.stream(0):  # a camera number, file, folder, URL, "demo:", or an iterable of images
        cv2.imshow("faces", annotate(result.image, result.faces))

The folders follow the data: sources -> detectors -> network -> tracking -> pipeline -> sinks; `cli` is the command, and
`demo` draws a test scene. Training and export live in the packages fer_train and fer_export.
"""

import os

from fer_edge.errors import (
    ConnectError,
    ContractError,
    DataError,
    FerError,
    GateError,
    MissingExtraError,
    ModelError,
    OutputError,
    SourceError,
)

# onnxruntime 1.29 and later would store an identifier of the device in the user's cache and send events to Microsoft.
# It reads this when it is imported, by us or by a package that we use.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# `media.captures` sets this variable while threads of onnxruntime read theirs. Adding a name may move the environment,
# and a thread that reads it at that moment crashes. So the name is there from the start, with OpenCV's own default.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_flags;prefer_tcp")

TYPE_CHECKING = False  # importing `typing` takes longer than the rest of this module
if TYPE_CHECKING:
    from typing import Any

    from fer_edge.detectors.base import Detection, Detector
    from fer_edge.framing import Framing
    from fer_edge.pipeline.options import StreamOptions
    from fer_edge.pipeline.stream import ResultStream
    from fer_edge.privacy.intervals import IntervalAggregator
    from fer_edge.privacy.modes import Aggregation
    from fer_edge.recognizer import EmotionRecognizer
    from fer_edge.results import Face, FrameResult
    from fer_edge.sinks.overlay import annotate
    from fer_edge.summary import RunSummary

    __version__: str

__all__ = [
    "Aggregation", "ConnectError", "ContractError", "DataError", "Detection", "Detector", "EmotionRecognizer", "Face",
    "FerError", "FrameResult", "Framing", "GateError", "IntervalAggregator", "MissingExtraError", "ModelError",
    "OutputError", "ResultStream", "RunSummary", "SourceError", "StreamOptions", "__version__", "annotate",
]  # fmt: skip

_LAZY = {
    "Aggregation": "fer_edge.privacy.modes",
    "Detection": "fer_edge.detectors.base",
    "Detector": "fer_edge.detectors.base",
    "EmotionRecognizer": "fer_edge.recognizer",
    "Face": "fer_edge.results",
    "FrameResult": "fer_edge.results",
    "Framing": "fer_edge.framing",
    "IntervalAggregator": "fer_edge.privacy.intervals",
    "ResultStream": "fer_edge.pipeline.stream",
    "RunSummary": "fer_edge.summary",
    "StreamOptions": "fer_edge.pipeline.options",
    "annotate": "fer_edge.sinks.overlay",
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
