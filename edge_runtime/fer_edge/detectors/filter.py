"""The one place where faces are dropped as too small or too faint, by the same measure for every detector."""

from collections.abc import Sequence
from typing import NamedTuple

from fer_edge.detectors.base import Detection, FramedDetector
from fer_edge.detectors.defaults import SMALLEST_FACE_PX
from fer_edge.framing import Image
from fer_edge.results import LeftOut


class Found(NamedTuple):
    """The faces of an image that pass the filter, and those that it left out."""

    faces: list[Detection]
    left_out: LeftOut


class FilteredDetector:
    """A detector that returns only faces of at least `min_face_px` and `min_score`.

    min_face_px: side of the FER2013 square in source pixels, because detectors draw their boxes differently.
    min_score: on the wrapped detector's own scale.
    """

    def __init__(self, detector: FramedDetector, min_face_px: int, min_score: float = 0.0) -> None:
        self.detector = detector
        self._min_face_px, self._min_score = min_face_px, min_score
        self.name, self.framing, self.needs_color = detector.name, detector.framing, detector.needs_color

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`, uint8 [H, W] gray or [H, W, 3] BGR, in the wrapped detector's order."""
        return self.search(image).faces

    def search(self, image: Image) -> Found:
        """As `detect`, with the sizes and scores of the faces that were left out.

        Small faces are counted if the wrapped detector finds them anyway. A face that is both too small and too faint
        is not counted: no single option would include it.
        """
        return self.filtered(self.detector.detect(image))

    def filtered(self, detections: Sequence[Detection]) -> Found:
        """`detections` without those that are too small or too faint."""
        faces, small, faint, boxes = [], [], [], []
        for found in detections:
            side = self.framing.square(found.box).side
            if side >= self._min_face_px and found.score >= self._min_score:
                faces.append(found)
                continue
            boxes.append(found.box)
            if side >= self._min_face_px:
                faint.append(found.score)
            elif side >= SMALLEST_FACE_PX and found.score >= self._min_score:
                small.append(side)
        return Found(faces, LeftOut(tuple(small), tuple(faint), tuple(boxes)))
