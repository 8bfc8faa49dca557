"""Compare two ONNX files on labeled faces: how accurate each is, how fast, and where their predictions differ."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.errors import ContractError
from fer_edge.network.classifier import Classifier
from fer_edge.system import machine_info
from fer_export.checks.measure import Latency, agreement, measure_latency, predict
from fer_train.class_choice import ClassChoice
from fer_train.data import FaceData, align_classes, load_faces
from fer_train.evaluation.predictors import Probabilities
from fer_train.evaluation.scoring import Accuracy, faces_of_split, measure_accuracy
from fer_train.tables import aligned

SCHEMA = 1
CHANGES_SHOWN = 8


@dataclass(frozen=True)
class Change:
    """Faces for which A predicts `first` and B `second`, and for how many of them each is right."""

    first: str
    second: str
    faces: int
    first_right: int
    second_right: int


@dataclass(frozen=True)
class Comparison:
    """Two files, A and B, on one split. accuracy: of each. changes: the most frequent first."""

    classifiers: tuple[Classifier, Classifier]
    data: Path
    labels: tuple[str, ...]
    accuracy: tuple[Accuracy, Accuracy]
    agreement: float
    changes: tuple[Change, ...]
    latency: Latency

    def to_json(self) -> dict[str, Any]:
        """The content of --json; fractions 0 to 1, times in ms, `latency_ratio`: A's time / B's."""
        a, b = self.accuracy
        return {
            "schema": SCHEMA,
            "data": self.data.name,
            "split": a.split,
            "images": a.metrics["images"],
            "labels": list(self.labels),
            "a": self._file(0),
            "b": self._file(1),
            "agreement": self.agreement,
            "changes": [asdict(change) for change in self.changes],
            "per_class_accuracy_difference": {
                label: b.metrics["per_class"][label]["recall"] - row["recall"]
                for label, row in a.metrics["per_class"].items()
            },
            "latency_ratio": asdict(self.latency.ratio) if self.latency.ratio else None,
            "machine": machine_info(),
        }

    def _file(self, place: int) -> dict[str, Any]:
        classifier, accuracy = self.classifiers[place], self.accuracy[place]
        return {
            "file": classifier.path.name,
            "sha256": classifier.sha256,
            "precision": classifier.precision,
            "head": classifier.head,
            "accuracy": accuracy.metrics["accuracy"],
            "accuracy_deduplicated": accuracy.deduplicated,
            "macro_f1": accuracy.metrics["macro_f1"],
            "ece": accuracy.metrics["ece"],
            "latency_ms": asdict(self.latency.milliseconds["AB"[place]]),
        }

    def __str__(self) -> str:
        a, b = self.classifiers
        images, ratio = self.accuracy[0].metrics["images"], self.latency.ratio
        assert ratio is not None  # since there are two files
        differ = sum(change.faces for change in self.changes)
        only = [sum(getattr(change, name) for change in self.changes) for name in ("first_right", "second_right")]
        head = [
            *(
                f"{name} {each.path} ({each.precision}{f', head {each.head}' if each.head else ''})"
                for name, each in (("A", a), ("B", b))
            ),
            f"on {images} {self.accuracy[0].split} faces of {self.data}",
            "",
            *aligned(self._score_rows()),
            "",
            f"B runs {ratio.median:.2f} times as fast as A here (90 % of rounds: {ratio.low:.2f} to {ratio.high:.2f}; "
            f"{machine_info()['cpu']}, one face)",
            f"agreement {self.agreement:.2%}: {differ} faces differ; of these A is right on {only[0]}, B on {only[1]}",
        ]
        return "\n".join([*head, "", *aligned(self._class_rows()), *self._change_lines()])

    def _score_rows(self) -> list[tuple[str, ...]]:
        a, b = self.accuracy
        rows: list[tuple[str, ...]] = [("", "A", "B", "B - A")]
        for name, key in (("accuracy", "accuracy"), ("macro-F1", "macro_f1"), ("ECE", "ece")):
            first, second = a.metrics[key], b.metrics[key]
            shown = "{:.2%}" if key == "accuracy" else "{:.3f}"
            gap = f"{(second - first) * 100:+.2f} pt" if key == "accuracy" else f"{second - first:+.3f}"
            rows.append((name, shown.format(first), shown.format(second), gap))
        times = [self.latency.milliseconds[name].median for name in "AB"]
        rows.append(("latency", *(f"{time:.2f} ms" for time in times), f"{times[1] - times[0]:+.2f} ms"))
        return rows

    def _class_rows(self) -> list[tuple[str, ...]]:
        a, b = (accuracy.metrics["per_class"] for accuracy in self.accuracy)
        rows: list[tuple[str, ...]] = [("accuracy by class", "A", "B", "B - A", "faces")]
        for label in self.labels:
            first, second = a[label]["recall"], b[label]["recall"]
            gap = f"{(second - first) * 100:+.1f} pt"
            rows.append((label, f"{first:.1%}", f"{second:.1%}", gap, str(a[label]["support"])))
        return rows

    def _change_lines(self) -> list[str]:
        if not self.changes:
            return []
        rows = [("most often changed", "faces", "A right", "B right")]
        rows += [
            (f"{change.first} -> {change.second}", str(change.faces), str(change.first_right), str(change.second_right))
            for change in self.changes[:CHANGES_SHOWN]
        ]
        return ["", *aligned(rows)]


def compare(
    first: Path, second: Path, data: Path, split: str, threads: int = 1,
    classes: ClassChoice | None = None, skip_bad: bool = False, head: str | None = None,
) -> Comparison:  # fmt: skip
    """Score and time both ONNX files on the rows of `data` (as load_faces takes it) whose Usage is `split`.

    A's contract maps the data's classes; B must have the same labels, in any order. head: of both files, if they have
    heads; a file without any is compared as it is. None compares the default ones. Raises ModelError or
    ContractError for a file, DataError for the data.
    """
    a, b = _opened(first, threads, head), _opened(second, threads, head)
    if head is not None and a.head is None and b.head is None:
        raise ContractError(f"neither {first} nor {second} has heads: leave --head out")
    answering = a.contract.head(a.head, str(first)) or a.contract
    faces = load_faces(data, classes=classes, skip_bad=skip_bad)
    faces = align_classes(faces, a.labels, answering.class_mapping, str(first))
    chosen = faces_of_split(faces, split)
    rows = predict(a, chosen, "A"), predict(b, chosen, "B")
    return Comparison(
        classifiers=(a, b),
        data=data,
        labels=faces.classes,
        accuracy=(measure_accuracy(rows[0], faces, split), measure_accuracy(rows[1], faces, split)),
        agreement=agreement(*rows),
        changes=changes(*rows, chosen),
        latency=measure_latency({"A": a, "B": b}, chosen.images[0]),
    )


def _opened(path: Path, threads: int, head: str | None) -> Classifier:
    """The file with that head; a file without heads is opened as it is."""
    default = Classifier(path, threads)
    return default if default.head is None or head is None else Classifier(path, threads, head)


def changes(first: Probabilities, second: Probabilities, data: FaceData) -> tuple[Change, ...]:
    """Every pair of different predictions for `data`'s faces, the most frequent first."""
    before, after = first.argmax(axis=1), second.argmax(axis=1)
    counted, right = Counter[tuple[int, int]](), Counter[tuple[int, int, int]]()
    for row in np.flatnonzero(before != after):
        pair = int(before[row]), int(after[row])
        counted[pair] += 1
        right[(*pair, int(data.labels[row]))] += 1
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        Change(data.classes[a], data.classes[b], faces, right[a, b, a], right[a, b, b]) for (a, b), faces in ordered
    )
