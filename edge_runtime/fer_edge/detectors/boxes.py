"""From a detection network's raw output to boxes: decode the cells that see a face, and merge the boxes of one face."""

import numpy as np
import numpy.typing as npt

from fer_edge.framing import iou_matrix_xyxy

Floats = npt.NDArray[np.float32]

MATCH_IOU = 0.45
"""Boxes with at least this intersection over union show the same face."""
SUPPRESS_IOU = 0.3
"""Boxes with less show different faces; from here to MATCH_IOU the fainter one is a poor box of the same face."""
MAX_CANDIDATES = 3000
"""Cells that are looked at, highest score first: a bound for noisy images; about ten cells see each face of a crowd."""


def cell_grid(height: int, width: int, strides: tuple[int, ...]) -> Floats:
    """Center x, center y and stride, in pixels, of each cell of an image: float32 [cells, 3], finest grid first.

    Where a stride does not divide the image's sides, its grid is rounded up.
    """
    grids = []
    for stride in strides:
        y, x = np.mgrid[: -(-height // stride), : -(-width // stride)]
        centers = (np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * stride
        grids.append(np.column_stack([centers, np.full(len(centers), stride)]))
    return np.concatenate(grids).astype(np.float32)


def decode(outputs: Floats, grid: Floats, side_in_strides: float) -> Floats:
    """Boxes float32 [K, 4] (left, top, right, bottom) from network outputs [5, K] of the cells `grid` [K, 3].

    The rows of `outputs`: score; offset of the box center from the cell center to the right and down, in strides;
    logarithms of width and height, relative to `side_in_strides` strides.
    """
    stride = grid[:, 2]
    x, y = grid[:, 0] + outputs[1] * stride, grid[:, 1] + outputs[2] * stride
    half = np.exp(np.clip(outputs[3:], -4, 4)) * (stride * side_in_strides / 2)
    return np.stack([x - half[0], y - half[1], x + half[0], y + half[1]], axis=1)


def weighted_nms(boxes: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """One box per face, [F, 4], and its score, [F], highest first, from boxes [K, 4] with scores [K] of 0 to 1.

    Greedy non-maximum suppression, except that a face's box is the mean, weighted by squared score, of all that overlap
    its best one by MATCH_IOU or more: steadier from frame to frame (Bazarevsky et al. 2019, "BlazeFace"). Boxes that
    overlap it less, but by SUPPRESS_IOU or more, are dropped.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    boxes, scores = boxes[order], scores[order]
    merged, kept = [], []
    while len(boxes):
        overlaps = iou_matrix_xyxy(boxes[:1], boxes)[0]
        overlaps[0] = 1  # even of a box without area
        same, others = overlaps >= MATCH_IOU, overlaps < SUPPRESS_IOU
        weights = scores[same] ** 2
        merged.append(weights @ boxes[same] / weights.sum())
        kept.append(scores[0])
        boxes, scores = boxes[others], scores[others]
    return np.asarray(merged, np.float32).reshape(-1, 4), np.asarray(kept, np.float32)
