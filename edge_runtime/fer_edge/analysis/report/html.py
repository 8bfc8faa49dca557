"""HTML from nested calls: text is escaped unless it is Markup already."""

import html
import re
from collections.abc import Iterable, Sequence

from fer_edge.guards.text import printable

VOID = {"meta", "br", "img"}
UNIT = re.compile(r"(?<=\d) (?=%|(?:s|min|h|d)\b)")  # no line ends between a number and its unit
OPTION = re.compile(r"--[a-z][a-z-]*")


class Markup(str):
    """HTML that is safe to insert as it is."""

    __slots__ = ()


def escape(text: object) -> Markup:
    """Text as HTML: characters with a meaning escaped, control characters and undecodable bytes made visible.

    >>> escape("<script>&"), escape(Markup("<b>"))
    ('&lt;script&gt;&amp;', '<b>')
    """
    if isinstance(text, Markup):
        return text
    return Markup(UNIT.sub("\u00a0", html.escape(printable(str(text)), quote=True)))


def element(name: str, /, *children: object, **attributes: str | None) -> Markup:
    """An element. A trailing underscore of an attribute's name is dropped; None leaves the attribute out.

    >>> element("p", "1 < 2", element("b", "!"), class_="note")
    '<p class="note">1 &lt; 2<b>!</b></p>'
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{''.join(map(escape, children))}</{name}>")


def with_options(text: str) -> Markup:
    """Text in which names such as --report stay on one line."""
    return Markup(OPTION.sub(r'<span class="option">\g<0></span>', escape(text)))


def joined(parts: Iterable[object]) -> Markup:
    """Elements one after the other."""
    return Markup("\n".join(map(escape, parts)))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], caption: str, numbers_from: int = 1) -> Markup:
    """A table whose first column names the row; columns from `numbers_from` on are numbers."""

    def kind(place: int) -> str | None:
        return "n" if place >= numbers_from else None

    def cell(place: int, value: object) -> Markup:
        return element("td", value, class_=kind(place)) if place else element("th", value, scope="row")

    top = element("tr", *(element("th", name, scope="col", class_=kind(place)) for place, name in enumerate(head)))
    body = (element("tr", *(cell(place, value) for place, value in enumerate(row))) for row in rows)
    inner = (element("caption", element("span", caption)), element("thead", top), element("tbody", *body))
    return element("div", element("table", *inner), class_="wide", tabindex="0", role="region", aria_label=caption)


def folded(title: str, *children: object) -> Markup:
    """Content that opens on a click, and always in print."""
    return element("details", element("summary", title), *children)


def figure(drawing: Markup, caption: str, *tables: object) -> Markup:
    """A drawing with its caption and its numbers as a table."""
    below = folded("The numbers of this drawing", *tables) if tables else ""
    wide = element("div", drawing, class_="wide")
    return element("figure", element("figcaption", caption), wide, below)


def section(title: str, *children: object) -> Markup:
    """A section with a heading that links can name."""
    anchor = re.sub(r"\W+", "-", title.lower()).strip("-")
    return element("section", element("h2", title, id=anchor), *children)
