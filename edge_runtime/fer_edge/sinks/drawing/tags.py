"""Tags: text on a colored panel at a face, either its label or its number."""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fer_edge.framing import Image
from fer_edge.results import Face
from fer_edge.sinks.drawing.colors import PANEL, UNSURE, WHITE, Color, color_of, contrasting
from fer_edge.sinks.drawing.shapes import PANEL_OPACITY, Rect, draw_mask, draw_panel
from fer_edge.sinks.drawing.space import Space
from fer_edge.sinks.drawing.text import label_text, line_height, text_mask, text_width

Words = tuple[str, ...]
OF_FACE = 0.095  # height of a label's capitals, of the face's height
MAX_OF_FACE = 0.25  # a label on its own face covers at most this part of it
MIN_TEXT_PX = 5


class Tag(NamedTuple):
    """Words in capitals of `height` pixels on a panel of `color`, or without a panel for dark backgrounds."""

    rect: Rect
    words: Words
    height: int
    color: Color | None


class TextPanel(NamedTuple):
    """A dark panel and the tags on it."""

    rect: Rect
    tags: list[Tag]


def face_color(face: Face) -> Color:
    """The color of the face's emotion."""
    return UNSURE if face.unsure else color_of(face.emotion, tuple(face.probabilities))


def face_words(face: Face) -> tuple[Words, Words]:
    """The label of the face in full and short."""
    label = label_text(face.emotion, tuple(face.probabilities))
    percent = f"{face.confidence:.0%}"
    return (("unsure:", f"{label}?", percent), (f"{label}?",)) if face.unsure else ((label, percent), (label,))


def text_limits(width: int, height: int) -> tuple[int, int]:
    """The smallest and largest height of capitals in an image of `width` x `height` pixels."""
    short = min(width, height)
    smallest = max(6 if short < 120 else 7, round(short / 85))
    return smallest, max(smallest, short // 24)


def text_step(height: int) -> int:
    """`height` or slightly less, so that text keeps its size while a face moves a little."""
    step = 1 if height < 12 else 2 if height < 32 else 4
    return height // step * step


@functools.lru_cache(maxsize=1024)
def tag_size(words: Words, height: int) -> tuple[int, int]:
    """Width and height in pixels of the panel."""
    wide = sum(text_width(word, height) for word in words) + (len(words) - 1) * _gap(height)
    return wide + 2 * _side(height), line_height(height) + 2 * _margin(height)


def draw_tag(canvas: Image, tag: Tag) -> None:
    """Draw the panel and its words."""
    if tag.color:
        draw_panel(canvas, tag.rect, tag.color)
    color = contrasting(tag.color) if tag.color else WHITE
    x, y = tag.rect[0] + _side(tag.height), tag.rect[1] + _margin(tag.height)
    for word in tag.words:
        mask = text_mask(word, tag.height)
        draw_mask(canvas, mask, x, y, color)
        x += mask.shape[1] + _gap(tag.height)


def draw_text_panel(canvas: Image, panel: TextPanel) -> None:
    """Draw the panel and its tags."""
    draw_panel(canvas, panel.rect, PANEL, PANEL_OPACITY)
    for tag in panel.tags:
        draw_tag(canvas, tag)


def label_tag(face: Face, index: int, space: Space) -> Tag | None:
    """The face's label above, below or on it, where it covers no other face; None if there is no room for it."""
    rect = space.rects[index]
    smallest, largest = text_limits(space.width, space.height)
    height = text_step(min(max(round(OF_FACE * (rect[3] - rect[1])), smallest), largest))
    for words in face_words(face):
        for tried in dict.fromkeys((height, max(smallest, text_step(round(0.75 * height))))):
            size = tag_size(words, tried)
            found = space.find(_outside(rect, *size), index)
            if found is None and size[0] * size[1] <= MAX_OF_FACE * (rect[2] - rect[0]) * (rect[3] - rect[1]):
                found = space.find(_corners(rect, *size), index, on_own_face=True)
            if found is not None:
                return Tag(found, words, tried, face_color(face))
    return None


def only_tag(face: Face, space: Space) -> Tag | None:
    """The label of the only face of a small image, as large as the image allows; None if it allows none."""
    for words in face_words(face):
        for height in range(text_limits(space.width, space.height)[0], MIN_TEXT_PX - 1, -1):
            found = space.find_best(_corners((0, 0, space.width, space.height), *tag_size(words, height)))
            if found is not None:
                return Tag(found, words, height, face_color(face))
    return None


def number_tag(face: Face, index: int, number: int, space: Space) -> Tag | None:
    """The face's number beside it, or on its corner if there is no room; None if the image is smaller than the tag."""
    words, height = (str(number),), text_limits(space.width, space.height)[0]
    rect, size = space.rects[index], tag_size((str(number),), height)
    found = space.find((*_outside(rect, *size), *_beside(rect, *size)), index)
    found = found or space.find_best(_corners(rect, *size), index)
    found = found or space.find_best(_corners((0, 0, space.width, space.height), *size), index)
    return Tag(found, words, height, face_color(face)) if found else None


def numbers_of(faces: Sequence[Face]) -> list[int]:
    """Each face's track id where all have different ones, else its place in reading order from 1."""
    ids = [face.track_id for face in faces if face.track_id is not None]
    if len(set(ids)) == len(faces):
        return ids
    row = max(max((face.box[3] for face in faces), default=1.0), 1.0)
    order = sorted(range(len(faces)), key=lambda at: (round(faces[at].box[1] / row), faces[at].box[0]))
    return [order.index(at) + 1 for at in range(len(faces))]


def _outside(rect: Rect, width: int, height: int) -> Iterator[Rect]:
    left, top, right, bottom = rect
    lefts = dict.fromkeys((left, (left + right - width) // 2, right - width))
    for y in (top - height, bottom):
        for x in lefts:
            yield x, y, x + width, y + height


def _beside(rect: Rect, width: int, height: int) -> Iterator[Rect]:
    left, top, right, bottom = rect
    for y in (top, bottom - height):
        for x in (right, left - width):
            yield x, y, x + width, y + height


def _corners(rect: Rect, width: int, height: int) -> Iterator[Rect]:
    left, top, right, bottom = rect
    for y in (top, bottom - height):
        for x in (left, right - width):
            yield x, y, x + width, y + height


def _side(height: int) -> int:
    return max(2, round(0.45 * height))


def _margin(height: int) -> int:
    return max(1, round(0.15 * height))


def _gap(height: int) -> int:
    return max(3, round(0.55 * height))
