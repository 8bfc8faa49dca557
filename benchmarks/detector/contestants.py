"""The detectors as they are in use, and searches that also give their faint boxes for the curve."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detector.photos import Boxes, Search
from fer_edge.detectors.base import Detection, FramedDetector
from fer_edge.detectors.filter import FilteredDetector
from fer_edge.detectors.haar import HaarDetector
from fer_edge.detectors.luma import LumaDetector
from fer_edge.detectors.yunet import YunetDetector
from fer_edge.framing import Image, to_gray
from fer_edge.opencv import cv2

ANY_SIZE_PX = 10_000  # images are searched at their own size
MIN_FACE_PX = 16  # in use, smaller faces are not searched for; the curve counts all
MIN_SCORE = 0.02  # fainter boxes are not part of the curve


class FaintYunet(YunetDetector):
    """YuNet with its faint boxes."""

    SCORE_THRESHOLD = MIN_SCORE


@dataclass(frozen=True)
class Contestant:
    """A detector in use, a search that gives its faint boxes too, and the score threshold in use."""

    detector: FramedDetector
    search: Search
    threshold: float


Contestants = dict[str, Contestant]
"""By the name of the detector; luma is always among them."""


def open_contestants(yunet: Path | None, luma: Path | None) -> Contestants:
    """Haar where OpenCV has cascades, yunet if its file is given, and luma."""
    found: Contestants = {}
    if hasattr(cv2, "CascadeClassifier"):
        haar = HaarDetector(None, MIN_FACE_PX, ANY_SIZE_PX)
        found["haar"] = Contestant(haar, haar_search(haar), 5)
    if yunet is not None:
        in_use = FilteredDetector(YunetDetector(yunet, ANY_SIZE_PX), MIN_FACE_PX)
        faint = FaintYunet(yunet, ANY_SIZE_PX)
        found["yunet"] = Contestant(in_use, search_with(faint), YunetDetector.SCORE_THRESHOLD)
    ours = LumaDetector(luma, MIN_FACE_PX, ANY_SIZE_PX)
    filtered = FilteredDetector(ours, MIN_FACE_PX)
    found["luma"] = Contestant(
        filtered, lambda image: ours.search(to_gray(image), MIN_SCORE), ours.terms.score_threshold
    )
    return found


def search_with(detector: FramedDetector) -> Search:
    """A search that gives the detector's detections as corners and scores."""

    def search(image: Image) -> tuple[Boxes, Any]:
        found = detector.detect(image)
        boxes = np.array([one.box for one in found], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return boxes, np.array([one.score for one in found], np.float32)

    return search


def haar_search(detector: HaarDetector) -> Search:
    """A search with Haar, scored by the number of neighbors (five in use)."""
    cascade = detector._cascade

    def search(image: Image) -> tuple[Boxes, Any]:
        found, neighbors = cascade.detectMultiScale2(to_gray(image), scaleFactor=1.1, minNeighbors=1, minSize=(10, 10))
        boxes = np.asarray(found, np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return boxes, np.ravel(neighbors).astype(np.float32)

    return search


def largest(found: Sequence[Detection]) -> Detection | None:
    """The detection with the largest box."""
    return max(found, key=lambda one: one.box[2] * one.box[3], default=None)


def times(contestants: Contestants, images: Sequence[Image], rounds: int) -> dict[str, list[float]]:
    """Milliseconds per BGR image, all detectors in turn on each; a first round warms up.

    From the image as the detector takes it (BGR for YuNet, else gray) to boxes.
    """
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    pairs = [(image, to_gray(image)) for image in images]
    for turn in range(rounds + 1):
        for name, elapsed_ms in _one_round(contestants, pairs):
            if turn:
                taken[name].append(elapsed_ms)
    return taken


def _one_round(contestants: Contestants, pairs: Sequence[tuple[Image, Image]]) -> Iterator[tuple[str, float]]:
    for color, gray in pairs:
        for name, contestant in contestants.items():
            started = time.perf_counter()
            contestant.detector.detect(color if contestant.detector.needs_color else gray)
            yield name, 1000 * (time.perf_counter() - started)
