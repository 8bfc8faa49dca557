"""What a scene must be, composed or mosaic: faces where its boxes say, none in its background, the same for a seed."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fer_train.detection.synthesis import clutter, mosaic
from fer_train.detection.synthesis.mosaic import MosaicMaker
from fer_train.detection.synthesis.scenes import IGNORED, MAX_FACES, MIN_FACE_PX, SCENE_PX, SceneMaker
from fer_train.detection.synthesis.textures import with_drawn_tiles
from fer_train.detection.synthesis.tiles import FaceTiles, uniform_tiles


@pytest.fixture(scope="module")
def bright_faces() -> FaceTiles:
    """Black photos with a bright rectangle, the "face"."""
    images = np.full((4, 128, 128), 20, np.uint8)
    images[:, 40:90, 50:80] = 250
    return uniform_tiles(images, [np.array([[50, 40, 30, 50, 0.9]], np.float32)] * 4)


@pytest.fixture(scope="module")
def made(tiles: FaceTiles) -> list[tuple[np.ndarray, np.ndarray]]:
    """Thirty scenes with their faces."""
    fer = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    maker = SceneMaker(tiles, fer, 0)
    return [maker.make() for _ in range(30)]


def test_a_scene_has_a_fixed_form(made: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for scene, faces in made:
        assert (scene.shape, scene.dtype) == ((SCENE_PX, SCENE_PX), np.uint8)
        assert (faces.shape[1], faces.dtype) == (5, np.float32)
        assert len(faces) <= MAX_FACES
        assert set(np.unique(faces[:, 4])) <= {1.0, IGNORED}


def test_faces_have_many_sizes_and_lie_in_the_scene(made: list[tuple[np.ndarray, np.ndarray]]) -> None:
    certain = np.concatenate([faces[faces[:, 4] > 0] for _, faces in made])
    assert certain[:, 3].min() >= MIN_FACE_PX
    assert certain[:, 3].min() < 24
    assert certain[:, 3].max() > 100
    centers = certain[:, :2] + certain[:, 2:4] / 2
    assert (centers > -20).all()
    assert (centers < SCENE_PX + 20).all()
    assert 1 < sum(not len(faces) for _, faces in made) < 20


def test_scenes_depend_only_on_their_seed(tiles: FaceTiles) -> None:
    fer = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    first, second, other = (SceneMaker(tiles, fer, seed) for seed in (3, 3, 4))
    for _ in range(3):
        (a, faces_a), (b, faces_b), (c, _) = first.make(), second.make(), other.make()
        assert (a == b).all()
        assert (faces_a == faces_b).all()
        assert (a != c).any()


@pytest.mark.parametrize("kind", ["_make_photos", "_make_crowd", "_make_close_up"])
def test_composed_faces_are_where_their_boxes_say(
    kind: str, bright_faces: FaceTiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SceneMaker, "_make_clutter", lambda _self: np.full((SCENE_PX, SCENE_PX), 20, np.uint8))
    monkeypatch.setattr("fer_train.detection.synthesis.scenes.relit", lambda _rng, pixels: pixels)
    monkeypatch.setattr("fer_train.detection.synthesis.scenes._masked", lambda _rng, image, _faces: image)
    maker, bright = SceneMaker(bright_faces, None, 0), []
    for _ in range(8):
        scene, faces = getattr(maker, kind)()
        for x, y, width, height, flag in faces.tolist():
            at = int(y + height / 2), int(x + width / 2)
            if flag > 0 and min(at) >= 0 and max(at) < SCENE_PX and height > MIN_FACE_PX:
                bright.append(bool(scene[at] > 120))
    assert len(bright) > 5
    assert np.mean(bright) > 0.9  # a later layer may hide the middle of a face whose most part is visible


def test_background_scenes_show_no_faces(bright_faces: FaceTiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SceneMaker, "_make_clutter", lambda _self: np.full((SCENE_PX, SCENE_PX), 20, np.uint8))
    monkeypatch.setattr("fer_train.detection.synthesis.scenes.draw_clutter", lambda *_: None)
    monkeypatch.setattr("fer_train.detection.synthesis.scenes.relit", lambda _rng, pixels: pixels)
    maker = SceneMaker(bright_faces, None, 0)
    for _ in range(4):
        scene, faces = maker._make_background()
        assert not len(faces)
        assert scene.max() < 120


def test_people_in_a_crowd_hide_others(tiles: FaceTiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SceneMaker, "_make_clutter", lambda _self: np.full((SCENE_PX, SCENE_PX), 127, np.uint8))
    maker, flags, counts = SceneMaker(tiles, None, 0), [], []
    for _ in range(8):
        _, faces = maker._make_crowd()
        flags += faces[:, 4].tolist()
        counts.append(len(faces))
    assert max(counts) > 20
    assert 0.03 < np.mean(np.array(flags) == IGNORED) < 0.6


def test_the_demo_scene_shows_its_face_in_the_box(tiles: FaceTiles) -> None:
    scene, ((x, y, width, height, flag),) = SceneMaker(tiles, None, 0)._make_demo()
    assert flag == 1
    face = scene[int(max(y, 0)) : int(y + height), int(max(x, 0)) : int(x + width)]
    assert face.std() > 10


def test_mosaics_show_faces_where_they_say(bright_faces: FaceTiles) -> None:
    maker, brighter = MosaicMaker(bright_faces), []
    for seed in range(4):
        images, faces = maker.make(8, 160, torch.Generator().manual_seed(seed))
        assert images.shape == (8, 1, 160, 160)
        assert images.min() >= 0
        assert images.max() <= 255
        for image, rows in zip(images[:, 0], faces.tolist(), strict=True):
            for x, y, width, height, flag in rows:
                left, top, right, bottom = (round(v) for v in (x, y, x + width, y + height))
                if flag > 0 and min(left, top) >= 0 and max(right, bottom) <= 160:
                    brighter.append(bool(image[top:bottom, left:right].mean() > image.mean()))
    assert len(brighter) > 50
    assert np.mean(brighter) > 0.95


def test_mosaics_depend_only_on_their_seed(bright_faces: FaceTiles) -> None:
    maker = MosaicMaker(bright_faces)
    one, same, other = (maker.make(4, 96, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one[0], other[0])


def test_faces_upside_down_are_background(bright_faces: FaceTiles, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = MosaicMaker(bright_faces)
    assert (maker.make(8, 160, torch.Generator().manual_seed(0))[1][..., 4] > 0).any()
    monkeypatch.setattr(mosaic, "UPSIDE_DOWN", 1.1)
    assert (maker.make(8, 160, torch.Generator().manual_seed(0))[1][..., 4] == 0).all()


def test_drawn_tiles_are_background_and_depend_only_on_their_seed(tiles: FaceTiles) -> None:
    first, same, other = (with_drawn_tiles(tiles, 30, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.images, same.images)
    assert not np.array_equal(first.images, other.images)
    assert first.images.shape == (len(tiles) + 30, 128, 128)
    assert all(len(faces) == 0 for faces in first.boxes[len(tiles) :])
    assert first.weights.sum() == pytest.approx(1)
    assert len({image.tobytes() for image in first.images[len(tiles) :]}) == 30


@pytest.mark.parametrize("shape", clutter.SHAPES, ids=lambda shape: shape.__name__.strip("_"))
@pytest.mark.parametrize("at", [(64, 40), (0, 0), (127, 127), (-10, 60)])
@pytest.mark.parametrize("radius", [4, 48])
def test_clutter_is_drawn_anywhere(shape: Callable[..., None], at: tuple[int, int], radius: int) -> None:
    rng, image = np.random.default_rng(0), np.full((128, 128), 90, np.uint8)
    for _ in range(5):
        shape(rng, image, at, radius, 200)
    if min(at) >= 0 and max(at) + radius < 128:
        assert (image[at[1] : at[1] + 2 * radius, at[0] : at[0] + 2 * radius] != 90).any()
