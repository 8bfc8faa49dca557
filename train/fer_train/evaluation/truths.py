"""What a network's heads are measured against: labels, votes, and what people would say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_train.data import PUBLIC_TEST
from fer_train.evaluation.metrics import (
    cross_fitted_probabilities,
    expected_calibration_error,
    fit_temperature,
    score,
    softmax,
)

MIN_CLASS_FACES = 10  # the recall of fewer faces is noise
Logits = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Truth:
    """Labels of some of a run's test faces.

    description: in words, "labels of PublicTest". rows: int64 [M], which of the test faces. labels: int64 [M], of the
    head's classes. by_class: score the mean recall of the classes instead of the accuracy, where one class would
    otherwise decide.
    """

    description: str
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    by_class: bool = False

    def score(self, logits: Logits) -> float:
        """The accuracy, 0 to 1, of the logits [test faces, classes], or the mean recall of the classes.

        Classes with fewer than MIN_CLASS_FACES faces are left out of that mean, if others have as many.
        """
        hits = logits[self.rows].argmax(axis=1) == self.labels
        if not self.by_class:
            return float(hits.mean())
        present, counts = np.unique(self.labels, return_counts=True)
        counted = present[counts >= min(MIN_CLASS_FACES, int(counts.max()))]
        return float(np.mean([hits[self.labels == label].mean() for label in counted]))


def head_score(logits: Logits, truths: Sequence[Truth]) -> float:
    """The mean of the scores against each truth, by which the best epoch is chosen."""
    return float(np.mean([truth.score(logits) for truth in truths]))


def head_metrics(
    logits: Logits, truths: Sequence[Truth], classes: Sequence[str], is_new: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """The metrics of a head for metrics.json, from the logits [test faces, classes], with a fitted temperature.

    is_new: bool [test faces], whether a face is not in the training data too.
    All truths weigh the same in the temperature. The metrics are those against the first truth; if there are more,
    `truths` lists the metrics against each, with its share of the temperature's fit.
    """
    rows, labels = (np.concatenate([getattr(truth, name) for truth in truths]) for name in ("rows", "labels"))
    weights = None
    if len(truths) > 1:
        weights = np.concatenate([np.full(len(truth.rows), 1 / len(truth.rows)) for truth in truths])
    chosen = logits[rows]
    temperature = fit_temperature(chosen, labels, weights)
    cross_fitted = cross_fitted_probabilities(chosen, labels, weights)
    found, start = [], 0
    for truth in truths:
        part = slice(start, start + len(truth.rows))
        start = part.stop
        metrics = _metrics(chosen[part], truth, classes, is_new[truth.rows], temperature, cross_fitted[part])
        found.append(metrics)
    first = dict(found[0])
    if len(truths) > 1:
        share = 1 / len(truths)
        first["truths"] = [
            {"truth": truth.description, "temperature_weight": share, "score": truth.score(logits)} | metrics
            for truth, metrics in zip(truths, found, strict=True)
        ]
    return first | {"split": PUBLIC_TEST, "temperature": temperature}


def _metrics(
    logits: Logits, truth: Truth, classes: Sequence[str], is_new: npt.NDArray[np.bool_], temperature: float,
    cross_fitted: npt.NDArray[np.float64],
) -> dict[str, Any]:  # fmt: skip
    """Metrics of the faces of one truth: logits [M, classes], is_new [M], cross_fitted probabilities [M, classes]."""
    probabilities, labels = softmax(logits, temperature), truth.labels
    metrics = score(probabilities, labels, classes)
    metrics["ece"] = expected_calibration_error(cross_fitted, labels)
    metrics["ece_uncalibrated"] = expected_calibration_error(softmax(logits), labels)
    metrics["accuracy_deduplicated"] = score(probabilities[is_new], labels[is_new], classes)["accuracy"]
    metrics["images_deduplicated"] = int(is_new.sum())
    return metrics
