"""The legend of numbered faces: a panel with an entry per face or, in crowds, per emotion."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fer_edge.results import Face
from fer_edge.sinks.drawing.colors import Color
from fer_edge.sinks.drawing.shapes import Rect
from fer_edge.sinks.drawing.space import Space
from fer_edge.sinks.drawing.tags import (
    Tag,
    TextPanel,
    Words,
    face_color,
    face_words,
    tag_size,
    text_limits,
)

MAX_ENTRIES = 10  # with more faces, the legend groups them by emotion
MAX_OF_IMAGE = 0.3  # a legend larger than this part of the image is not drawn
_WIDTHS = (0.2, 0.3, 0.45, 0.7, 1.0)  # of the image, tried in this order


class Item(NamedTuple):
    """Words on a chip of `color`, or plain without one; `is_first`: starts a row."""

    words: Words
    color: Color | None
    is_first: bool = False


def find_legend(faces: Sequence[Face], numbers: Sequence[int], space: Space) -> TextPanel | None:
    """The fullest legend that covers no face, else the shortest where it covers least; None in too small images."""
    height = text_limits(space.width, space.height)[0]
    legend = None
    for items in _forms(faces, numbers):
        for share in _WIDTHS:
            tags, wide, tall = _flow(items, round(share * space.width), height)
            found = space.find_anywhere(wide, tall)
            if found is None or wide * tall > MAX_OF_IMAGE * space.width * space.height:
                continue
            rect, is_free = found
            legend = TextPanel(rect, _moved(tags, rect))
            if is_free:
                return legend
    return legend


def _forms(faces: Sequence[Face], numbers: Sequence[int]) -> Iterator[list[Item]]:
    """What the legend may say, the fullest form first."""
    pairs = sorted(zip(numbers, faces, strict=True), key=lambda pair: pair[0])
    if len(faces) <= MAX_ENTRIES:
        yield [Item((str(number), *face_words(face)[0]), face_color(face)) for number, face in pairs]
    groups: dict[tuple[str, Color], list[int]] = {}
    for number, face in pairs:
        label = "unsure" if face.unsure else face_words(face)[0][0]
        groups.setdefault((label, face_color(face)), []).append(number)
    by_count = sorted(groups.items(), key=lambda group: -len(group[1]))
    chips = [(Item((label, str(len(members))), color, is_first=True), members) for (label, color), members in by_count]
    yield [item for chip, members in chips for item in (chip, *(Item((str(number),), None) for number in members))]
    yield [chip._replace(is_first=False) for chip, _ in chips]


def _flow(items: Sequence[Item], max_width: int, height: int) -> tuple[list[Tag], int, int]:
    """`items` in rows of at most `max_width` where possible, relative to the panel, and the panel's size."""
    pad = max(3, height // 2)
    x = y = pad
    wide, tags = 0, []
    for item in items:
        width, tall = tag_size(item.words, height)
        if x > pad and (item.is_first or x + width + pad > max_width):
            x, y = pad, y + tall + pad // 2
        tags.append(Tag((x, y, x + width, y + tall), item.words, height, item.color))
        x += width + (pad // 2 if item.color else 0)
        wide = max(wide, tags[-1].rect[2] + pad)
    return tags, wide, y + tag_size(items[0].words, height)[1] + pad


def _moved(tags: Sequence[Tag], panel: Rect) -> list[Tag]:
    left, top = panel[:2]
    return [
        tag._replace(rect=(tag.rect[0] + left, tag.rect[1] + top, tag.rect[2] + left, tag.rect[3] + top))
        for tag in tags
    ]
