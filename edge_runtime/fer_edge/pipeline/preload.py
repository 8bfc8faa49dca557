"""Start to load the networks in threads while Python imports OpenCV and the other modules, which takes about as long.

Imports nothing but onnxruntime: see "What is imported when" in docs/architecture.md.
"""

from pathlib import Path

from fer_edge.detectors.defaults import DEFAULT_DETECT_SIZE_PX
from fer_edge.network.session import forget_preloaded, preload

__all__ = ["forget_preloaded", "preload_networks"]


def preload_networks(
    model: Path, detector: str | None, detector_model: Path | None, detect_size_px: int | None, threads: int
) -> None:
    """Start to load the classifier `model` and the detector; opening them later takes them from there.

    detector: its name; only luma is a network of onnxruntime. It also runs once, on an empty 4:3 frame of
    `detect_size_px`, because the first run of a shape is slow. A fault is reported where the network is opened.
    """
    preload(model, threads)
    if detector == "luma":
        from fer_models import detector_path

        size = detect_size_px or DEFAULT_DETECT_SIZE_PX
        warm_up = (1, 1, size * 3 // 4 // 32 * 32, size // 32 * 32)  # in multiples of the network's step
        preload(detector_model or detector_path(), threads, warm_up)
