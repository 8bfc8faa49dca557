"""Which parts of an image are in use, and where a panel fits."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from fer_edge.opencv import cv2
from fer_edge.results import Face
from fer_edge.sinks.drawing.shapes import Rect

Rects = npt.NDArray[np.int64]
"""[count, 4]: left, top, right, bottom."""
HEAD_ABOVE, HEAD_BESIDE = 0.3, 0.1  # of the box: how far a head reaches over the box of its face


def rect_of(face: Face, width: int, height: int) -> Rect:
    """The face's box in whole pixels, clipped to an image of `width` x `height`."""
    x, y, across, down = face.box
    left, top = min(max(round(x), 0), width), min(max(round(y), 0), height)
    return left, top, min(max(round(x + across), left), width), min(max(round(y + down), top), height)


def head_of(rect: Rect) -> Rect:
    """The head around the face box `rect`: with hair and ears."""
    left, top, right, bottom = rect
    beside = round(HEAD_BESIDE * (right - left))
    return left - beside, top - round(HEAD_ABOVE * (bottom - top)), right + beside, bottom


def overlap(candidates: Rects, taken: Rects) -> npt.NDArray[np.int64]:
    """How many pixels of each candidate the rectangles in `taken` cover, counted once per rectangle [candidates]."""
    low = np.maximum(candidates[:, None, :2], taken[None, :, :2])
    sides = np.minimum(candidates[:, None, 2:], taken[None, :, 2:]) - low
    return np.asarray((np.maximum(sides, 0).prod(axis=2)).sum(axis=1))


class Space:
    """An image of `width` x `height` pixels with the faces `rects`, and what has been drawn on it."""

    def __init__(self, width: int, height: int, rects: Sequence[Rect]) -> None:
        self.width, self.height, self.rects = width, height, rects
        self._boxes: Rects = np.array(rects, np.int64).reshape(-1, 4)
        self._blocked: Rects = np.array([head_of(rect) for rect in rects], np.int64).reshape(-1, 4)
        """The heads, then what has been drawn."""

    def take(self, rect: Rect) -> None:
        """Keep later panels clear of `rect`."""
        self._blocked = np.concatenate([self._blocked, [rect]])

    def find(self, candidates: Iterable[Rect], own: int | None = None, on_own_face: bool = False) -> Rect | None:
        """The first candidate that lies inside the image and covers no drawn panel, face or head.

        With `own` (the index of a face), it may cover that head; with `on_own_face`, also that face.
        """
        tried = self._inside(candidates)
        blocked = self._blocked
        if own is not None:
            blocked = blocked.copy()
            blocked[own] = (0, 0, 0, 0) if on_own_face else self.rects[own]
        apart = (tried[:, None, :2] >= blocked[:, 2:]) | (tried[:, None, 2:] <= blocked[:, :2])
        free = np.flatnonzero(np.all(np.any(apart, axis=2), axis=1))
        return _rect(tried[free[0]]) if len(free) else None

    def find_best(self, candidates: Iterable[Rect], own: int | None = None) -> Rect | None:
        """The candidate inside the image that covers least of drawn panels and faces; None if all are outside."""
        tried = self._inside(candidates)
        if not len(tried):
            return None
        boxes = self._boxes if own is None else np.delete(self._boxes, own, axis=0)
        blocked = np.concatenate([boxes, self._blocked[len(self.rects) :]])
        return _rect(tried[np.argmin(overlap(tried, blocked))])

    def find_anywhere(self, width: int, height: int) -> tuple[Rect, bool] | None:
        """The place of `width` x `height` that covers least, and whether it covers nothing; near a corner if possible.

        None if the image is smaller.
        """
        cell = max(2, min(self.width, self.height) // 120)
        rows, columns = self.height // cell, self.width // cell
        across, down = -(-width // cell), -(-height // cell)
        if across > columns or down > rows:
            return None
        used = np.zeros((rows + 1, columns + 1), np.uint8)
        for left, top, right, bottom in np.maximum(self._blocked, 0).tolist():
            used[top // cell : -(-bottom // cell), left // cell : -(-right // cell)] = 1
        sums = cv2.integral(used[:rows, :columns])
        covered = sums[down:, across:] - sums[:-down, across:] - sums[down:, :-across] + sums[:-down, :-across]
        x, y = np.arange(covered.shape[1]), np.arange(covered.shape[0])[:, None]
        from_corner = np.minimum(x, covered.shape[1] - 1 - x) + np.minimum(y, covered.shape[0] - 1 - y)
        at = int(np.argmin(covered * (rows + columns) + from_corner))
        row, column = divmod(at, covered.shape[1])
        left, top = column * cell, row * cell
        return (left, top, left + width, top + height), bool(covered[row, column] == 0)

    def copy(self) -> "Space":
        """A space in which `take` does not change this one."""
        other = Space(self.width, self.height, self.rects)
        other._blocked = self._blocked
        return other

    def _inside(self, candidates: Iterable[Rect]) -> Rects:
        rects = np.array(list(candidates), np.int64).reshape(-1, 4)
        left, top, right, bottom = rects.T
        return rects[(left >= 0) & (top >= 0) & (right <= self.width) & (bottom <= self.height)]


def _rect(row: Rects) -> Rect:
    left, top, right, bottom = row.tolist()
    return left, top, right, bottom
