"""Score a trained network on a split of labeled faces."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_edge.guards.text import printable
from fer_train.data import (
    FERPLUS_CLASSES,
    TRAINING,
    FaceData,
    align_classes,
    also_in,
    majority_labels,
    majority_protocol,
)
from fer_train.data.classes import canonical
from fer_train.evaluation.metrics import cross_fitted_probabilities, expected_calibration_error, recall_text, score
from fer_train.evaluation.predictors import Predictor, Probabilities, logits_from, uncalibrated
from fer_train.tables import aligned

SCHEMA = 1
ALL = "all"


@dataclass(frozen=True)
class Accuracy:
    """Scores of one model on one split.

    metrics: the result of fer_train.evaluation.metrics.score. deduplicated: accuracy, 0 to 1, on the faces that are
    not pixel-identical to a training face; None where training faces are scored.
    """

    split: str
    metrics: dict[str, Any]
    deduplicated: float | None
    images_deduplicated: int


@dataclass(frozen=True)
class Evaluation:
    """The scores and predictions of one network on one split of a data set.

    head: which of the network's heads answered; None if it has a single answer. faces: the N scored faces, with the
    network's classes. probabilities: float [N, classes]. uncalibrated: the same without the network's temperature.
    calibration: more keys for the JSON, ece_... and ferplus_...
    """

    file: Path
    sha256: str
    precision: str
    head: str | None
    temperature: float
    faces: FaceData
    probabilities: Probabilities
    uncalibrated: npt.NDArray[np.float64]
    accuracy: Accuracy
    calibration: dict[str, float | int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the content of metrics.json: fractions 0 to 1, `confusion` with a row per true class, as `labels`."""
        return {
            "schema": SCHEMA,
            "model": {"file": self.file.name, "sha256": self.sha256, "precision": self.precision, "head": self.head},
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
        metrics = self.accuracy.metrics
        where = f"{self.accuracy.split} faces" if self.accuracy.split != ALL else "faces"
        network = f"{self.precision}, head {self.head}" if self.head else self.precision
        lines = [printable(f"{self.file} ({network}) on {metrics['images']} {where} of {self.faces.path}")]
        lines += [f"{name:16}{value}" for name, value in self._figures()]
        rows = [("", "precision", "recall", "F1", "faces")]
        for label, row in metrics["per_class"].items():
            values = (f"{row['precision']:.1%}", recall_text(row), f"{row['f1']:.3f}")
            rows.append((label, *values, str(row["support"])))
        return "\n".join([*lines, "", *aligned(rows)])

    def _figures(self) -> list[tuple[str, str]]:
        metrics, more = self.accuracy.metrics, self.calibration
        figures = [("accuracy", f"{metrics['accuracy']:.2%}")]
        if self.accuracy.deduplicated is not None:
            new = f"on the {self.accuracy.images_deduplicated} faces that are not in Training"
            figures.append(("de-duplicated", f"{self.accuracy.deduplicated:.2%} ({new})"))
        if "ferplus_majority_accuracy" in more:
            voted = f"on the {more['ferplus_majority_images']} faces where one class has more than half of the votes"
            figures.append(("FER+ majority", f"{more['ferplus_majority_accuracy']:.2%} ({voted})"))
        if "ferplus_accuracy" in more:
            voted = f"on the {more['ferplus_images']} faces where one class alone has the most votes"
            figures.append(("FER+ unique top", f"{more['ferplus_accuracy']:.2%} ({voted})"))
        return [
            *figures,
            ("macro-F1", f"{metrics['macro_f1']:.3f}"),
            (
                "ECE",
                f"{metrics['ece']:.3f} (without the file's temperature {more['ece_uncalibrated']:.3f}, "
                f"with one fitted on the other half of these faces {more['ece_cross_fitted']:.3f})",
            ),
        ]


def evaluate_predictor(predictor: Predictor, data: FaceData, split: str) -> Evaluation:
    """Score the network on one split of `data`, or on "all".

    The data's classes are aligned with the network's. Raises DataError if that is impossible or the split is empty.
    """
    owner = f"the head {predictor.head} of {predictor.path}" if predictor.head else str(predictor.path)
    aligned_data = align_classes(data, predictor.classes, predictor.class_mapping, owner)
    chosen = aligned_data if split == ALL else faces_of_split(aligned_data, split)
    probabilities = predictor.predict(chosen.images, "evaluating")
    before_scaling = uncalibrated(probabilities, predictor.temperature)
    return Evaluation(
        file=predictor.path,
        sha256=predictor.sha256,
        precision=predictor.precision,
        head=predictor.head,
        temperature=predictor.temperature,
        faces=chosen,
        probabilities=probabilities,
        uncalibrated=before_scaling,
        accuracy=measure_accuracy(probabilities, aligned_data, split),
        calibration=_calibration(chosen, probabilities, before_scaling, predictor.temperature),
    )


def caveats(predictor: Predictor, data: FaceData) -> tuple[str, ...]:
    """Why the scores of `predictor` on `data` may say little about other faces, a sentence each."""
    if not (predictor.learned_all and data.held_out):
        return ()
    return (
        f"the head {predictor.head or 'of this file'} has learned from all faces of its data, and {data.title} has no "
        "test faces: if they are the same, this says nothing about other faces",
    )


def faces_of_split(faces: FaceData, split: str) -> FaceData:
    """Return the faces of `split`; DataError if there are none."""
    chosen = faces.split(split)
    if not len(chosen):
        present = ", ".join(sorted(set(faces.usage.tolist())))
        raise DataError(f"{faces.path} has no {split} faces: choose --split from {present}")
    return chosen


def measure_accuracy(probabilities: Probabilities, data: FaceData, split: str) -> Accuracy:
    """Score `probabilities`, float32 [N, classes], of the N faces of `data.split(split)`, or of "all" of `data`."""
    measured = data if split == ALL else data.split(split)
    metrics = score(probabilities, measured.labels, data.classes)
    if TRAINING in measured.usage:
        return Accuracy(split, metrics, None, 0)
    new = ~also_in(measured.images, data.split(TRAINING).images)
    deduplicated = score(probabilities[new], measured.labels[new], data.classes)
    return Accuracy(split, metrics, deduplicated["accuracy"] if new.any() else None, int(new.sum()))


def _calibration(
    faces: FaceData, probabilities: Probabilities, before_scaling: npt.NDArray[np.float64], temperature: float
) -> dict[str, float | int]:
    fitted = cross_fitted_probabilities(logits_from(probabilities, temperature), faces.labels)
    figures: dict[str, float | int] = {
        "ece_uncalibrated": expected_calibration_error(before_scaling, faces.labels),
        "ece_cross_fitted": expected_calibration_error(fitted, faces.labels),
    }
    if faces.votes is None:
        return figures
    return (
        figures | _against(majority_labels(faces), probabilities, "ferplus") | _against_majorities(faces, probabilities)
    )


def _against_majorities(faces: FaceData, probabilities: Probabilities) -> dict[str, float | int]:
    """Figures by the majority protocol of FER+'s paper; none if the network has a class that FER+ lacks.

    A majority for a class that the network lacks, such as contempt, counts as an error, as in the paper.
    """
    assert faces.votes is not None
    names = [canonical(name) for name in faces.classes]
    if not set(names) <= set(FERPLUS_CLASSES):
        return {}
    index = np.array([names.index(name) if name in names else len(names) for name in FERPLUS_CLASSES])
    voted = majority_protocol(faces.votes)
    return _against(np.where(voted < 0, -1, index[voted]), probabilities, "ferplus_majority")


def _against(labels: npt.NDArray[np.int64], probabilities: Probabilities, name: str) -> dict[str, float | int]:
    """The accuracy on the faces whose label is not -1, and how many there are."""
    known = labels >= 0
    hits, images = int((probabilities.argmax(axis=1) == labels)[known].sum()), int(known.sum())
    return {f"{name}_accuracy": hits / max(images, 1), f"{name}_images": images}
