"""Augmented faces are repeatable, in range, and changed as far as the options say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fer_train.networks.normalization import MEAN, STD, normalize
from fer_train.training.augment import NO_AUGMENTATION, Augmentation, _sampling_grid, augment

COUNT = 64


@pytest.fixture
def faces() -> Tensor:
    return torch.randint(0, 256, (COUNT, 48, 48), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def _augment(faces: Tensor, seed: int = 0, **options: float) -> Tensor:
    return augment(faces, replace(NO_AUGMENTATION, **options), torch.Generator().manual_seed(seed))


def _blob(y: int, x: int) -> Tensor:
    faces = torch.zeros(COUNT, 48, 48, dtype=torch.uint8)
    faces[:, y - 2 : y + 3, x - 2 : x + 3] = 250
    return faces


def _centroids(faces: Tensor) -> Tensor:
    """Of the bright blob, relative to the image's center: [N, (y, x)] in pixels."""
    weights = faces[:, 0] - faces[:, 0].amin(dim=(1, 2), keepdim=True)
    total = weights.sum(dim=(1, 2))
    places = torch.arange(48) - 23.5
    y = (weights.sum(dim=2) * places).sum(dim=1) / total
    x = (weights.sum(dim=1) * places).sum(dim=1) / total
    return torch.stack([y, x], dim=1)


def test_normalization_maps_gray_levels_as_the_exported_graph_does() -> None:
    gray = torch.tensor([0, 64, 128, 255], dtype=torch.uint8).repeat(1, 48, 12)
    assert normalize(gray)[0, 0, 0, :4].tolist() == [-2.0, -1.0, 0.0, 127 / 64]
    assert (MEAN, STD) == (128.0, 64.0)


def test_the_same_seed_gives_the_same_faces_and_another_seed_others(faces: Tensor) -> None:
    first, again, other = (augment(faces, Augmentation(), torch.Generator().manual_seed(s)) for s in (7, 7, 8))
    assert first.shape == (COUNT, 1, 48, 48)
    assert torch.equal(first, again)
    assert (first != other).flatten(1).any(dim=1).all()


def test_without_augmentation_faces_are_only_normalized(faces: Tensor) -> None:
    assert torch.equal(_augment(faces), normalize(faces))


def test_flipping_mirrors_about_half_the_faces_and_does_nothing_else(faces: Tensor) -> None:
    flipped = _augment(faces, flip=True)
    unchanged = normalize(faces)
    kept = torch.isclose(flipped, unchanged, atol=1e-3).flatten(1).all(dim=1)
    mirrored = torch.isclose(flipped, unchanged.flip(3), atol=1e-3).flatten(1).all(dim=1)
    assert (kept ^ mirrored).all()
    assert 0.25 < mirrored.float().mean() < 0.75


def test_shifts_move_a_face_both_ways_within_the_range() -> None:
    moved = _centroids(_augment(_blob(24, 24), shift=0.1)) - _centroids(normalize(_blob(24, 24)))
    assert moved.abs().max() <= 4.8 + 0.05
    assert (moved.amin(dim=0) < -3).all()
    assert (moved.amax(dim=0) > 3).all()


def test_rotation_is_about_the_center_and_keeps_distances() -> None:
    before = _centroids(normalize(_blob(24, 38)))[0]
    after = _centroids(_augment(_blob(24, 38), rotation_deg=15))
    turned = torch.rad2deg(torch.atan2(after[:, 0], after[:, 1]) - torch.atan2(before[0], before[1]))
    assert torch.allclose(after.norm(dim=1), before.norm(), atol=0.1)
    assert -15.2 < turned.min() < -10
    assert 10 < turned.max() < 15.2


def test_a_mirrored_and_rotated_face_is_not_sheared() -> None:
    after = _centroids(_augment(_blob(24, 38), rotation_deg=15, flip=True))
    assert torch.allclose(after.norm(dim=1), torch.tensor(14.5).expand(COUNT), atol=0.2)
    assert {float(side) for side in after[:, 1].sign()} == {-1.0, 1.0}


def test_scaling_fills_its_range() -> None:
    before = _centroids(normalize(_blob(24, 38)))[0, 1]
    scale = _centroids(_augment(_blob(24, 38), scale=0.12))[:, 1] / before
    assert 0.875 < scale.min() < 0.92
    assert 1.08 < scale.max() < 1.125


def test_brightness_and_contrast_stay_between_black_and_white(faces: Tensor) -> None:
    lit = _augment(faces, brightness=1.5, contrast=0.9)
    assert lit.min() == (0 - MEAN) / STD
    assert lit.max() == (255 - MEAN) / STD
    means = lit.mean(dim=(1, 2, 3))
    assert means.min() < -0.5
    assert means.max() > 0.5


def test_only_noise_leaves_the_range_of_normalized_faces(faces: Tensor) -> None:
    changed = augment(faces, replace(Augmentation(), erase=0), torch.Generator().manual_seed(0))
    assert changed.min() >= (0 - MEAN) / STD
    assert changed.max() <= (255 - MEAN) / STD


def test_erased_patches_are_rectangles_of_2_to_25_percent() -> None:
    gray = torch.full((400, 48, 48), 128, dtype=torch.uint8)
    erased = _augment(gray, erase=0.5)[:, 0] != 0
    areas, is_erased = [], erased.flatten(1).any(dim=1)
    for patch in erased[is_erased]:
        rows, columns = patch.any(dim=1), patch.any(dim=0)
        assert patch.sum() == rows.sum() * columns.sum(), "a rectangle has no holes"
        areas.append(float(patch.float().mean()))
    assert 0.4 < is_erased.float().mean() < 0.6
    assert 0.01 < min(areas) < 0.06  # borders are rounded to whole pixels
    assert 0.2 < max(areas) < 0.28
    assert np.ptp(erased.float().mean(dim=0).numpy()[12:36, 12:36]) < 0.15, "patches are everywhere in the face"


def test_erasing_changes_only_the_patch(faces: Tensor) -> None:
    before, after = normalize(faces), _augment(faces, erase=1.0)
    changed = (before != after).flatten(1).float().mean(dim=1)
    assert (changed > 0.01).all()
    assert (changed < 0.28).all()


def test_the_sampling_grid_equals_torchs() -> None:
    matrix = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.affine_grid(matrix, [5, 1, 40, 48], align_corners=False)
    assert torch.allclose(_sampling_grid(matrix, 40, 48), expected, atol=1e-5)


def test_aspect_keeps_the_area_of_a_face() -> None:
    across = _centroids(_augment(_blob(24, 38), aspect=0.3))[:, 1] / _centroids(normalize(_blob(24, 38)))[0, 1]
    down = _centroids(_augment(_blob(38, 24), aspect=0.3))[:, 0] / _centroids(normalize(_blob(38, 24)))[0, 0]
    assert torch.allclose(across * down, torch.ones(COUNT), atol=0.02)
    assert 0.83 < across.min() < 0.88  # the root of 0.7
    assert 1.1 < across.max() < 1.15  # the root of 1.3


def test_shear_slants_vertical_edges_and_keeps_heights() -> None:
    before, after = _centroids(normalize(_blob(38, 24)))[0], _centroids(_augment(_blob(38, 24), shear_deg=10))
    assert torch.allclose(after[:, 0], before[0].expand(COUNT), atol=0.05)
    lean = torch.rad2deg(torch.atan2(after[:, 1] - before[1], before[0]))
    assert -10.3 < lean.min() < -7
    assert 7 < lean.max() < 10.3


def test_blur_smooths_the_given_fraction_of_faces(faces: Tensor) -> None:
    before, after = normalize(faces), _augment(faces, blur=0.4)
    blurred = ~torch.isclose(after, before, atol=1e-4).flatten(1).all(dim=1)
    assert 0.2 < blurred.float().mean() < 0.6
    ratio = after[blurred].std(dim=(1, 2, 3)) / before[blurred].std(dim=(1, 2, 3))
    assert ratio.max() < 0.75
    assert torch.allclose(after.mean(dim=(1, 2, 3)), before.mean(dim=(1, 2, 3)), atol=0.03)


def test_noise_stays_below_its_largest_strength(faces: Tensor) -> None:
    strength = (_augment(faces, noise=0.4) - normalize(faces)).std(dim=(1, 2, 3))
    assert strength.max() < 0.42
    assert strength.max() > 0.3
    assert strength.min() < 0.1
