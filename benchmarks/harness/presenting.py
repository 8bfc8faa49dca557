"""How figures are shown: numbers, tables, the machine in a line, plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.files import atomic_write

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#000000")  # Paul Tol's bright


@dataclass(frozen=True)
class Table:
    """A table of strings; the first column is text, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __str__(self) -> str:
        return "\n".join([self.title, *aligned([self.columns, *self.rows]), *([self.note] if self.note else [])])

    def to_json(self) -> dict[str, Any]:
        """For the "tables" of the JSON."""
        rows = [list(row) for row in self.rows]
        return {"title": self.title, "columns": list(self.columns), "rows": rows, "note": self.note}


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]  # fmt: skip


def number(value: float) -> str:
    """Three digits, or all those before the point."""
    if value != 0 and abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def percent(share: float | None) -> str:
    """A share as a percentage with two decimals."""
    return "-" if share is None else f"{100 * share:.2f} %"


def machine_line(machine: Mapping[str, Any]) -> str:
    """Processor, cores and versions as a sentence."""
    names = {"onnxruntime": "onnxruntime", "opencv": "OpenCV", "numpy": "numpy", "torch": "torch", "python": "Python"}
    versions = ", ".join(f"{shown} {machine[name]}" for name, shown in names.items() if machine.get(name))
    dot = machine.get("dot_product") or "none"
    return f"{machine.get('cpu', '?')}, {machine.get('cores', '?')} cores (8-bit dot product: {dot}); {versions}"


def shown_arguments(arguments: Sequence[str]) -> str:
    """The command line without folders, which are nobody's business."""
    return " ".join(Path(word).name if "/" in word else word for word in arguments)


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure that needs no screen."""
    from matplotlib.figure import Figure as Canvas

    return Canvas(figsize=(width, height), layout="constrained")


def save_plot(canvas: Any, path: Path) -> None:
    """Write a plot as PNG, whole or not at all."""
    with atomic_write(path) as part:
        canvas.savefig(part, dpi=120)
