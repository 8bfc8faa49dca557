import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_edge.demo.scene import draw_scene, face_box_at
from fer_edge.detectors import open_detector
from fer_edge.detectors.base import FramedDetector
from fer_edge.detectors.haar import HaarDetector
from fer_edge.detectors.lighting import CLEAR_DEVIATION, HAZE_GAIN, brighten, normalize_lighting
from fer_edge.detectors.luma import LumaDetector
from fer_edge.detectors.yunet import YunetDetector
from fer_edge.errors import ContractError, FerError, ModelError
from fer_edge.framing import Image, iou
from fer_edge.network.contract import Contract
from fer_edge.opencv import cv2
from fer_models import detector_path

needs_haar = pytest.mark.skipif(
    not hasattr(cv2, "CascadeClassifier"), reason=f"OpenCV {cv2.__version__} has no Haar cascades"
)


KINDS = [LumaDetector, YunetDetector, pytest.param(HaarDetector, marks=needs_haar)]


@pytest.fixture(scope="module", params=["luma", "yunet", pytest.param("haar", marks=needs_haar)])
def detector(request: pytest.FixtureRequest) -> FramedDetector:
    return open_detector(request.param, request.getfixturevalue("yunet_file") if request.param == "yunet" else None)


def test_a_drawn_face_is_found_where_it_is(detector: FramedDetector, face_image: Image) -> None:
    (found,) = detector.detect(face_image)
    square = detector.framing.square(found.box)
    assert 0 < square.x < 320
    assert 0 < square.y < 240
    assert 60 < square.side < 200
    assert np.isfinite(found.score)
    assert found.score > 0


def test_a_gray_image_gives_the_same_face(detector: FramedDetector, face_image: Image) -> None:
    gray = np.asarray(face_image.mean(axis=2), dtype=np.uint8)
    (colored,), (found,) = detector.detect(face_image), detector.detect(gray)
    assert iou(found.box, colored.box) > 0.8


def test_boxes_are_in_source_pixels_of_a_large_image(detector: FramedDetector) -> None:
    image = np.asarray(draw_scene(0.5, (640, 480)))
    (small,) = detector.detect(image)
    (large,) = detector.detect(image.repeat(3, axis=0).repeat(3, axis=1))
    assert iou(large.box, tuple(3 * value for value in small.box)) > 0.7  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 3000), (3000, 1, 3), (23, 24), (10, 700, 3), (32, 320)])
def test_blank_images_of_odd_shapes_give_no_face(detector: FramedDetector, shape: tuple[int, ...]) -> None:
    for _ in range(5):  # a read of uninitialized memory does not fail every time
        detector.detect(np.random.default_rng(0).integers(0, 256, (480, 640), dtype=np.uint8))
        assert detector.detect(np.full(shape, 128, dtype=np.uint8)) == []


@pytest.mark.parametrize("name", ["luma", pytest.param("haar", marks=needs_haar)])
def test_faces_below_the_minimum_size_are_dropped(name: str, face_image: Image) -> None:
    assert open_detector(name, min_face_px=40).detect(face_image)
    assert not open_detector(name, min_face_px=200).detect(face_image)


def test_a_smaller_detection_size_finds_the_same_face(face_image: Image) -> None:
    (full,) = LumaDetector().detect(face_image)
    (small,) = LumaDetector(detect_size_px=200).detect(face_image)
    assert iou(full.box, small.box) > 0.7


def test_a_dark_face_is_found_after_normalizing_the_lighting(monkeypatch: pytest.MonkeyPatch) -> None:
    night = (draw_scene(0.5) * 0.012).astype(np.uint8)  # gray levels up to 3
    assert len(LumaDetector().detect(night)) == 1
    monkeypatch.setattr("fer_edge.detectors.luma.lighting_table", lambda _image: None)
    assert len(LumaDetector().detect(night)) == 0


def test_hazy_images_gain_contrast_and_clear_or_blank_ones_stay() -> None:
    rng = np.random.default_rng(0)
    good = rng.integers(0, 256, (48, 64), dtype=np.uint8)
    assert normalize_lighting(good) is good
    wall = rng.integers(148, 153, (48, 64), dtype=np.uint8)
    assert normalize_lighting(wall) is wall
    nearly = rng.integers(144, 157, (48, 64), dtype=np.uint8)
    assert 1.1 < normalize_lighting(nearly).std() / nearly.std() < 4
    fog = rng.integers(130, 171, (48, 64), dtype=np.uint8)
    before = fog.copy()
    clear = normalize_lighting(fog)
    assert clear.mean() == pytest.approx(fog.mean(), abs=1)
    assert clear.std() == pytest.approx(CLEAR_DEVIATION, abs=1)
    thick = rng.integers(140, 160, (96, 64), dtype=np.uint8)[::2]
    assert normalize_lighting(thick).std() == pytest.approx(HAZE_GAIN * thick.std(), rel=0.02)
    assert np.array_equal(fog, before)
    night = (good * 0.15).astype(np.uint8)
    assert normalize_lighting(night).std() > brighten(night).std()


def test_dark_images_are_brightened_and_others_stay() -> None:
    bright = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)
    assert brighten(bright) is bright
    dark = (bright * 0.15).astype(np.uint8)
    lit = brighten(dark)
    assert (lit.dtype, lit.shape) == (np.uint8, dark.shape)
    assert 65 < lit.mean() <= 81
    order = np.argsort(dark, axis=None, kind="stable")
    assert (np.diff(lit.ravel()[order].astype(int)) >= 0).all()
    assert brighten(np.zeros((48, 64), np.uint8)).max() == 0
    assert brighten(np.full((48, 64), 2, np.uint8)).mean() < 40  # noise of a covered lens


def test_several_threads_give_the_same_boxes(face_image: Image) -> None:
    assert LumaDetector(threads=2).detect(face_image) == LumaDetector().detect(face_image)


def test_luma_knows_the_smallest_face_it_finds() -> None:
    assert 8 <= LumaDetector().smallest_face_px <= 24


def test_both_precisions_of_luma_find_the_same_face(face_image: Image) -> None:
    (fast,), (exact,) = (LumaDetector(detector_path(name)).detect(face_image) for name in ("int8", "fp32"))
    assert iou(fast.box, exact.box) > 0.8


def test_a_classifier_is_refused_as_a_detector(model: Path) -> None:
    with pytest.raises(ContractError, match="is a classifier"):
        LumaDetector(model)


def test_a_detector_contract_on_another_graph_is_refused(
    tmp_path: Path, build_onnx: Callable[..., Path], detector_contract: Contract
) -> None:
    with pytest.raises(ModelError, match="can't be run on an image"):
        LumaDetector(build_onnx(tmp_path / "fake.onnx", detector_contract))


@needs_haar
def test_haar_loads_where_opencv_has_it() -> None:
    HaarDetector()


def test_haar_names_an_alternative_where_opencv_lacks_cascades(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
    with pytest.raises(FerError, match="use the detector luma"):
        HaarDetector()


@pytest.mark.parametrize(
    "content", [b"", b"text", b"<?xml version='1.0'?><opencv_storage><a>1</a></opencv_storage>", b"\0" * 4000]
)
@pytest.mark.parametrize("kind", KINDS)
def test_files_of_another_kind_are_refused(tmp_path: Path, kind: type, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ModelError, match=r"file is not|is not a usable"):
        kind(tmp_path / "file")


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_refused(tmp_path: Path, kind: type) -> None:
    with pytest.raises(ModelError, match="not a file"):
        kind(tmp_path / "missing")


def test_another_network_is_refused_as_yunet(model: Path) -> None:
    with pytest.raises(ModelError, match="not YuNet"):
        YunetDetector(model)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e9])
def test_a_yunet_that_gives_no_numbers_is_an_error(value: float, face_image: Image) -> None:
    class Network:
        def getInputSize(self) -> tuple[int, int]:  # noqa: N802 - OpenCV's name
            return (320, 240)

        def detect(self, _image: Image) -> tuple[int, np.ndarray]:
            return 1, np.array([[10, 20, 30, 40, *[1.0] * 10, value]], np.float32)

    detector = YunetDetector.__new__(YunetDetector)
    detector.path, detector.detect_size_px = Path("theirs.onnx"), 320
    detector._network, detector._lock = Network(), threading.Lock()
    with pytest.raises(ModelError, match=r"theirs\.onnx gives values that are not numbers"):
        detector.detect(face_image)


def test_yunet_without_a_file_says_where_to_get_it() -> None:
    with pytest.raises(FerError, match="as the detector model"):
        open_detector("yunet")


def test_an_unknown_detector_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="luma, yunet, haar"):
        open_detector("hare")


def test_a_face_that_fills_a_large_image_is_found() -> None:
    x, y, width, height = face_box_at(0.5)
    left, top, side = int(x - 0.25 * height), int(y - 0.2 * height), int(1.4 * height)
    close = cv2.resize(draw_scene(0.5)[top : top + side, left : left + side], (640, 640))
    found = LumaDetector().detect(np.asarray(close, dtype=np.uint8))
    truth = tuple(640 / side * value for value in (x - left, y - top, width, height))
    assert max(iou(one.box, truth) for one in found) > 0.6  # type: ignore[arg-type]
