"""Contact sheets: small numbered faces, to look through before sorting."""

from collections.abc import Sequence

import numpy as np

from fer_edge.framing import Image, normalize_light
from fer_edge.opencv import cv2

COLUMNS, ROWS = 12, 8
FACES_PER_SHEET = COLUMNS * ROWS
FACE_PX, CAPTION_PX, GAP_PX = 96, 16, 4
BACKGROUND, INK = 255, 0
CELL = (FACE_PX + CAPTION_PX + GAP_PX, FACE_PX + GAP_PX)


def thumbnail(face: Image) -> Image:
    """A face of any size as a square of FACE_PX, gray and well lit, so that dark faces can be told apart, too."""
    interpolation = cv2.INTER_CUBIC if len(face) < FACE_PX else cv2.INTER_AREA
    small = np.ascontiguousarray(cv2.resize(face, (FACE_PX, FACE_PX), interpolation=interpolation), dtype=np.uint8)
    normalize_light(small)
    return small


def draw_sheet(faces: Sequence[tuple[str, Image]]) -> Image:
    """A sheet, uint8 [H, W], of at most FACES_PER_SHEET thumbnails with their captions."""
    rows, columns = -(-len(faces) // COLUMNS), min(len(faces), COLUMNS)
    sheet = np.full((GAP_PX + rows * CELL[0], GAP_PX + columns * CELL[1]), BACKGROUND, np.uint8)
    for place, (caption, face) in enumerate(faces):
        top, left = GAP_PX + place // COLUMNS * CELL[0], GAP_PX + place % COLUMNS * CELL[1]
        sheet[top : top + FACE_PX, left : left + FACE_PX] = face
        cv2.putText(
            sheet, caption, (left, top + FACE_PX + CAPTION_PX - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, INK, 1, cv2.LINE_AA
        )
    return sheet
