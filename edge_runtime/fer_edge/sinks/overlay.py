"""Draw results on an image: boxes, labels, probability bars, a caption.

Labels and bars grow with their face, and lines with the image. Panels keep clear of other people's heads and of each
other. Where labels have no room, faces have numbers, and a legend explains them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fer_edge.framing import Image
from fer_edge.guards.exit_guard import native_calls
from fer_edge.opencv import cv2
from fer_edge.privacy.blur import blur as hide
from fer_edge.results import Face
from fer_edge.sinks.base import Published
from fer_edge.sinks.drawing.bars import FEW, Bars, draw_bars, find_bars
from fer_edge.sinks.drawing.caption import find_caption
from fer_edge.sinks.drawing.colors import UNSURE_LINE
from fer_edge.sinks.drawing.legend import find_legend
from fer_edge.sinks.drawing.shapes import Rect, draw_box
from fer_edge.sinks.drawing.space import Space, rect_of
from fer_edge.sinks.drawing.tags import (
    Tag,
    TextPanel,
    draw_tag,
    draw_text_panel,
    face_color,
    label_tag,
    number_tag,
    numbers_of,
    only_tag,
)

MAX_LABELED = 30
MAX_UNLABELED = 0.25  # of the faces: if more have no room for their label, all have numbers


def annotated(item: Published) -> Image:
    """The annotated frame of a result: `annotate` for sinks."""
    assert item.frame is not None
    return annotate(item.frame.image, item.frame.in_image(item.result).faces)


@native_calls()
def annotate(
    image: Image, faces: Sequence[Face], *, bars: bool = True, caption: str = "", blur: str | None = None
) -> Image:
    """A BGR copy of `image` with a box and a label per face.

    image: uint8 [H, W] gray, [H, W, 3] BGR or [H, W, 4] BGRA; it stays as it is.
    bars: draw the probabilities of the largest faces, where they cover no other face.
    caption: text at the top left; it may have several lines.
    blur: "faces" hides every face under a mosaic before anything is drawn, "all" hides the whole image.

    A face whose label has no room beside it has a number: its track id, or its place in reading order if faces have no
    ids. A legend lists the numbers, in crowds by emotion. A face with an unsure emotion has a dashed gray box.
    Labels are written in ASCII: accents are removed, Cyrillic and Greek transliterated, others numbered ("label 3").

    Raises TypeError or ValueError for anything that is not such an image.

    >>> import numpy as np
    >>> face = Face(box=(60, 40, 80, 90), score=0.9, emotion="happy", confidence=0.8,
    ...             probabilities={"happy": 0.8, "neutral": 0.2})
    >>> annotate(np.zeros((200, 320), dtype=np.uint8), [face], caption="Hello").shape
    (200, 320, 3)
    """
    canvas = _bgr_copy(image)
    if blur is not None:
        canvas = hide(canvas, [face.box for face in faces], blur)
    height, width = canvas.shape[:2]
    space = Space(width, height, [rect_of(face, width, height) for face in faces])
    marks = place_marks(faces, space, bars, caption)
    for at in reversed(_by_size(faces)):
        face, rect = faces[at], space.rects[at]
        color = UNSURE_LINE if face.unsure else face_color(face)
        draw_box(canvas, rect, color, _line_width(rect, width, height), dashed=face.unsure)
    for panel in marks.bars:
        draw_bars(canvas, panel)
    for tag in marks.tags.values():
        draw_tag(canvas, tag)
    for text_panel in marks.panels:
        draw_text_panel(canvas, text_panel)
    return canvas


class Marks(NamedTuple):
    """What is drawn over the boxes of faces.

    tags: the label or number of each face by its index. numbered: the faces whose tag is a number.
    bars: the probabilities of the largest faces. panels: the caption and the legend.
    """

    tags: dict[int, Tag]
    numbered: list[int]
    bars: list[Bars]
    panels: list[TextPanel]


def place_marks(faces: Sequence[Face], space: Space, bars: bool = True, caption: str = "") -> Marks:
    """Choose a place in `space` for every mark."""
    order = _by_size(faces)
    panels = [find_caption(caption, space)] if caption.strip() else []
    for panel in panels:
        if panel is not None:
            space.take(panel.rect)
    tags, numbered = _place_tags(faces, order, space)
    placed = []
    for at in order[:FEW] if bars and len(numbered) < len(faces) else []:
        found = find_bars(faces[at], at, space)
        if found is not None:
            space.take(found.rect)
            placed.append(found)
    if numbered:
        numbers = numbers_of(faces)
        panels.append(find_legend([faces[at] for at in numbered], [numbers[at] for at in numbered], space))
    return Marks(tags, numbered, placed, [panel for panel in panels if panel is not None])


def _by_size(faces: Sequence[Face]) -> list[int]:
    """The indices of the faces, the largest first."""
    return sorted(range(len(faces)), key=lambda at: -faces[at].box[2] * faces[at].box[3])


def _bgr_copy(image: Image) -> Image:
    if not isinstance(image, np.ndarray):
        raise TypeError(f"an image is a numpy array, not {type(image).__name__}")
    channels = 1 if image.ndim == 2 else image.shape[2] if image.ndim == 3 else 0
    if image.dtype != np.uint8 or channels not in (1, 3, 4) or not image.size:
        raise ValueError(f"an image is uint8 [H, W], [H, W, 3] or [H, W, 4], not {image.dtype} {list(image.shape)}")
    if channels == 3:
        return image.copy()
    code = cv2.COLOR_GRAY2BGR if channels == 1 else cv2.COLOR_BGRA2BGR
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), code), dtype=np.uint8)


def _line_width(rect: Rect, width: int, height: int) -> int:
    """Of a face's box: grows with the image, but is thin around small faces, to leave them visible."""
    side = min(rect[2] - rect[0], rect[3] - rect[1])
    return max(1, round(min(max(2, min(width, height) / 220), side / 20)))


def _place_tags(faces: Sequence[Face], order: Sequence[int], space: Space) -> tuple[dict[int, Tag], list[int]]:
    """A tag per face, taken from `space`, and the faces whose tag is a number; `order` decides who chooses first."""
    tags: dict[int, Tag] = {}
    if len(faces) <= MAX_LABELED:
        trial = space.copy()
        for at in order:
            tag = label_tag(faces[at], at, trial) or (only_tag(faces[at], trial) if len(faces) == 1 else None)
            if tag is not None:
                trial.take(tag.rect)
                tags[at] = tag
    if len(faces) - len(tags) > MAX_UNLABELED * len(faces):
        tags = {}
    numbered = [at for at in order if at not in tags] if len(faces) > 1 else []
    for tag in tags.values():
        space.take(tag.rect)
    numbers = numbers_of(faces)
    for at in numbered:
        tag = number_tag(faces[at], at, numbers[at], space)
        if tag is not None:
            space.take(tag.rect)
            tags[at] = tag
    return tags, numbered
