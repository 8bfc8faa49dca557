"""A web page in one file: no script, nothing loaded from elsewhere, light and dark."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge.files import atomic_write
from fer_edge.guards.text import printable

# Only the page's own style and pictures inside the file are allowed, whatever a class or a file is called.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2128; --faint: #59636e; --line: #d1d9e0; --card: #f6f8fa }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --ink: #e6edf3; --faint: #9198a1; --line: #3d444d; --card: #151b23 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 1.2rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .3rem 0; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem }
p { margin: .4rem 0; overflow-wrap: anywhere }
.faint, figcaption { color: var(--faint); font-size: .9rem }
.cards { display: flex; flex-wrap: wrap; gap: .6rem; margin: .9rem 0 }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .9rem }
.cards b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums }
.cards span { color: var(--faint); font-size: .85rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums }
th, td { padding: .28rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th { font-weight: 600 } thead th { color: var(--faint) }
th:first-child, td:first-child, table.text td { text-align: left } table.text td { white-space: normal;
  overflow-wrap: anywhere }
figure { margin: 1rem 0 1.6rem }
img { max-width: 100%; max-height: 46rem; width: auto; height: auto; background: #fff; border-radius: .4rem }
summary { cursor: pointer; margin: .6rem 0 }
@media print {
  .wide { overflow: visible } details::details-content { content-visibility: visible; block-size: auto }
  h2, h3, .faint { break-after: avoid } table:not(.text), tr, figure { break-inside: avoid } }
"""


@dataclass(frozen=True)
class Html:
    """Markup that is safe to write as it is. Any other value is text, and is escaped."""

    markup: str

    def __add__(self, other: "Html") -> "Html":
        return Html(self.markup + other.markup)


def safe(value: object) -> str:
    """`value` as markup: text with its special, control and invisible characters escaped.

    >>> safe("<b>angry"), safe(Html("<b>angry</b>"))
    ('&lt;b&gt;angry', '<b>angry</b>')
    """
    return value.markup if isinstance(value, Html) else html.escape(printable(str(value)))


def element(name: str, *children: object, kind: str = "") -> Html:
    """An element of `children`, text or Html; `kind` is its class.

    >>> element("p", "1 < 2").markup
    '<p>1 &lt; 2</p>'
    """
    attribute = f' class="{kind}"' if kind else ""
    return Html(f"<{name}{attribute}>{''.join(map(safe, children))}</{name}>")


def joined(parts: Sequence[Html]) -> Html:
    """All `parts`, a line each."""
    return Html("\n".join(part.markup for part in parts))


def table(header: Sequence[object], rows: Sequence[Sequence[object]], kind: str = "") -> Html:
    """A table whose first column names the rows. kind "text": the cells are sentences. Wide tables scroll."""
    head = element("thead", element("tr", *(element("th", cell) for cell in header))) if header else Html("")
    lines = [element("tr", element("th", row[0]), *map(_cell, row[1:])) for row in rows]
    return element("div", element("table", head, element("tbody", *lines), kind=kind), kind="wide")


def _cell(value: object) -> Html:
    return value if isinstance(value, Html) and value.markup.startswith("<td") else element("td", value)


def shaded(value: object, share: float) -> Html:
    """A cell of a table whose background is as strong as `share`, 0 to 1."""
    return Html(f'<td style="background:rgba(68,119,170,{0.6 * share:.2f})">{safe(value)}</td>')


def details(title: str, content: Html) -> Html:
    """Content that is folded away at first."""
    return element("details", element("summary", title), content)


def cards(figures: Sequence[tuple[str, str]]) -> Html:
    """Large figures side by side, each with its name: (name, figure)."""
    return element("div", *(element("div", element("b", value), element("span", name)) for name, value in figures),
                   kind="cards")  # fmt: skip


def picture(path: Path, caption: str) -> Html:
    """The PNG at `path`, inside the page; nothing if the file is missing."""
    if not path.is_file():
        return Html("")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    image = Html(f'<img alt="{safe(caption)}" src="data:image/png;base64,{data}">')
    return element("figure", image, element("figcaption", caption))


def write_page(path: Path, title: str, content: Html) -> None:
    """Write the page, atomically; OutputError if that can't be done."""
    text = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{safe(title)}</title><style>{STYLE}</style></head>\n<body>\n{content.markup}\n</body></html>\n"
    )
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")
