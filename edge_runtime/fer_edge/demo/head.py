"""The still part of the drawn person (hair, shaded head, neck, jumper), and the drawing primitives.

Coordinates are in units of 1/100 of the resting face's height: x = 0 is the middle of the face, y = 0 the hairline and
y = 100 the chin. "Left" and "right" are those of the image.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_edge.opencv import cv2

Image = npt.NDArray[np.uint8]
"""uint8 [H, W, 3] BGR, [H, W, 4] BGRA, or [H, W] mask."""
Floats = npt.NDArray[np.float32]
Points = Sequence[tuple[float, float]] | npt.NDArray[np.float64]
Color = Sequence[float]
"""B, G, R (or one value for a mask), 0 to 255."""

LEFT, TOP, RIGHT, BOTTOM = -104.0, -36.0, 104.0, 270.0
"""The extent of the portrait, in units."""
FACE_HALF_WIDTH = 38.0
"""From the middle of the face to a cheek, in units."""
_SHIFT = 4  # fractional bits of cv2's drawing coordinates

# Right halves, from top to bottom; the left halves mirror them.
_HEAD = ((0, -12), (18, -9), (31, 4), (37, 24), (38, 45), (36.5, 62), (31.5, 78), (23, 90.5), (12.5, 98), (0, 100))
_HAIR_BACK = ((0, -28), (18, -26.5), (34, -15), (42, 5), (42.5, 24), (40.5, 39), (37, 46), (34, 46))
_BODY = ((0, 108), (24, 110), (34, 117), (54, 124), (76, 133), (87, 149), (93, 178), (97, 230), (99, 300), (0, 300))
_NECK = ((0, 70), (20.5, 70), (21, 88), (20.5, 100), (23, 110), (32, 118), (20, 140), (0, 145))
# The fringe from the right temple along the hairline to the left one, then back over the crown.
_HAIR_FRONT = (
    (40.8, 42), (37.4, 41), (36.6, 31), (35.0, 20), (30, 10.5), (21, 6.5), (8, 7.5), (-5, 5.5), (-15, 0), (-22, 3.5),
    (-30, 11), (-35, 20), (-36.6, 31), (-37.4, 41), (-40.8, 42), (-43.3, 24), (-43, 4), (-35, -16.5), (-17, -27.5),
    (3, -30), (22, -26.5), (35.5, -14), (43, 5), (43.3, 24), (40.8, 42),
)  # fmt: skip

_SKIN_STOPS = (0.0, 0.30, 0.55, 0.80, 1.0)
_SKIN_BGR = ((44, 58, 104), (82, 108, 168), (124, 158, 216), (166, 196, 240), (206, 226, 250))
_HAIR = np.array((30, 42, 66), np.float32)
_JUMPER = np.array((122, 104, 52), np.float32)


class Grid(NamedTuple):
    """A raster over the portrait: `px` pixels per unit, its top left corner at (`left`, `top`) units."""

    px: float
    left: float
    top: float

    def fixed(self, points: Points) -> npt.NDArray[np.int32]:
        """Points in units as cv2's fixed-point pixel coordinates, int32 [N, 2]."""
        pixels = (np.asarray(points, dtype=np.float64) - (self.left, self.top)) * self.px - 0.5
        return np.rint(pixels * (1 << _SHIFT)).astype(np.int32)

    def fill(self, image: Image, points: Points, color: Color) -> None:
        """Fill a polygon."""
        cv2.fillPoly(image, [self.fixed(points)], color, cv2.LINE_AA, _SHIFT)

    def line(self, image: Image, points: Points, color: Color, width: float) -> None:
        """Draw a line through `points`, `width` units wide but at least one pixel."""
        cv2.polylines(image, [self.fixed(points)], False, color, max(1, round(width * self.px)), cv2.LINE_AA, _SHIFT)

    def oval(self, image: Image, center: tuple[float, float], radii: tuple[float, float], color: Color) -> None:
        """Fill an upright ellipse."""
        x, y = (int(value) for value in self.fixed([center])[0])
        rx, ry = (max(1, round(radius * self.px * (1 << _SHIFT))) for radius in radii)
        cv2.ellipse(image, (x, y), (rx, ry), 0, 0, 360, color, -1, cv2.LINE_AA, _SHIFT)

    def window(self, image: Image, x0: float, y0: float, x1: float, y1: float) -> tuple["Grid", Image]:
        """The part of `image` between two corners in units, as a view, and the grid over it."""
        a, b = round((x0 - self.left) * self.px), round((y0 - self.top) * self.px)
        c, d = round((x1 - self.left) * self.px), round((y1 - self.top) * self.px)
        return Grid(self.px, self.left + a / self.px, self.top + b / self.px), image[b:d, a:c]

    def mask(self, shape: tuple[int, ...], points: Points, soft: float) -> Floats:
        """The inside of a polygon as float32 [H, W], 0 to 1, its edge blurred by `soft` units."""
        drawn = np.zeros(shape[:2], np.uint8)
        self.fill(drawn, points, (255,))
        return np.multiply(blurred(drawn, soft * self.px), np.float32(1 / 255), dtype=np.float32)


def blurred(image: Image, sigma: float) -> Image:
    """`image` blurred by a Gaussian of `sigma` pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(sigma, 0.3)), dtype=np.uint8)


@functools.lru_cache(maxsize=64)
def _spline(count: int, steps: int) -> npt.NDArray[np.float64]:
    """The matrix [(count - 1) * steps + 1, count] that maps points to the Catmull-Rom curve through them."""
    ends = np.zeros((count + 2, count))
    ends[1:-1] = np.eye(count)
    ends[0, :2], ends[-1, -2:] = (2, -1), (-1, 2)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    weights = 0.5 * np.hstack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2])
    return np.vstack([*(weights @ ends[k : k + 4] for k in range(count - 1)), ends[-2:-1]])


def smooth(points: Points, steps: int = 8) -> npt.NDArray[np.float64]:
    """A smooth curve through `points`, float64 [M, 2]."""
    return _spline(len(points), steps) @ np.asarray(points, dtype=np.float64)


def _mirrored(half: Points) -> npt.NDArray[np.float64]:
    """A closed outline, float64 [M, 2], from its right half."""
    right = smooth(half)
    return np.vstack([right, right[::-1] * (-1, 1)])


def _oval(x: float, y: float, rx: float, below: float, above: float) -> npt.NDArray[np.float64]:
    """An outline of two half ellipses with the radii `below` and `above` (x, y), float64 [64, 2]."""
    turn = np.linspace(0, 2 * np.pi, 64)
    return np.stack([x + rx * np.cos(turn), y + np.where(turn < np.pi, below, above) * np.sin(turn)], axis=1)


def bump(x: Floats, y: Floats, at: tuple[float, float], radius: tuple[float, float]) -> Floats:
    """A Gaussian of height 1 at `at`, float32 of the shape of `x`."""
    hill = np.exp(-(((x - at[0]) / radius[0]) ** 2) - ((y - at[1]) / radius[1]) ** 2)
    return np.asarray(hill, dtype=np.float32)


def _over(canvas: Floats, mask: npt.ArrayLike, color: npt.ArrayLike) -> None:
    """Blend `color` into `canvas` [H, W, 3], in place, with the opacity `mask` [H, W]."""
    canvas += (np.asarray(color, np.float32) - canvas) * np.asarray(mask, np.float32)[:, :, None]


def _skin_tone(shade: Floats) -> Floats:
    """BGR float32 [H, W, 3] of skin at brightness `shade`, 0 to 1."""
    channels = [np.interp(shade, _SKIN_STOPS, [bgr[c] for bgr in _SKIN_BGR]) for c in range(3)]
    return np.stack(channels, axis=2).astype(np.float32)


def _relief(x: Floats, y: Floats) -> Floats:
    """The head's height toward the viewer, in units: an egg with nose, cheeks, chin and eye sockets."""
    outline = smooth(_HEAD)
    half = np.maximum(np.interp(y, outline[:, 1], outline[:, 0]), 14)
    egg = 30 * np.sqrt(np.clip(1 - (x / (half + 2.5)) ** 2, 0, 1)) * np.sqrt(np.clip(1 - ((y - 44) / 66) ** 2, 0, 1))
    bridge = np.where(y < 66, np.clip((y - 34) / 30, 0, 1), np.exp(-(((y - 66) / 4) ** 2)))
    height = egg + 8.5 * bridge * np.exp(-((x / (3.4 + 2.2 * bridge)) ** 2))
    side = np.abs(x)
    for at, radius, rise in (
        ((0, 65), (5.5, 5), 3.2), ((6.6, 67.5), (2.6, 2.8), 2.6),  # the nose's tip and wings
        ((16.5, 42.5), (9, 5.5), -3.4), ((14, 33), (11, 4), 1.8),  # sockets and brow ridge
        ((22, 60), (10, 9), 3.2), ((0, 94), (8, 5), 3.0), ((0, 80), (15, 9), 3.0), ((0, 73), (1.8, 3), -0.9),
    ):  # fmt: skip
        height += rise * bump(side, y, at, radius)
    return height.astype(np.float32)


def _skin(x: Floats, y: Floats, px: float) -> Floats:
    """The lit head, float32 BGR [H, W, 3]; the light comes from the upper left."""
    height = cv2.GaussianBlur(_relief(x, y) * px, (0, 0), 0.7 * px)
    # Limit the slope: a steeper rim of the head would turn black.
    slope_y, slope_x = (np.clip(slope, -2, 2) for slope in np.gradient(height))
    light = (0.42 * slope_x + 0.5 * slope_y + 0.76) / np.sqrt(1 + slope_x**2 + slope_y**2)
    side = np.abs(x)
    shade = 0.36 + 0.62 * np.clip(light, 0, 1) - 0.16 * bump(side, y, (16.5, 40.5), (10, 6))
    shade -= 0.16 * bump(x, y, (1.5, 74), (8, 2.6)) + 0.12 * np.clip((y - 95) / 6, 0, 1)
    blush = 0.7 * bump(side, y, (22, 63), (9, 7)) + 0.5 * bump(x, y, (0, 65), (6, 5))
    skin = _skin_tone(np.asarray(shade, dtype=np.float32))
    return np.asarray(skin - blush[:, :, None] * (22, 20, 0), dtype=np.float32)


def _paint_hair(canvas: Floats, grid: Grid, x: Floats, y: Floats) -> Floats:
    """Paint the front hair, its strands and its soft shadow on the forehead; return its mask."""
    mask = grid.mask(canvas.shape, smooth(_HAIR_FRONT), 0.5)
    shadow = cv2.GaussianBlur(np.roll(mask, round(2.4 * grid.px), axis=0), (0, 0), 2.2 * grid.px)
    _over(canvas, 0.45 * shadow, (58, 76, 124))
    lit = 0.8 + 0.9 * bump(x, y, (-14, -14), (22, 10)) + 0.4 * bump(x, y, (24, -9), (14, 14))
    hair = np.clip(lit[:, :, None] * _HAIR, 0, 255).astype(np.uint8)
    rng = np.random.default_rng(7)
    for where in np.linspace(0, 1, 320):
        # Strands fan out from a parting at the upper left and end along the hair's rim or at the fringe.
        start = np.array([-13 + 3.5 * rng.normal(), -23 + 1.6 * rng.normal()])
        turn = np.pi * (0.86 - 1.72 * where)
        end = np.array([-44 * np.sin(turn), -5 - 24 * np.cos(turn) + 30 * abs(2 * where - 1) ** 1.3])
        bend = start + 0.55 * (end - start) + (2.0, -7.5)
        if rng.random() < 0.45:
            end = np.array([-22 + 60 * where, 5 + 14 * where**3])
            bend = start + 0.5 * (end - start) + (5.0, -3.0)
        end += rng.normal(0, 1.8, 2)
        tone = 0.75 + 0.65 * rng.random()
        grid.line(hair, smooth(np.stack([start, bend, end])), [c * tone for c in (36, 50, 78)], 0.3)
    _over(canvas, mask, blurred(hair, 0.4 * grid.px))
    return mask


def _paint_body(canvas: Floats, grid: Grid, x: Floats, y: Floats) -> Floats:
    """Paint jumper and neck; return their mask."""
    shape = canvas.shape
    body, neck = grid.mask(shape, _mirrored(_BODY), 0.5), grid.mask(shape, _mirrored(_NECK), 0.5)
    collar = grid.mask(shape, _oval(0, 114, 35, 21, 8), 0.45)
    hole = grid.mask(shape, _oval(0, 113, 29.5, 16.5, 4), 0.4)
    lit = 1.02 + 0.30 * bump(x, y, (-42, 138), (34, 24)) - 0.10 * np.clip((x + 20) / 90, 0, 1)
    lit += -0.0016 * np.clip(y - 140, 0, 200) - 0.30 * bump(np.abs(x), y, (78, 250), (12, 90))
    _over(canvas, body, lit[:, :, None] * _JUMPER)
    below = cv2.GaussianBlur(np.roll(collar, round(2 * grid.px), axis=0), (0, 0), 1.6 * grid.px)
    _over(canvas, 0.45 * body * below, (60, 48, 22))
    _over(canvas, collar, lit[:, :, None] * (_JUMPER + 22))
    _over(canvas, hole, 0.55 * _JUMPER)
    shade = 0.66 - 0.28 * np.clip((x + 4) / 30, -0.4, 1) - 0.44 * bump(x, y, (3, 101), (30, 10))
    shade -= 0.2 * bump(x, y, (0, 126), (5, 4))  # the hollow of the throat
    throat = neck * np.where(y < 113, 1, hole)
    _over(canvas, throat, _skin_tone(np.asarray(shade, dtype=np.float32)))
    return np.maximum(body, np.maximum(throat, collar))


def _paint_ears(canvas: Floats, grid: Grid) -> Floats:
    """Paint both ears; return their mask."""
    alpha = np.zeros(canvas.shape[:2], np.float32)
    for sign in (-1, 1):
        ear = grid.mask(canvas.shape, _oval(sign * 39, 50, 5.2, 10, 10), 0.4)
        _over(canvas, ear, (112, 140, 206) if sign < 0 else (92, 116, 178))
        _over(canvas, grid.mask(canvas.shape, _oval(sign * 39.8, 49.5, 2.8, 5.6, 5.6), 1.0), (74, 92, 152))
        alpha = np.maximum(alpha, ear)
    return alpha


def paint_portrait(px: float) -> Image:
    """All that does not move, at `px` pixels per unit: uint8 BGRA [H, W, 4] over LEFT..RIGHT and TOP..BOTTOM.

    The colors are premultiplied by alpha.
    """
    grid = Grid(px, LEFT, TOP)
    shape = (round((BOTTOM - TOP) * px), round((RIGHT - LEFT) * px))
    y, x = (np.indices(shape, dtype=np.float32) + 0.5) / np.float32(px) + np.array([TOP, LEFT], np.float32)[
        :, None, None
    ]
    canvas = np.empty((*shape, 3), np.float32)
    canvas[:] = np.where((y < 90)[:, :, None], _HAIR, _JUMPER)
    back = grid.mask(shape, _mirrored(_HAIR_BACK), 0.5)
    _over(canvas, back, 0.7 * _HAIR)
    body = _paint_body(canvas, grid, x, y)
    ears = _paint_ears(canvas, grid)
    head = grid.mask(shape, _mirrored(_HEAD), 0.5)
    _over(canvas, head, _skin(x, y, px))
    for sign in (-1, 1):
        nostril = [(sign * a, b) for a, b in ((1.8, 70.6), (3.4, 69.3), (5.4, 69.4), (6.2, 70.6), (4.4, 71.2))]
        _over(canvas, 0.75 * grid.mask(shape, nostril, 0.6), (34, 40, 84))
    hair = _paint_hair(canvas, grid, x, y)
    alpha = np.maximum.reduce([back, body, ears, head, hair])[:, :, None]
    opaque = np.concatenate([np.clip(canvas, 0, 255), np.full_like(alpha, 255)], axis=2)
    portrait: Image = (opaque * alpha).round().astype(np.uint8)
    return portrait
