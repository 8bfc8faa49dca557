"""What a data set holds: faces per class, and samples of each."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from fer_train.data import FaceData
from fer_train.plots.style import FACE_INCHES, SPLIT_COLORS, open_frame, save

SAMPLES_PER_CLASS = 12


def plot_classes(data: FaceData, path: Path) -> None:
    """Plot the images per class in each split, with the class's percentage of the split."""
    splits = data.splits()
    figure = Figure(figsize=(max(5.5, 2 + (0.45 + 0.32 * len(splits)) * len(data.classes)), 4.2), layout="constrained")
    axes = figure.subplots()
    positions, width = np.arange(len(data.classes)), 0.84 / max(len(splits), 1)
    for number, usage in enumerate(splits):
        counts = list(data.split(usage).counts().values())
        total = sum(counts)
        offset = (number - (len(splits) - 1) / 2) * width
        bars = axes.bar(
            positions + offset, counts, 0.95 * width, color=SPLIT_COLORS[usage], label=f"{usage} ({total:,} images)"
        )
        axes.bar_label(bars, [f"{count:,}\n{100 * count / total:.1f} %" for count in counts], fontsize=7, padding=2)
    axes.set_xticks(positions, data.classes)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(ylabel="images", title=f"Classes of {data.title}")
    axes.margins(y=0.15)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", length=0)
    axes.legend(frameon=False)
    open_frame(axes)
    save(figure, path)


def plot_samples(data: FaceData, path: Path) -> None:
    """Plot a row of random faces per class."""
    rng = np.random.default_rng(0)
    side = data.images.shape[1]
    pitch = side + 5
    sheet = np.full((len(data.classes) * pitch, SAMPLES_PER_CLASS * pitch), 255, dtype=np.uint8)
    for label in range(len(data.classes)):
        members = rng.permutation(np.flatnonzero(data.labels == label))[:SAMPLES_PER_CLASS]
        for column, member in enumerate(members):
            sheet[label * pitch : label * pitch + side, column * pitch : column * pitch + side] = data.images[member]
    figure = Figure(
        figsize=(FACE_INCHES * (SAMPLES_PER_CLASS + 1.8), FACE_INCHES * 1.1 * len(data.classes) + 0.6),
        layout="constrained",
    )
    axes = figure.subplots()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    axes.set_yticks(
        [label * pitch + side / 2 for label in range(len(data.classes))],
        [f"{name}\n({count:,})" for name, count in data.counts().items()],
    )
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"Random faces of {data.title}")
    save(figure, path)
