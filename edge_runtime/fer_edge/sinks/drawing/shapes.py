"""Rounded boxes and panels, and text on them, drawn in place."""

import functools

import numpy as np
import numpy.typing as npt

from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.sinks.drawing.colors import WHITE, Color, contrasting

Rect = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are outside."""
PANEL_OPACITY = 0.8
ROUNDNESS = 0.1  # radius of a box's corners, of its shorter side
_SHIFT = 4  # fractional bits of coordinates


def draw_box(canvas: Image, rect: Rect, color: Color, thickness: int, dashed: bool = False) -> None:
    """The outline of `rect` with round corners, `thickness` pixels wide, with a rim that shows it on any background."""
    rim = max(1, thickness // 2)
    width = thickness + 2 * rim
    before, after = thickness // 2 + rim, thickness - thickness // 2 + rim
    left, top = max(rect[0] - before, 0), max(rect[1] - before, 0)
    right, bottom = min(rect[2] + after, canvas.shape[1]), min(rect[3] + after, canvas.shape[0])
    shorter = min(right - left, bottom - top)
    radius = min(round(ROUNDNESS * shorter) + width, shorter // 2)
    rim_color = contrasting(color)
    ends, dash = (rim, max(2 * width, shorter // 12)) if dashed else (0, 0)
    for start, stop in _pieces(left + radius, right - radius, dash):
        for y in (top, bottom - width):
            canvas[max(y, 0) : y + width, start:stop] = rim_color
            canvas[max(y + rim, 0) : y + rim + thickness, start + ends : stop - ends] = color
    for start, stop in _pieces(top + radius, bottom - radius, dash):
        for x in (left, right - width):
            canvas[start:stop, max(x, 0) : x + width] = rim_color
            canvas[start + ends : stop - ends, max(x + rim, 0) : x + rim + thickness] = color
    ink, clear = _corner(radius, thickness, rim, color)
    for y, down in ((top, 1), (bottom - radius, -1)):
        for x, across in ((left, 1), (right - radius, -1)):
            part = canvas[y : y + radius, x : x + radius]
            _blend(part, ink[::down, ::across], clear[::down, ::across])


def draw_panel(canvas: Image, rect: Rect, color: Color, opacity: float = 1.0) -> None:
    """A filled `rect` with round corners; nothing outside `rect` changes."""
    left, top, right, bottom = rect
    part = canvas[top:bottom, left:right]
    outline = _outline(right - left - 1, bottom - top - 1, round(0.22 * min(right - left, bottom - top, 48)))
    if opacity == 1.0:
        cv2.fillConvexPoly(part, outline, color, cv2.LINE_AA, _SHIFT)
        return
    filled = part.copy()
    cv2.fillConvexPoly(filled, outline, color, cv2.LINE_AA, _SHIFT)
    cv2.addWeighted(filled, opacity, part, 1 - opacity, 0, dst=part)


def draw_mask(canvas: Image, mask: Image, left: int, top: int, color: Color = WHITE) -> None:
    """Draw the ink of `mask` in WHITE or BLACK, with its top left at (`left`, `top`); it must lie inside the image."""
    part = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
    _blend(part, mask if color == WHITE else None, np.asarray(cv2.bitwise_not(mask), dtype=np.uint8))


def _blend(part: Image, ink: Image | None, clear: Image) -> None:
    """Let `clear` (0 to 255) of `part` show through `ink`, whose colors are multiplied with their opacity already."""
    if part.size:
        cv2.multiply(part, clear, dst=part, scale=1 / 255)
        if ink is not None:
            cv2.add(part, ink, dst=part)


def _pieces(start: int, stop: int, dash: int) -> list[tuple[int, int]]:
    """The line from `start` to `stop`, or its dashes of about `dash` pixels, with gaps at both ends and between."""
    if not dash:
        return [(start, stop)] if stop > start else []
    count = max(3, round((stop - start) / dash) // 2 * 2 + 1)
    at = [start + (stop - start) * index // count for index in range(count + 1)]
    return list(zip(at[1:-1:2], at[2::2], strict=True))


@functools.lru_cache(maxsize=128)
def _corner(radius: int, thickness: int, rim: int, color: Color) -> tuple[Image, Image]:
    """The top left corner of a box: ink and how much of the image shows through, both uint8 [radius, radius, 3]."""
    at = radius - np.arange(radius) - 0.5
    middle = radius - rim - thickness / 2
    distance = np.abs(np.hypot(at, at[:, None]) - middle)[:, :, None]
    line, whole = (np.clip(half + 0.5 - distance, 0, 1) for half in (thickness / 2, thickness / 2 + rim))
    ink = line * np.array(color) + (whole - line) * np.array(contrasting(color))
    clear = np.repeat(1 - whole, 3, axis=2) * 255
    return np.rint(ink).astype(np.uint8), np.rint(clear).astype(np.uint8)


@functools.lru_cache(maxsize=64)
def _arcs(radius: int) -> npt.NDArray[np.float64]:
    """Arcs at the corners of a rectangle, clockwise from the top left, each relative to its corner [4, points, 2]."""
    turn = np.linspace(0, np.pi / 2, 6)
    arc = radius * np.stack([1 - np.cos(turn), 1 - np.sin(turn)], axis=1)
    back = arc[::-1]
    return np.stack([arc, back * (-1, 1), -arc, back * (1, -1)])


def _outline(right: int, bottom: int, radius: int) -> npt.NDArray[np.int32]:
    """The polygon of a rounded rectangle from (0, 0) to (`right`, `bottom`), in fixed point [points, 2]."""
    corners = np.array(((0, 0), (right, 0), (right, bottom), (0, bottom)))
    points = (_arcs(radius) + corners[:, None]).reshape(-1, 2)
    return np.asarray(np.rint(points * (1 << _SHIFT)), dtype=np.int32)
