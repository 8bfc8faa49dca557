"""The window's own panels over the image: the help and a line for a moment. Both are drawn in place."""

from collections.abc import Sequence

from fer_edge.framing import Image
from fer_edge.opencv import cv2

FONT = cv2.FONT_HERSHEY_SIMPLEX
INK, GROUND = (255, 255, 255), (32, 32, 32)
OPACITY = 0.8
OF_IMAGE = 1 / 900  # font scale, of the image's shorter side


def draw_help(image: Image, rows: Sequence[tuple[str, str]]) -> None:
    """A panel in the middle with a row per key: its name and what it does."""
    scale = _scale(image)
    while scale > 0.3 and _table_width(rows, scale) > image.shape[1]:
        scale *= 0.9
    keys = max(_width(key, scale) for key, _does in rows)
    step = _line_height(scale)
    width, height = _table_width(rows, scale), step * (len(rows) + 1)
    left, top = max(0, (image.shape[1] - width) // 2), max(0, (image.shape[0] - height) // 2)
    _fill(image, left, top, width, height)
    for number, (key, does) in enumerate(rows, start=1):
        _write(image, key, left + step, top + number * step + step // 4, scale)
        _write(image, does, left + keys + 2 * step, top + number * step + step // 4, scale)


def draw_notice(image: Image, text: str) -> None:
    """`text` on a panel at the bottom."""
    text = text.encode("ascii", "replace").decode()
    scale = _scale(image)
    while scale > 0.3 and _width(text, scale) + 2 * _line_height(scale) > image.shape[1]:
        scale *= 0.9
    step = _line_height(scale)
    width, height = _width(text, scale) + 2 * step, 2 * step
    left, top = max(0, (image.shape[1] - width) // 2), max(0, image.shape[0] - height - step // 2)
    _fill(image, left, top, width, height)
    _write(image, text, left + step, top + step + step // 4, scale)


def _scale(image: Image) -> float:
    return max(0.5, min(image.shape[:2]) * OF_IMAGE)


def _thickness(scale: float) -> int:
    return max(1, round(1.4 * scale))


def _width(text: str, scale: float) -> int:
    return int(cv2.getTextSize(text, FONT, scale, _thickness(scale))[0][0])


def _line_height(scale: float) -> int:
    return round(34 * scale)


def _table_width(rows: Sequence[tuple[str, str]], scale: float) -> int:
    keys, texts = (max(_width(text, scale) for text in column) for column in zip(*rows, strict=True))
    return int(keys + texts + 3 * _line_height(scale))


def _fill(image: Image, left: int, top: int, width: int, height: int) -> None:
    part = image[top : top + height, left : left + width]
    filled = part.copy()
    filled[:] = GROUND
    cv2.addWeighted(filled, OPACITY, part, 1 - OPACITY, 0, dst=part)


def _write(image: Image, text: str, x: int, y: int, scale: float) -> None:
    cv2.putText(image, text, (x, y), FONT, scale, INK, _thickness(scale), cv2.LINE_AA)
