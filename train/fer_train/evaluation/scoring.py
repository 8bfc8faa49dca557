"""Score a trained network on labelled faces."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_train.data import TRAINING, FaceData, align_classes, also_in, majority_labels
from fer_train.evaluation.metrics import cross_fitted_probabilities, expected_calibration_error, score
from fer_train.evaluation.predictors import Predictor, Probabilities, logits_from, uncalibrated
from fer_train.tables import aligned

SCHEMA = 1
ALL = "all"


@dataclass(frozen=True)
class Accuracy:
    """Scores of one file on one split.

    metrics: as fer_train.evaluation.metrics.score gives them. deduplicated: accuracy on the faces that are not
    pixel-identical to a training face, None where training faces are scored. Fractions 0 to 1.
    """

    split: str
    metrics: dict[str, Any]
    deduplicated: float | None
    images_deduplicated: int


@dataclass(frozen=True)
class Evaluation:
    """The scores of one network on one split of a data set.

    faces: those that were scored, with the network's classes. probabilities, before: float [N, classes], as the
    network gives them, and without its temperature. calibration: further keys for the JSON, ece_... and ferplus_...
    """

    file: Path
    sha256: str
    precision: str
    temperature: float
    faces: FaceData
    probabilities: Probabilities
    before: npt.NDArray[np.float64]
    accuracy: Accuracy
    calibration: dict[str, float | int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For --json; fractions 0 to 1, `confusion` with a row per true class in the order of `labels`."""
        return {
            "schema": SCHEMA,
            "model": {"file": self.file.name, "sha256": self.sha256, "precision": self.precision},
            "data": self.faces.title,
            "split": self.accuracy.split,
            "labels": list(self.faces.classes),
            "accuracy_deduplicated": self.accuracy.deduplicated,
            "images_deduplicated": self.accuracy.images_deduplicated,
            **self.accuracy.metrics,
            **self.calibration,
            "temperature": self.temperature,
        }

    def __str__(self) -> str:
        metrics, more = self.accuracy.metrics, self.calibration
        where = f"{self.accuracy.split} faces" if self.accuracy.split != ALL else "faces"
        lines = [f"{self.file} ({self.precision}) on {metrics['images']} {where} of {self.faces.path}"]
        figures = [("accuracy", f"{metrics['accuracy']:.2%}")]
        if self.accuracy.deduplicated is not None:
            new = f"on the {self.accuracy.images_deduplicated} faces that are not training faces too"
            figures.append(("de-duplicated", f"{self.accuracy.deduplicated:.2%} ({new})"))
        if "ferplus_accuracy" in more:
            voted = f"on the {more['ferplus_images']} faces whose votes have one"
            figures.append(("FER+ majority", f"{more['ferplus_accuracy']:.2%} ({voted})"))
        figures += [
            ("macro-F1", f"{metrics['macro_f1']:.3f}"),
            (
                "ECE",
                f"{metrics['ece']:.3f} (without the file's temperature {more['ece_uncalibrated']:.3f}, "
                f"with one fitted on the other half of these faces {more['ece_cross_fitted']:.3f})",
            ),
        ]
        lines += [f"{name:16}{value}" for name, value in figures]
        rows = [("", "precision", "recall", "F1", "faces")]
        for label, row in metrics["per_class"].items():
            shares = (f"{row['precision']:.1%}", f"{row['recall']:.1%}", f"{row['f1']:.3f}")
            rows.append((label, *shares, str(row["support"])))
        return "\n".join([*lines, "", *aligned(rows)])


def evaluate(predictor: Predictor, data: FaceData, split: str) -> Evaluation:
    """Score the network on the rows of `data` whose usage is `split`, or on "all".

    The data's classes are placed by the network's own and by its class mapping.
    Raises DataError if the data has other classes, or no row of that split.
    """
    placed = align_classes(data, predictor.classes, predictor.class_mapping, str(predictor.path))
    chosen = placed if split == ALL else chosen_faces(placed, split)
    probabilities = predictor.predict(chosen.images, "evaluating")
    before = uncalibrated(probabilities, predictor.temperature)
    return Evaluation(
        file=predictor.path,
        sha256=predictor.sha256,
        precision=predictor.precision,
        temperature=predictor.temperature,
        faces=chosen,
        probabilities=probabilities,
        before=before,
        accuracy=measure_accuracy(probabilities, placed, split),
        calibration=_calibration(chosen, probabilities, before, predictor.temperature),
    )


def chosen_faces(faces: FaceData, split: str) -> FaceData:
    """The rows of the split; DataError if there is none."""
    chosen = faces.split(split)
    if not len(chosen):
        present = ", ".join(sorted(set(faces.usage.tolist())))
        raise DataError(f"{faces.path} has no row whose Usage is {split}: choose --split from {present}")
    return chosen


def measure_accuracy(probabilities: Probabilities, data: FaceData, split: str) -> Accuracy:
    """Score `probabilities` of `data.split(split)`, or of all of `data`."""
    measured = data if split == ALL else data.split(split)
    metrics = score(probabilities, measured.labels, data.classes)
    if TRAINING in measured.usage:
        return Accuracy(split, metrics, None, 0)
    new = ~also_in(measured.images, data.split(TRAINING).images)
    deduplicated = score(probabilities[new], measured.labels[new], data.classes)
    return Accuracy(split, metrics, deduplicated["accuracy"] if new.any() else None, int(new.sum()))


def _calibration(
    faces: FaceData, probabilities: Probabilities, before: npt.NDArray[np.float64], temperature: float
) -> dict[str, float | int]:
    fitted = cross_fitted_probabilities(logits_from(probabilities, temperature), faces.labels)
    figures: dict[str, float | int] = {
        "ece_uncalibrated": expected_calibration_error(before, faces.labels),
        "ece_cross_fitted": expected_calibration_error(fitted, faces.labels),
    }
    if faces.votes is None:
        return figures
    voted = majority_labels(faces)
    has_one = voted >= 0
    hits = int((probabilities.argmax(axis=1) == voted)[has_one].sum())
    images = int(has_one.sum())
    return figures | {"ferplus_accuracy": hits / max(images, 1), "ferplus_images": images}
