"""The window's own panels over the image, drawn in place: the list of keys, and short notices."""

from collections.abc import Sequence

from fer_edge.framing import Image
from fer_edge.sinks.drawing.colors import PANEL
from fer_edge.sinks.drawing.shapes import draw_mask, draw_panel
from fer_edge.sinks.drawing.text import line_height, text_mask, text_width, transliterate

OF_IMAGE = 1 / 42  # height of the capitals, of the image's shorter side
MIN_TEXT_PX = 7
OPACITY = 0.92


def draw_help(image: Image, rows: Sequence[tuple[str, str]]) -> None:
    """A panel in the middle with a row per key: its name and what it does."""
    height = _text_px(image)
    while height > MIN_TEXT_PX and _table_width(rows, height) > image.shape[1]:
        height -= 1
    keys = max(text_width(key, height) for key, _does in rows)
    lines = [[(key, 0), (does, keys + 2 * height)] for key, does in rows]
    _draw(image, lines, _table_width(rows, height), height, bottom=False)


def draw_notice(image: Image, text: str) -> None:
    """`text` on a panel at the bottom; in ASCII, and cut at the left where the image is narrow."""
    text = transliterate(text).encode("ascii", "replace").decode()
    height = _text_px(image)
    while height > MIN_TEXT_PX and text_width(text, height) + 3 * height > image.shape[1]:
        height -= 1
    while len(text) > 1 and text_width(text, height) + 3 * height > image.shape[1]:
        text = "..." + text.removeprefix("...")[1:] if len(text) > 4 else text[:-1]
    _draw(image, [[(text, 0)]], text_width(text, height) + 3 * height, height, bottom=True)


def _text_px(image: Image) -> int:
    return max(MIN_TEXT_PX, int(min(image.shape[:2]) * OF_IMAGE + 0.5))


def _table_width(rows: Sequence[tuple[str, str]], height: int) -> int:
    return sum(max(text_width(row[column], height) for row in rows) for column in (0, 1)) + 5 * height


def _draw(image: Image, lines: Sequence[Sequence[tuple[str, int]]], width: int, height: int, bottom: bool) -> None:
    """Lines of texts with their offsets from the left; not at all on an image that is too small."""
    margin, row = round(1.5 * height), line_height(height) + height // 2
    tall = len(lines) * row + 2 * height
    left, free = (image.shape[1] - width) // 2, image.shape[0] - tall
    if left < 0 or free < 0:
        return
    top = max(0, free - height) if bottom else free // 2
    draw_panel(image, (left, top, left + width, top + tall), PANEL, OPACITY)
    for number, line in enumerate(lines):
        for text, offset in line:
            draw_mask(image, text_mask(text, height), left + margin + offset, top + height + height // 4 + number * row)
