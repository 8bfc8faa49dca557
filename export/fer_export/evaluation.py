"""Score an ONNX file on labelled faces, as the runtime runs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.classifier import Classifier
from fer_edge.errors import DataError
from fer_export.measure import Accuracy, measure_accuracy, predict
from fer_export.report import aligned
from fer_train.data import FaceData, load_faces

SCHEMA = 1


@dataclass(frozen=True)
class Evaluation:
    """The scores of one file on one split of a data set; `labels` in the data's order."""

    file: Path
    sha256: str
    precision: str
    data: Path
    labels: tuple[str, ...]
    accuracy: Accuracy

    def to_json(self) -> dict[str, Any]:
        """For --json; fractions 0 to 1, `confusion` with a row per true class in the order of `labels`."""
        return {
            "schema": SCHEMA,
            "model": {"file": self.file.name, "sha256": self.sha256, "precision": self.precision},
            "data": self.data.name,
            "split": self.accuracy.split,
            "labels": list(self.labels),
            "accuracy_deduplicated": self.accuracy.deduplicated,
            "images_deduplicated": self.accuracy.images_deduplicated,
            **self.accuracy.metrics,
        }

    def __str__(self) -> str:
        metrics, deduplicated = self.accuracy.metrics, self.accuracy.deduplicated
        summary = [
            f"{self.file} ({self.precision}) on {metrics['images']} {self.accuracy.split} faces of {self.data}",
            f"accuracy        {metrics['accuracy']:.2%}",
        ]
        if deduplicated is not None:
            new = f"on the {self.accuracy.images_deduplicated} faces that are not training faces too"
            summary.append(f"de-duplicated   {deduplicated:.2%} ({new})")
        summary += [f"macro-F1        {metrics['macro_f1']:.3f}", f"ECE             {metrics['ece']:.3f}", ""]
        rows = [("", "precision", "recall", "F1", "faces")]
        for label, row in metrics["per_class"].items():
            shares = (f"{row['precision']:.1%}", f"{row['recall']:.1%}", f"{row['f1']:.3f}")
            rows.append((label, *shares, str(row["support"])))
        return "\n".join([*summary, *aligned(rows)])


def evaluate(file: Path, data: Path, split: str, threads: int = 1) -> Evaluation:
    """Score the ONNX file on the rows of `data` (a FER2013 CSV) whose Usage is `split`.

    Raises ModelError or ContractError for the file, DataError for the data: unreadable, with other
    classes than the file's labels, or without a row of that split.
    """
    classifier = Classifier(file, threads)
    faces = load_faces(data)
    accuracy = measure_accuracy(predict(classifier, chosen_faces(faces, split), "evaluating"), faces, split)
    return Evaluation(file, classifier.sha256, classifier.precision, data, faces.classes, accuracy)


def chosen_faces(faces: FaceData, split: str) -> FaceData:
    """The rows of the split; DataError if there is none."""
    chosen = faces.split(split)
    if not len(chosen):
        present = ", ".join(sorted(set(faces.usage.tolist())))
        raise DataError(f"{faces.path} has no row whose Usage is {split}: choose --split from {present}")
    return chosen
