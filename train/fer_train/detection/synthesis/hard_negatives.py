"""Pieces of photographs in which a detector sees faces where nobody is: what its successor must learn to pass over.

Sleeves, coats, collars, ears and hands pass for faces more than anything that can be drawn. A detector that is trained
already finds those among many (Sung and Poggio 1998, "Example-based learning for view-based human face detection").
"""

import numpy as np

from fer_edge.detectors.luma import LumaDetector
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.scenes import BORDER_GRAY, relit
from fer_train.detection.synthesis.teacher import Teacher
from fer_train.detection.synthesis.tiles import TILE_PX, FaceTiles, Pixels

CELL_PX, ALONG = 80, 4  # so many pieces along a picture of 320 pixels are looked at in one go
PIECE_PX = (20.0, 90.0)  # of a photograph's 128
OF_A_PIECE, OF_A_FACE = 0.12, 0.3  # the most of a piece that a face may be, and the most of a face that it may show
ALARM = 0.3  # the detector's score
DOUBT = 0.25  # the teacher's, from which there may be somebody in a piece
INSIDE = 0.8  # share of an alarm that lies in its piece
UPRIGHT = 0.5  # share of the pieces that is not turned by quarters
TRIES = 20


def mined(tiles: FaceTiles, detector: LumaDetector, teacher: Teacher, pictures: int, seed: int) -> FaceTiles:
    """The false alarms of `detector` in that many pictures of pieces, as tiles without faces, each as likely."""
    rng = np.random.default_rng(seed)
    images: list[Pixels] = []
    for _ in range(pictures if len(tiles) else 0):
        pieces = [_piece(rng, tiles) for _ in range(ALONG * ALONG)]
        small = [cv2.resize(piece, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA) for piece in pieces]
        rows = [np.hstack(small[start : start + ALONG]) for start in range(0, len(small), ALONG)]
        scene = np.asarray(np.vstack(rows), np.uint8)
        corners, _ = detector.search(scene, ALARM)
        if not len(corners):
            continue
        alarms = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        seen = teacher.faces(scene)
        somebody = {_cell(face[:4], 0) for face in seen[seen[:, 4] >= DOUBT]}
        for place in sorted({_cell(alarm, INSIDE) for alarm in alarms} - somebody - {-1}):
            images.append(pieces[place])
    nobody = (np.empty((0, 5), np.float32),) * len(images)
    pixels = np.array(images, np.uint8).reshape(-1, TILE_PX, TILE_PX)
    return FaceTiles(pixels, nobody, np.full(len(images), 1 / max(1, len(images))))


def _piece(rng: np.random.Generator, tiles: FaceTiles) -> Pixels:
    """A part of a photograph with at most the edge of a face, uint8 [128, 128]; some are turned, or blurred."""
    for _ in range(TRIES):
        tile = int(rng.integers(len(tiles)))
        part = int(np.exp(rng.uniform(*np.log(PIECE_PX))))
        x, y = (int(value) for value in rng.integers(0, TILE_PX - part, 2))
        boxes = tiles.boxes[tile][:, :4]
        low, high = np.maximum(boxes[:, :2], (x, y)), np.minimum(boxes[:, :2] + boxes[:, 2:], (x + part, y + part))
        shared = np.clip(high - low, 0, None).prod(axis=1)
        piece = tiles.images[tile][y : y + part, x : x + part]
        most = np.minimum(OF_A_PIECE * part * part, OF_A_FACE * boxes[:, 2:].prod(axis=1))
        if (shared <= most).all() and (piece > BORDER_GRAY).mean() > 0.9:
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


def _cell(box: np.ndarray[tuple[int], np.dtype[np.float32]], share: float) -> int:
    """The number of the piece, row by row, in which the middle of a box (x, y, width, height) lies.

    -1 if less than `share` of the box does.
    """
    x, y, width, height = box.tolist()
    column, row = (min(max(int(at // CELL_PX), 0), ALONG - 1) for at in (x + width / 2, y + height / 2))
    across = min(x + width, (column + 1) * CELL_PX) - max(x, column * CELL_PX)
    along = min(y + height, (row + 1) * CELL_PX) - max(y, row * CELL_PX)
    return row * ALONG + column if across * along >= share * width * height else -1
