from pathlib import Path

import numpy as np
import pytest

from fer_edge import cli
from fer_edge.detectors import DETECTORS, Detector, HaarDetector, YunetDetector, open_detector
from fer_edge.drawn_face import draw_scene
from fer_edge.errors import FerError, ModelError
from fer_edge.following import iou
from fer_edge.framing import Image

YUNET = Path(__file__).parents[3] / "shared" / "models" / "face_detection_yunet_2023mar.onnx"


@pytest.fixture(scope="module", params=["haar", "yunet"])
def detector(request: pytest.FixtureRequest) -> Detector:
    if request.param == "yunet" and not YUNET.is_file():
        pytest.skip("YuNet's file is the user's and not in the repository")
    return open_detector(request.param, YUNET if request.param == "yunet" else None)


def test_a_drawn_face_is_found_where_it_is(detector: Detector, face_image: Image) -> None:
    (found,) = detector.detect(face_image)
    square = detector.framing.square(found.box)
    assert 0 < square.x < 320
    assert 0 < square.y < 240
    assert 60 < square.side < 200
    assert np.isfinite(found.score)
    assert found.score > 0


def test_a_grey_picture_is_as_good(detector: Detector, face_image: Image) -> None:
    grey = np.asarray(face_image.mean(axis=2), dtype=np.uint8)
    (coloured,), (found,) = detector.detect(face_image), detector.detect(grey)
    assert iou(found.box, coloured.box) > 0.8


def test_boxes_of_a_large_picture_are_in_its_own_pixels(detector: Detector) -> None:
    picture = np.asarray(draw_scene(0.5, (640, 480)))
    (small,) = detector.detect(picture)
    (large,) = detector.detect(picture.repeat(3, axis=0).repeat(3, axis=1))
    assert iou(large.box, tuple(3 * value for value in small.box)) > 0.7  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 3000), (3000, 1, 3), (23, 24), (10, 700, 3), (32, 320)])
def test_odd_pictures_without_a_face_give_none(detector: Detector, shape: tuple[int, ...]) -> None:
    for _ in range(5):  # what is read from memory that nobody wrote is not always wrong
        detector.detect(np.random.default_rng(0).integers(0, 256, (480, 640), dtype=np.uint8))
        assert detector.detect(np.full(shape, 128, dtype=np.uint8)) == []


def test_faces_below_the_smallest_size_are_left_out(face_image: Image) -> None:
    assert HaarDetector(min_face_px=40).detect(face_image)
    assert not HaarDetector(min_face_px=200).detect(face_image)


@pytest.mark.parametrize(
    "content", [b"", b"text", b"<?xml version='1.0'?><opencv_storage><a>1</a></opencv_storage>", b"\0" * 4000]
)
@pytest.mark.parametrize("kind", [HaarDetector, YunetDetector])
def test_files_of_another_kind_are_refused(tmp_path: Path, kind: type, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ModelError, match="file is not"):
        kind(tmp_path / "file")


@pytest.mark.parametrize("kind", [HaarDetector, YunetDetector])
def test_a_missing_file_is_refused(tmp_path: Path, kind: type) -> None:
    with pytest.raises(ModelError, match="not a file"):
        kind(tmp_path / "missing")


def test_another_network_is_not_yunet(model: Path) -> None:
    with pytest.raises(ModelError, match="not YuNet"):
        YunetDetector(model)


def test_yunet_says_where_its_file_comes_from() -> None:
    with pytest.raises(FerError, match="--detector-model"):
        open_detector("yunet")


def test_an_unknown_detector_is_a_value_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match="haar, yunet"):
        open_detector("hare")


def test_the_command_line_offers_the_detectors_there_are() -> None:
    assert tuple(DETECTORS) == cli.DETECTORS
