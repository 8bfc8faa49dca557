import numpy as np
import pytest

from benchmarks.detector.turned import PITCHES, YAWS, found, measure, plot, table
from fer_edge.detectors import Detection
from fer_train.detection.synthesis.tiles import FaceTiles

BOX = [44.0, 30.0, 40.0, 54.0]


class Still:
    """A detector that sees one face wherever it is told, in grey pictures."""

    name = "still"
    needs_color = False

    def __init__(self, box: tuple[float, float, float, float]) -> None:
        self.box = box
        self.shapes: set[tuple[int, ...]] = set()

    def detect(self, image: np.ndarray) -> list[Detection]:
        self.shapes.add(image.shape)
        return [Detection(self.box, 0.9)]


def tiles() -> FaceTiles:
    images = np.random.default_rng(0).integers(0, 256, (2, 128, 128), dtype=np.uint8)
    return FaceTiles(images, (np.array([[*BOX, 0.9]], np.float32),) * 2, np.full(2, 0.5))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((40, 35, 40, 50), True),
        ((50, 40, 40, 50), True),  # a quarter of its side off
        ((80, 35, 40, 50), False),
        ((20, 15, 80, 90), False),  # about the whole head and more
        ((52, 50, 16, 20), False),
    ],
)
def test_a_box_must_lie_where_the_face_is_at_about_its_size(
    box: tuple[float, float, float, float], expected: bool
) -> None:
    assert found([Detection(box, 0.9)], (60, 60), 40, 50) is expected
    assert not found([], (60, 60), 40, 50)


def test_who_sees_only_the_old_place_loses_heads_that_turn_away() -> None:
    scale = 32 / BOX[3]
    detector = Still(tuple(value * scale for value in BOX))
    results = measure([detector], tiles(), 32)  # type: ignore[list-item]
    yaw, pitch = results["still"]["yaw"], results["still"]["pitch"]
    assert list(yaw) == list(YAWS)
    assert list(pitch) == list(PITCHES)
    assert yaw[0] == pitch[0] == 1
    assert yaw[90] == yaw[105] == 0
    assert detector.shapes == {(76, 76)}
    shown = table(results, "title")
    assert [row[0] for row in shown.rows] == ["still, yaw", "still, pitch"]
    assert "-" in shown.rows[0]  # nobody is turned by -30 degrees
    assert [axis.get_ylabel() for axis in plot(results, 32).axes] == ["found", "found"]
