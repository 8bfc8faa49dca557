"""What all plots share: colors, frames, sheets of faces, and how a figure is saved."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from fer_edge.files import atomic_write
from fer_train.data import PRIVATE_TEST, PUBLIC_TEST, TRAINING

# Paul Tol's bright scheme, which color-blind readers can distinguish
SPLIT_COLORS = {TRAINING: "#4477aa", PUBLIC_TEST: "#ee6677", PRIVATE_TEST: "#ccbb44"}
TRAIN_COLOR, TEST_COLOR = SPLIT_COLORS[TRAINING], SPLIT_COLORS[PUBLIC_TEST]
RIGHT, WRONG = "#1a7f37", "#cf222e"
DOTS_PER_INCH = 130
FACE_INCHES = 0.95


def open_frame(axes: Axes) -> None:
    """Hide the top and right edges of the frame."""
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Write `figure` as a PNG to `path`, atomically; OutputError on failure. A $ in a name is no formula."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
    with atomic_write(path) as part, rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of a class: boxes stand for it
        figure.savefig(part, dpi=DOTS_PER_INCH)  # which makes ticks


def face_sheet(
    faces: npt.NDArray[np.uint8], columns: int, captions: Sequence[Sequence[tuple[str, str]]], title: str
) -> Figure:
    """Return a figure of faces, uint8 [N, H, W], in rows, each with lines of text below it: (text, color).

    If a face's first line is not black, the face gets a frame of its color.
    """
    rows = -(-len(faces) // columns)
    lines = max(map(len, captions), default=0)
    line_height = 0.2  # in sides of a face
    height = 1.12 + line_height * lines
    figure = Figure(figsize=(columns * 1.12 * FACE_INCHES, rows * height * FACE_INCHES + 0.5))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98 - 0.45 / figure.get_figheight()))
    for number, (face, caption) in enumerate(zip(faces, captions, strict=True)):
        row, column = divmod(number, columns)
        left, top = column * 1.12, row * height
        axes.imshow(
            face, cmap="gray", vmin=0, vmax=255, extent=(left, left + 1, top + 1, top), interpolation="antialiased"
        )
        if caption and caption[0][1] != "black":
            frame: dict[str, Any] = {"fill": False, "linewidth": 2.2, "edgecolor": caption[0][1]}
            axes.add_patch(Rectangle((left, top), 1, 1, **frame))
        for line, (text, color) in enumerate(caption):
            place = (left + 0.5, top + 1.06 + line_height * line)
            axes.text(*place, text, ha="center", va="top", fontsize=7, color=color, clip_on=False)
    axes.set(xlim=(-0.06, columns * 1.12 - 0.06), ylim=(rows * height, -0.06), aspect="equal")
    axes.axis("off")
    figure.suptitle(title, fontsize=11, y=1 - 0.12 / figure.get_figheight(), va="top")
    return figure
