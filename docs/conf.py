"""Sphinx's settings of the documentation: `make docs` builds it into build/docs."""

import os
import re
from pathlib import Path
from typing import Any

from fer_edge.system import package_version

ROOT = Path(__file__).parents[1]

project = "fer-edge"
author = "the fer-edge developers"
copyright = f"2026, {author}"
release = version = package_version()

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
myst_enable_extensions = ["deflist"]
myst_disable_syntax = ["myst_line_comment"]  # a line may begin with %
myst_heading_anchors = 4
highlight_language = "none"  # of blocks without a language: what commands print
default_role = "code"
autodoc_member_order = "bysource"
smartquotes = False  # `--serve` in a table stays two hyphens
html_theme = "furo"
html_title = "fer-edge"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_show_sourcelink = False
html_copy_source = False

PAGES = {  # files outside docs/ that are pages of the site; those of docs/ only hold their title
    "model-card": "models/README.md",
    "running-benchmarks": "benchmarks/README.md",
    "contributing": "CONTRIBUTING.md",
    "changelog": "CHANGELOG.md",
    "security": "SECURITY.md",
    "index": "README.md",  # only as the target of links
}


def read_page(_app: object, document: str, content: list[str]) -> None:
    """Put the text of a file outside docs/ into its page, and let all links lead to pages of the site."""
    source = ROOT / "docs" / f"{document}.md"
    if document in PAGES and document != "index":
        source = ROOT / PAGES[document]
        content[0] = source.read_text(encoding="utf-8")
    docs = ROOT / "docs"
    if document == "benchmarks" and any((docs / "benchmarks").glob("*.md")):
        content[0] += "\n```{toctree}\n:hidden:\n:glob:\n\nbenchmarks/*\n```\n"  # a page per benchmark
    targets = {str(ROOT / path): str(docs / f"{page}.md") for page, path in PAGES.items()}

    def moved(found: re.Match[str]) -> str:
        target = os.path.normpath(source.parent / found["path"])
        relative = os.path.relpath(targets.get(target, target), (docs / document).parent)
        return f"]({relative}{found['heading']})"

    content[0] = re.sub(r"\]\((?!https?:|#)(?P<path>[^)#\s]+)(?P<heading>(?:#[^)\s]*)?)\)", moved, content[0])


def to_fields(_app: object, _kind: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Turn the docstrings' paragraphs "name: what it is" into reStructuredText's fields."""
    text: list[str] = []
    in_field = False
    for line in lines:
        field = re.match(r"[a-z_]\w*: ", line)
        if field and text and text[-1] and not in_field:
            text.append("")
        in_field = bool(line) and (in_field or bool(field))
        if not line.lstrip().startswith((">>>", "...")):
            line = line.replace("*", r"\*")
        text.append(f":{line}" if field else f"    {line.strip()}" if in_field else line)
    lines[:] = text


def setup(app: Any) -> None:
    """Sphinx calls this first."""
    app.connect("source-read", read_page)
    app.connect("autodoc-process-docstring", to_fields)
