"""What luma is unsure of it looks at again: with a network that says what the test wants it to."""

from dataclasses import replace

import numpy as np
import pytest

from fer_edge.contract import LookTerms
from fer_edge.detectors import LumaDetector
from fer_edge.detectors.boxes import Floats, cell_grid, window
from fer_edge.detectors.luma import MOST_LOOKS, UNSEEN_LOGIT, logit
from fer_edge.framing import Image

LOOK = LookTerms(window_px=96, face_px=40, least=0.4, most=0.85)
SMALL, LARGE = (100.0, 80.0, 116.0, 104.0), (60.0, 40.0, 120.0, 120.0)


class Told(LumaDetector):
    """luma with a network that sees `first` (boxes and logits) in the picture and `second` (likewise) in windows."""

    def __init__(self, first: list[tuple[tuple[float, ...], float]], second: list[tuple[tuple[float, ...], float]]):
        super().__init__()
        self._terms = replace(self._terms, second_look=LOOK, score_threshold=0.5)
        self.first, self.second = first, second
        self.windows: list[Image] = []

    def _run(self, pictures: Image) -> Floats:
        count, height, width = pictures.shape
        if not hasattr(self, "first"):  # still opened
            return super()._run(pictures)
        if (height, width) == (96, 96):
            self.windows += list(pictures)
        seen = self.second if (height, width) == (96, 96) else self.first
        return np.repeat(answers(height, width, seen)[None], count, axis=0)


def answers(height: int, width: int, seen: list[tuple[tuple[float, ...], float]]) -> Floats:
    """What a network of luma's strides says that sees just that: float32 [5, cells]."""
    grid = cell_grid(height, width, (8, 16, 32, 64))
    told = np.full((5, len(grid)), -9.0, np.float32)
    for (left, top, right, bottom), value in seen:
        x, y = (left + right) / 2, (top + bottom) / 2
        cell = int(np.argmin(np.hypot(grid[:, 0] - x, grid[:, 1] - y) + 1e3 * (grid[:, 2] != 8)))
        told[:, cell] = [value, (x - grid[cell, 0]) / 8, (y - grid[cell, 1]) / 8,
                         np.log((right - left) / 32), np.log((bottom - top) / 32)]  # fmt: skip
    return told


def picture(side: int = 256) -> Image:
    return np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)


CENTRE = (32.0, 24.0, 64.0, 72.0)  # where the small box lies in its window, roughly


@pytest.mark.parametrize(("first", "again", "found"), [(0.3, 2.0, True), (0.3, -2.0, False), (1.0, -0.5, True)])
def test_the_score_of_what_is_unsure_is_the_mean_of_two_looks(first: float, again: float, found: bool) -> None:
    detector = Told([(SMALL, first)], [(CENTRE, again)])
    boxes, scores = detector.search(picture())
    assert len(detector.windows) == 1
    assert len(boxes) == found
    if found:
        assert boxes[0] == pytest.approx(SMALL, abs=1e-3)
        assert logit(scores)[0] == pytest.approx((first + again) / 2, abs=1e-4)


def test_what_the_second_look_sees_elsewhere_does_not_count() -> None:
    detector = Told([(SMALL, 0.3)], [((0.0, 0.0, 30.0, 30.0), 5.0)])
    _, scores = detector.search(picture(), 0.02)
    assert logit(scores)[0] == pytest.approx((0.3 + UNSEEN_LOGIT) / 2, abs=1e-4)


@pytest.mark.parametrize(("box", "value"), [(SMALL, 3.0), (SMALL, -1.0), (LARGE, 0.3)])
def test_sure_faint_and_large_boxes_are_looked_at_once(box: tuple[float, ...], value: float) -> None:
    detector = Told([(box, value)], [(CENTRE, -4.0)])
    _, scores = detector.search(picture(), 0.02)
    assert detector.windows == []
    assert logit(scores)[0] == pytest.approx(value, abs=1e-4)


def test_a_file_without_second_look_gives_what_it_saw_first() -> None:
    detector = Told([(SMALL, 0.3)], [(CENTRE, -4.0)])
    detector._terms = replace(detector._terms, second_look=None)
    _, scores = detector.search(picture())
    assert logit(scores)[0] == pytest.approx(0.3, abs=1e-4)
    assert detector.windows == []


def test_faces_too_small_to_be_wanted_are_not_looked_at() -> None:
    detector = Told([(SMALL, 0.3)], [(CENTRE, 4.0)])
    assert len(detector.search(picture(), smallest_px=25)[0]) == 0
    assert detector.windows == []
    assert len(detector.search(picture(), smallest_px=23)[0]) == 1


def test_crowds_are_looked_at_in_part() -> None:
    crowd = [((x, y, x + 10.0, y + 10.0), 0.1 + (x + y) / 1000) for x in range(8, 400, 24) for y in range(8, 240, 24)]
    detector = Told(crowd, [((28.0, 28.0, 68.0, 68.0), 1.5)])
    assert len(crowd) > MOST_LOOKS
    boxes, scores = detector.search(np.zeros((256, 400), np.uint8) + picture(256)[0, 0])
    assert len(detector.windows) == MOST_LOOKS
    assert len(boxes) == len(crowd)
    assert (np.diff(scores) <= 0).all()


def test_the_second_look_sees_the_pixels_of_the_whole_picture() -> None:
    whole, detector = picture(512), Told([(SMALL, 0.3)], [(CENTRE, 4.0)])
    small = np.full((256, 256), 60, np.uint8)
    small[::2] = 200
    boxes, _ = detector.search(small, whole=whole)
    expected, _ = window(whole, np.asarray(SMALL, np.float32) * 2, 40, 96, 128)
    assert np.array_equal(detector.windows[0], expected)
    assert boxes[0] == pytest.approx(SMALL, abs=1e-3)


def test_the_second_look_is_in_the_light_of_the_first() -> None:
    night, detector = picture() // 16, Told([(SMALL, 0.3)], [(CENTRE, 4.0)])
    detector.search(night)
    dark, _ = window(night, np.asarray(SMALL, np.float32), 40, 96, 128)
    assert detector.windows[0][40:56, 40:56].mean() > 5 * dark[40:56, 40:56].mean()


def test_a_window_shows_the_box_in_its_size_and_grey_beyond_the_picture() -> None:
    gray = np.full((60, 80), 30, np.uint8)
    gray[20:40, 10:30] = 220
    seen, place = window(gray, np.asarray([10, 20, 30, 40], np.float32), 40, 96, 128)
    assert (seen.dtype, seen.shape) == (np.uint8, (96, 96))
    assert place == pytest.approx([28, 28, 68, 68])
    assert (seen[30:66, 30:66] == 220).all()
    assert (seen[:, :7] == 128).all()  # four pixels left of the picture, doubled
    assert (seen[2:26, 10:] == 30).all()


@pytest.mark.parametrize("box", [(-90.0, -90.0, -60.0, -50.0), (500.0, 10.0, 530.0, 50.0), (10.0, 10.0, 10.0, 10.0)])
def test_windows_of_odd_boxes_are_windows_all_the_same(box: tuple[float, ...]) -> None:
    seen, place = window(np.zeros((60, 80), np.uint8), np.asarray(box, np.float32), 40, 96, 128)
    assert (seen.shape, place.shape) == ((96, 96), (4,))
    assert np.isfinite(place).all()
