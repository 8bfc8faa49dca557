"""The moving part of the drawn person: eyes, brows, mouth, jaw, and the skin folds that they make."""

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_edge.demo.head import LEFT, TOP, Floats, Grid, Image, Points, blurred, bump, smooth
from fer_edge.demo.portrait import still_portrait
from fer_edge.opencv import cv2


class Pose(NamedTuple):
    """The moving parameters of the face; lengths in units (1/100 of the face's height), strengths 0 to 1.

    brow_inner, brow_outer: height of the brows' ends. brow_pinch: distance by which the brows approach each other.
    lid_up, lid_low: eye opening above and below the line between its corners. lid_slant: drop of the outer corner.
    mouth_width: half the width. mouth_up, mouth_down: gap above and below the line between the corners.
    corner: height of the corners above the middle. mouth_raise: height of the whole mouth.
    square: 0 for an oval mouth, 1 for a box. lip: thickness, 1 at rest. teeth: visible length of the upper teeth.
    jaw: drop of the chin. cheek: strength of a smile. fold: lines from nose to mouth. wrinkle: on the nose.
    furrow: between the brows. forehead: lines across it. gaze_x, gaze_y: gaze to the right and down.
    """

    brow_inner: float = 0.0
    brow_outer: float = 0.0
    brow_pinch: float = 0.0
    lid_up: float = 4.0
    lid_low: float = 2.9
    lid_slant: float = 0.0
    mouth_width: float = 13.0
    mouth_up: float = 0.0
    mouth_down: float = 0.0
    corner: float = 0.9
    mouth_raise: float = 0.0
    square: float = 0.0
    lip: float = 1.0
    teeth: float = 4.0
    jaw: float = 0.0
    cheek: float = 0.0
    fold: float = 0.12
    wrinkle: float = 0.0
    furrow: float = 0.0
    forehead: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0


_SPAN = np.linspace(-1, 1, 25)
_ARCH = (1 - np.abs(_SPAN) ** 2.2) ** 0.85
_LIP_EDGE = (1 - np.abs(_SPAN) ** 2.4) ** 0.8
_CUPIDS_BOW = 1 - 0.26 * np.exp(-((_SPAN / 0.16) ** 2))
_TEETH = np.stack([0 * _SPAN, (1 - np.abs(_SPAN) ** 5) ** 0.7], axis=1)  # ending before the corners of the mouth
_EVEN = 200  # value of the shading mask where the skin keeps its color
# Shadow on skin is warm: blue falls off faster than red.
_TINT = np.stack([_EVEN * (np.arange(256) / _EVEN) ** power for power in (1.3, 1.22, 0.78)], axis=1).clip(0, 255)
_TINT_TABLE = _TINT.astype(np.uint8)[None]


def _blend(patch: Image, over: Image, mask: Floats) -> None:
    """Blend `over` into `patch`, in place, with the opacity `mask`."""
    patch[:] = cv2.blendLinear(over, patch, mask, 1 - mask)


def _drop_jaw(portrait: Image, grid: Grid, drop: float) -> None:
    """Stretch the lower face by `drop` units, in place, and compress the neck below it."""
    _, part = grid.window(portrait, -38, 64, 38, 118)
    rows, columns = part.shape[:2]
    y = np.linspace(64, 118, rows)
    moved = np.interp(y, (64, 74, 100 + drop, 118), (64, 74, 100, 118)) - y
    # Less toward the sides, so that the collar stays in place.
    share = np.interp(np.abs(np.linspace(-38, 38, columns)), (27, 37), (1, 0))
    map_y = (np.arange(rows)[:, None] + moved[:, None] * share * grid.px).astype(np.float32)
    map_x = np.repeat(np.arange(columns, dtype=np.float32)[None], rows, axis=0)
    part[:] = cv2.remap(part, map_x, map_y, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)


@functools.lru_cache(maxsize=4)
def _smile(px: float, left: float, top: float, shape: tuple[int, int]) -> Image:
    """The change that smiling cheeks make to the shading mask, uint8 [H, W]; 128 is no change."""
    y, x = (np.indices(shape, dtype=np.float32) + 0.5) / np.float32(px) + np.array([top, left], np.float32)[
        :, None, None
    ]
    side = np.abs(x)
    light = 17 * bump(side, y, (21.5, 60), (8, 5)) - 26 * bump(side, y, (25, 72), (9, 5))
    return (128 + light).round().astype(np.uint8)


def _folds(pose: Pose) -> list[tuple[Points, float, float]]:
    """The folds of the skin: points of the right half (x from the middle), depth 0 to 1, width in units."""
    w, mouth_y = pose.mouth_width, 80 - pose.mouth_raise - 0.5 * pose.corner
    lid, low, inner = 43 - pose.lid_up, 43 + pose.lid_low, 33 - pose.brow_inner
    pinched, rise = 3.2 - 0.2 * pose.brow_pinch, 0.45 * (pose.brow_outer - pose.brow_inner)
    under_lip = mouth_y + pose.mouth_down + 4.8 * pose.lip + 2.2
    lines: list[tuple[Points, float, float]] = [
        ([(8.8, 66), (12 + 0.3 * w, 71.5), (w + 5.5, mouth_y + 1)], 0.52 * pose.fold, 1.6),
        ([(9, lid + 2.0), (16.5, lid - 2.4), (25.5, lid + 2 + pose.lid_slant)], 0.45, 1.0),
        ([(9, low + 2), (15, low + 3.4), (22, low + 2.2)], 0.18 + 0.3 * pose.cheek, 1.3),
        ([(pinched, inner - 3), (pinched - 0.4, inner + 1), (2.6, inner + 5)], 0.8 * pose.furrow, 1.1),
        ([(7.5, 69.5), (9.4, 66.5), (8, 63)], 0.32 + 0.4 * pose.wrinkle, 1.0),
        ([(0, under_lip + 0.6), (3.5, under_lip + 0.4), (7.5, under_lip - 0.6)], 0.24, 2.0),
    ]
    for k in range(2):
        lines.append(([(27.5, 41 + 2.4 * k), (32.5, 38.6 + 5.6 * k)], 0.3 * pose.cheek, 0.6))
    for k in range(3):
        lines.append(([(0, 44 + 4 * k), (3, 43 + 4 * k), (6.5, 45.5 + 4.4 * k)], 0.5 * pose.wrinkle, 1.0))
        y = 15.5 + 4.5 * k
        lines.append(([(0, y + 0.8), (9, y), (21, y + 1.5 - rise)], 0.42 * pose.forehead, 0.9))
    return lines


def _shade_folds(face: Image, grid: Grid, pose: Pose) -> None:
    """Darken and lighten `face`, in place, along the skin folds of the pose."""
    half = Grid(grid.px / 2, grid.left, grid.top)  # half the resolution is enough for soft lines
    mask = np.full(((face.shape[0] + 1) // 2, (face.shape[1] + 1) // 2), _EVEN, np.uint8)
    for points, depth, width in _folds(pose):
        if depth > 0.02:
            right = smooth(points, 5)
            for line in (right, right * (-1, 1)):
                # Shallower at the outer end of a fold.
                half.line(mask, line, (_EVEN * (1 - 0.55 * depth),), 0.7 * width)
                half.line(mask, line[:-3], (_EVEN * (1 - depth),), width)
    mask = blurred(mask, 1.05 * half.px)
    if pose.cheek > 0.02:
        smile = _smile(half.px, half.left, half.top, (mask.shape[0], mask.shape[1]))
        mask = np.asarray(cv2.addWeighted(mask, 1, smile, pose.cheek, -128 * pose.cheek), dtype=np.uint8)
    full = cv2.resize(mask, (face.shape[1], face.shape[0]), interpolation=cv2.INTER_LINEAR)
    tint = cv2.LUT(cv2.cvtColor(full, cv2.COLOR_GRAY2BGR), _TINT_TABLE)
    face[:] = cv2.multiply(face, tint, scale=1 / _EVEN)


def _draw_eye(face: Image, grid: Grid, pose: Pose, sign: int) -> None:
    """Draw one eye on `face`, in place; `sign` is -1 for the left."""
    at_x, at_y = sign * 16.8, 43.0
    grid, patch = grid.window(face, at_x - 11, at_y - 10, at_x + 11, at_y + 8)
    slant = pose.lid_slant * (sign * _SPAN + 0.3)
    # The highest point of the upper lid is slightly toward the nose.
    upper = at_y - pose.lid_up * _ARCH * (1 - 0.12 * sign * _SPAN) + slant
    lower = np.maximum(at_y + pose.lid_low * _ARCH + slant, upper + 0.2)
    x = at_x + 9.2 * _SPAN
    ball = np.empty_like(patch)
    ball[:] = (222, 228, 234)
    look = at_x - 0.5 * sign + pose.gaze_x, at_y - 0.6 + pose.gaze_y
    grid.oval(ball, look, (4.9, 4.9), (34, 44, 58))
    grid.oval(ball, look, (4.3, 4.3), (58, 86, 112))
    grid.oval(ball, (look[0], look[1] + 1.2), (2.9, 2.6), (84, 122, 150))
    grid.oval(ball, look, (2.2, 2.2), (14, 14, 18))
    # The upper lid and its lashes shade the ball below them.
    grid.line(ball, np.stack([x, upper + 0.6], 1), (120, 122, 136), 1.2)
    ball = blurred(ball, 0.22 * grid.px)
    grid.oval(ball, (look[0] - 1.6, look[1] - 1.7), (1.15, 1.15), (255, 255, 255))
    almond = np.vstack([np.stack([x, upper], 1), np.stack([x, lower], 1)[::-1]])
    _blend(patch, ball, grid.mask(patch.shape, almond, 0.12))
    grid.line(patch, np.stack([x, lower], 1)[3:-3], (84, 100, 156), 0.5)
    thick = 0.55 * _ARCH + 0.25
    lashes = np.vstack([np.stack([x, upper - thick], 1), np.stack([x, upper + thick], 1)[::-1]])
    grid.fill(patch, lashes, (26, 30, 44))


def _draw_brow(face: Image, grid: Grid, pose: Pose, sign: int) -> None:
    """Draw one brow on `face`, in place; `sign` is -1 for the left."""
    t = np.linspace(0, 1, 16)  # from the nose outwards
    x = sign * (7.2 - pose.brow_pinch * (1 - t) + 20.5 * t)
    arch = 2.8 + 0.14 * max(0.0, pose.brow_inner + pose.brow_outer)
    y = 32.4 - arch * np.sin(np.pi * 0.86 * t**1.15) + 1.0 * t
    y -= pose.brow_inner * (1 - t) ** 1.6 + pose.brow_outer * t**1.1
    thick = 1.95 * (1 - t) ** 0.45 * (0.55 + 0.45 * np.minimum(1, 6 * t + 0.35))
    brow = np.vstack([np.stack([x, y - thick], 1), np.stack([x, y + thick], 1)[::-1]])
    grid, patch = grid.window(face, *((1, 16, 31, 44) if sign > 0 else (-31, 16, -1, 44)))
    hair = np.empty_like(patch)
    hair[:] = (34, 46, 68)
    _blend(patch, hair, 0.9 * grid.mask(patch.shape, brow, 0.45))


def _mouth_curves(pose: Pose) -> tuple[npt.NDArray[np.float64], ...]:
    """Outer and inner edge of the upper lip, inner and outer edge of the lower lip: float64 [25, 2] each, in units."""
    line = 79.5 - pose.mouth_raise - pose.corner * (np.abs(_SPAN) ** 1.7 - 0.35)
    gap = np.sqrt(1 - _SPAN**2) * (1 - pose.square) + (1 - _SPAN**6) * pose.square
    upper, lower = line - pose.mouth_up * gap, line + pose.mouth_down * gap
    top = upper - 3.0 * pose.lip * _LIP_EDGE * _CUPIDS_BOW - 0.3
    bottom = lower + 4.2 * pose.lip * _LIP_EDGE + 0.3
    # The lips surround the corners of an open mouth.
    x = pose.mouth_width * _SPAN
    wide = x * (1 + 0.008 * (pose.mouth_up + pose.mouth_down))
    return tuple(np.stack([x, y], axis=1) for x, y in ((wide, top), (x, upper), (x, lower), (wide, bottom)))


def _draw_mouth(face: Image, grid: Grid, pose: Pose) -> None:
    """Draw the mouth on `face`, in place: the lips and what is visible between them."""
    top, upper, lower, bottom = _mouth_curves(pose)
    reach = 1.15 * pose.mouth_width + 2
    grid, patch = grid.window(face, -reach, top[:, 1].min() - 2, reach, bottom[:, 1].max() + 2)
    lips = np.empty_like(patch)
    lips[:] = (96, 92, 178)
    grid.fill(lips, np.vstack([top, upper[::-1]]), (84, 78, 160))
    grid.line(lips, ((lower + bottom) / 2 - (0, 0.3))[9:16], (136, 134, 212), 1.3)
    outer = grid.mask(patch.shape, np.vstack([top, bottom[::-1]]), 0.45)
    _blend(patch, blurred(lips, 0.6 * grid.px), 0.92 * outer)
    gap = pose.mouth_up + pose.mouth_down
    if gap > 0.3:
        inside = np.empty_like(patch)
        inside[:] = (32, 26, 62)
        grid.oval(inside, (0, float(lower[12, 1]) + 1.0), (0.62 * pose.mouth_width, 0.36 * gap), (92, 88, 172))
        depth = min(pose.teeth, 0.75 * gap) * _TEETH
        grid.fill(inside, np.vstack([upper, (upper + depth)[::-1]]), (216, 226, 232))
        if pose.square > 0.1:
            grid.fill(inside, np.vstack([lower, (lower - 0.6 * pose.square * depth)[::-1]]), (196, 208, 216))
        hole = grid.mask(patch.shape, np.vstack([upper, lower[::-1]]), 0.25)
        _blend(patch, blurred(inside, 0.35 * grid.px), hole)
    grid.line(patch, upper[1:-1], (48, 44, 96), 0.6)


def draw_portrait(pose: Pose, px: float) -> Image:
    """The person in `pose` at `px` pixels per unit: uint8 BGRA [H, W, 4] over LEFT..RIGHT and TOP..BOTTOM.

    The colors are premultiplied by alpha, so that resampling leaves no rim.
    """
    portrait, grid = still_portrait(px).copy(), Grid(px, LEFT, TOP)
    if pose.jaw > 0.05:
        _drop_jaw(portrait, grid, pose.jaw)
    grid, part = grid.window(portrait, -40, 10, 40, 120)
    face = np.asarray(cv2.cvtColor(part, cv2.COLOR_BGRA2BGR), dtype=np.uint8)
    _shade_folds(face, grid, pose)
    for sign in (-1, 1):
        _draw_eye(face, grid, pose, sign)
        _draw_brow(face, grid, pose, sign)
    _draw_mouth(face, grid, pose)
    alpha = cv2.extractChannel(part, 3)
    part[:] = cv2.insertChannel(alpha, cv2.cvtColor(face, cv2.COLOR_BGR2BGRA), 3)
    return portrait
