"""Start to load the networks in threads while Python imports OpenCV and the other modules, which takes about as long.

Imports nothing but onnxruntime: see "What is imported when" in docs/architecture.md.
"""

from pathlib import Path

from fer_edge.network.session import forget_preloaded, preload

__all__ = ["forget_preloaded", "preload_networks"]


def preload_networks(model: Path, detector: str | None, detector_model: Path | None, threads: int) -> None:
    """Start to load the classifier `model` and the detector; opening them later takes them from there.

    detector: its name; only luma is a network of onnxruntime. A fault is reported where the network is opened.
    """
    preload(model, threads)
    if detector == "luma":
        from fer_models import detector_path

        preload(detector_model or detector_path(), threads)
