import numpy as np
import pytest

from fer_edge.framing import MAX_GAIN, MIN_DEVIATION, MIN_MEAN, Framing, Square, clip, crop, normalize_light


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)


def test_framing_moves_and_scales_a_box_to_its_square() -> None:
    framing = Framing(of_width=0.5, of_height=0.25, right=0.1, down=-0.2)
    assert framing.square((10, 20, 40, 80)) == Square(10 + 40 * 0.6, 20 + 80 * 0.3, 40.0)


def test_a_crop_of_its_own_size_is_the_pixels_themselves(image: np.ndarray) -> None:
    np.testing.assert_array_equal(crop(image, Square(30, 25, 48), (48, 48)), image[1:49, 6:54])


@pytest.mark.parametrize(("x", "y"), [(0, 0), (80, 60), (0, 60), (80, 0)])
def test_border_pixels_are_repeated_outside_the_image(image: np.ndarray, x: int, y: int) -> None:
    padded = np.pad(image, 24, mode="edge")
    expected = padded[y : y + 48, x : x + 48]
    np.testing.assert_array_equal(crop(image, Square(x, y, 48), (48, 48)), expected)


@pytest.mark.parametrize(
    ("x", "y", "pixel"), [(-200, -200, (0, 0)), (500, -200, (0, 79)), (-200, 500, (59, 0)), (500, 500, (59, 79))]
)
def test_a_square_wholly_outside_gives_the_nearest_pixel(
    image: np.ndarray, x: float, y: float, pixel: tuple[int, int]
) -> None:
    assert (crop(image, Square(x, y, 20), (48, 48)) == image[pixel]).all()


@pytest.mark.parametrize("side", [0, 0.3, 1, 2.5, 47.5, 333.3])
@pytest.mark.parametrize("shape", [(60, 80), (61, 81, 3), (1, 1), (1, 200, 3)])
def test_every_side_and_shape_gives_the_requested_size(side: float, shape: tuple[int, ...]) -> None:
    image = np.full(shape, 77, dtype=np.uint8)
    cut = crop(image, Square(10.4, 0.6, side), (48, 32))
    assert cut.shape == (48, 32, *shape[2:])
    assert cut.dtype == np.uint8
    assert (cut == 77).all()


def test_downscaling_averages_instead_of_picking_pixels() -> None:
    stripes = np.zeros((96, 96), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert (crop(stripes, Square(48, 48, 96), (48, 48)) == 100).all()


def test_cropping_does_not_change_the_image(image: np.ndarray) -> None:
    before = image.copy()
    crop(image, Square(40, 30, 48), (48, 48))[:] = 0
    crop(image, Square(0, 0, 48), (48, 48))[:] = 0
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10, 10, 20, 20), (10, 10, 20, 20)),
        ((-5, -6, 20, 20), (0, 0, 15, 14)),
        ((70.5, 50.25, 20, 20), (70.5, 50.25, 9.5, 9.75)),
        ((100, 100, 20, 20), (80, 60, 0, 0)),
        ((-50, -50, 20, 20), (0, 0, 0, 0)),
    ],
)
def test_a_box_is_clipped_to_its_image(box: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert clip(box, 80, 60) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(48, 48), (1, 48, 48), (3, 40, 40)])
@pytest.mark.parametrize("share", [0.6, 0.2, 0.1])
def test_dark_faces_are_brightened(shape: tuple[int, ...], share: float) -> None:
    bright = np.random.default_rng(0).integers(20, 180, shape, dtype=np.uint8)
    face = (bright * share).round().astype(np.uint8)
    normalize_light(face)
    assert face.mean() == pytest.approx(MIN_MEAN, abs=0.5)
    assert np.abs(face.astype(float) - bright).max() <= 0.5 / share + 3


@pytest.mark.parametrize("share", [0.6, 0.2, 0.1])
def test_flat_faces_gain_contrast(share: float) -> None:
    face = np.clip(np.random.default_rng(0).normal(150, MIN_DEVIATION * share, (48, 48)), 0, 255).astype(np.uint8)
    mean, before = face.mean(), face.astype(float)
    normalize_light(face)
    assert face.mean() == pytest.approx(mean, abs=1)
    assert face.std() == pytest.approx(MIN_DEVIATION, rel=0.05)  # some are clipped at white
    assert np.corrcoef(before.ravel(), face.ravel())[0, 1] > 0.99


def test_an_array_that_is_not_contiguous_is_refused() -> None:
    with pytest.raises(ValueError, match="C-contiguous"):
        normalize_light(np.zeros((10, 10), np.uint8)[:, ::2])


def test_well_lit_faces_stay_unchanged_and_black_ones_become_one_gray() -> None:
    good = np.random.default_rng(0).integers(40, 220, (48, 48), dtype=np.uint8)
    face = good.copy()
    normalize_light(face)
    np.testing.assert_array_equal(face, good)
    for gray in (0, 1, 90):
        face[:] = gray
        normalize_light(face)
        assert (face == MIN_MEAN).all()
    face[:] = np.tile([1, 3], (48, 24))
    normalize_light(face)
    assert set(face.ravel()) == {MIN_MEAN - MAX_GAIN, MIN_MEAN + MAX_GAIN}
