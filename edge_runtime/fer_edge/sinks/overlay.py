"""Draw results on an image: boxes, labels, probability bars, a caption.

Sizes are given at scale 1, an image 480 pixels high, and grow with the image. Panels (labels and bars) keep clear of
faces and of each other; `taken` lists the rectangles that are already in use.
"""

from collections.abc import Sequence

import numpy as np

from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.results import Face

Color = tuple[int, int, int]
"""B, G, R, 0 to 255."""
Rect = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""
FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE: Color = (255, 255, 255)
BLACK: Color = (0, 0, 0)
PANEL: Color = (32, 32, 32)
PANEL_OPACITY = 0.65
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
BAR_ROW_PX, BAR_WIDTH_PX = 16, 150


def annotate(image: Image, faces: Sequence[Face], caption: str = "") -> Image:
    """A BGR copy of `image`, uint8 [H, W] or [H, W, 3], with a box and label per face and `caption` on top.

    The largest faces get probability bars beside them. In crowds a label that would cover a face or a larger face's
    label is shortened to the emotion, or omitted.
    """
    canvas = image.copy() if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    scale = min(max(min(canvas.shape[:2]) / 480, 0.5), 3.0)
    by_size = sorted(faces, key=lambda face: face.box[2] * face.box[3], reverse=True)
    for face in reversed(by_size):
        _draw_box(canvas, face, scale)
    taken = [_rect_of(face) for face in faces]
    for face in by_size[:MAX_FACES_WITH_BARS]:
        _draw_bars(canvas, face, scale, taken)
    for face in by_size:
        _draw_label(canvas, face, scale, taken, always=len(faces) <= MAX_FACES_WITH_BARS)
    if caption:
        _draw_text(canvas, caption, (round(8 * scale), round(8 * scale)), scale, PANEL)
    return canvas


def color_of(label: str, labels: Sequence[str]) -> Color:
    """The color of `label`; labels without a color in EMOTION_COLORS take turns with OTHER_COLORS."""
    if label in EMOTION_COLORS:
        return EMOTION_COLORS[label]
    return OTHER_COLORS[list(labels).index(label) % len(OTHER_COLORS)]


def _face_color(face: Face) -> Color:
    return color_of(face.emotion, tuple(face.probabilities))


def _rect_of(face: Face) -> Rect:
    x, y, width, height = face.box
    return round(x), round(y), round(x + width), round(y + height)


def _overlaps_any(rect: Rect, taken: Sequence[Rect]) -> bool:
    left, top, right, bottom = rect
    return any(left < x1 and x0 < right and top < y1 and y0 < bottom for x0, y0, x1, y1 in taken)


def _draw_box(canvas: Image, face: Face, scale: float) -> None:
    x0, y0, x1, y1 = _rect_of(face)
    thickness = min(2 * scale, min(x1 - x0, y1 - y0) / 16)  # thin around small faces, to leave them visible
    cv2.rectangle(canvas, (x0, y0), (x1, y1), _face_color(face), max(1, round(thickness)), cv2.LINE_AA)


def _draw_label(canvas: Image, face: Face, scale: float, taken: list[Rect], always: bool) -> None:
    """Draw the label above or below the face where it covers nothing in `taken`, or there anyway if `always`."""
    x0, y0, x1, y1 = _rect_of(face)
    text = f"{face.emotion} {face.confidence:.0%}"
    height = _text_size(text, scale)[1]
    for label in (text, face.emotion):
        for x in (x0, x1 - _text_size(label, scale)[0]):
            for y in (y0 - height, y1):
                if not _overlaps_any(_text_rect(canvas, label, (x, y), scale), taken):
                    taken.append(_draw_text(canvas, label, (x, y), scale, _face_color(face)))
                    return
    if always:
        y = y0 - height if y0 >= height else y1
        taken.append(_draw_text(canvas, text, (x0, y), scale, _face_color(face)))


def _text_size(text: str, scale: float) -> tuple[int, int]:
    """Width and height in pixels of the panel that _draw_text draws."""
    (width, height), baseline = cv2.getTextSize(text, FONT, 0.5 * scale, 1)
    margin = round(4 * scale)
    return width + 2 * margin, height + baseline + 2 * margin


def _text_rect(canvas: Image, text: str, corner: tuple[int, int], scale: float) -> Rect:
    """The panel of _draw_text whose top left is `corner`, moved into the image."""
    width, height = _text_size(text, scale)
    x = min(max(corner[0], 0), max(canvas.shape[1] - width, 0))
    y = min(max(corner[1], 0), max(canvas.shape[0] - height, 0))
    return x, y, x + width, y + height


def _draw_text(canvas: Image, text: str, corner: tuple[int, int], scale: float, background: Color) -> Rect:
    """Draw white or black text on a filled panel whose top left is `corner`, moved into the image; return the panel."""
    x, y, right, bottom = rect = _text_rect(canvas, text, corner, scale)
    cv2.rectangle(canvas, (x, y), (right, bottom), background, cv2.FILLED)
    luma = 0.114 * background[0] + 0.587 * background[1] + 0.299 * background[2]
    baseline = cv2.getTextSize(text, FONT, 0.5 * scale, 1)[1]
    margin = round(4 * scale)
    cv2.putText(
        canvas, text, (x + margin, bottom - margin - baseline // 2), FONT, 0.5 * scale,
        BLACK if luma > 140 else WHITE, max(1, round(scale)), cv2.LINE_AA,
    )  # fmt: skip
    return rect


def _draw_bars(canvas: Image, face: Face, scale: float, taken: list[Rect]) -> None:
    """Draw all probabilities on a panel beside the face, on the side with room; draw nothing if there is none."""
    panel = _bars_rect(canvas, face, scale, taken)
    if panel is None:
        return
    taken.append(panel)
    x, y, right, bottom = panel
    pixels = canvas[y:bottom, x:right]
    pixels[:] = (pixels * (1 - PANEL_OPACITY) + np.array(PANEL) * PANEL_OPACITY).astype(np.uint8)
    labels = tuple(face.probabilities)
    row, thickness = round(BAR_ROW_PX * scale), max(1, round(0.8 * scale))
    text_width = max(cv2.getTextSize(label, FONT, 0.4 * scale, 1)[0][0] for label in labels) + round(10 * scale)
    left, room = x + text_width, right - x - text_width - round(6 * scale)
    for index, (label, probability) in enumerate(face.probabilities.items()):
        top = y + round(3 * scale) + index * row
        at = (x + round(5 * scale), top + round(0.72 * row))
        cv2.putText(canvas, label, at, FONT, 0.4 * scale, WHITE, thickness, cv2.LINE_AA)
        end = max(left + round(room * probability), left + 1)
        bar = (left, top + round(0.2 * row)), (end, top + round(0.8 * row))
        cv2.rectangle(canvas, *bar, color_of(label, labels), cv2.FILLED)


def _bars_rect(canvas: Image, face: Face, scale: float, taken: Sequence[Rect]) -> Rect | None:
    """Where the panel of the bars fits, to the right of the face or to the left; None if it does not."""
    width = round(BAR_WIDTH_PX * scale)
    height = round(BAR_ROW_PX * scale) * len(face.probabilities) + round(6 * scale)
    gap = round(8 * scale)
    x0, y0, x1, _y1 = _rect_of(face)
    y = min(max(y0, 0), canvas.shape[0] - height)
    for x in (x1 + gap, x0 - gap - width):
        rect = (x, y, x + width, y + height)
        if x >= 0 and y >= 0 and rect[2] <= canvas.shape[1] and not _overlaps_any(rect, taken):
            return rect
    return None
