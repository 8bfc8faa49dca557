"""Which of a detector's faces are taken: large enough, and sure enough; measured alike for every detector."""

from fer_edge.detectors import Detection, Detector
from fer_edge.framing import Image


class FilteredDetector:
    """A detector whose faces are at least `min_face_px` large and score at least `min_score`.

    Large is the side of the FER2013 square, since detectors' boxes differ; the score is the detector's own.
    """

    def __init__(self, detector: Detector, min_face_px: int, min_score: float = 0.0) -> None:
        self._detector, self._min_face_px, self._min_score = detector, min_face_px, min_score
        self.name, self.framing, self.needs_color = detector.name, detector.framing, detector.needs_color

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`, uint8 [H, W] grey or [H, W, 3] BGR."""
        return [found for found in self._detector.detect(image) if self._is_taken(found)]

    def _is_taken(self, found: Detection) -> bool:
        return found.score >= self._min_score and self.framing.square(found.box).side >= self._min_face_px
