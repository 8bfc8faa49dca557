"""The second search with a border: when it runs, and what it does to the boxes."""

from pathlib import Path

import numpy as np
import pytest

from fer_edge.demo.scene import draw_scene, face_box_at
from fer_edge.detectors import open_detector
from fer_edge.detectors.base import Detection
from fer_edge.detectors.border import SEARCHED_PX, BorderDetector
from fer_edge.detectors.filter import FilteredDetector
from fer_edge.framing import Box, Framing, Image, iou
from fer_edge.opencv import cv2

WIDTH, HEIGHT = 640, 480
IMAGE = np.full((HEIGHT, WIDTH), 128, np.uint8)
CLOSE_UP: Box = (200.0, 60.0, 240.0, 320.0)
SMALL: Box = (10.0, 20.0, 40.0, 50.0)


class Scripted:
    """Finds `plain` in IMAGE and `bordered`, in pixels of IMAGE, in anything else."""

    name, needs_color, framing = "scripted", False, Framing(of_height=1.0)

    def __init__(self, plain: list[Box], bordered: list[Box] | None = None) -> None:
        self.plain, self.bordered = plain, bordered or []
        self.border_searches: list[tuple[int, ...]] = []

    def detect(self, image: Image) -> list[Detection]:
        if image.shape == IMAGE.shape:
            return [Detection(box, 0.9) for box in self.plain]
        self.border_searches.append(image.shape)
        height = len(image)
        scale = (HEIGHT + HEIGHT) / height
        margin = height // 4
        return [
            Detection((x / scale + margin, y / scale + margin, w / scale, h / scale), 0.8)
            for x, y, w, h in self.bordered
        ]


def detector_of(scripted: Scripted, every: int = 1, min_face_px: int = 20) -> BorderDetector:
    return BorderDetector(FilteredDetector(scripted, min_face_px), every)


def boxes(found: list[Detection]) -> list[Box]:
    return [one.box for one in found]


def close_up_of_the_drawn_face(t: float, side: int) -> tuple[Image, Box]:
    """The drawn face cropped as FER2013 does, `side` pixels wide, and its box there."""
    x, y, width, height = face_box_at(t)
    crop_side = 0.95 * height
    left, top = round(x + width / 2 - crop_side / 2), round(y + height / 2 - crop_side / 2)
    crop = draw_scene(t)[top : top + round(crop_side), left : left + round(crop_side)]
    scale = side / crop_side
    box = ((x - left) * scale, (y - top) * scale, width * scale, height * scale)
    return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8), box


@pytest.mark.parametrize("t", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("side", [48, 350, 1500])
def test_a_face_that_fills_the_image_gets_a_box_that_reaches_to_its_edges(t: float, side: int) -> None:
    image, truth = close_up_of_the_drawn_face(t, side)
    (found,) = open_detector("luma").detect(image)
    assert iou(found.box, truth) > 0.8


def test_an_image_with_a_medium_sized_face_is_searched_once() -> None:
    scripted = Scripted([(200.0, 100.0, 200.0, 280.0)], [CLOSE_UP])
    assert boxes(detector_of(scripted).detect(IMAGE)) == scripted.plain
    assert scripted.border_searches == []


@pytest.mark.parametrize("plain", [[], [(230.0, 100.0, 200.0, 290.0)]])
def test_the_box_of_the_second_search_is_in_pixels_of_the_image(plain: list[Box]) -> None:
    scripted = Scripted(plain, [CLOSE_UP])
    (found,) = detector_of(scripted).detect(IMAGE)
    assert found.box == pytest.approx(CLOSE_UP, abs=3)
    ((height, width),) = scripted.border_searches
    assert max(height, width) <= SEARCHED_PX


def test_a_box_may_reach_over_the_edge_of_the_image() -> None:
    over: Box = (100.0, -60.0, 400.0, 600.0)
    (found,) = detector_of(Scripted([], [over])).detect(IMAGE)
    assert found.box == pytest.approx(over, abs=4)


def test_boxes_inside_a_close_up_are_parts_of_its_face_and_others_stay() -> None:
    eye: Box = (230.0, 120.0, 70.0, 70.0)
    scripted = Scripted([(210.0, 80.0, 220.0, 300.0), eye, SMALL], [CLOSE_UP])
    close_up, other = detector_of(scripted).detect(IMAGE)
    assert close_up.box == pytest.approx(CLOSE_UP, abs=3)
    assert other.box == SMALL


def test_small_faces_of_the_second_search_do_not_count() -> None:
    scripted = Scripted([], [SMALL])
    assert detector_of(scripted).detect(IMAGE) == []


def test_without_a_face_in_the_second_search_the_first_one_counts() -> None:
    scripted = Scripted([CLOSE_UP], [])
    assert boxes(detector_of(scripted).detect(IMAGE)) == [CLOSE_UP]


def test_a_close_up_that_is_too_small_or_too_faint_is_left_out() -> None:
    found = detector_of(Scripted([], [CLOSE_UP]), min_face_px=400).search(IMAGE)
    assert found.faces == []
    assert found.left_out.small == pytest.approx((320,), abs=3)
    assert found.left_out.boxes == (pytest.approx(CLOSE_UP, abs=3),)


def test_an_empty_stream_is_searched_again_on_every_nth_frame() -> None:
    scripted = Scripted([])
    detector = detector_of(scripted, every=8)
    for _ in range(17):
        assert detector.detect(IMAGE) == []
    assert len(scripted.border_searches) == 3  # frames 0, 8 and 16


def test_a_stream_is_searched_again_while_a_close_up_is_seen() -> None:
    scripted = Scripted([], [CLOSE_UP])
    detector = detector_of(scripted, every=8)
    for _ in range(5):
        assert len(detector.detect(IMAGE)) == 1
    assert len(scripted.border_searches) == 5
    scripted.bordered = []
    for _ in range(5):
        assert detector.detect(IMAGE) == []
    assert len(scripted.border_searches) == 5 + 1  # the frame after the close-up


def test_streams_do_not_influence_each_other_or_separate_images(face_image: Image) -> None:
    detector = open_detector("luma")
    first, second = detector.for_stream(), detector.for_stream()
    close_up, _ = close_up_of_the_drawn_face(0.5, 350)
    alone = second(face_image)
    for _ in range(3):
        assert first(close_up).faces
    assert second(face_image) == alone
    assert detector.detect(face_image) == alone.faces


def test_only_detectors_that_ask_for_it_search_with_a_border(yunet_file: Path) -> None:
    detector = open_detector("yunet", yunet_file)
    assert detector.detect(np.zeros((64, 64, 3), np.uint8)) == []
    assert "BorderDetector" not in repr(detector.search)
    assert "BorderDetector" in repr(open_detector("luma").search)
