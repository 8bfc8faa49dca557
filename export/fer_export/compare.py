"""Compare two ONNX files on labeled faces: how accurate each is, how fast, and where their predictions differ."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.errors import ContractError, DataError
from fer_edge.guards.text import printable
from fer_edge.network.classifier import Classifier
from fer_edge.system import machine_info
from fer_export.checks.measure import Latency, agreement, measure_latency, predict
from fer_train.class_choice import ClassChoice
from fer_train.data import FaceData, align_classes, load_faces
from fer_train.evaluation.metrics import recall_text
from fer_train.evaluation.predictors import Probabilities, onnx_probabilities
from fer_train.evaluation.scoring import Accuracy, faces_of_split, measure_accuracy
from fer_train.photos import Crop
from fer_train.tables import aligned

SCHEMA = 1
CHANGES_SHOWN = 8
_COUNTS = ("faces", "first_right", "second_right")


@dataclass(frozen=True)
class Change:
    """Faces for which A predicts `first` and B `second`, and for how many of them each is right."""

    first: str
    second: str
    faces: int
    first_right: int
    second_right: int


@dataclass(frozen=True)
class Scores:
    """How right A and B are with one head. changes: the most frequent first."""

    labels: tuple[str, ...]
    accuracy: tuple[Accuracy, Accuracy]
    changes: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """Accuracies and their differences, fractions 0 to 1."""
        a, b = (accuracy.metrics["per_class"] for accuracy in self.accuracy)
        return {
            "labels": list(self.labels),
            "a": _figures(self.accuracy[0]),
            "b": _figures(self.accuracy[1]),
            "changes": [asdict(change) for change in self.changes],
            "per_class_accuracy_difference": {label: b[label]["recall"] - row["recall"] for label, row in a.items()},
        }


@dataclass(frozen=True)
class HeadComparison:
    """One head of A and B. agreement: fraction of the faces. scores: None if the data has classes that it lacks."""

    classifiers: tuple[Classifier, Classifier]
    agreement: float
    scores: Scores | None

    @property
    def name(self) -> str | None:
        """The head's name; None for files without heads."""
        return self.classifiers[0].head or self.classifiers[1].head

    def row(self) -> tuple[str, ...]:
        """A row of the table by head."""
        shown = [f"{self.agreement:.2%}"]
        if self.scores is None:
            return (str(self.name), *["-"] * 5, *shown)
        a, b = (accuracy.metrics for accuracy in self.scores.accuracy)
        gap = f"{(b['accuracy'] - a['accuracy']) * 100:+.2f} pt"
        figures = [f"{a['accuracy']:.2%}", f"{b['accuracy']:.2%}", gap, f"{a['ece']:.3f}", f"{b['ece']:.3f}"]
        return (str(self.name), *figures, *shown)


@dataclass(frozen=True)
class Comparison:
    """Two files, A and B, on one split.

    heads: all that both files have, or the one that was asked for. latency: of their first heads; the others take as
    long. notes: what reading the data changed, and which heads can't be compared.
    """

    data: Path
    heads: tuple[HeadComparison, ...]
    latency: Latency
    notes: tuple[str, ...] = ()

    @property
    def detailed(self) -> HeadComparison:
        """The first head that the data can score."""
        return next(head for head in self.heads if head.scores is not None)

    @property
    def scores(self) -> Scores:
        """Of the detailed head."""
        scores = self.detailed.scores
        assert scores is not None  # `compare` raises if there is no such head
        return scores

    def to_json(self) -> dict[str, Any]:
        """The content of --json; fractions 0 to 1, times in ms, `latency_ratio`: A's time / B's."""
        accuracy, values = self.scores.accuracy[0], self.scores.to_json()
        several = [
            {"head": head.name, "agreement": head.agreement, **(head.scores.to_json() if head.scores else {})}
            for head in self.heads
        ]
        return {
            "schema": SCHEMA,
            "data": self.data.name,
            "split": accuracy.split,
            "images": accuracy.metrics["images"],
            **values,
            "a": self._file(0) | values["a"],
            "b": self._file(1) | values["b"],
            "agreement": self.detailed.agreement,
            "latency_ratio": asdict(self.latency.ratio) if self.latency.ratio else None,
            "machine": machine_info(),
            **({"heads": several} if len(several) > 1 else {}),
        }

    def _file(self, place: int) -> dict[str, Any]:
        classifier = self.detailed.classifiers[place]
        return {
            "file": classifier.path.name,
            "sha256": classifier.sha256,
            "precision": classifier.precision,
            "head": classifier.head,
            "latency_ms": asdict(self.latency.milliseconds["AB"[place]]),
        }

    def __str__(self) -> str:
        accuracy, ratio = self.scores.accuracy[0], self.latency.ratio
        assert ratio is not None  # since there are two files
        lines = [
            *(_title(name, each) for name, each in zip("AB", self.detailed.classifiers, strict=True)),
            f"on {accuracy.metrics['images']} {accuracy.split} faces of {printable(str(self.data))}",
            "",
            *self._head_table(),
            *aligned(self._score_rows()),
            "",
            f"B runs {ratio.median:.2f} times as fast as A here (90 % of rounds: {ratio.low:.2f} to {ratio.high:.2f}; "
            f"{machine_info()['cpu']}, one face)",
            self._agreement_line(),
        ]
        return "\n".join([*lines, "", *aligned(self._class_rows()), *self._change_lines()])

    def _head_table(self) -> list[str]:
        if len(self.heads) == 1:
            return []
        titles = ("head", "accuracy A", "B", "B - A", "ECE A", "B", "agreement")
        rows = aligned([titles, *(head.row() for head in self.heads)])
        return [*rows, "accuracy and ECE are against the labels of the data", "", f"head {self.detailed.name}:", ""]

    def _agreement_line(self) -> str:
        changes = self.scores.changes
        differ, *right = (sum(getattr(change, name) for change in changes) for name in _COUNTS)
        shares = f"{differ} faces differ; of these A is right on {right[0]}, B on {right[1]}"
        return f"agreement {self.detailed.agreement:.2%}: {shares}"

    def _score_rows(self) -> list[tuple[str, ...]]:
        a, b = self.scores.accuracy
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
        a, b = (accuracy.metrics["per_class"] for accuracy in self.scores.accuracy)
        rows: list[tuple[str, ...]] = [("accuracy by class", "A", "B", "B - A", "faces")]
        for label in self.scores.labels:
            gap = f"{(b[label]['recall'] - a[label]['recall']) * 100:+.1f} pt" if a[label]["support"] else "-"
            rows.append((label, recall_text(a[label]), recall_text(b[label]), gap, str(a[label]["support"])))
        return rows

    def _change_lines(self) -> list[str]:
        if not self.scores.changes:
            return []
        rows = [("most often changed", "faces", "A right", "B right")]
        rows += [
            (f"{change.first} -> {change.second}", str(change.faces), str(change.first_right), str(change.second_right))
            for change in self.scores.changes[:CHANGES_SHOWN]
        ]
        return ["", *aligned(rows)]


def _title(name: str, classifier: Classifier) -> str:
    head = f", head {classifier.head}" if classifier.head else ""
    return printable(f"{name} {classifier.path} ({classifier.precision}{head})")


def _figures(accuracy: Accuracy) -> dict[str, Any]:
    metrics = accuracy.metrics
    return {
        "accuracy": metrics["accuracy"],
        "accuracy_deduplicated": accuracy.deduplicated,
        "macro_f1": metrics["macro_f1"],
        "ece": metrics["ece"],
    }


def compare(
    first: Path, second: Path, data: Path, split: str, threads: int = 1, classes: ClassChoice | None = None,
    skip_bad: bool = False, head: str | None = None, crop: Crop = "auto",
) -> Comparison:  # fmt: skip
    """Score and time both ONNX files on the rows of `data` (as load_faces takes it) whose Usage is `split`.

    head: of both files, if they have heads; a file without any is compared as it is. None compares all heads that
    both have. A's contract maps the data's classes; B's head must have the same labels, in any order. Raises ModelError
    or ContractError for a file, DataError for the data.
    """
    pairs, notes = _pairs(first, second, threads, head)
    faces = load_faces(data, classes=classes, skip_bad=skip_bad, crop=crop)
    faces_of_split(faces, split)  # raises DataError if there are none
    compared = []
    faults: list[DataError] = []
    for a, b in pairs:
        try:
            compared.append(_scored(a, b, faces, split))
        except DataError as error:
            faults.append(error)
            if len(faults) == len(pairs):
                raise faults[0] from None
            compared.append(_unscored(a, b, faces, split))
    a, b = pairs[0]
    return Comparison(
        data=data,
        heads=tuple(compared),
        latency=measure_latency({"A": a, "B": b}, faces.split(split).images[0]),
        notes=(*faces.notes, *notes, *(f"accuracy not measured: {error}" for error in faults)),
    )


def _pairs(
    first: Path, second: Path, threads: int, head: str | None
) -> tuple[list[tuple[Classifier, Classifier]], list[str]]:
    """Both files with each head to compare, and a note for those that only one of them has."""
    a, b = Classifier(first, threads), Classifier(second, threads)
    if head is not None and a.head is None and b.head is None:
        raise ContractError(f"neither {first} nor {second} has heads: leave --head out")
    if head is not None or a.head is None or b.head is None:
        return [(_with_head(a, threads, head), _with_head(b, threads, head))], []
    names = {each.path: [one.name for one in each.contract.heads] for each in (a, b)}
    notes = [
        f"only {path} has the head{'s' * (len(left) > 1)} {', '.join(left)}"
        for path, other in ((first, second), (second, first))
        if (left := [name for name in names[path] if name not in names[other]])
    ]
    pairs = []
    for name in (name for name in names[first] if name in names[second]):
        pair = Classifier(first, threads, name), Classifier(second, threads, name)
        if sorted(pair[0].labels) == sorted(pair[1].labels):
            pairs.append(pair)
        else:
            notes.append(f"the head {name} has other labels in {second}")
    if not pairs:
        raise ContractError(f"{first} and {second} have no head in common ({'; '.join(notes)}): give other files")
    return pairs, notes


def _with_head(opened: Classifier, threads: int, head: str | None) -> Classifier:
    """The file with that head; a file without heads as it is."""
    return opened if opened.head is None or head is None else Classifier(opened.path, threads, head)


def _scored(a: Classifier, b: Classifier, faces: FaceData, split: str) -> HeadComparison:
    """Both on labeled faces; DataError if the data has classes that A lacks, or B has other labels."""
    answering = a.contract.head(a.head, str(a.path)) or a.contract
    owner = str(a.path) if a.head is None else f"the head {a.head} of {a.path}"
    known = align_classes(faces, a.labels, answering.class_mapping, owner)
    chosen = faces_of_split(known, split)
    rows = predict(a, chosen, "A"), predict(b, chosen, "B")
    accuracy = measure_accuracy(rows[0], known, split), measure_accuracy(rows[1], known, split)
    return HeadComparison((a, b), agreement(*rows), Scores(known.classes, accuracy, changes(*rows, chosen)))


def _unscored(a: Classifier, b: Classifier, faces: FaceData, split: str) -> HeadComparison:
    """Both on faces whose labels mean nothing to them."""
    order = [b.labels.index(name) for name in a.labels]
    images = faces.split(split).images
    answers = onnx_probabilities(a, images, "A"), onnx_probabilities(b, images, "B")[:, order]
    return HeadComparison((a, b), agreement(*answers), None)


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
