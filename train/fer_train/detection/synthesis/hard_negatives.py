"""Mine hard negatives: pieces of photos in which a trained detector sees faces although there are none.

Sleeves, coats, collars, ears and hands pass for faces more often than anything that can be drawn (Sung and Poggio 1998,
"Example-based learning for view-based human face detection").
"""

import numpy as np

from fer_edge.detectors.luma import LumaDetector
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.scenes import BORDER_GRAY, relit
from fer_train.detection.synthesis.teacher import Teacher
from fer_train.detection.synthesis.tiles import TILE_PX, Boxes, FaceTiles, Pixels, uniform_tiles

CELL_PX, COLUMNS = 80, 4  # pieces are searched in sheets of COLUMNS x COLUMNS
PIECE_PX = (20.0, 90.0)  # side of a piece in its photo of 128 px
MAX_FACE_IN_PIECE, MAX_SHOWN_FACE = 0.12, 0.3  # share of the piece that is face; share of a face that it may show
MIN_DETECTOR_SCORE = 0.3  # from here on it is a false alarm
MAX_TEACHER_SCORE = 0.25  # from here on the piece may show a face after all
MIN_INSIDE = 0.8  # share of a false alarm that lies in its piece
UPRIGHT = 0.5  # share of the pieces that are not rotated by quarter turns
TRIES = 20


def mine_hard_negatives(
    tiles: FaceTiles, detector: LumaDetector, teacher: Teacher, sheets: int, seed: int
) -> FaceTiles:
    """The false alarms of `detector` on that many sheets of pieces, as background tiles of equal weight."""
    rng = np.random.default_rng(seed)
    images: list[Pixels] = []
    for _ in range(sheets if len(tiles) else 0):
        pieces = [_random_piece(rng, tiles) for _ in range(COLUMNS**2)]
        small = [cv2.resize(piece, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA) for piece in pieces]
        sheet = np.asarray(
            np.vstack([np.hstack(small[start : start + COLUMNS]) for start in range(0, COLUMNS**2, COLUMNS)]), np.uint8
        )
        corners, _ = detector.search(sheet, MIN_DETECTOR_SCORE)
        if not len(corners):
            continue
        alarms = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        seen = teacher.detect(sheet)
        faces = {_cell_of(face[:4]) for face in seen[seen[:, 4] >= MAX_TEACHER_SCORE]}
        cells = sorted({_cell_of(alarm) for alarm in alarms if _in_one_cell(alarm)} - faces)
        images += [pieces[row * COLUMNS + column] for column, row in cells]
    return uniform_tiles(images)


def _random_piece(rng: np.random.Generator, tiles: FaceTiles) -> Pixels:
    """A part of a photo with at most the edge of a face, uint8 [128, 128]; some are rotated or blurred."""
    for _ in range(TRIES):
        tile = int(rng.integers(len(tiles)))
        side = int(np.exp(rng.uniform(*np.log(PIECE_PX))))
        x, y = (int(value) for value in rng.integers(0, TILE_PX - side, 2))
        boxes = tiles.boxes[tile][:, :4]
        low, high = np.maximum(boxes[:, :2], (x, y)), np.minimum(boxes[:, :2] + boxes[:, 2:], (x + side, y + side))
        shown = np.clip(high - low, 0, None).prod(axis=1)
        limit = np.minimum(MAX_FACE_IN_PIECE * side * side, MAX_SHOWN_FACE * boxes[:, 2:].prod(axis=1))
        piece = tiles.images[tile][y : y + side, x : x + side]
        if (shown <= limit).all() and (piece > BORDER_GRAY).mean() > 0.9:
            break
    else:
        piece = np.full((2, 2), 128, np.uint8)
    if rng.random() >= UPRIGHT:
        piece = np.rot90(piece, int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    large = cv2.resize(np.ascontiguousarray(piece), (TILE_PX, TILE_PX), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.3:
        large = cv2.GaussianBlur(large, (0, 0), float(rng.uniform(0.8, 4)))
    return relit(rng, np.asarray(large, np.uint8))


def _cell_of(box: Boxes) -> tuple[int, int]:
    """Column and row of the cell in which the center of a box (x, y, width, height) lies."""
    column, row = np.clip((box[:2] + box[2:] / 2) // CELL_PX, 0, COLUMNS - 1).astype(int).tolist()
    return column, row


def _in_one_cell(box: Boxes) -> bool:
    """Whether at least MIN_INSIDE of a box lies in the cell of its center."""
    low = np.array(_cell_of(box)) * CELL_PX
    inside = np.minimum(box[:2] + box[2:], low + CELL_PX) - np.maximum(box[:2], low)
    return bool(inside.prod() >= MIN_INSIDE * box[2:].prod())
