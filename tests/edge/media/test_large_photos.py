"""Photos of more pixels than may be decoded: JPEGs are read at a part of their size, with boxes in their own pixels."""

import json
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge import EmotionRecognizer, Face, StreamOptions
from fer_edge.framing import Image, iou
from fer_edge.media.door import decode_image, decoding_plan, reduction_for
from fer_edge.media.formats import Layout, layout_of
from fer_edge.sources import open_source
from fer_train.data.images import REDUCED, decode_face
from tests.edge.media.test_door import with_orientation
from tests.edge.media.test_image_limits import jpeg

WIDTH, HEIGHT = 1283, 960  # not divisible by two
SAME = 0.85  # the intersection over union of boxes of one face, found in all pixels and in a quarter of them


def layout(width: int, height: int, code: int = 0xC0, factors: tuple[int, ...] = (0x22, 0x11, 0x11)) -> Layout:
    found = layout_of(jpeg(100, code, factors).replace(struct.pack(">HH", 100, 100), struct.pack(">HH", height, width)))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("photo", "reduction"),
    [
        (layout(6000, 4000), 1),
        (layout(8064, 6048), 2),
        (layout(8160, 6120), 2),
        (layout(12000, 9000), 2),
        (layout(16320, 12240), 4),
        (layout(8160, 6120, 0xC2), 2),  # progressive: all coefficients are kept
        (layout(12000, 9000, 0xC2), None),
        (layout(8160, 6120, 0xC2, (0x11, 0x11, 0x11)), None),
        (layout(16000, 16000), None),
        (layout(8064, 6048, 0xC3), None),  # lossless, which has no parts
    ],
)
def test_a_jpeg_is_read_at_the_least_reduction_that_its_bounds_allow(photo: Layout, reduction: int | None) -> None:
    assert reduction_for(photo, 4_000_000, 210_000_000, 35_000_000) == reduction


def test_other_formats_are_not_reduced(monkeypatch: pytest.MonkeyPatch, face_image: Image) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_PIXELS", "76799")
    for suffix in (".png", ".webp", ".bmp"):
        with pytest.raises(ValueError, match="320 x 240 pixels, more than 76,799: set FER_EDGE_MAX_PIXELS"):
            decode_image(bytes(cv2.imencode(suffix, face_image)[1]))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fer_edge.demo.scene import draw_scene

    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    scene = cv2.resize(draw_scene(0.5, (320, 240)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    path.write_bytes(bytes(cv2.imencode(".jpg", scene)[1]))
    return path


@pytest.fixture(scope="module")
def recognizer() -> Iterator[EmotionRecognizer]:
    with EmotionRecognizer() as recognizer:
        yield recognizer


@pytest.fixture(scope="module")
def whole(photo: Path, recognizer: EmotionRecognizer) -> Face:
    """The photo's face as found in all of its pixels."""
    (face,) = recognizer(photo)
    return face


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_PIXELS", "310_000")


@pytest.mark.usefixtures("small_limit")
def test_boxes_are_in_the_photo_s_own_pixels(photo: Path, recognizer: EmotionRecognizer, whole: Face) -> None:
    picture = decode_image(photo.read_bytes())
    assert (picture.size, picture.image.shape) == ((WIDTH, HEIGHT), (480, 642, 3))
    (face,) = recognizer(photo)
    assert face.emotion == whole.emotion
    assert iou(face.box, whole.box) > SAME
    assert recognizer.classify(photo).box == pytest.approx((0, 0, WIDTH, HEIGHT))
    for source in (photo, [photo]):
        (result,) = recognizer.stream(source)
        assert result.image is not None
        assert result.image.shape == (HEIGHT, WIDTH, 3)
        assert iou(result[0].box, whole.box) > SAME
    (result,) = recognizer.stream(photo, options=StreamOptions(rotate_deg=90, mirror=True))
    assert result.image is not None
    assert result.image.shape == (WIDTH, HEIGHT, 3)


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_photo_is_upright(photo: Path, orientation: int) -> None:
    data = with_orientation(photo.read_bytes(), orientation)
    picture = decode_image(data)
    assert picture.size == ((HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT))
    upright = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    small = cv2.resize(upright, picture.image.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - picture.image).mean() < 3


@pytest.mark.usefixtures("small_limit")
def test_the_command_says_what_it_read_and_draws_boxes_where_the_face_is(
    photo: Path, tmp_path: Path, whole: Face, fer_edge: "Callable[..., subprocess.CompletedProcess[str]]"
) -> None:
    done = fer_edge(str(photo), "--headless", "--json", "a.json", "--csv", "a.csv", "--output", "a.png")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("it is read at 642 x 480 of its 1283 x 960 pixels") == 1
    (line,) = (tmp_path / "a.json").read_text().splitlines()
    (face,) = json.loads(line)["faces"]
    assert iou(face["box"], whole.box) > SAME
    row = (tmp_path / "a.csv").read_text().splitlines()[1].split(",")
    assert [float(value) for value in row[3:7]] == pytest.approx(face["box"])
    drawn, plain = cv2.imread(str(tmp_path / "a.png")), decode_image(photo.read_bytes()).image
    assert drawn.shape == plain.shape
    changed = (drawn != plain).any(axis=2)
    x, y, _, height = (value / 2 for value in face["box"])
    assert np.flatnonzero(changed.any(axis=0)).min() == pytest.approx(x, abs=12)
    assert np.flatnonzero(changed.any(axis=1)).max() == pytest.approx(y + height, abs=12)


@pytest.mark.usefixtures("small_limit")
def test_faces_are_hidden_in_a_reduced_photo(photo: Path, recognizer: EmotionRecognizer, whole: Face) -> None:
    (result,) = recognizer.stream(photo, options=StreamOptions(blur="faces"))
    left, top, right, bottom = whole.xyxy
    assert result.image is not None
    inside = result.image[top:bottom, left:right].astype(int)
    plain = cv2.imread(str(photo))[top:bottom, left:right]
    assert np.abs(inside - plain).mean() > 20
    assert iou(result[0].box, whole.box) > SAME


@pytest.mark.usefixtures("small_limit")
def test_faces_of_large_photos_are_training_faces(photo: Path) -> None:
    face, changes = decode_face(photo.read_bytes())
    assert face.shape == (48, 48)
    assert REDUCED in changes


def test_photos_of_a_folder_that_are_too_large_for_their_memory_are_named(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_DECODING_BYTES", "150_000")
    with pytest.raises(ValueError, match="a JPEG takes 0 MB, more than 0: set FER_EDGE_MAX_DECODING_BYTES"):
        decoding_plan(photo.read_bytes())
    monkeypatch.setenv("FER_EDGE_MAX_DECODING_BYTES", "700_000")
    assert decoding_plan(photo.read_bytes()).reduction == 4
    source = open_source(photo)
    frame = source.read()
    assert frame is not None
    assert frame.size == (WIDTH, HEIGHT)
