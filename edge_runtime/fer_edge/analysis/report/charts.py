"""Drawings by matplotlib as inline SVG: their ink is the page's text color, so they suit light and dark pages."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from fer_edge.analysis.report.axes import Mark
from fer_edge.analysis.report.html import Markup, escape
from fer_edge.analysis.summaries import UNSURE
from fer_edge.analysis.tables import PROBABILITY
from fer_edge.analysis.timelines import SHARE, SPREAD
from fer_edge.sinks.drawing.colors import UNSURE as UNSURE_COLOR
from fer_edge.sinks.drawing.colors import color_of

WIDTH_IN, DPI = 10.0, 72  # a drawing is 720 units wide
INK, SOFT, PAPER = "#010203", "#010205", "#010207"  # replaced by colors of the page
PAGE_COLORS = {INK: "currentColor", SOFT: "var(--line)", PAPER: "var(--paper)"}
STYLE: Any = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 13, "hatch.linewidth": 0.6,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": SOFT, "xtick.color": INK, "ytick.color": INK,
    "axes.facecolor": "none", "figure.facecolor": "none", "path.simplify": False, "axes.linewidth": 0.8,
    "xtick.major.size": 3, "ytick.major.size": 0, "text.parse_math": False,
}  # fmt: skip
HATCH = "////"
Floats = npt.NDArray[np.float64]


def rgb(label: str, labels: Sequence[str]) -> tuple[float, float, float]:
    """The color of a label in the overlay, 0 to 1."""
    blue, green, red = UNSURE_COLOR if label == UNSURE else color_of(label, labels)
    return red / 255, green / 255, blue / 255


def fill_of(label: str, labels: Sequence[str]) -> dict[str, Any]:
    """How the areas of a label are filled: its color, or hatched if unsure."""
    if label == UNSURE:
        return {"facecolor": PAPER, "edgecolor": INK, "hatch": HATCH, "linewidth": 0.5}
    return {"facecolor": rgb(label, labels), "edgecolor": INK, "linewidth": 0.5}


def share_bars(summary: Mapping[str, Any], rows: Sequence[tuple[str, Mapping[str, Any]]], title: str) -> Markup:
    """A bar per emotion with its 95 % interval. rows: of `by_share`."""
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = _figure([0.31 * len(rows) + 0.35], 1.25, 0.45)
        for place, (label, figures) in enumerate(rows):
            axes.barh(place, 100 * figures["share"], 0.66, **fill_of(label, summary["labels"]))
            low, high = 100 * figures["low"], 100 * figures["high"]
            axes.plot([low, high], [place, place], color=INK, linewidth=2.2, solid_capstyle="butt")
            for end in (low, high):
                axes.plot([end, end], [place - 0.17, place + 0.17], color=INK, linewidth=1.4)
        _name_rows(axes, [label for label, _ in rows])
        _percent_axis(axes, max(1.0, *(100 * figures["high"] for _, figures in rows)))
        return _svg(figure, title)


def paired_shares(a: Mapping[str, Any], b: Mapping[str, Any], names: Sequence[str], title: str) -> Markup:
    """Two marks with intervals per emotion: a filled circle for A, an open square for B."""
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = _figure([0.45 * len(names) + 0.35], 1.25, 0.45)
        highest = 1.0
        for place, label in enumerate(names):
            for side, summary, mark in ((-0.17, a, "o"), (0.17, b, "s")):
                row = summary[UNSURE] if label == UNSURE else summary["emotions"].get(label)
                if row is None:
                    continue
                y, highest = place + side, max(highest, 100 * row["high"])
                axes.plot([100 * row["low"], 100 * row["high"]], [y, y], color=INK, linewidth=1.6)
                color = rgb(label, a["labels"]) if mark == "o" else PAPER
                axes.plot(
                    [100 * row["share"]], [y], mark, markersize=8, color=color, markeredgecolor=INK, markeredgewidth=1.2
                )
        _name_rows(axes, names)
        _percent_axis(axes, highest)
        return _svg(figure, title)


def share_timeline(
    part: pd.DataFrame, labels: Sequence[str], every_s: float, marks: Sequence[Mark], length_s: float,
    starts_s: Sequence[float], title: str,
) -> Markup:  # fmt: skip
    """Stacked shares over time, and below a strip of what was shown most. part: rows of one face from `timeline`."""
    shares = part[[SHARE + label for label in (*labels, UNSURE)]].to_numpy(np.float64)
    edges = np.minimum(np.append(part["start"], part["start"].iloc[-1] + every_s), max(length_s, 1e-3))
    with matplotlib.rc_context(STYLE):
        figure, (stack, strip) = _figure([1.25, 0.3], 0.95, 0.42)
        tops = np.cumsum(np.nan_to_num(shares), axis=1)
        seen = ~np.isnan(shares[:, 0])
        leading = np.where(seen, np.nan_to_num(shares).argmax(axis=1), -1)
        for place, label in enumerate((*labels, UNSURE)):
            low = tops[:, place] - np.nan_to_num(shares[:, place])
            present = seen & (shares[:, place] > 0.002)
            _add(stack, _areas(edges, 100 * low, 100 * tops[:, place], present), label, labels)
            mine = leading == place
            _add(strip, _areas(edges, np.zeros(len(mine)), np.ones(len(mine)), mine), label, labels, 0.0)
        stack.set_ylim(0, 100)
        stack.set_yticks([0, 50, 100], ["0", "50", "100 %"])
        strip.set_ylim(0, 1)
        strip.set_yticks([0.5], ["mostly"])
        for axes in (stack, strip):
            axes.set_xlim(0, max(length_s, 1e-3))
            for start in starts_s[1:]:
                axes.axvline(start, color=INK, linewidth=1, linestyle=":")
        stack.set_xticks([])
        strip.set_xticks([x for x, _ in marks], [text for _, text in marks])
        return _svg(figure, title)


def probability_curves(
    part: pd.DataFrame, labels: Sequence[str], every_s: float, marks: Sequence[Mark], length_s: float, title: str
) -> Markup:
    """A row per emotion: the mean probability over time, and one standard deviation around it."""
    x = part["start"].to_numpy(np.float64) + every_s / 2
    with matplotlib.rc_context(STYLE):
        figure, rows = _figure([0.42] * len(labels), 1.25, 0.42, gap=0.07)
        for axes, label in zip(rows, labels, strict=True):
            mean, spread = (part[prefix + label].to_numpy(np.float64) for prefix in (PROBABILITY, SPREAD))
            low, high = np.clip(mean - spread, 0, 1), np.clip(mean + spread, 0, 1)
            axes.fill_between(x, low, high, color=rgb(label, labels), linewidth=0, alpha=0.85)
            axes.plot(x, mean, color=INK, linewidth=1)
            axes.set_ylim(0, 1)
            axes.set_xlim(0, max(length_s, 1e-3))
            axes.set_yticks([0.5], [label])
            axes.set_xticks([])
        rows[-1].set_xticks([x for x, _ in marks], [text for _, text in marks])
        return _svg(figure, title)


def heat_map(
    part: pd.DataFrame, labels: Sequence[str], every_s: float, marks: Sequence[Mark], length_s: float, title: str
) -> Markup:
    """Emotions by interval: the stronger the color, the larger the share. Empty where no face was seen."""
    names = (*labels, UNSURE)
    pixels = np.zeros((len(names), len(part), 4))
    for place, label in enumerate(names):
        pixels[place, :, :3] = rgb(label, labels)
        pixels[place, :, 3] = np.nan_to_num(part[SHARE + label].to_numpy(np.float64))
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = _figure([0.27 * len(names)], 1.25, 0.42)
        end = float(part["start"].iloc[-1] + every_s)
        axes.imshow(pixels, aspect="auto", interpolation="none", extent=(0, end, len(names) - 0.5, -0.5))
        for place in range(1, len(names)):
            axes.axhline(place - 0.5, color=SOFT, linewidth=0.6)
        _name_rows(axes, names)
        axes.set_xlim(0, min(end, max(length_s, every_s)))
        axes.set_xticks([x for x, _ in marks], [text for _, text in marks])
        return _svg(figure, title)


def _figure(heights: Sequence[float], left: float, bottom: float, gap: float = 0.05) -> tuple[Figure, list[Axes]]:
    """A figure with axes below one another; all in inches."""
    top, right = 0.16, 0.45
    height = sum(heights) + gap * (len(heights) - 1) + bottom + top
    figure = Figure(figsize=(WIDTH_IN, height), dpi=DPI)
    FigureCanvasSVG(figure)
    found, y = [], height - top
    for one in heights:
        y -= one
        box = (left / WIDTH_IN, y / height, (WIDTH_IN - left - right) / WIDTH_IN, one / height)
        found.append(figure.add_axes(box))
        found[-1].spines[["top", "right"]].set_visible(False)
        y -= gap
    return figure, found


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def _percent_axis(axes: Axes, highest: float) -> None:
    axes.set_xlim(0, min(100.0, 1.08 * highest))
    step = next(step for step in (0.5, 1, 2, 5, 10, 20, 25) if step * 7 >= min(100.0, 1.08 * highest) or step == 25)
    ticks = np.arange(0, min(100.0, 1.08 * highest) + 1e-9, step)
    axes.set_xticks(ticks, [f"{tick:g} %" for tick in ticks])
    axes.grid(axis="x", color=SOFT, linewidth=0.6)
    axes.set_axisbelow(True)


def _areas(edges: Floats, low: Floats, high: Floats, present: npt.NDArray[np.bool_]) -> Path | None:
    """The outline of stepped areas between `low` and `high` where `present`; equal neighbors are one step."""
    vertices: list[tuple[float, float]] = []
    codes: list[np.uint8] = []
    bounds = np.flatnonzero(np.diff(np.concatenate([[0], present.astype(np.int8), [0]])))
    for begin, end in bounds.reshape(-1, 2):
        top = _steps(edges[begin : end + 1], high[begin:end])
        bottom = _steps(edges[begin : end + 1], low[begin:end])[::-1]
        outline = [*top, *bottom]
        vertices += [*outline, outline[0]]
        codes += [Path.MOVETO, *[Path.LINETO] * (len(outline) - 1), Path.CLOSEPOLY]
    return Path(vertices, codes) if vertices else None


def _steps(edges: Floats, values: Floats) -> list[tuple[float, float]]:
    starts = np.flatnonzero(np.append(True, np.abs(np.diff(values)) > 0.25))
    points: list[tuple[float, float]] = []
    for start, stop in zip(starts, [*starts[1:], len(values)], strict=True):
        points += [(edges[start], values[start]), (edges[stop], values[start])]
    return points


def _add(axes: Axes, path: Path | None, label: str, labels: Sequence[str], line: float = 0.3) -> None:
    if path is not None:
        axes.add_patch(PathPatch(path, **fill_of(label, labels) | {"linewidth": line}))


def _svg(figure: Figure, title: str) -> Markup:
    """The drawing as an SVG element that takes its colors and fonts from the page."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": title}):  # so that no two drawings of a page share an id
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    for part in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"<!--.*?-->"):
        drawing = re.sub(part, "", drawing, flags=re.DOTALL)
    used = set(re.findall(r'#([\w-]+)["\)]', drawing))
    drawing = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", drawing)
    drawing = re.sub(r'-?\d+\.\d{2,}(?=[ "),\n])', lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), drawing)
    drawing = re.sub(r"font: [^;\"]*?(\d+)px [^;\"]*", r"font-size: \1px", drawing)
    for ink, color in PAGE_COLORS.items():
        drawing = drawing.replace(ink, color)
    size = re.search(r'viewBox="[^"]*"', drawing)
    assert size is not None
    head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {size[0]} role="img" aria-label="{escape(title)}">'
    return Markup(re.sub(r"\s*\n\s*", "\n", head + drawing[drawing.index(">") + 1 :]))
