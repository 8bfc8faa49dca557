"""How often is it right, how honest is its confidence, and how does that fall when images get worse?

Scores ONNX files with our contract (by default the two shipped ones), and other people's recognizers, on one split
of a FER2013 CSV: plain, without the faces that are also in Training, per class, calibration (ECE), and under seven
corruptions at five strengths. Each head is measured against the truth that it was trained for: the labels, or with
--ferplus the majorities of FER+'s votes. Without --data it uses drawn faces, which show that everything runs, and
nothing about accuracy on people.

    python -m benchmarks.accuracy.classifier --data fer2013.csv --json accuracy.json --plot accuracy.png
    python -m benchmarks.accuracy.classifier mine.onnx theirs.onnx --data fer2013.csv --split PrivateTest --peer fer
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.corruptions import CORRUPTIONS, STRENGTHS, Faces, corrupted
from benchmarks.harness.heads import EMOTIONS, Head, crop_probabilities, open_first, open_heads
from benchmarks.harness.inputs import drawn_faces
from benchmarks.harness.options import ferplus_option, peers_option, results_command
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.results import Results
from benchmarks.harness.tables import Table, percent
from benchmarks.harness.timing import pin_threads, progress
from benchmarks.harness.truths import LABELS, MAJORITY, own_truths
from benchmarks.peers import open_all
from fer_edge.console import run_main
from fer_edge.errors import DataError
from fer_models import model_path
from fer_train.data import PUBLIC_TEST, TRAINING, FaceData, also_in, load_faces, majority_protocol
from fer_train.evaluation.metrics import ECE_BINS, score

CONTEMPT = "contempt"  # a class of FER+ that FER2013 lacks
Probabilities = npt.NDArray[np.floating[Any]]
Scores = Mapping[str, Mapping[str, Any]]
"""The scores of `clean_scores` by contestant."""
Curves = Mapping[str, Mapping[str, Sequence[float]]]
"""Accuracies by contestant and corruption: without it, then at each strength."""


@dataclass(frozen=True)
class Contestant:
    """A recognizer: predict takes faces uint8 [N, 48, 48] to probabilities [N, classes] of the classes of its truth.

    detail: what it is, in a word or two. preprocessing: how a peer prepares a face for its network. file,
    head: of ours. truth: what it is measured against, a name of harness.truths.
    """

    name: str
    predict: Callable[[Faces], Probabilities]
    detail: str
    preprocessing: str = ""
    file: str = ""
    head: str | None = None
    truth: str = LABELS


def our_network(head: Head, test: FaceData, truth: str) -> Contestant:
    """A head of a file of ours; DataError if its labels are not the classes of `test`. Contempt may be in one only."""
    classifier, classes = head.classifier, test.classes
    if {*classifier.labels, CONTEMPT} != {*classes, CONTEMPT}:
        raise DataError(
            f"{test.path} has the classes {', '.join(classes)}, but {head.title} has {', '.join(classifier.labels)}: "
            "measure it on data with its own classes"
        )

    def run(images: Faces) -> Probabilities:
        found = np.zeros((len(images), len(classes)), dtype=np.float32)
        given = crop_probabilities(classifier, images)
        for column, name in enumerate(classes):
            if name in classifier.labels:
                found[:, column] = given[:, classifier.labels.index(name)]
        return found

    size = f"{classifier.path.stat().st_size / 1e6:.2f} MB"
    return Contestant(
        head.title, run, f"{classifier.precision}, {size}", file=classifier.path.name, head=head.name, truth=truth
    )


def own_faces(head: Head, test: FaceData, skip: Callable[[str], None]) -> tuple[FaceData, str]:
    """The faces that a head is measured on, labeled with the truth that it was trained for, and that truth's name.

    FER+'s majorities need votes; without them it is measured against the labels, and `skip` gets a sentence.
    """
    if MAJORITY in own_truths(head.name) and test.votes is not None:
        labels = majority_protocol(test.votes)
        return replace(test, labels=labels, classes=EMOTIONS).rows(labels >= 0), MAJORITY
    if MAJORITY in own_truths(head.name):
        skip(f"FER+'s majorities, which need --ferplus: {head.title} is measured against labels that are not its own")
    if CONTEMPT in head.classifier.labels and CONTEMPT not in test.classes:
        return replace(test, classes=(*test.classes, CONTEMPT)), LABELS  # an answer that is always wrong
    return test, LABELS


def sampled(faces: FaceData, count: int, seed: int) -> FaceData:
    """`count` random faces; all of them if there are no more, or if `count` is 0."""
    if not 0 < count < len(faces):
        return faces
    keep = np.zeros(len(faces), dtype=np.bool_)
    keep[np.random.default_rng(seed).permutation(len(faces))[:count]] = True
    return faces.rows(keep)


def standard_error(share: float, count: int) -> float:
    """Standard error of an accuracy that was measured on `count` faces."""
    return float(np.sqrt(share * (1 - share) / max(count, 1)))


def clean_scores(contestant: Contestant, test: FaceData, new: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Scores of a contestant, `accuracy_deduplicated` (on the faces that are `new`) and the reliability curve."""
    probabilities = contestant.predict(test.images)
    metrics = score(probabilities, test.labels, test.classes)
    deduplicated = score(probabilities[new], test.labels[new], test.classes)["accuracy"] if new.any() else None
    return metrics | {
        "accuracy_deduplicated": deduplicated, "images_deduplicated": int(new.sum()),
        "reliability": reliability(probabilities, test.labels), "detail": contestant.detail,
        "preprocessing": contestant.preprocessing, "file": contestant.file, "head": contestant.head,
        "truth": contestant.truth,
    }  # fmt: skip


def reliability(probabilities: Probabilities, labels: npt.NDArray[np.int64]) -> list[tuple[float, float, int]]:
    """Per non-empty bin of confidence: mean confidence, share of correct labels, number of faces."""
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    inside = [bins == index for index in range(ECE_BINS) if (bins == index).any()]
    return [(round(float(confidence[b].mean()), 4), round(float(correct[b].mean()), 4), int(b.sum())) for b in inside]


def corrupted_scores(
    contestants: Sequence[Contestant], faces: FaceData, names: Sequence[str], seed: int
) -> dict[str, dict[str, list[float]]]:
    """Accuracies by contestant and corruption: on the same faces without it, then at the five strengths."""

    def accuracies(images: Faces) -> list[float]:
        return [float((each.predict(images).argmax(axis=1) == faces.labels).mean()) for each in contestants]

    untouched = accuracies(faces.images)
    found: dict[str, dict[str, list[float]]] = {
        each.name: {name: [clean] for name in names} for each, clean in zip(contestants, untouched, strict=True)
    }
    for name, level in progress([(name, level) for name in names for level in range(STRENGTHS)], "corruptions"):
        images = corrupted(faces.images, CORRUPTIONS[name], level, seed)
        for each, accuracy in zip(contestants, accuracies(images), strict=True):
            found[each.name][name].append(accuracy)
    return found


def clean_table(scores: Scores, split: str) -> Table:
    """A row per contestant."""
    rows = []
    for name, each in scores.items():
        error = standard_error(each["accuracy"], each["images"])
        rows.append(
            (name, each["detail"], each["truth"], str(each["images"]), percent(each["accuracy"]), f"{100 * error:.2f}",
             percent(each["accuracy_deduplicated"]), f"{each['macro_f1']:.3f}", f"{each['ece']:.3f}")
        )  # fmt: skip
    note = (
        "De-duplicated: without faces that are pixel-identical to a Training face. The standard error is that of the "
        "sample, in points."
    )
    note += "".join(f" {name}: {each['preprocessing']}." for name, each in scores.items() if each["preprocessing"])
    columns = ("", "what", "truth", "faces", "accuracy", "std. error", "de-duplicated", "macro-F1", "ECE")
    return Table(f"On {split}", columns, rows, note)


def class_tables(scores: Scores) -> list[Table]:
    """Recall and precision per class, a table per truth."""
    truths = dict.fromkeys(each["truth"] for each in scores.values())
    return [class_table({name: each for name, each in scores.items() if each["truth"] == truth}) for truth in truths]


def class_table(scores: Scores) -> Table:
    """Recall and precision, a row per class that occurs; all scores are against the same truth."""
    columns = ["", "faces"]
    for name in scores:
        columns += [f"recall, {name}", "precision"]
    per_class = [each["per_class"] for each in scores.values()]
    rows = []
    for label, row in per_class[0].items():
        cells = [label, str(row["support"])]
        for each in per_class:
            cells += [f"{each[label]['recall']:.1%}", f"{each[label]['precision']:.1%}"]
        if row["support"]:
            rows.append(cells)
    return Table(f"Per class, {next(iter(scores.values()))['truth']}", columns, rows)


def corruption_table(found: Curves, images: int, truth: str) -> Table:
    """Accuracy under corruption, a row per corruption and contestant; all are measured against `truth`."""
    rows = []
    for name in next(iter(found.values())):
        corruption = CORRUPTIONS[name]
        strengths = ", ".join(f"{value:g}" for value in corruption.strengths)
        for contestant, curves in found.items():
            curve = curves[name]
            mean = float(np.mean(curve[1:]))
            rows.append(
                (f"{name} ({strengths} {corruption.unit})", contestant, *(f"{100 * value:.1f}" for value in curve),
                 f"{100 * (mean - curve[0]):+.1f}")
            )  # fmt: skip
    columns = ("", "network", "untouched", *map(str, range(1, STRENGTHS + 1)), "mean loss")
    return Table(f"Accuracy in % under corruption ({truth}), on {images} faces, mildest to strongest", columns, rows)


def plot(results: Results) -> Any:
    """A panel per corruption, one for the classes and one for calibration."""
    scores: Scores = results.values["scores"]
    found: Curves = results.values["corruptions"]
    names = list(next(iter(found.values()))) if found else []
    columns = 3
    lines = (len(names) + 2 + columns - 1) // columns
    canvas = new_figure(12, 3.3 * lines + 0.4)
    canvas.suptitle(results.values["split"])
    panels = canvas.subplots(lines, columns, squeeze=False).ravel()
    colors = dict(zip(scores, COLORS * 4, strict=False))
    styles = {name: ("-", "--", ":", "-.")[index % 4] for index, name in enumerate(scores)}
    for axes, corruption in zip(panels, names, strict=False):
        for name, curves in found.items():
            accuracies = [100 * value for value in curves[corruption]]
            axes.plot(accuracies, styles[name], marker="o", markersize=4, color=colors[name], label=name)
        strengths = [f"{value:g}" for value in CORRUPTIONS[corruption].strengths]
        axes.set_xticks(range(STRENGTHS + 1), ["none", *strengths])
        axes.set(title=corruption, xlabel=CORRUPTIONS[corruption].unit, ylabel="accuracy (%)", ylim=(0, 100))
        axes.grid(alpha=0.3)
    draw_classes(panels[len(names)], scores, colors)
    draw_reliability(panels[len(names) + 1], scores, colors)
    for axes in panels[len(names) + 2 :]:
        axes.remove()
    panels[0].legend(frameon=False, fontsize=8)
    return canvas


def draw_classes(axes: Any, scores: Scores, colors: Mapping[str, str]) -> None:
    """Draw recall per class as bars; classes that occur for no contestant are left out."""
    labels = list(dict.fromkeys(
        label for each in scores.values() for label, row in each["per_class"].items() if row["support"]
    ))  # fmt: skip
    width = 0.8 / len(scores)
    for index, (name, each) in enumerate(scores.items()):
        recalls = [100 * each["per_class"].get(label, {"recall": 0.0})["recall"] for label in labels]
        places = np.arange(len(recalls)) + (index - (len(scores) - 1) / 2) * width
        axes.bar(places, recalls, width, color=colors[name], label=name)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set(title="per class", ylabel="recall (%)", ylim=(0, 100))
    axes.grid(axis="y", alpha=0.3)


def draw_reliability(axes: Any, scores: Scores, colors: Mapping[str, str]) -> None:
    """Draw accuracy over confidence; calibrated confidences lie on the diagonal."""
    axes.plot([0, 100], [0, 100], color="gray", linewidth=1)
    for name, each in scores.items():
        confidence, accuracy, counts = (np.array(column) for column in zip(*each["reliability"], strict=True))
        shown = counts >= 10  # fewer faces give no reliable accuracy
        axes.plot(100 * confidence[shown], 100 * accuracy[shown], "o-", markersize=3, color=colors[name],
                  label=f"{name}, ECE {each['ece']:.3f}")  # fmt: skip
    axes.set(title="calibration", xlabel="confidence (%)", ylabel="accuracy (%)", xlim=(0, 100), ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def measure(
    models: Sequence[Path], heads: Sequence[str], data: Path | None, ferplus: Path | None, split: str,
    peers: Sequence[str], corruptions: Sequence[str], count: int, seed: int, threads: int,
) -> Results:  # fmt: skip
    """Score all networks and peers."""
    names = [name for name in corruptions if name != "none"]
    results = Results("accuracy", "How often is it right, and how does that fall when images get worse?")
    results.threads = pin_threads(threads)
    faces = drawn_faces() if data is None else load_faces(data, ferplus)
    if data is None:
        results.skip(
            "accuracy on FER2013, which needs --data; the faces here are drawn, and all figures only show that "
            "everything runs"
        )
    test = faces.split(split)
    if not len(test):
        present = ", ".join(sorted(set(faces.usage.tolist())))
        raise DataError(f"{faces.path} has no row whose Usage is {split}: choose --split from {present}")
    training = faces.split(TRAINING).images
    tests: dict[str, FaceData] = {LABELS: test}
    contestants = []
    for path in models or (model_path("int8"), model_path("fp32")):
        for head in open_heads(path, heads, threads) if heads else [open_first(path, threads)]:
            own, truth = own_faces(head, test, results.skip)
            key = truth if own.classes == tests.get(truth, own).classes else f"{truth}, with contempt"
            tests.setdefault(key, own)
            contestants.append((our_network(head, own, truth), key))
    for peer in open_all(peers, results.skip):
        size = "" if peer.file_mb is None else f", {peer.file_mb:.2f} MB"
        contestants.append((Contestant(peer.name, peer.predict, peer.version + size, peer.preprocessing), LABELS))
    new = {
        key: np.zeros(len(own), np.bool_) if split == TRAINING else ~also_in(own.images, training)
        for key, own in tests.items()
    }
    scores = {each.name: clean_scores(each, tests[key], new[key]) for each, key in contestants}
    found: dict[str, dict[str, list[float]]] = {}
    where = "drawn faces" if data is None else f"{split} of {data.name}"
    results.tables = [clean_table(scores, where), *class_tables(scores)]
    for key, own in tests.items():
        taking_part = [each for each, its_key in contestants if its_key == key]
        if names and taking_part:
            some = sampled(own, count, seed)
            curves = corrupted_scores(taking_part, some, names, seed)
            found |= curves
            results.tables.append(corruption_table(curves, len(some), key))
    results.values = {"drawn": data is None, "split": where, "scores": scores, "corruptions": found}
    return results


@click.command(help=__doc__)
@click.argument("models", nargs=-1, type=click.Path(path_type=Path), metavar="[MODEL.onnx]...")
@click.option("--data", type=click.Path(path_type=Path), metavar="CSV", help="fer2013.csv; without it, drawn faces.")
@ferplus_option
@click.option(
    "--head", "heads", multiple=True, metavar="NAME", help="Head of the files.  Repeatable.  [default: first]"
)
@click.option("--split", default=PUBLIC_TEST, show_default=True, help="Training, PublicTest or PrivateTest.")
@peers_option
@click.option(
    "--corruption", "corruptions", multiple=True, type=click.Choice([*CORRUPTIONS, "none"]), default=list(CORRUPTIONS),
    help="Only these.  Repeatable.  [default: all]",
)  # fmt: skip
@click.option("--faces", "count", default=0, metavar="N", help="Corrupt N random faces.  [default: all]")
@click.option("--seed", default=0, show_default=True, help="Seed of the corruptions and of the random faces.")
@click.option("--threads", default=1, show_default=True, help="Threads of the networks and of OpenCV.")
@results_command(plot)
def main(**options: Any) -> Results:
    """Score, print, write, draw."""
    return measure(**options)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.classifier")
