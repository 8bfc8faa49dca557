"""Detector and classifier on single images, without threads: what `EmotionRecognizer` does with each."""

from pathlib import Path
from typing import Any, NamedTuple

from fer_edge.detectors import open_detector
from fer_edge.detectors.base import CustomDetector, Detector, FramedDetector
from fer_edge.detectors.search import SourceDetector
from fer_edge.framing import Image, Square, to_gray
from fer_edge.network.classifier import Classifier
from fer_edge.results import Face
from fer_edge.tracking.labels import to_face
from fer_edge.tracking.smoothing import unsmoothed


class Networks(NamedTuple):
    """A detector and a classifier that work together. Threads may share them."""

    detector: FramedDetector
    classifier: Classifier

    def faces(self, image: Image, min_confidence: float) -> list[Face]:
        """The faces of `image`, uint8 BGR [H, W, 3] or gray [H, W], in the detector's order."""
        detector, classifier = self
        gray = to_gray(image)  # as in the pipeline, so that an image and a stream give the same numbers
        detections = detector.detect(image if detector.needs_color else gray)
        squares = [detector.framing.square(detection.box) for detection in detections]
        rows = classifier.classify(gray if classifier.contract.color == "grey" else image, squares)
        return [
            to_face(detection.box, detection.score, unsmoothed(row, min_confidence), classifier.labels, image)
            for detection, row in zip(detections, rows, strict=True)
        ]

    def face(self, crop: Image, min_confidence: float) -> Face:
        """The whole of `crop`, uint8 BGR [H, W, 3] or gray [H, W], as one face with the score 1."""
        height, width = crop.shape[:2]
        pixels = to_gray(crop) if self.classifier.contract.color == "grey" else crop
        (row,) = self.classifier.classify(pixels, [Square(width / 2, height / 2, max(width, height))])
        box = (0.0, 0.0, float(width), float(height))
        return to_face(box, 1.0, unsmoothed(row, min_confidence), self.classifier.labels, crop)


def detector_of(
    given: Any, model: Path | None, min_face_px: int, min_score: float, detect_size_px: int | None, threads: int
) -> FramedDetector:
    """The detector that a caller gives: a name, or an object with a method `detect`.

    model: the file of a detector that is given by name. Raises TypeError or ValueError for what is none.
    """
    if isinstance(given, str):
        return open_detector(given, model, min_face_px, detect_size_px, threads, min_score)
    if not isinstance(given, Detector):
        raise TypeError(f"detector is a name or has a method detect(image), not {type(given).__name__}")
    if model is not None:
        raise ValueError(f"detector_model={str(model)!r} is for a detector given by name")
    return SourceDetector(CustomDetector(given), min_face_px, min_score)
