"""Plots without a screen, written whole or not at all."""

from pathlib import Path
from typing import Any

from fer_edge.files import atomic_write

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#000000")  # Paul Tol's bright


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure of that size in inches."""
    from matplotlib.figure import Figure as Canvas

    return Canvas(figsize=(width, height), layout="constrained")


def save_plot(canvas: Any, path: Path) -> None:
    """Write a matplotlib figure as PNG."""
    with atomic_write(path) as part:
        canvas.savefig(part, dpi=120)
