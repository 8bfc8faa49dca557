"""Pictures of a training run: curves, confusion matrix, class distribution."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from fer_edge.files import written_beside
from fer_train.data import PUBLIC_TEST, TRAINING, FaceData
from fer_train.training import EpochRecord

TRAIN_COLOUR, TEST_COLOUR = "#4477aa", "#ee6677"  # Paul Tol's bright scheme, safe for colour-blind readers
DOTS_PER_INCH = 130
FEW_EPOCHS = 12  # up to here, a dot marks every epoch


def plot_curves(history: Sequence[EpochRecord], path: Path) -> None:
    """Loss and accuracy over epochs, training and test, with the best epoch marked, as a PNG at `path`."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [record.epoch for record in history]
    style: dict[str, Any] = {"marker": "o" if len(history) <= FEW_EPOCHS else "", "markersize": 4, "linewidth": 1.8}
    train, test = {"color": TRAIN_COLOUR, **style}, {"color": TEST_COLOUR, **style}
    left.plot(epochs, [r.train_loss for r in history], label="training (what is minimised)", **train)
    left.plot(epochs, [r.test_loss for r in history], label=f"{PUBLIC_TEST} (cross-entropy)", **test)
    right.plot(epochs, [100 * r.train_accuracy for r in history], label="training (augmented faces)", **train)
    right.plot(epochs, [100 * r.test_accuracy for r in history], label=PUBLIC_TEST, **test)
    best = max(history, key=lambda record: record.test_accuracy)
    label = f"best: {100 * best.test_accuracy:.2f} % in epoch {best.epoch}"
    right.plot(best.epoch, 100 * best.test_accuracy, "*", color="black", markersize=11, linestyle="", label=label)
    left.set(ylabel="loss", title="Loss")
    right.set(ylabel="accuracy (%)", title="Accuracy")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
        _open_frame(axes)
    _save(figure, path)


def plot_confusion(metrics: dict[str, Any], path: Path) -> None:
    """The confusion matrix: colour and percentage are the share of the true class, the small figure counts images."""
    classes = list(metrics["per_class"])
    counts = np.array(metrics["confusion"])
    support = counts.sum(axis=1)
    rates = counts / np.maximum(support, 1)[:, None]
    side = 2.2 + 0.75 * len(classes)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(rates, cmap="Blues", vmin=0, vmax=1)
    for (row, column), rate in np.ndenumerate(rates):
        colour = "white" if rate > 0.55 else "black"
        centred: dict[str, Any] = {"ha": "center", "va": "center", "color": colour}
        axes.text(column, row - 0.1, f"{100 * rate:.0f} %", fontsize=11, **centred)
        axes.text(column, row + 0.25, f"{counts[row, column]:,}", fontsize=7.5, **centred)
    axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), [f"{name}\n({n:,})" for name, n in zip(classes, support, strict=True)])
    axes.set(xlabel="predicted", ylabel="true (images)")
    accuracy, macro_f1 = 100 * metrics["accuracy"], metrics["macro_f1"]
    axes.set_title(f"{metrics['split']}, {support.sum():,} images\naccuracy {accuracy:.2f} %, macro-F1 {macro_f1:.3f}")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _save(figure, path)


def plot_classes(data: FaceData, path: Path) -> None:
    """Images per class in the training and test parts, with each class's share of its part."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(data.classes))
    for offset, usage, colour in ((-0.2, TRAINING, TRAIN_COLOUR), (0.2, PUBLIC_TEST, TEST_COLOUR)):
        counts = list(data.split(usage).counts().values())
        total = sum(counts)
        bars = axes.bar(places + offset, counts, 0.38, color=colour, label=f"{usage} ({total:,} images)")
        axes.bar_label(bars, [f"{count:,}\n{100 * count / total:.1f} %" for count in counts], fontsize=7.5, padding=2)
    axes.set_xticks(places, data.classes)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(ylabel="images", title=f"Classes of {data.path.name}")
    axes.margins(y=0.15)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", length=0)
    axes.legend(frameon=False)
    _open_frame(axes)
    _save(figure, path)


def _open_frame(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    with written_beside(path) as part:
        figure.savefig(part, dpi=DOTS_PER_INCH)
