"""The caption: lines of text on a panel at the top left of the image."""

from fer_edge.sinks.drawing.space import Space
from fer_edge.sinks.drawing.tags import MIN_TEXT_PX, Tag, TextPanel, tag_size, text_limits
from fer_edge.sinks.drawing.text import transliterate

OF_IMAGE = 1 / 44  # height of the text's capitals, of the image's shorter side


def find_caption(text: str, space: Space) -> TextPanel | None:
    """`text` at the top left, smaller or cut where the image is narrow; None if the image is smaller than a letter."""
    lines = [transliterate(line).encode("ascii", "ignore").decode() for line in text.splitlines()]
    smallest = min(text_limits(space.width, space.height)[0], MIN_TEXT_PX + 2)
    height = max(smallest, round(min(space.width, space.height) * OF_IMAGE))
    margin = max(1, round(0.7 * height))
    room = space.width - 2 * margin
    while height > smallest and max(tag_size((line,), height)[0] for line in lines) > room:
        height -= 1
    lines = [_cut(line, height, room) for line in lines]
    sizes = [tag_size((line,), height) for line in lines]
    tall = sum(size[1] for size in sizes)
    right, bottom = margin + max(size[0] for size in sizes), margin + tall
    if right > space.width or bottom > space.height:
        return None
    tags = []
    for row, (line, size) in enumerate(zip(lines, sizes, strict=True)):
        top = margin + row * size[1]
        tags.append(Tag((margin, top, margin + size[0], top + size[1]), (line,), height, None))
    return TextPanel((margin, margin, right, bottom), tags)


def _cut(line: str, height: int, room: int) -> str:
    if tag_size((line,), height)[0] <= room:
        return line
    while line and tag_size((f"{line}...",), height)[0] > room:
        line = line[:-1]
    return f"{line.rstrip()}..."
