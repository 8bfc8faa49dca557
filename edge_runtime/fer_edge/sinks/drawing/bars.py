"""The panel of a face's probabilities: a row per label with its name, a bar and the percentage."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.results import Face
from fer_edge.sinks.drawing.colors import PANEL, WHITE, Color, color_of, luminance
from fer_edge.sinks.drawing.shapes import PANEL_OPACITY, Rect, draw_mask, draw_panel
from fer_edge.sinks.drawing.space import Rects, Space, overlap
from fer_edge.sinks.drawing.tags import text_limits, text_step
from fer_edge.sinks.drawing.text import column_mask, label_text, line_height, text_width

FEW = 3  # faces at most that have bars
MAX_ROWS = 8  # of the most probable labels
OF_FACE = 0.055  # height of the text's capitals, of the face's height
BAR_WIDTH = 6.5  # in heights of the text
TRACK: Color = (88, 88, 88)
DARK = 0.1  # luminance: bars of darker colors have a white outline on the dark panel
MIN_FACE, MIN_FACE_OF_MANY = 0.35, 0.6  # height of a face with bars, of the height of their panel
LARGE = 0.1  # of the image: a face of this area may have its bars on its own edge


class Bars(NamedTuple):
    """The probabilities of `face` in capitals of `height` pixels on a panel."""

    rect: Rect
    face: Face
    height: int


def find_bars(face: Face, index: int, space: Space) -> Bars | None:
    """Where the bars of the face fit: beside it, or in a corner if it fills the image; None if nowhere."""
    if not face.probabilities:
        return None
    rect = space.rects[index]
    smallest, largest = text_limits(space.width, space.height)
    height = text_step(min(max(round(OF_FACE * (rect[3] - rect[1])), smallest), max(smallest, round(0.6 * largest))))
    least = MIN_FACE if len(space.rects) <= FEW else MIN_FACE_OF_MANY
    if rect[3] - rect[1] < least * _size(face, smallest)[1]:
        return None
    for tried in dict.fromkeys((height, (height + smallest) // 2, smallest)):
        width, tall = _size(face, tried)
        found = space.find(_beside(rect, width, tall, round(0.6 * tried), space.height), index)
        if found is not None:
            return Bars(found, face, tried)
    width, tall = _size(face, smallest)
    area = (rect[2] - rect[0]) * (rect[3] - rect[1])
    if area < LARGE * space.width * space.height or width > 0.45 * space.width or tall > 0.5 * space.height:
        return None
    corners = sorted(_corners(space, width, tall, smallest // 2), key=lambda corner: _covers_features(corner, rect))
    found = space.find(corners, index, on_own_face=True)
    return Bars(found, face, smallest) if found else None


def draw_bars(canvas: Image, bars: Bars) -> None:
    """Draw the panel."""
    left, top, right, _ = bars.rect
    height, labels, shown = bars.height, tuple(bars.face.probabilities), _shown(bars.face)
    probabilities = [min(max(bars.face.probabilities[label], 0.0), 1.0) for label in shown]
    draw_panel(canvas, bars.rect, PANEL, PANEL_OPACITY)
    pad, row, wide = _pad(height), _row(height), text_width("100%", height)
    names = tuple(label_text(label, labels) for label in shown)
    names_wide = max(text_width(name, height) for name in names)
    text_top = top + pad + (row - line_height(height)) // 2
    draw_mask(canvas, column_mask(names, height, row, names_wide), left + pad, text_top)
    percents = tuple(f"{probability:.0%}" for probability in probabilities)
    draw_mask(canvas, column_mask(percents, height, row, wide, from_right=True), right - pad - wide, text_top)
    start, end = left + 2 * pad + names_wide, right - 2 * pad - wide
    for index, (label, probability) in enumerate(zip(shown, probabilities, strict=True)):
        y0, y1 = (top + pad + index * row + at for at in (row // 5, row - row // 5))
        color = color_of(label, labels)
        stop = start + max(round((end - start) * probability), 1)
        canvas[y0:y1, start:end] = TRACK
        canvas[y0:y1, start:stop] = color
        if luminance(color) < DARK and stop - start > 2:
            cv2.rectangle(canvas, (start, y0), (stop - 1, y1 - 1), WHITE, 1)


def _shown(face: Face) -> list[str]:
    """The labels of the rows, in the network's order."""
    best = sorted(face.probabilities, key=lambda label: -face.probabilities[label])[:MAX_ROWS]
    return [label for label in face.probabilities if label in best]


def _size(face: Face, height: int) -> tuple[int, int]:
    labels, shown = tuple(face.probabilities), _shown(face)
    names = max((text_width(label_text(label, labels), height) for label in shown), default=0)
    pad = _pad(height)
    width = names + round(BAR_WIDTH * height) + text_width("100%", height) + 4 * pad
    return width, _row(height) * len(shown) + 2 * pad


def _pad(height: int) -> int:
    return max(3, round(0.55 * height))


def _row(height: int) -> int:
    return line_height(height) + max(1, round(0.15 * height))


def _beside(rect: Rect, width: int, tall: int, gap: int, image_height: int) -> Iterator[Rect]:
    left, top, right, bottom = rect
    for y in dict.fromkeys((top, bottom - tall)):
        y = min(max(y, 0), image_height - tall)
        for x in (right + gap, left - gap - width):
            yield x, y, x + width, y + tall


def _corners(space: Space, width: int, tall: int, gap: int) -> Iterator[Rect]:
    for y in (space.height - gap - tall, gap):
        for x in (space.width - gap - width, gap):
            yield x, y, x + width, y + tall


def _covers_features(corner: Rect, rect: Rect) -> int:
    """How much `corner` covers of the middle of the face, where eyes, nose and mouth are."""
    left, top, right, bottom = rect
    across, down = round(0.15 * (right - left)), round(0.2 * (bottom - top))
    middle: Rects = np.array([[left + across, top + down, right - across, bottom - down // 2]], np.int64)
    return int(overlap(np.array([corner], np.int64), middle)[0])
