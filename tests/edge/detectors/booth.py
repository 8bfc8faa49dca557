"""The detector `booth`: one face in the middle of the frame, for a photo booth with a mark on the floor."""

from fer_edge.detectors.base import Detection, DetectorOptions
from fer_edge.framing import Framing, Image

MIN_MEAN = 20  # of the gray levels; a darker frame shows no face


def create(options: DetectorOptions) -> "BoothDetector":
    """Make the detector; it needs no file and no threads."""
    return BoothDetector(options.min_face_px)


class BoothDetector:
    """A box of half the frame's height in its center."""

    name = "booth"
    framing = Framing(of_height=1.0)  # the box is the FER2013 square
    needs_color = False

    def __init__(self, min_face_px: int) -> None:
        self._min_face_px = min_face_px

    def detect(self, image: Image) -> list[Detection]:
        """The one face of `image`, uint8 [H, W] or [H, W, 3], with score 1; none in a dark or small frame."""
        height, width = image.shape[:2]
        side = height / 2
        if side < self._min_face_px or image.mean() < MIN_MEAN:
            return []
        return [Detection(((width - side) / 2, (height - side) / 2, side, side), score=1.0)]
