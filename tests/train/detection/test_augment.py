import torch

from fer_train.detection.augment import MAX_SHARPENING, augment, sharpen
from fer_train.detection.synthesis.batches import relight
from fer_train.detection.synthesis.scenes import IGNORED, SCENE_PX


def test_boxes_move_with_the_image() -> None:
    """A bright square on black, shown in many ways, stays where its box says."""
    scenes = torch.zeros(64, SCENE_PX, SCENE_PX, dtype=torch.uint8)
    scenes[:, 140:180, 120:200] = 250
    faces = torch.zeros(64, 2, 5)
    faces[:, 0] = torch.tensor([120.0, 140.0, 80.0, 40.0, 1.0])
    images, moved = augment(scenes, faces, 192, torch.Generator().manual_seed(0))
    assert images.shape == (64, 1, 192, 192)
    assert images.min() >= 0
    assert images.max() <= 255
    assert (moved[:, 1, 4] == 0).all()  # background stays background
    checked = 0
    for image, (x, y, width, height, flag) in zip(images[:, 0], moved[:, 0].tolist(), strict=True):
        if flag > 0 and min(x, y) >= 14 and max(x + width, y + height) < 178:  # its turned corners, too
            bright = image > (image.max() + image.min()) / 2
            rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
            center = torch.tensor([(columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2])
            assert torch.allclose(center, torch.tensor([x + width / 2, y + height / 2]), atol=2.5)
            checked += 1
    assert checked > 5


def test_most_images_are_sharpened_and_flat_areas_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    edge = torch.full((400, 1, 8, 8), 50.0)
    edge[..., 4:] = 150
    shown = sharpen(edge, generator)
    steps = shown[:, 0, 4, 4] - shown[:, 0, 4, 3]
    assert 0.15 < float((steps == 100).double().mean()) < 0.35
    assert 200 < float(steps.max()) <= 100 * (1 + MAX_SHARPENING / 2)
    assert torch.equal(shown[..., 0], edge[..., 0])
    assert torch.allclose(shown[..., 2, :], shown[..., 5, :])


def test_a_face_cut_by_the_edge_is_ignored_and_one_outside_is_dropped() -> None:
    scenes = torch.zeros(200, SCENE_PX, SCENE_PX, dtype=torch.uint8)
    faces = torch.tensor([[[0.0, 0.0, 60.0, 60.0, 1.0]]]).repeat(200, 1, 1)
    _, moved = augment(scenes, faces, 192, torch.Generator().manual_seed(1))
    assert set(moved[:, 0, 4].tolist()) == {1.0, IGNORED, 0.0}


def test_relit_images_differ_in_light_and_stay_in_range() -> None:
    flat = torch.full((200, 1, 8, 8), 120.0)
    lit = relight(flat, torch.Generator().manual_seed(0))
    means = lit.mean((1, 2, 3))
    assert lit.min() >= 0
    assert lit.max() <= 255
    assert torch.equal(lit, lit.round())
    assert 0.02 < float((means < 80).double().mean()) < 0.2  # dark ones
    assert float(means.max()) > 140
