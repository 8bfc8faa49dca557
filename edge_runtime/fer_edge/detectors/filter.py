"""The one place where faces are dropped as too small or too faint, by the same measure for every detector."""

from fer_edge.detectors.base import Detection, FramedDetector
from fer_edge.framing import Image


class FilteredDetector:
    """A detector that returns only faces of at least `min_face_px` and `min_score`.

    min_face_px: side of the FER2013 square in source pixels, because detectors draw their boxes differently.
    min_score: on the wrapped detector's own scale.
    """

    def __init__(self, detector: FramedDetector, min_face_px: int, min_score: float = 0.0) -> None:
        self._detector, self._min_face_px, self._min_score = detector, min_face_px, min_score
        self.name, self.framing, self.needs_color = detector.name, detector.framing, detector.needs_color

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`, uint8 [H, W] gray or [H, W, 3] BGR, in the wrapped detector's order."""
        return [found for found in self._detector.detect(image) if self._passes(found)]

    def _passes(self, found: Detection) -> bool:
        return found.score >= self._min_score and self.framing.square(found.box).side >= self._min_face_px
