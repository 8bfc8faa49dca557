"""Face detectors: one module each, found by listing this folder.

To add one, write a module here with a function `create(options: DetectorOptions) -> FramedDetector`; my_net.py becomes
`--detector my-net`. `base` is the interface, `boxes` decodes a network's output, `lighting` brightens frames, `filter`
drops small and faint faces, `border` finds faces that fill an image, `search` sets all this up for a source. Tracking
and classification live in `tracking` and `network`.

This module loads neither cv2 nor onnxruntime: the command line lists the names for `--help`.
"""

import importlib
import os
from pathlib import Path

from fer_edge.detectors.defaults import DEFAULT_DETECT_SIZE_PX, DEFAULT_MIN_FACE_PX, IMAGE_DETECT_SIZE_PX

TYPE_CHECKING = False  # type checkers take it for true; importing typing would slow down --help
if TYPE_CHECKING:
    from fer_edge.detectors.base import FramedDetector
    from fer_edge.detectors.search import SourceDetector

__all__ = [
    "DEFAULT_DETECT_SIZE_PX", "DEFAULT_MIN_FACE_PX", "IMAGE_DETECT_SIZE_PX", "default_detector", "detector_names",
    "open_detector",
]  # fmt: skip

_FIRST = ("luma", "yunet", "haar")  # the default first; added ones follow, sorted by name
_OTHER_MODULES = {"--init--", "base", "border", "boxes", "defaults", "filter", "lighting", "search"}


def detector_names() -> tuple[str, ...]:
    """The detectors that `open_detector` knows: a name per module in this folder, the default first."""
    files = [file for folder in __path__ for file in os.listdir(folder)]  # noqa: PTH208 - names suffice
    modules = {file.removesuffix(".py").replace("_", "-") for file in files if file.endswith(".py")}
    names = modules - _OTHER_MODULES
    return tuple(name for name in _FIRST if name in names) + tuple(sorted(names.difference(_FIRST)))


def default_detector(model: Path | None) -> str:
    """The detector to use if none is named: yunet if a detector's file is given, else luma."""
    return "yunet" if model else "luma"


def open_detector(
    name: str,
    model: Path | None = None,
    min_face_px: int = DEFAULT_MIN_FACE_PX,
    detect_size_px: int | None = None,
    threads: int = 1,
    min_score: float = 0.0,
) -> "SourceDetector":
    """Open the detector `name`, filtered: its faces have at least `min_face_px` and `min_score`.

    Its `detect` is for separate images, `for_stream` for the frames of a video or camera.

    model: the detector's file; yunet needs one. min_face_px: side of the FER2013 square in source pixels.
    detect_size_px: longer images are downscaled to this for the search; None: to IMAGE_DETECT_SIZE_PX, and frames of a
    stream to DEFAULT_DETECT_SIZE_PX. threads: CPU threads of luma; the others
    follow cv2.setNumThreads. min_score: on the detector's own scale.

    Raises ValueError for an unknown name and FerError if the detector can't be opened.
    """
    if name not in detector_names():
        raise ValueError(f"no detector is called {name!r}; there are {', '.join(detector_names())}")
    from fer_edge.detectors.base import DetectorOptions
    from fer_edge.detectors.search import SourceDetector

    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    detector: FramedDetector = module.create(
        DetectorOptions(model, min_face_px, detect_size_px or DEFAULT_DETECT_SIZE_PX, threads)
    )
    return SourceDetector(detector, min_face_px, min_score, detect_size_px)
