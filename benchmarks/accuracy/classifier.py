"""How often is it right, how honest is its confidence, and how does that fall when the picture gets worse?

Scores ONNX files with our contract (by default the two shipped ones), and other people's recognisers, on one split
of a FER2013 CSV: plain, without the faces that are also in Training, per class, calibration (ECE), and under seven
corruptions at five strengths, the same pictures for all. Without --data it draws faces, which shows that everything
runs, and nothing about how good a network is on people.

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
from benchmarks.harness.measuring import Results, check_outputs, pin_threads, progress
from benchmarks.harness.presenting import COLORS, Table, new_figure, percent, save_plot
from benchmarks.peers import PEERS, open_all
from fer_edge.console import run_main
from fer_edge.demo.scene import SIZE, draw_scene, expression_at, face_box_at
from fer_edge.errors import DataError
from fer_edge.framing import Square, crop, to_gray
from fer_edge.network.classifier import Classifier
from fer_export.checks.measure import predict
from fer_models import model_path
from fer_train.data import FER2013_CLASSES, PUBLIC_TEST, TRAINING, FaceData, also_in, load_faces
from fer_train.evaluation.metrics import ECE_BINS, score

Probabilities = npt.NDArray[np.floating[Any]]
DRAWN_MOMENTS = 210
DRAWN = Path("drawn faces")


@dataclass(frozen=True)
class Contestant:
    """Something that names emotions: predict takes faces uint8 [N, 48, 48] to probabilities [N, 7].

    detail: what it is, in a word or two; preprocessing: what a peer does to a face before its network sees it.
    """

    name: str
    predict: Callable[[Faces], Probabilities]
    detail: str
    preprocessing: str = ""


def drawn_faces() -> FaceData:
    """The demo's face at many moments, framed as FER2013 frames faces, labelled with what it acts."""
    moments = np.arange(DRAWN_MOMENTS) * 10.0 / DRAWN_MOMENTS
    images = []
    for t in moments.tolist():
        x, y, width, height = face_box_at(t, SIZE)
        square = Square(x + width / 2, y + height / 2, 1.1 * width)
        images.append(crop(to_gray(draw_scene(t, SIZE)), square, (48, 48)))
    labels = np.array([FER2013_CLASSES.index(expression_at(t)) for t in moments.tolist()])
    usage = np.full(len(labels), PUBLIC_TEST)
    return FaceData(np.stack(images), labels, usage, FER2013_CLASSES, DRAWN)


def our_network(path: Path, faces: FaceData, threads: int) -> Contestant:
    """An ONNX file with our contract, as the runtime runs it."""
    classifier = Classifier(path, threads)

    def run(images: Faces) -> Probabilities:
        # predict() reads the images and the classes alone.
        return predict(classifier, replace(faces, images=images, labels=np.zeros(len(images), np.int64)), "")

    return Contestant(path.name, run, f"{classifier.precision}, {path.stat().st_size / 1e6:.2f} MB")


def sampled(faces: FaceData, count: int, seed: int) -> FaceData:
    """`count` of the faces at random, or all if there are no more, or if `count` is 0."""
    if not 0 < count < len(faces):
        return faces
    keep = np.zeros(len(faces), dtype=np.bool_)
    keep[np.random.default_rng(seed).permutation(len(faces))[:count]] = True
    return faces.rows(keep)


def standard_error(share: float, count: int) -> float:
    """Of an accuracy measured on `count` faces."""
    return float(np.sqrt(share * (1 - share) / max(count, 1)))


def clean_scores(contestant: Contestant, test: FaceData, new: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Scores of a contestant, with `accuracy_deduplicated` (of the faces that are `new`) and the reliability curve."""
    probabilities = contestant.predict(test.images)
    metrics = score(probabilities, test.labels, test.classes)
    deduplicated = score(probabilities[new], test.labels[new], test.classes)["accuracy"] if new.any() else None
    return metrics | {
        "accuracy_deduplicated": deduplicated, "images_deduplicated": int(new.sum()),
        "reliability": reliability(probabilities, test.labels), "detail": contestant.detail,
        "preprocessing": contestant.preprocessing,
    }  # fmt: skip


def reliability(probabilities: Probabilities, labels: npt.NDArray[np.int64]) -> list[tuple[float, float, int]]:
    """Per bin of confidence that holds any face: mean confidence, share that is right, faces."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    inside = [bins == index for index in range(ECE_BINS) if (bins == index).any()]
    return [
        (round(float(confidence[b].mean()), 4), round(float(right[b].mean()), 4), int(b.sum())) for b in inside
    ]  # fmt: skip


def corrupted_scores(
    contestants: Sequence[Contestant], faces: FaceData, names: Sequence[str], seed: int
) -> dict[str, dict[str, list[float]]]:
    """Accuracies by contestant, by corruption: first of the same faces as they are, then at the five strengths."""

    def accuracies(images: Faces) -> list[float]:
        return [float((each.predict(images).argmax(axis=1) == faces.labels).mean()) for each in contestants]

    untouched = accuracies(faces.images)
    found: dict[str, dict[str, list[float]]] = {
        each.name: {name: [clean] for name in names} for each, clean in zip(contestants, untouched, strict=True)
    }
    for name, level in progress([(name, level) for name in names for level in range(STRENGTHS)], "corruptions"):
        spoilt = corrupted(faces.images, CORRUPTIONS[name], level, seed)
        for each, accuracy in zip(contestants, accuracies(spoilt), strict=True):
            found[each.name][name].append(accuracy)
    return found


def clean_table(scores: Mapping[str, Mapping[str, Any]], split: str) -> Table:
    """One row a contestant."""
    rows = []
    for name, each in scores.items():
        error = standard_error(each["accuracy"], each["images"])
        rows.append(
            (name, each["detail"], percent(each["accuracy"]), f"{100 * error:.2f}",
             percent(each["accuracy_deduplicated"]), f"{each['macro_f1']:.3f}", f"{each['ece']:.3f}")
        )  # fmt: skip
    first = next(iter(scores.values()))
    note = (
        f"{first['images']} faces, {first['images_deduplicated']} of them not pixel-identical to a Training face. "
        "The standard error is that of the sample of faces, in points."
    )
    note += "".join(f" {name}: {each['preprocessing']}." for name, each in scores.items() if each["preprocessing"])
    columns = ("", "what", "accuracy", "std. error", "de-duplicated", "macro-F1", "ECE")
    return Table(f"On {split}", columns, rows, note)


def class_table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    """Recall and precision per class, one row a class."""
    columns = ["", "faces"]
    for name in scores:
        columns += [f"recall, {name}", "precision"]
    per_class = [each["per_class"] for each in scores.values()]
    rows = []
    for label, row in per_class[0].items():
        cells = [label, str(row["support"])]
        for each in per_class:
            cells += [f"{each[label]['recall']:.1%}", f"{each[label]['precision']:.1%}"]
        rows.append(cells)
    return Table("Per class", columns, rows)


def corruption_table(found: Mapping[str, Mapping[str, Sequence[float]]], images: int) -> Table:
    """Accuracy of each contestant under each corruption, one row for each pair."""
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
    return Table(f"Accuracy in % under corruption, on {images} faces, mildest to strongest", columns, rows)


def plot(
    scores: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Sequence[float]]], title: str, path: Path
) -> None:
    """A panel a corruption, one for the classes and one for calibration."""
    names = list(next(iter(found.values()))) if found else []
    columns = 3
    lines = (len(names) + 2 + columns - 1) // columns
    canvas = new_figure(12, 3.3 * lines + 0.4)
    canvas.suptitle(title)
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
    save_plot(canvas, path)


def draw_classes(axes: Any, scores: Mapping[str, Mapping[str, Any]], colors: Mapping[str, str]) -> None:
    """Recall per class as bars."""
    width = 0.8 / len(scores)
    for index, (name, each) in enumerate(scores.items()):
        recalls = [100 * row["recall"] for row in each["per_class"].values()]
        places = np.arange(len(recalls)) + (index - (len(scores) - 1) / 2) * width
        axes.bar(places, recalls, width, color=colors[name], label=name)
    labels = list(next(iter(scores.values()))["per_class"])
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set(title="per class", ylabel="recall (%)", ylim=(0, 100))
    axes.grid(axis="y", alpha=0.3)


def draw_reliability(axes: Any, scores: Mapping[str, Mapping[str, Any]], colors: Mapping[str, str]) -> None:
    """Confidence against the share that is right; on the diagonal it means what it says."""
    axes.plot([0, 100], [0, 100], color="grey", linewidth=1)
    for name, each in scores.items():
        confidence, right, counts = (np.array(column) for column in zip(*each["reliability"], strict=True))
        shown = counts >= 10  # a bin of fewer faces says nothing
        axes.plot(100 * confidence[shown], 100 * right[shown], "o-", markersize=3, color=colors[name],
                  label=f"{name}, ECE {each['ece']:.3f}")  # fmt: skip
    axes.set(title="calibration", xlabel="confidence (%)", ylabel="right (%)", xlim=(0, 100), ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def measure(
    models: Sequence[Path], data: Path | None, split: str, peers: Sequence[str], names: Sequence[str], count: int,
    seed: int, threads: int,
) -> Results:  # fmt: skip
    """Score everything."""
    results = Results("accuracy", "How often is it right, and how does that fall when the picture gets worse?")
    results.threads = pin_threads(threads)
    faces = drawn_faces() if data is None else load_faces(data)
    if data is None:
        results.skip(
            "accuracy on FER2013, since no --data names its CSV; the faces here are drawn and all figures only show "
            "that everything runs"
        )
    test = faces.split(split)
    if not len(test):
        present = ", ".join(sorted(set(faces.usage.tolist())))
        raise DataError(f"{faces.path} has no row whose Usage is {split}: choose --split from {present}")
    training = faces.split(TRAINING).images
    new = np.zeros(len(test), np.bool_) if split == TRAINING else ~also_in(test.images, training)
    contestants = [our_network(path, faces, threads) for path in models]
    for peer in open_all(peers, results.skip):
        size = "" if peer.file_mb is None else f", {peer.file_mb:.2f} MB"
        contestants.append(Contestant(peer.name, peer.predict, peer.version + size, peer.preprocessing))
    scores = {each.name: clean_scores(each, test, new) for each in contestants}
    some = sampled(test, count, seed)
    found = corrupted_scores(contestants, some, names, seed) if names else {}
    where = "drawn faces" if data is None else f"{split} of {data.name}"
    results.tables = [clean_table(scores, where), class_table(scores)]
    if found:
        results.tables.append(corruption_table(found, len(some)))
    results.values = {"drawn": data is None, "split": where, "scores": scores, "corruptions": found}
    return results


@click.command(help=__doc__)
@click.argument("models", nargs=-1, type=click.Path(path_type=Path), metavar="[MODEL.onnx]...")
@click.option("--data", type=click.Path(path_type=Path), metavar="CSV", help="fer2013.csv; without it, drawn faces.")
@click.option("--split", default=PUBLIC_TEST, show_default=True, help="Training, PublicTest or PrivateTest.")
@click.option("--peer", "peers", multiple=True, metavar="NAME[=FILE,…]", help=f"Also {', '.join(PEERS)}.  Repeatable.")
@click.option(
    "--corruption", "names", multiple=True, type=click.Choice([*CORRUPTIONS, "none"]), default=list(CORRUPTIONS),
    help="Only these.  Repeatable.  [default: all]",
)  # fmt: skip
@click.option("--faces", "count", default=0, metavar="N", help="Corrupt N faces chosen at random.  [default: all]")
@click.option("--seed", default=0, show_default=True, help="Of the corruptions and of the choice.")
@click.option("--threads", default=1, show_default=True, help="Threads of the networks and of OpenCV.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write everything here.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), metavar="FILE", help="Draw it here (.png).")
def main(
    models: tuple[Path, ...], data: Path | None, split: str, peers: tuple[str, ...], names: tuple[str, ...], count: int,
    seed: int, threads: int, json_file: Path | None, plot_file: Path | None,
) -> None:  # fmt: skip
    """Score, print, write, draw."""
    check_outputs(json_file, plot_file)
    chosen = models or (model_path("int8"), model_path("fp32"))
    wanted = [name for name in names if name != "none"]
    results = measure(chosen, data, split, peers, wanted, count, seed, threads)
    results.show()
    results.write(json_file)
    if plot_file is not None:
        plot(results.values["scores"], results.values["corruptions"], results.values["split"], plot_file)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.classifier")
