import numpy as np
import pytest
import torch

from fer_train.detection.loss import assign, complete_iou, detection_loss, in_ignored, iou
from fer_train.detection.network import cell_grid, decode

FACE = [40.0, 30.0, 40.0, 50.0, 1.0]


def test_iou_and_complete_iou_are_as_worked_out_by_hand() -> None:
    a = torch.tensor([[0.0, 0, 10, 10]])
    b = torch.tensor([[5.0, 0, 15, 10]])
    assert iou(a, b).item() == pytest.approx(1 / 3)
    assert complete_iou(a, a).item() == pytest.approx(1)
    assert complete_iou(a, b).item() == pytest.approx(1 / 3 - 25 / (15**2 + 10**2), abs=1e-5)


def test_cells_within_a_face_and_of_its_size_are_assigned_to_it() -> None:
    grid = cell_grid(128, 128)
    owners, quality = assign(torch.full((1, len(grid)), 0.1), decode(torch.zeros(1, 5, len(grid)), grid), grid,
                             torch.tensor([[FACE, [0.0] * 5]]))  # fmt: skip
    chosen = grid[owners[0] >= 0]
    assert 1 <= len(chosen) <= 10
    assert ((chosen[:, 0] > 40) & (chosen[:, 0] < 80) & (chosen[:, 1] > 30) & (chosen[:, 1] < 80)).all()
    assert set(chosen[:, 2].tolist()) <= {8.0, 16.0, 32.0}
    assert quality[0].max() == 1  # however well its box overlaps
    assert (quality[0][owners[0] >= 0] > 0).all()


def test_cells_in_an_ignored_face_have_no_loss() -> None:
    grid = cell_grid(128, 128)
    ignored = torch.tensor([[[*FACE[:4], -1.0]]])
    outputs = torch.zeros(1, 5, len(grid))
    alarmed = outputs.clone()
    alarmed[0, 0, in_ignored(grid, ignored)[0]] = 9.0  # sees a face there
    assert detection_loss(alarmed, grid, ignored)[0] <= detection_loss(outputs, grid, ignored)[0]
    missing = torch.zeros(1, 1, 5)
    assert detection_loss(alarmed, grid, missing)[0] > detection_loss(outputs, grid, missing)[0]


def test_a_faces_target_is_its_certainty() -> None:
    grid = cell_grid(128, 128)
    for certainty in (0.8, 0.4):
        faces = torch.tensor([[[31.0, 31.0, 10.0, 10.0, certainty]]])  # with one candidate cell
        outputs = torch.zeros(1, 5, len(grid))
        outputs[0, 0] = -9.0
        owners, _ = assign(outputs[:, 0].sigmoid(), decode(outputs, grid), grid, faces)
        (cell,) = (owners[0] >= 0).nonzero()[:, 0].tolist()
        losses = []
        for score in (certainty - 0.1, certainty, certainty + 0.1):
            outputs[0, 0, cell] = np.log(score / (1 - score))
            losses.append(float(detection_loss(outputs, grid, faces)[0]))
        assert losses[1] < min(losses[0], losses[2])


def test_a_scene_without_faces_has_no_box_loss() -> None:
    grid = cell_grid(64, 64)
    score_loss, box_loss = detection_loss(torch.zeros(1, 5, len(grid)), grid, torch.zeros(1, 1, 5))
    assert score_loss > 0
    assert box_loss == 0
