"""The detector's loss: which cells are assigned to which face, and the loss of scores and boxes.

The intersection over union here is differentiable and on the device; that of fer_edge.framing is numpy's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_train.detection.network import decode

CELLS_PER_FACE = 10
SCORE_POWER, IOU_POWER = 0.5, 4.0  # of the assignment's metric
CENTER_SHARE, CENTER_STRIDES = 0.35, 0.75  # candidate cells: within this share of a box, or strides, from its center
MIN_STRIDES, MAX_STRIDES = 1.1, 10.0  # geometric mean of a box's sides, in strides of its candidate cells
BOX_WEIGHT = 2.0


def detection_loss(outputs: Tensor, grid: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Score loss and box loss, scalars, of outputs [N, 5, cells] for faces [N, F, 5].

    faces: x, y, width, height, then its certainty (0 to 1), -1 (ignored) or 0 (an empty row). grid: from
    `cell_grid`.

    Cells are assigned to faces by task-aligned assignment (Feng et al. 2021, "TOOD"): each face gets the cells whose
    score and overlap are already the best. The best one's target is the face's certainty, the others' is lower in
    proportion, so that the best box survives suppression. Unlike in TOOD, the target does not depend on the overlap
    itself: that is poor for blurred, turned and hidden faces, which would rank behind hands and ears. Scores are
    learned by plain cross-entropy, because a focal loss (Lin et al. 2017) learned hard faces worse.
    """
    logits, boxes = outputs[:, 0].float(), decode(outputs, grid)
    owners, quality = assign(logits.detach().sigmoid(), boxes.detach(), grid, faces)
    certainty = faces[..., 4].gather(1, owners.clamp(min=0))
    target = (quality * certainty).where(owners >= 0, 0)  # [N, cells]
    score_losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    ignored = in_ignored(grid, faces) & (owners < 0)
    total = target.sum().clamp(min=1)
    score_loss = score_losses.masked_fill(ignored, 0).sum() / total
    scene, cell = (owners >= 0).nonzero(as_tuple=True)
    wanted = corners(faces)[scene, owners[scene, cell]]
    box_losses = 1 - complete_iou(boxes[scene, cell], wanted)
    return score_loss, BOX_WEIGHT * (box_losses * target[scene, cell]).sum() / total


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, grid: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """The face of each cell, int64 [N, cells] (-1: none), and its share of the face's target, float32 [N, cells].

    scores [N, cells] and boxes [N, cells, 4] are the network's present outputs. Only candidate pairs of face and cell
    are compared: comparing all would take longer than the network.
    """
    scene, place = (faces[..., 4] > 0).nonzero(as_tuple=True)  # [K], the faces to be found
    wanted = faces[scene, place]
    face, cell = candidates(grid, wanted).nonzero(as_tuple=True)  # [P], the pairs
    overlap = iou(corners(wanted)[face], boxes[scene[face], cell])
    metric = scores[scene[face], cell] ** SCORE_POWER * overlap**IOU_POWER + 1e-9
    best = _best_pairs(face, metric, len(wanted))
    face, cell, metric = face[best], cell[best], metric[best]
    highest = torch.zeros(len(wanted), device=grid.device).scatter_reduce(0, face, metric, "amax")
    quality = metric / highest[face]  # 1 for a face's best cell
    # A cell that several faces chose goes to the one it fits best; of equals, to the first
    at = scene[face] * len(grid) + cell
    strongest = torch.zeros(scores.numel(), device=grid.device).scatter_reduce(0, at, metric, "amax")
    fits = (metric == strongest[at]).nonzero()[:, 0]
    winner = torch.full((scores.numel(),), len(at), device=grid.device).scatter_reduce(0, at[fits], fits, "amin")
    owners = torch.cat([place[face], place.new_full((1,), -1)])[winner]
    return owners.view_as(scores), torch.cat([quality, quality.new_zeros(1)])[winner].view_as(scores)


def _best_pairs(face: Tensor, metric: Tensor, count: int) -> Tensor:
    """Which pairs are among the CELLS_PER_FACE best of their face (0 to `count` - 1), int64."""
    order = metric.argsort(descending=True, stable=True)
    order = order[face[order].argsort(stable=True)]
    sorted_face = face[order]
    first = torch.searchsorted(sorted_face, torch.arange(count, device=face.device))
    rank = torch.arange(len(order), device=face.device) - first[sorted_face]
    return order[rank < CELLS_PER_FACE]


def corners(faces: Tensor) -> Tensor:
    """left, top, right, bottom [..., 4] of faces [..., 5]."""
    return torch.cat([faces[..., :2], faces[..., :2] + faces[..., 2:4]], dim=-1)


def candidates(grid: Tensor, faces: Tensor) -> Tensor:
    """Whether each cell may be assigned to each face [K, 5], by its place and stride, bool [K, cells]."""
    x, y, stride = grid.unbind(1)
    left, top, width, height, _ = (value[:, None] for value in faces.unbind(1))  # each [K, 1]
    near_x = (x - left - width / 2).abs() <= (width * CENTER_SHARE).maximum(CENTER_STRIDES * stride)
    near_y = (y - top - height / 2).abs() <= (height * CENTER_SHARE).maximum(CENTER_STRIDES * stride)
    side = (width * height).sqrt()
    fits = (side >= stride * MIN_STRIDES) & (side <= stride * MAX_STRIDES)
    fits |= (side < MIN_STRIDES * 8) & (stride == 8) | (side > MAX_STRIDES * 64) & (stride == 64)
    return near_x & near_y & fits


def in_ignored(grid: Tensor, faces: Tensor) -> Tensor:
    """Whether the center of each cell lies in an ignored face, bool [N, cells]."""
    x, y, _ = grid.unbind(1)
    scene, place = (faces[..., 4] < 0).nonzero(as_tuple=True)
    left, top, right, bottom = (value[:, None] for value in corners(faces[scene, place]).unbind(1))
    face, cell = ((x >= left) & (x <= right) & (y >= top) & (y <= bottom)).nonzero(as_tuple=True)
    inside = torch.zeros(len(faces), len(grid), dtype=torch.bool, device=grid.device)
    inside[scene[face], cell] = True
    return inside


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes [..., 4] (left, top, right, bottom), broadcast; differentiable."""
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    areas = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    return shared / (areas - shared).clamp(min=1e-6)


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU of boxes [K, 4] (Zheng et al. 2020): overlap, less center distance and difference in shape."""
    overlap = iou(a, b)
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    distance = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) ** 2).sum(1) / 4
    size_a, size_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    shape_a, shape_b = (torch.atan(size[:, 0] / size[:, 1].clamp(min=1e-3)) for size in (size_a, size_b))
    shape = 4 / torch.pi**2 * (shape_a - shape_b) ** 2
    weight = (shape / (1 - overlap + shape).clamp(min=1e-6)).detach()
    return overlap - distance / (hull**2).sum(1).clamp(min=1e-6) - weight * shape
