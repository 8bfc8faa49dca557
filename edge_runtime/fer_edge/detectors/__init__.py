"""Face detectors by name, each with the framing that turns its box into a FER2013 square."""

from pathlib import Path

from fer_edge.detectors.base import DEFAULT_DETECT_SIZE_PX, DEFAULT_MIN_FACE_PX, Detection, Detector
from fer_edge.detectors.luma import LumaDetector

__all__ = [
    "DEFAULT_DETECT_SIZE_PX",
    "DEFAULT_MIN_FACE_PX",
    "DETECTORS",
    "Detection",
    "Detector",
    "LumaDetector",
    "open_detector",
]

DETECTORS = ("luma", "yunet", "haar")


def open_detector(
    name: str,
    model: Path | None = None,
    min_face_px: int = DEFAULT_MIN_FACE_PX,
    detect_size_px: int = DEFAULT_DETECT_SIZE_PX,
    threads: int = 1,
) -> Detector:
    """The detector `name`; ValueError if there is none of that name, FerError if it can't be made.

    model: its file, which yunet needs. Frames longer than `detect_size_px` are shrunk to it for the search.
    threads: CPU threads of luma; the others go by cv2.setNumThreads.
    """
    if name == "luma":
        return LumaDetector(model, min_face_px, detect_size_px, threads)
    # The others are imported when they are named, to keep the start short.
    if name == "yunet":
        from fer_edge.detectors.yunet import YunetDetector

        return YunetDetector(model, min_face_px, detect_size_px)
    if name == "haar":
        from fer_edge.detectors.haar import HaarDetector

        return HaarDetector(model, min_face_px, detect_size_px)
    raise ValueError(f"no detector is called {name!r}; there are {', '.join(DETECTORS)}")
