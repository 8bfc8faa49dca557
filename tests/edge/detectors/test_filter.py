import json
from pathlib import Path

import numpy as np
import pytest

from fer_edge.detectors.base import Detection
from fer_edge.detectors.filter import FilteredDetector
from fer_edge.framing import Framing, Image


class Boxes:
    name, needs_color = "boxes", False

    def __init__(self, framing: Framing, *found: Detection) -> None:
        self.framing, self.found = framing, list(found)

    def detect(self, _image: Image) -> list[Detection]:
        return self.found


def scores(detector: Boxes, min_face_px: int, min_score: float = 0.0) -> list[float]:
    return [
        found.score for found in FilteredDetector(detector, min_face_px, min_score).detect(np.zeros((9, 9), np.uint8))
    ]


def test_face_size_is_the_side_of_the_square_not_of_the_box() -> None:
    narrow = Boxes(Framing(of_height=0.95), Detection((0, 0, 30, 42), 1.0), Detection((0, 0, 90, 43), 2.0))
    wide = Boxes(Framing(of_width=1 / 0.98), Detection((0, 0, 39, 99), 1.0), Detection((0, 0, 39.5, 1), 2.0))
    assert scores(narrow, 40) == [2.0]
    assert scores(wide, 40) == [2.0]


def test_a_face_with_a_low_score_is_dropped() -> None:
    detector = Boxes(Framing(of_width=1.0), *(Detection((0, 0, 50, 50), score) for score in (0.6, 0.79, 0.8)))
    assert scores(detector, 40, 0.8) == [0.8]
    assert scores(detector, 40) == [0.6, 0.79, 0.8]


@pytest.mark.parametrize(("minimum", "some"), [("0.1", True), ("1000", False)])
def test_min_score_reaches_the_detector(fer_edge, tmp_path: Path, minimum: str, some: bool) -> None:
    ran = fer_edge(
        "--source", "demo:320x240", "--max-frames", "5", "--headless", "--min-score", minimum, "--report", "r"
    )
    assert ran.returncode == 0, ran.stderr
    report = json.loads((tmp_path / "r").read_text())
    assert (report["faces"]["seen"] > 0) == some
    assert report["settings"]["min_score"] == float(minimum)
