import cv2
import numpy as np
import pytest

from benchmarks.detector import gray_teacher


class Seen:
    """Stands for cv2.FaceDetectorYN: one face over the right half of whatever it is shown."""

    def __init__(self) -> None:
        self.shown = np.empty(0)

    def setInputSize(self, size: tuple[int, int]) -> None:  # noqa: N802
        self.size = size

    def detect(self, image: np.ndarray) -> tuple[int, np.ndarray]:
        self.shown = image
        width, height = self.size
        assert image.shape[:2] == (height, width)
        return 1, np.array([[width / 2, 0, width / 2, height, *[0] * 10, 0.7]], np.float32)


@pytest.mark.parametrize("enlarge", [1.0, 2.0, 1000.0])
def test_boxes_are_those_of_the_picture_however_enlarged(enlarge: float) -> None:
    network = Seen()
    image = np.full((60, 80, 3), 90, np.uint8)
    boxes, scores = gray_teacher.yunet_on(network, gray_teacher.gray, enlarge)(image)  # type: ignore[arg-type]
    assert np.allclose(boxes, [[40, 0, 80, 60]], atol=0.1)
    assert scores == pytest.approx([0.7])
    assert max(network.shown.shape) == min(80 * enlarge, gray_teacher.LONGEST_PX)


def test_what_is_shown_has_the_greys_of_the_colours() -> None:
    image = np.random.default_rng(0).integers(60, 200, (8, 9, 3), dtype=np.uint8)
    wanted = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    for channel in cv2.split(gray_teacher.gray(image)):
        assert np.array_equal(channel, wanted)
    blue, green, red = (int(channel.sum()) for channel in cv2.split(gray_teacher.tinted(wanted)))
    assert blue < green < red
