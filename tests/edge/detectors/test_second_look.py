"""luma's second look at boxes that it is unsure of, with a scripted network."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_edge.detectors.boxes import Floats, cell_grid
from fer_edge.detectors.lighting import lighting_table, normalize_lighting
from fer_edge.detectors.luma import MIN_LOGIT, MIN_SECOND_LOOKS, LumaDetector, logit
from fer_edge.errors import ContractError, ModelError
from fer_edge.framing import Image
from fer_edge.network.contract import METADATA_KEY, SecondLook

LOOK = SecondLook(window_px=96, face_px=40, least=0.4, most=0.85)
Corners = tuple[float, float, float, float]
SMALL, LARGE = (100.0, 80.0, 116.0, 104.0), (60.0, 40.0, 120.0, 120.0)
IN_WINDOW = (31.7, 23.5, 64.3, 72.5)  # where SMALL lies in its window
Seen = list[tuple[Corners, float]]


class ScriptedLuma(LumaDetector):
    """luma with a network that sees `first` (boxes and logits) in the image and `second(window)` in each window."""

    def __init__(
        self, first: Seen, second: Callable[[Image], Seen], detect_size_px: int = 10_000, min_face_px: int = 1
    ):
        self.windows: list[Image] = []
        self.first: Seen | None = None  # while it opens
        super().__init__(None, min_face_px, detect_size_px)
        self.first, self.second = first, second
        self.terms = replace(self.terms, second_look=LOOK, score_threshold=0.5)

    def _run(self, images: Image) -> Floats:
        if self.first is None:
            return super()._run(images)
        if images.shape[1:] == (96, 96):
            self.windows += list(images)
            return np.stack([outputs_for(96, 96, self.second(image)) for image in images])
        (image,) = images
        return outputs_for(*image.shape, self.first)[None]


def outputs_for(height: int, width: int, seen: Seen) -> Floats:
    """The outputs of a network with luma's strides that sees just that: float32 [5, cells]."""
    grid = cell_grid(height, width, (8, 16, 32, 64))
    outputs = np.full((5, len(grid)), -9.0, np.float32)
    for (left, top, right, bottom), value in seen:
        x, y = (left + right) / 2, (top + bottom) / 2
        cell = int(np.argmin(np.hypot(grid[:, 0] - x, grid[:, 1] - y) + 1e3 * (grid[:, 2] != 8)))
        outputs[:, cell] = [value, (x - grid[cell, 0]) / 8, (y - grid[cell, 1]) / 8,
                         np.log((right - left) / 32), np.log((bottom - top) / 32)]  # fmt: skip
    return outputs


def second_logit(value: float) -> Callable[[Image], Seen]:
    """A second look that sees SMALL with that logit."""
    return lambda _window: [(IN_WINDOW, value)]


def noise(height: int = 256, width: int = 256) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)


@pytest.mark.parametrize(
    ("first", "again", "found"), [(0.3, 2.0, True), (-0.3, 2.0, True), (0.3, -2.0, False), (1.0, -0.5, True)]
)
def test_an_unsure_box_gets_the_mean_logit_of_two_looks(first: float, again: float, found: bool) -> None:
    detector = ScriptedLuma([(SMALL, first)], second_logit(again))
    boxes, scores = detector.search(noise())
    assert len(detector.windows) == 1
    assert len(boxes) == found
    if found:
        assert boxes[0] == pytest.approx(SMALL, abs=1e-3)
        assert logit(scores)[0] == pytest.approx((first + again) / 2, abs=1e-4)


def test_a_face_elsewhere_in_the_window_does_not_count() -> None:
    detector = ScriptedLuma([(SMALL, 0.3)], lambda _window: [((0.0, 0.0, 30.0, 30.0), 5.0)])
    _, scores = detector.search(noise(), 0.02)
    assert logit(scores)[0] == pytest.approx((0.3 + MIN_LOGIT) / 2, abs=1e-4)


@pytest.mark.parametrize(("box", "value"), [(SMALL, 3.0), (SMALL, -1.0), (LARGE, 0.3)])
def test_sure_faint_and_large_boxes_get_no_second_look(box: Corners, value: float) -> None:
    detector = ScriptedLuma([(box, value)], second_logit(-4.0))
    _, scores = detector.search(noise(), 0.02)
    assert detector.windows == []
    assert logit(scores)[0] == pytest.approx(value, abs=1e-4)


def test_without_a_second_look_the_first_scores_stay() -> None:
    detector = ScriptedLuma([(SMALL, 0.3)], second_logit(-4.0))
    detector.terms = replace(detector.terms, second_look=None)
    _, scores = detector.search(noise())
    assert logit(scores)[0] == pytest.approx(0.3, abs=1e-4)
    assert detector.windows == []


def test_the_window_shows_the_box_enlarged_in_its_middle() -> None:
    gray = noise()  # with lighting that needs no normalization
    gray[:150] = 90
    gray[80:104, 100:116] = 220
    assert lighting_table(gray) is None
    detector = ScriptedLuma([(SMALL, 0.3)], second_logit(2.0))
    detector.search(gray)
    (seen,) = detector.windows
    left, top, right, bottom = (round(value) for value in IN_WINDOW)
    assert (seen[top + 2 : bottom - 2, left + 2 : right - 2] > 200).all()
    outside = np.ones((96, 96), bool)
    outside[top - 2 : bottom + 2, left - 2 : right + 2] = False
    assert (seen[outside] < 100).all()


@pytest.mark.parametrize("darker", [1, 16])
def test_windows_have_the_lighting_of_the_first_look_and_gray_padding(darker: int) -> None:
    gray = noise() // darker
    detector = ScriptedLuma([((0.0, 80.0, 16.0, 104.0), 0.3)], second_logit(2.0))
    detector.search(gray)
    (seen,) = detector.windows
    light = lighting_table(gray)
    assert (light is None) == (darker == 1)
    brightest = 255 if light is None else int(light[gray.max()])
    assert seen[:, 40:].max() == pytest.approx(brightest, rel=0.1)
    outside = seen[:, :28].astype(int)
    assert outside.std() == 0
    assert abs(int(outside[0, 0]) - 128) <= 8  # as close as the lookup table comes


def test_faces_below_the_minimum_size_get_no_second_look() -> None:
    detector = ScriptedLuma([(SMALL, 0.3)], second_logit(4.0))
    assert len(detector.search(noise(), min_size_px=25)[0]) == 0
    assert detector.windows == []
    assert len(detector.search(noise(), min_size_px=23)[0]) == 1


@pytest.mark.parametrize(("height", "width"), [(512, 512), (768, 512), (101, 1930)])
def test_windows_show_the_pixels_of_the_full_size_frame(height: int, width: int) -> None:
    whole = np.full((height, width), 20, np.uint8)
    whole[::2] = 230  # lines that downscaling removes
    size = max(height, width) // 2
    scale_x = width / max(1, round(width * size / max(height, width)))
    scale_y = height / max(1, round(height * size / max(height, width)))
    detector = ScriptedLuma([((20.0, 10.0, 36.0, 34.0), 0.3)], second_logit(2.0), detect_size_px=size, min_face_px=47)
    (found,) = detector.detect(whole)
    assert found.box == pytest.approx((20 * scale_x, 10 * scale_y, 16 * scale_x, 24 * scale_y), rel=0.05)
    (seen,) = detector.windows
    assert seen[24:72, 32:64].std() > 20
    assert ScriptedLuma([((20.0, 10.0, 36.0, 34.0), 0.3)], second_logit(2.0), size, min_face_px=50).detect(whole) == []


def test_windows_are_in_the_right_place_where_sides_are_downscaled_unequally() -> None:
    whole = np.zeros((101, 1930), np.uint8)  # 33x640: by 3.06 and 3.02
    box = (600.0, 8.0, 616.0, 24.0)
    whole[round(8 * 101 / 33) : round(24 * 101 / 33), round(600 * 1930 / 640) : round(616 * 1930 / 640)] = 250
    detector = ScriptedLuma([(box, 0.3)], second_logit(2.0), detect_size_px=640)
    detector.detect(whole)
    (seen,) = detector.windows
    y, x = np.nonzero(seen > 200)
    assert (x.mean(), y.mean()) == pytest.approx((47.5, 47.5), abs=1.5)


def crowd(height: int, width: int) -> tuple[Image, Seen]:
    """Boxes in an image, each with its own gray level: the lighter, the higher its score."""
    gray, seen = np.zeros((height, width), np.uint8), []
    places = [(x, y) for y in range(8, height - 16, 24) for x in range(8, width - 16, 24)]
    for number, (x, y) in enumerate(places):
        share = number / len(places)
        gray[y - 3 : y + 13, x - 3 : x + 13] = 55 + round(200 * share)
        seen.append(((x, y, x + 10.0, y + 10.0), -0.3 + share))
    return gray, seen


def test_each_box_gets_the_logit_of_its_own_window() -> None:
    gray, seen = crowd(256, 720)  # large enough for a second look at each
    detector = ScriptedLuma(seen[::15], lambda window: [((28.0, 28.0, 68.0, 68.0), float(window[48, 48]) / 100)])
    boxes, scores = detector.search(gray, 0.02)
    assert len(detector.windows) == len(seen[::15]) > 16
    logits, lit = dict(seen), normalize_lighting(gray)
    for box, score in zip(boxes, scores, strict=True):
        (first,) = [value for place, value in logits.items() if np.allclose(place, box, atol=0.01)]
        again = int(lit[round(box[1]) + 5, round(box[0]) + 5]) / 100
        assert logit(score) == pytest.approx((first + again) / 2, abs=0.02)
    assert (np.diff(scores) <= 0).all()


def test_the_best_boxes_of_a_crowd_get_a_second_look() -> None:
    gray, seen = crowd(128, 256)
    detector = ScriptedLuma(seen, lambda _window: [((28.0, 28.0, 68.0, 68.0), 3.0)])
    boxes, scores = detector.search(gray, 0.02)
    assert len(boxes) == len(seen) > MIN_SECOND_LOOKS
    assert len(detector.windows) == MIN_SECOND_LOOKS
    lifted = sorted((value + 3) / 2 for _, value in seen[-MIN_SECOND_LOOKS:])
    assert sorted(logit(scores).tolist())[-MIN_SECOND_LOOKS:] == pytest.approx(lifted, abs=1e-3)


def test_the_number_of_second_looks_grows_with_the_image_area() -> None:
    gray, seen = crowd(288, 384)
    detector = ScriptedLuma(seen, lambda _window: [])
    detector.search(gray)
    assert len(detector.windows) == 288 * 384 // 96**2 < len(seen)


@pytest.mark.parametrize(("window_px", "error"), [(100, ModelError), (8, ModelError), (10**400, ModelError)])
def test_a_window_size_that_the_network_cannot_take_is_refused_when_it_is_opened(
    window_px: int, error: type[Exception], tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    from fer_models import detector_path

    model = onnx.load(detector_path())
    terms = LumaDetector().contract
    assert terms.detector is not None
    look = SecondLook(window_px, 4, 0.4, 0.85)
    contract = replace(terms, detector=replace(terms.detector, second_look=look))
    (entry,) = [one for one in model.metadata_props if one.key == METADATA_KEY]
    entry.value = contract.to_json()
    onnx.save(model, tmp_path / "d.onnx")
    with pytest.raises((error, ContractError)) as caught:
        LumaDetector(tmp_path / "d.onnx")
    assert "\n" not in str(caught.value)
