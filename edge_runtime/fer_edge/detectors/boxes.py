"""From the answers of a detection network to boxes: decode the cells that saw a face, and merge what is one face."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SAME_FACE = 0.45
"""Overlap (intersection over union) from which two boxes are taken for one face."""
ANOTHER_FACE = 0.3
"""Overlap below which a fainter box is another face's; between the two it is a poor box of the same, and left out."""
MOST = 3000
"""Cells that are looked at, the surest first: a bound for pictures full of noise; some ten see each face of a crowd."""


def cell_grid(height: int, width: int, strides: tuple[int, ...]) -> Floats:
    """Centre x, centre y and stride, in pixels, of each cell of a picture: float32 [cells, 3], finest grid first.

    A grid whose stride does not divide the picture's sides is rounded up.
    """
    grids = []
    for stride in strides:
        y, x = np.mgrid[: -(-height // stride), : -(-width // stride)]
        centers = (np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * stride
        grids.append(np.column_stack([centers, np.full(len(centers), stride)]))
    return np.concatenate(grids).astype(np.float32)


def decode(answers: Floats, grid: Floats, side_in_strides: float) -> Floats:
    """Boxes float32 [K, 4] (left, top, right, bottom) of answers [5, K] of the cells `grid` [K, 3].

    The rows of `answers`: score; centre right of and below the cell's centre, in strides; width and height
    as logarithms of multiples of `side_in_strides` strides.
    """
    stride = grid[:, 2]
    x, y = grid[:, 0] + answers[1] * stride, grid[:, 1] + answers[2] * stride
    half = np.exp(np.clip(answers[3:], -4, 4)) * (stride * side_in_strides / 2)
    return np.stack([x - half[0], y - half[1], x + half[0], y + half[1]], axis=1)


def merge(boxes: Floats, scores: Floats, same: float = SAME_FACE) -> tuple[Floats, Floats]:
    """One box a face, [F, 4], and its score, [F], surest first, of boxes [K, 4] with scores [K] from 0 to 1.

    Greedy non-maximum suppression, but a face's box is the mean of all that overlap its surest one by `same` or more,
    weighted by score, which is steadier from frame to frame (Bazarevsky et al. 2019, "BlazeFace"). Boxes that overlap
    it less, but by ANOTHER_FACE or more, are left out.
    """
    order = np.argsort(-scores, kind="stable")[:MOST]
    boxes, scores = boxes[order], scores[order]
    merged, kept = [], []
    while len(boxes):
        shared = overlap(boxes[0], boxes)
        shared[0] = 1  # also of a box without area
        one, others = shared >= same, shared < ANOTHER_FACE
        weights = scores[one] ** 2
        merged.append(weights @ boxes[one] / weights.sum())
        kept.append(scores[0])
        boxes, scores = boxes[others], scores[others]
    return np.asarray(merged, np.float32).reshape(-1, 4), np.asarray(kept, np.float32)


def overlap(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of `box` [4] with each of `boxes` [K, 4] (left, top, right, bottom): float32 [K]."""
    shared = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    area = np.prod(np.maximum(shared, 0), axis=1)
    total = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - area
    return np.asarray(area / np.maximum(total, 1e-6), dtype=np.float32)
