"""Scores of probabilities against a truth, with 95 % intervals: accuracy, calibration, recalls, calm faces.

Fractions have Wilson's interval; means and calibration errors that of resampled faces. Faces of one person are alike:
where a set tells people, whole people are resampled, and a fraction's interval covers both. Resampling raises a
calibration error a little, because its bins hold fewer different faces.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.harness.heads import EMOTIONS, Probabilities
from benchmarks.harness.intervals import Interval, Weights, bootstrap, resampled, wilson
from benchmarks.harness.truths import FaceSet
from fer_train.evaluation.metrics import ECE_BINS, score

FIVE = ("angry", "happy", "sad", "surprise", "neutral")  # disgust and fear have too few faces of people
CALM = "neutral"
MISTAKEN = ("angry", "sad")  # what calm faces are called


@dataclass(frozen=True)
class Measure:
    """A value with its interval; count: faces that it was measured on."""

    value: float
    interval: Interval
    count: int

    def __str__(self) -> str:
        if not self.count:
            return "–"
        low, high = self.interval
        return f"{100 * self.value:.1f} ({100 * low:.1f} to {100 * high:.1f})"

    def to_json(self) -> dict[str, Any]:
        """Rounded to five decimals; None for a value without faces."""
        known = bool(self.count)
        interval = [round(end, 5) for end in self.interval]
        return {"value": round(self.value, 5) if known else None, "interval": interval, "faces": self.count}


@dataclass(frozen=True)
class Scores:
    """What one recognizer reaches on one set of faces.

    recall: by emotion that the set has. five: mean recall of FIVE, without those that the set lacks. calm: by MISTAKEN,
    the share of calm faces that are called so. confusion: rows and columns in the order of EMOTIONS.
    """

    accuracy: Measure
    ece: Measure
    recall: dict[str, Measure]
    five: Measure
    calm: dict[str, Measure]
    confusion: list[list[int]]

    def to_json(self) -> dict[str, Any]:
        """Everything by name."""
        return {
            "accuracy": self.accuracy.to_json(), "ece": self.ece.to_json(), "mean_of_five": self.five.to_json(),
            "recall": {name: each.to_json() for name, each in self.recall.items()},
            "calm_called": {name: each.to_json() for name, each in self.calm.items()}, "confusion": self.confusion,
        }  # fmt: skip


def score_set(probabilities: Probabilities, faces: FaceSet) -> Scores:
    """Scores of probabilities [N, 8] of EMOTIONS on `faces`."""
    labels, predicted = faces.labels, probabilities.argmax(axis=1)
    metrics = score(probabilities, labels, EMOTIONS)
    weights = resampled(faces.people)
    alike = len(np.unique(faces.people)) < len(faces)

    def fraction(hits: npt.NDArray[np.bool_], of: npt.NDArray[np.bool_]) -> Measure:
        count, right = int(of.sum()), int((hits & of).sum())
        interval = wilson(right, count)
        if alike and count:
            low, high = bootstrap(lambda drawn: shares(drawn, hits & of, of), weights)
            interval = min(interval[0], low), max(interval[1], high)
        return Measure(right / max(count, 1), interval, count)

    right = predicted == labels
    present = {name: labels == index for index, name in enumerate(EMOTIONS) if (labels == index).any()}
    recall = {name: fraction(right, of) for name, of in present.items()}
    calm = present.get(CALM, np.zeros(len(labels), np.bool_))
    return Scores(
        fraction(right, np.ones(len(labels), np.bool_)),
        Measure(metrics["ece"], bootstrap(lambda drawn: calibration_errors(drawn, probabilities, right), weights),
                len(labels)),
        recall, mean_recall({name: present[name] for name in FIVE if name in present}, right, weights),
        {name: fraction(predicted == EMOTIONS.index(name), calm) for name in MISTAKEN}, metrics["confusion"],
    )  # fmt: skip


def shares(weights: Weights, hits: npt.NDArray[np.bool_], of: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The weighted share of `hits` in `of` per draw; NaN where a draw has none of them."""
    counted = weights @ np.stack([hits, of], axis=1).astype(np.float32)
    with np.errstate(invalid="ignore"):
        return np.asarray(counted[:, 0] / counted[:, 1], dtype=np.float64)


def mean_recall(classes: dict[str, npt.NDArray[np.bool_]], right: npt.NDArray[np.bool_], weights: Weights) -> Measure:
    """The mean of the recalls of `classes` (which faces are of each)."""
    if not classes:
        return Measure(0.0, (0.0, 1.0), 0)
    value = float(np.mean([right[of].mean() for of in classes.values()]))
    interval = bootstrap(lambda drawn: np.mean([shares(drawn, right & of, of) for of in classes.values()], 0), weights)
    return Measure(value, interval, int(sum(of.sum() for of in classes.values())))


def calibration_errors(
    weights: Weights, probabilities: Probabilities, right: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """The expected calibration error of each draw, as fer_train.evaluation.metrics defines it."""
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gaps = np.zeros((len(right), ECE_BINS), dtype=np.float32)
    gaps[np.arange(len(right)), bins] = right - confidence
    return np.asarray(np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1), dtype=np.float64)
