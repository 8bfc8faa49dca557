"""Pictures of a training run: curves, confusion matrix, class distribution."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no screen is needed to write PNGs

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from fer_edge.files import written_beside
from fer_train.data import PUBLIC_TEST, TRAINING, FaceData
from fer_train.training import EpochRecord

TRAIN_COLOUR, TEST_COLOUR = "#4477aa", "#ee6677"  # Paul Tol's bright scheme, safe for colour-blind readers


def _save(figure: Figure, path: Path) -> None:
    with written_beside(path) as part:
        figure.savefig(part, dpi=120, bbox_inches="tight")
    plt.close(figure)


def plot_curves(history: Sequence[EpochRecord], path: Path) -> None:
    """Loss and accuracy over epochs, training and test, with the best epoch marked."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    epochs = [record.epoch for record in history]
    marker = "o" if len(history) < 3 else None
    left.plot(epochs, [r.train_loss for r in history], color=TRAIN_COLOUR, marker=marker, label="training (objective)")
    left.plot(epochs, [r.test_loss for r in history], color=TEST_COLOUR, marker=marker, label=f"{PUBLIC_TEST} (cross-entropy)")
    left.set(xlabel="epoch", ylabel="loss", title="Loss")
    right.plot(epochs, [100 * r.train_accuracy for r in history], color=TRAIN_COLOUR, marker=marker, label="training (augmented)")
    right.plot(epochs, [100 * r.test_accuracy for r in history], color=TEST_COLOUR, marker=marker, label=PUBLIC_TEST)
    best = max(history, key=lambda record: record.test_accuracy)
    right.plot(best.epoch, 100 * best.test_accuracy, "*", color="black", markersize=11,
               label=f"best: {100 * best.test_accuracy:.2f} % (epoch {best.epoch})")  # fmt: skip
    right.set(xlabel="epoch", ylabel="accuracy (%)", title="Accuracy")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
        axes.xaxis.get_major_locator().set_params(integer=True)
    _save(figure, path)


def plot_confusion(metrics: dict[str, Any], path: Path) -> None:
    """The confusion matrix: colour and large figure are the share of the true class, the small one counts images."""
    classes = list(metrics["per_class"])
    counts = np.array(metrics["confusion"])
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.75 * len(classes)
    figure, axes = plt.subplots(figsize=(side, side))
    axes.imshow(rates, cmap="Blues", vmin=0, vmax=1)
    for (row, column), rate in np.ndenumerate(rates):
        colour = "white" if rate > 0.55 else "black"
        axes.text(column, row - 0.08, f"{100 * rate:.0f}%", ha="center", va="center", color=colour, fontsize=11)
        axes.text(column, row + 0.27, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=7)
    axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true", title=f"{metrics['split']}: {100 * metrics['accuracy']:.2f} % accuracy")
    _save(figure, path)


def plot_classes(data: FaceData, path: Path) -> None:
    """Images per class in the training and test parts."""
    figure, axes = plt.subplots(figsize=(8, 4))
    places = np.arange(len(data.classes))
    for offset, usage, colour in ((-0.2, TRAINING, TRAIN_COLOUR), (0.2, PUBLIC_TEST, TEST_COLOUR)):
        counts = list(data.split(usage).counts().values())
        bars = axes.bar(places + offset, counts, 0.4, color=colour, label=f"{usage} ({sum(counts)})")
        axes.bar_label(bars, fontsize=8)
    axes.set_xticks(places, data.classes)
    axes.set(ylabel="images", title=f"Classes of {data.path.name}")
    axes.margins(y=0.12)
    axes.legend()
    _save(figure, path)
