import numpy as np
import pytest

from fer_edge.detectors.boxes import MAX_CANDIDATES, cell_grid, decode, weighted_nms
from fer_edge.framing import iou_matrix_xyxy


def test_the_grid_lists_every_cell_of_every_stride_finest_first() -> None:
    grid = cell_grid(64, 96, (8, 32, 64))
    assert len(grid) == 8 * 12 + 2 * 3 + 1 * 2  # 96 is not a multiple of 64: rounded up
    assert grid[0].tolist() == [4, 4, 8]
    assert grid[1].tolist() == [12, 4, 8]
    assert grid[96].tolist() == [16, 16, 32]
    assert grid[-1].tolist() == [96, 32, 64]


def test_outputs_of_zero_are_boxes_of_four_strides_around_their_cells() -> None:
    grid = np.array([[4, 4, 8], [16, 16, 32]], np.float32)
    boxes = decode(np.zeros((5, 2), np.float32), grid, 4.0)
    assert boxes.tolist() == [[-12, -12, 20, 20], [-48, -48, 80, 80]]


def test_outputs_move_and_stretch_a_box() -> None:
    outputs = np.array([[0], [1], [-0.5], [np.log(2)], [np.log(0.5)]], np.float32)
    (box,) = decode(outputs, np.array([[100, 100, 8]], np.float32), 4.0)
    assert box == pytest.approx([108 - 32, 96 - 8, 108 + 32, 96 + 8])


def test_boxes_of_extreme_outputs_stay_finite() -> None:
    boxes = decode(np.full((5, 1), 1e6, np.float32), np.array([[4, 4, 8]], np.float32), 4.0)
    assert np.isfinite(boxes).all()


def test_iou_of_corner_boxes_keeps_their_dtype() -> None:
    box = np.array([0, 0, 10, 10], np.float32)
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [10, 0, 20, 10]], np.float32)
    ious = iou_matrix_xyxy(box[None], others)
    assert (ious.shape, ious.dtype) == ((1, 4), np.float32)
    assert ious[0] == pytest.approx([1, 1 / 3, 0, 0])


def test_boxes_of_one_face_are_averaged_by_score() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    merged, scores = weighted_nms(boxes, np.array([0.6, 0.9, 0.7], np.float32))
    assert scores == pytest.approx([0.9, 0.7])  # highest first
    share = 0.9**2 / (0.9**2 + 0.6**2)
    assert merged[0] == pytest.approx([share, 0, 10 + share, 10])
    assert merged[1].tolist() == [50, 50, 60, 60]


@pytest.mark.parametrize(("shift", "kept"), [(4.0, 1), (5.0, 1), (6.0, 2)])  # overlaps of 0.43, 0.33 and 0.25
def test_a_poor_box_of_a_face_is_dropped_and_a_neighbors_box_stays(shift: float, kept: int) -> None:
    boxes = np.array([[0, 0, 10, 10], [shift, 0, 10 + shift, 10]], np.float32)
    merged, scores = weighted_nms(boxes, np.array([0.9, 0.7], np.float32))
    assert len(scores) == kept
    assert merged[0].tolist() == [0, 0, 10, 10]  # the poor box does not move it


def test_no_boxes_give_no_boxes() -> None:
    boxes, scores = weighted_nms(np.empty((0, 4), np.float32), np.empty(0, np.float32))
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_the_number_of_candidates_is_bounded() -> None:
    left = np.arange(MAX_CANDIDATES + 1000, dtype=np.float32) * 20
    boxes = np.stack([left, left, left + 10, left + 10], axis=1)
    assert len(weighted_nms(boxes, np.full(len(left), 0.5, np.float32))[0]) == MAX_CANDIDATES


def test_every_face_of_a_crowd_keeps_a_box() -> None:
    left = np.repeat(np.arange(200, dtype=np.float32) * 20, 12)  # a dozen cells see each face
    boxes = np.stack([left, left, left + 10, left + 10], axis=1)
    assert len(weighted_nms(boxes, np.linspace(0.9, 0.5, len(left), dtype=np.float32))[0]) == 200
