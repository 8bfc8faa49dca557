"""Draw results on a picture: boxes, labels, probability bars, a caption."""

from collections.abc import Sequence

import numpy as np

from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.results import Face

Color = tuple[int, int, int]
Corners = tuple[int, int, int, int]  # left, top, right, bottom
FONT = cv2.FONT_HERSHEY_SIMPLEX
INK: Color = (255, 255, 255)
PANEL: Color = (32, 32, 32)
PANEL_OPACITY = 0.65
# BGR. Labels that are not among these take the later colours in turn.
EMOTION_COLORS: dict[str, Color] = {
    "angry": (60, 60, 230),
    "disgust": (60, 160, 60),
    "fear": (200, 90, 160),
    "happy": (50, 190, 240),
    "sad": (220, 140, 60),
    "surprise": (40, 130, 250),
    "neutral": (170, 170, 170),
}
OTHER_COLORS: tuple[Color, ...] = ((180, 200, 60), (140, 120, 250), (90, 200, 200), (230, 120, 200))
MAX_FACES_WITH_BARS = 3
BAR_ROW_PX, BAR_WIDTH_PX = 16, 150  # at scale 1, a picture 480 pixels high


def color_of(label: str, labels: Sequence[str]) -> Color:
    """The colour of `label`, BGR."""
    if label in EMOTION_COLORS:
        return EMOTION_COLORS[label]
    return OTHER_COLORS[list(labels).index(label) % len(OTHER_COLORS)]


def annotate(image: Image, faces: Sequence[Face], caption: str = "") -> Image:
    """A BGR copy of `image` with every face's box and label, bars beside the largest faces, and `caption` on top.

    In crowds a label is shortened to the emotion, or left out, where it would cover faces or labels of larger ones.
    """
    picture = image.copy() if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    scale = min(max(min(picture.shape[:2]) / 480, 0.5), 3.0)
    by_size = sorted(faces, key=lambda face: face.box[2] * face.box[3], reverse=True)
    for face in reversed(by_size):
        _draw_box(picture, face, scale)
    taken = [_pixels(face) for face in faces]
    for face in by_size[:MAX_FACES_WITH_BARS]:
        _draw_bars(picture, face, scale, taken)
    for face in by_size:
        _draw_label(picture, face, scale, taken, always=len(faces) <= MAX_FACES_WITH_BARS)
    if caption:
        _draw_text(picture, caption, (round(8 * scale), round(8 * scale)), scale, PANEL)
    return picture


def _pixels(face: Face) -> Corners:
    x, y, width, height = face.box
    return round(x), round(y), round(x + width), round(y + height)


def _draw_box(picture: Image, face: Face, scale: float) -> None:
    x0, y0, x1, y1 = _pixels(face)
    width = min(2 * scale, min(x1 - x0, y1 - y0) / 16)  # thin around small faces, of which little would be left
    color = color_of(face.emotion, tuple(face.probabilities))
    cv2.rectangle(picture, (x0, y0), (x1, y1), color, max(1, round(width)), cv2.LINE_AA)


def _draw_label(picture: Image, face: Face, scale: float, taken: list[Corners], always: bool) -> None:
    """The label above the face or below it, where it covers nothing that is taken; `always`: or else there anyway."""
    x0, y0, x1, y1 = _pixels(face)
    color = color_of(face.emotion, tuple(face.probabilities))
    text = f"{face.emotion} {face.confidence:.0%}"
    height = _text_size(text, scale)[1]
    places = [
        (label, (x, y))
        for label in (text, face.emotion)
        for x in (x0, x1 - _text_size(label, scale)[0])
        for y in (y0 - height, y1)
    ]
    for label, corner in places:
        spot = _text_spot(picture, label, corner, scale)
        if not any(_overlap(spot, other) for other in taken):
            break
    else:
        if not always:
            return
        label, corner = text, (x0, y0 - height if y0 >= height else y1)
        spot = _text_spot(picture, label, corner, scale)
    taken.append(spot)
    _draw_text(picture, label, corner, scale, color)


def _text_size(text: str, scale: float) -> tuple[int, int]:
    """Width and height in pixels of the panel that _draw_text makes."""
    (width, height), baseline = cv2.getTextSize(text, FONT, 0.5 * scale, 1)
    margin = round(4 * scale)
    return width + 2 * margin, height + baseline + 2 * margin


def _text_spot(picture: Image, text: str, corner: tuple[int, int], scale: float) -> Corners:
    """Where the panel of _draw_text with its top left at `corner` lies, moved into the picture."""
    width, height = _text_size(text, scale)
    x = min(max(corner[0], 0), max(picture.shape[1] - width, 0))
    y = min(max(corner[1], 0), max(picture.shape[0] - height, 0))
    return x, y, x + width, y + height


def _draw_text(picture: Image, text: str, corner: tuple[int, int], scale: float, background: Color) -> None:
    """White or black text on a filled panel whose top left is `corner`, moved into the picture."""
    x, y, right, bottom = _text_spot(picture, text, corner, scale)
    cv2.rectangle(picture, (x, y), (right, bottom), background, cv2.FILLED)
    luma = 0.114 * background[0] + 0.587 * background[1] + 0.299 * background[2]
    ink = (0, 0, 0) if luma > 140 else INK
    baseline = cv2.getTextSize(text, FONT, 0.5 * scale, 1)[1]
    margin = round(4 * scale)
    cv2.putText(
        picture, text, (x + margin, bottom - margin - baseline // 2), FONT, 0.5 * scale, ink,
        max(1, round(scale)), cv2.LINE_AA,
    )  # fmt: skip


def _draw_bars(picture: Image, face: Face, scale: float, taken: list[Corners]) -> None:
    """All probabilities beside the face, on the side with room; left out where there is none."""
    row, width = round(BAR_ROW_PX * scale), round(BAR_WIDTH_PX * scale)
    height = row * len(face.probabilities) + round(6 * scale)
    gap = round(8 * scale)
    x0, y0, x1, _y1 = _pixels(face)
    y = min(max(y0, 0), picture.shape[0] - height)
    for x in (x1 + gap, x0 - gap - width):
        spot = (x, y, x + width, y + height)
        inside = x >= 0 and y >= 0 and spot[2] <= picture.shape[1]
        if inside and not any(_overlap(spot, other) for other in taken):
            break
    else:
        return
    taken.append(spot)
    panel = picture[y : y + height, x : x + width]
    panel[:] = (panel * (1 - PANEL_OPACITY) + np.array(PANEL) * PANEL_OPACITY).astype(np.uint8)
    labels = tuple(face.probabilities)
    text_width = max(cv2.getTextSize(label, FONT, 0.4 * scale, 1)[0][0] for label in labels) + round(10 * scale)
    for index, (label, probability) in enumerate(face.probabilities.items()):
        top = y + round(3 * scale) + index * row
        cv2.putText(
            picture, label, (x + round(5 * scale), top + round(0.72 * row)), FONT, 0.4 * scale, INK,
            max(1, round(0.8 * scale)), cv2.LINE_AA,
        )  # fmt: skip
        left, room = x + text_width, width - text_width - round(6 * scale)
        right = left + round(room * probability)
        cv2.rectangle(
            picture, (left, top + round(0.2 * row)), (max(right, left + 1), top + round(0.8 * row)),
            color_of(label, labels), cv2.FILLED,
        )  # fmt: skip


def _overlap(a: Corners, b: Corners) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
