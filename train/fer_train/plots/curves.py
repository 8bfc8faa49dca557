"""Loss and accuracy per epoch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_train.data import PUBLIC_TEST
from fer_train.plots.style import TEST_COLOR, TRAIN_COLOR, open_frame, save
from fer_train.training.history import EpochRecord

FEW_EPOCHS = 12  # up to this many, a dot marks every epoch


def plot_curves(history: Sequence[EpochRecord], kept: int, path: Path) -> None:
    """Plot loss and accuracy per epoch, training and test, to a PNG at `path`; the epoch numbered `kept` is marked."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [record.epoch for record in history]
    style: dict[str, Any] = {"marker": "o" if len(history) <= FEW_EPOCHS else "", "markersize": 4, "linewidth": 1.8}
    train, test = {"color": TRAIN_COLOR, **style}, {"color": TEST_COLOR, **style}
    left.plot(epochs, [r.train_loss for r in history], label="training (minimized)", **train)
    left.plot(epochs, [r.test_loss for r in history], label=f"{PUBLIC_TEST} (cross-entropy)", **test)
    right.plot(epochs, [100 * r.train_accuracy for r in history], label="training (augmented faces)", **train)
    right.plot(epochs, [100 * r.test_accuracy for r in history], label=PUBLIC_TEST, **test)
    accuracy = 100 * next(record.test_accuracy for record in history if record.epoch == kept)
    label = f"kept: {accuracy:.2f} % in epoch {kept}"
    right.plot(kept, accuracy, "*", color="black", markersize=11, linestyle="", label=label)
    left.set(ylabel="loss", title="Loss")
    right.set(ylabel="accuracy (%)", title="Accuracy")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
        open_frame(axes)
    save(figure, path)
