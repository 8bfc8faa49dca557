"""Metrics of probabilities against labels: accuracy, macro-F1, confusion and calibration."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

ECE_BINS = 15  # as in Guo et al. 2017
TEMPERATURE_RANGE = (0.2, 5.0)


def softmax(logits: npt.NDArray[np.floating[Any]], temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Return probabilities [N, classes] of logits [N, classes], which are divided by `temperature` first.

    softmax(np.array([[2.0, 0.0]]))  # [[0.881, 0.119]]
    """
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def score(
    probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64], classes: Sequence[str]
) -> dict[str, Any]:
    """Return accuracy, macro-F1, ECE, per-class metrics and the confusion matrix of probabilities [N, classes].

    labels: int64 [N]. All metrics are fractions from 0 to 1. `confusion` has a row per true class and a column per
    predicted class, in the order of `classes`. A class that never occurs and is never predicted has F1 0.

        score(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]), ("happy", "sad"))["accuracy"]  # 1.0
    """
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    hits = confusion.diagonal()
    support, predictions = confusion.sum(axis=1), confusion.sum(axis=0)
    precision = hits / np.maximum(predictions, 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + predictions, 1)
    per_class = {"precision": precision, "recall": recall, "f1": f1, "support": support}
    return {
        "accuracy": float(hits.sum() / max(len(labels), 1)),
        "macro_f1": float(f1.mean()),
        "ece": expected_calibration_error(probabilities, labels),
        "images": len(labels),
        "per_class": pd.DataFrame(per_class, index=list(classes)).to_dict("index"),
        "confusion": confusion.tolist(),
    }


def recall_text(row: Mapping[str, float]) -> str:
    """The recall in a row of per_class, in percent; "-" for a class without faces, of which none can be found.

    >>> recall_text({"recall": 0.5, "support": 4}), recall_text({"recall": 0.0, "support": 0})
    ('50.0%', '-')
    """
    return f"{row['recall']:.1%}" if row["support"] else "-"


def expected_calibration_error(
    probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64], bins: int = ECE_BINS
) -> float:
    """Return the mean gap between confidence and accuracy over bins of equal width, weighted by bin size.

    See Guo et al. 2017, "On Calibration of Modern Neural Networks".
    """
    if not len(labels):
        return 0.0
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(bin_of, weights=correct - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def fit_temperature(
    logits: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64], weights: npt.NDArray[np.float64] | None = None
) -> float:
    """Return the temperature that minimizes the cross-entropy of logits [N, classes] (Guo et al. 2017).

    weights: float64 [N], of the faces in the cross-entropy; all the same by default.
    The cross-entropy is convex in 1/T, so a golden-section search in it finds the minimum.
    """

    def loss(inverse: float) -> float:
        chosen = softmax(logits, 1 / inverse)[np.arange(len(labels)), labels]
        return float(np.average(-np.log(np.maximum(chosen, 1e-12)), weights=weights))

    low, high = 1 / TEMPERATURE_RANGE[1], 1 / TEMPERATURE_RANGE[0]
    ratio = (5**0.5 - 1) / 2
    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return round(2 / (low + high), 4)


def cross_fitted_probabilities(
    logits: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64], weights: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float64]:
    """Return probabilities whose temperature was fitted on the other half of the rows.

    This measures a calibration error on rows that the temperature was not fitted on. weights: as in fit_temperature.
    """
    halves = np.arange(len(labels)) % 2
    probabilities = np.empty(logits.shape, dtype=np.float64)
    for half in (0, 1):
        here, other = halves == half, halves != half
        part = None if weights is None else weights[other]
        temperature = fit_temperature(logits[other], labels[other], part) if other.any() else 1.0
        probabilities[here] = softmax(logits[here], temperature)
    return probabilities


def wilson_interval(fraction: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a fraction, 0 to 1, of `count` faces (Wilson 1927).

    >>> [round(end, 3) for end in wilson_interval(0.8, 20)]
    [0.584, 0.919]
    """
    count = max(count, 1)
    z = 1.959964
    middle = (fraction + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (fraction * (1 - fraction) / count + z * z / (4 * count * count)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
