"""Plots of a network's scores: its confusion matrix, and how reliable its confidence is."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_train.evaluation.metrics import ECE_BINS, expected_calibration_error
from fer_train.plots.style import TEST_COLOR, TRAIN_COLOR, open_frame, save

UNDERCONFIDENT_COLOR = "#66ccee"
MIN_SIDE_INCHES = 5.0  # the title needs this width
MIN_BIN_IMAGES = 10  # the accuracy of a smaller bin is noise, so it is not drawn


def plot_confusion(metrics: dict[str, Any], path: Path) -> None:
    """Plot the confusion matrix: color and percentage are per true class, the small number counts images."""
    classes = list(metrics["per_class"])
    counts = np.array(metrics["confusion"])
    support = counts.sum(axis=1)
    rates = counts / np.maximum(support, 1)[:, None]
    side = 2.2 + 0.75 * len(classes)
    figure = Figure(figsize=(max(side, MIN_SIDE_INCHES), side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(rates, cmap="Blues", vmin=0, vmax=1)
    for (row, column), rate in np.ndenumerate(rates):
        color = "white" if rate > 0.55 else "black"
        centered: dict[str, Any] = {"ha": "center", "va": "center", "color": color}
        axes.text(column, row - 0.1, f"{100 * rate:.0f} %", fontsize=11, **centered)
        axes.text(column, row + 0.25, f"{counts[row, column]:,}", fontsize=7.5, **centered)
    axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), [f"{name}\n({n:,})" for name, n in zip(classes, support, strict=True)])
    axes.set(xlabel="predicted", ylabel="true (images)")
    accuracy, macro_f1 = 100 * metrics["accuracy"], metrics["macro_f1"]
    axes.set_title(f"{metrics['split']}, {support.sum():,} images\naccuracy {accuracy:.2f} %, macro-F1 {macro_f1:.3f}")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    save(figure, path)


def plot_reliability(
    before: npt.NDArray[np.floating[Any]],
    after: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.int64],
    temperature: float,
    path: Path,
    measured: dict[str, Any] | None = None,
) -> None:
    """Plot accuracy against confidence, before and after temperature scaling, and a histogram of confidence.

    before, after: probabilities [N, classes]. labels: int64 [N]. measured: metrics of a training run, whose calibration
    errors are written into the titles; that of the temperature is cross-fitted, so it differs a little from the bars.
    """
    errors = [f"ECE {expected_calibration_error(each, labels):.3f}" for each in (before, after)]
    if measured is not None:
        errors = [f"ECE {measured['ece_uncalibrated']:.3f}", f"ECE {measured['ece']:.3f}, cross-fitted"]
    figure = Figure(figsize=(9.5, 5.2), layout="constrained")
    above, below = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3.2, 1))
    for column, (name, probabilities) in enumerate(
        (("without temperature", before), (f"with temperature {temperature:g}", after))
    ):
        _diagram(above[column], below[column], probabilities, labels)
        above[column].set_title(f"{name}: {errors[column]}")
        below[column].set_xlabel("confidence")
    above[0].set_ylabel("accuracy")
    handles, names = above[0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, loc="outside lower center", ncols=len(names))
    below[0].set_ylabel("images")
    save(figure, path)


def _diagram(
    above: Axes, below: Axes, probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64]
) -> None:
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    images = np.bincount(bin_of, minlength=ECE_BINS)
    filled = images >= MIN_BIN_IMAGES
    accuracy = np.bincount(bin_of, weights=correct, minlength=ECE_BINS)[filled] / images[filled]
    expected = np.bincount(bin_of, weights=confidence, minlength=ECE_BINS)[filled] / images[filled]
    centers = (np.flatnonzero(filled) + 0.5) / ECE_BINS
    width = 0.92 / ECE_BINS
    above.bar(centers, np.minimum(accuracy, expected), width, color=TRAIN_COLOR, label="accuracy")
    above.bar(
        centers, np.maximum(expected - accuracy, 0), width, bottom=accuracy, color=TEST_COLOR, alpha=0.6,
        label="confidence above accuracy",
    )  # fmt: skip
    above.bar(
        centers, np.maximum(accuracy - expected, 0), width, bottom=expected, color=UNDERCONFIDENT_COLOR,
        label="accuracy above confidence",
    )  # fmt: skip
    above.plot([0, 1], [0, 1], "--", color="black", linewidth=1, label="perfectly calibrated")
    above.set(xlim=(0, 1), ylim=(0, 1))
    below.bar((np.arange(ECE_BINS) + 0.5) / ECE_BINS, images, width, color="#bbbbbb")
    for axes in (above, below):
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        open_frame(axes)
