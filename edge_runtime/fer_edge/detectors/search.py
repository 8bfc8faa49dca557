"""A detector set up for its source: separate images are searched more thoroughly than the frames of a stream."""

from collections.abc import Callable

from fer_edge.detectors.base import Detection, FramedDetector
from fer_edge.detectors.border import BorderDetector, configured
from fer_edge.detectors.defaults import DEFAULT_DETECT_SIZE_PX, IMAGE_DETECT_SIZE_PX
from fer_edge.detectors.filter import FilteredDetector, Found
from fer_edge.framing import Image
from fer_edge.results import LeftOut

STREAM_EVERY = 8  # frames without a face per search with a border: an empty room must cost a camera little

Search = Callable[[Image], Found]


class SourceDetector:
    """A detector with filter and border. `detect` and `search` are for separate images, `for_stream` for a stream.

    detect_size_px: longest side of the searched image; None: IMAGE_DETECT_SIZE_PX for separate images,
    DEFAULT_DETECT_SIZE_PX for streams. min_face_px, min_score: as of FilteredDetector.
    """

    def __init__(
        self, detector: FramedDetector, min_face_px: int, min_score: float = 0.0, detect_size_px: int | None = None
    ) -> None:
        self._detector, self._min_face_px, self._min_score = detector, min_face_px, min_score
        self._detect_size_px = detect_size_px
        self.name, self.framing, self.needs_color = detector.name, detector.framing, detector.needs_color
        self.search = self._search(IMAGE_DETECT_SIZE_PX, 1)

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`, uint8 [H, W] gray or [H, W, 3] BGR, in any order."""
        return self.search(image).faces

    def for_stream(self) -> Search:
        """A search of the frames of one stream, in order: what one frame shows decides how the next is searched."""
        return self._search(DEFAULT_DETECT_SIZE_PX, STREAM_EVERY)

    def _search(self, detect_size_px: int, every: int) -> Search:
        sized = configured(self._detector, detect_size_px=self._detect_size_px or detect_size_px)
        filtered = FilteredDetector(sized, self._min_face_px, self._min_score)
        return BorderDetector(filtered, every).search if getattr(sized, "needs_border", False) else filtered.search


def search_of(detector: FramedDetector, stream: bool) -> Search:
    """The search of `detector` for a stream or for separate images; of other detectors, their only one."""
    if isinstance(detector, SourceDetector):
        return detector.for_stream() if stream else detector.search
    return lambda image: Found(detector.detect(image), LeftOut())
