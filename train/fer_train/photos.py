"""Find the face of a photograph, so that whole photographs can be labeled, trained on and predicted."""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fer_edge.framing import Image, Square

if TYPE_CHECKING:
    from fer_edge.detectors.search import SourceDetector

Crop = Literal["auto", "always", "never"]
"""auto: cut out the one face of a photograph. always: the largest face of any image. never: use images whole."""
MIN_PHOTO_PX = 96  # shorter side; smaller images are faces that somebody has cut out
MAX_FACE_SHARE = 0.6  # of the shorter side: where the face takes more of an image, the image was cut around it
DOMINANT = 2.0  # a face this many times as large as the next one is the photograph's subject

Outcome = Literal["cut", "no face", "several faces", "a face"]


@dataclass
class FaceFinder:
    """Finds faces with luma, which is opened for the first photograph. Threads may share a finder.

    outcome, square = FaceFinder("auto").find(photo)  # photo: uint8 [H, W]
    """

    crop: Crop = "auto"
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _detector: "SourceDetector | None" = None

    def find(self, gray: Image) -> tuple[Outcome, Square | None]:
        """What an image, uint8 [H, W], shows, and the FER2013 square to cut out; None to use the image whole.

        "a face" is an image that is a cut-out face already; small images are taken for one unseen.
        """
        shorter_px = min(gray.shape)
        if self.crop == "never" or (self.crop == "auto" and shorter_px < MIN_PHOTO_PX):
            return "a face", None
        detector = self._opened()
        squares = [detector.framing.square(face.box) for face in detector.detect(gray)]
        squares.sort(key=lambda square: -square.side)
        if not squares:
            return "no face", None
        if self.crop == "always":
            return "cut", squares[0]
        if len(squares) > 1 and squares[0].side < DOMINANT * squares[1].side:
            return "several faces", None
        if squares[0].side > MAX_FACE_SHARE * shorter_px:
            return "a face", None
        return "cut", squares[0]

    def _opened(self) -> "SourceDetector":
        from fer_edge.detectors import open_detector

        with self._lock:
            if self._detector is None:
                self._detector = open_detector("luma")
            return self._detector
