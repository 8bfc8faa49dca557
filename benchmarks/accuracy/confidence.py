"""How often is an answer right, and how many faces get one, if less confident answers count as unsure?

Two sets of faces: PublicTest of FER2013, and press photos of calm, speaking and smiling adults (Labeled Faces in the
Wild) with everyday labels, on which luma finds the face. "Withheld" answers are those below the threshold.

    python -m benchmarks.accuracy.confidence --data fer2013.csv --tiles faces/ --labels labels.csv --plot confidence.png
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import numpy.typing as npt

from benchmarks.harness.inputs import public_test
from benchmarks.harness.options import FILE, data_option, model_option, results_command
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.results import Results
from benchmarks.harness.tables import Table, percent
from benchmarks.harness.timing import pin_threads, progress
from fer_edge.console import run_main
from fer_edge.detectors import open_detector
from fer_edge.errors import DataError
from fer_edge.framing import Square
from fer_edge.network.classifier import Classifier
from fer_models import default_model
from fer_train.data import FaceData
from fer_train.detection.synthesis.tiles import TILE_PX, load_tiles

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(18))
MIDDLE_PX = 30  # a tile shows its person in the middle; other faces are bystanders


class Answers(NamedTuple):
    """Probabilities float32 [N, classes] and the true labels, indices [N]."""

    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which answers are right [N]."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.labels)

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """The probability of each answer [N]."""
        return np.asarray(self.probabilities.max(axis=1))


def answers_on_fer2013(classifier: Classifier, faces: FaceData) -> Answers:
    """The network on faces that are cropped already, with their light normalized as in fer-edge."""
    size = faces.images.shape[1]
    square = [Square(size / 2, size / 2, size)]
    return Answers(np.concatenate([classifier.classify(face, square) for face in faces.images]), faces.labels)


def answers_on_tiles(classifier: Classifier, folder: Path, labels_file: Path) -> tuple[Answers, int]:
    """The network on the labeled tiles of `folder` in which luma finds the person; how many it does not find."""
    tiles, labels = load_tiles(folder), read_labels(labels_file, classifier.labels)
    detector = open_detector("luma", None, min_face_px=20)
    rows, found_labels = [], []
    for number, label in progress(list(labels.items()), "tiles"):
        image = tiles.images[number]
        found = [found.box for found in detector.detect(image) if is_in_the_middle(found.box)]
        if found:
            square = detector.framing.square(max(found, key=lambda box: box[2] * box[3]))
            rows.append(classifier.classify(image, [square])[0])
            found_labels.append(label)
    if not rows:
        raise DataError(f"{folder} and {labels_file} have no labeled face in common that luma finds")
    return Answers(np.stack(rows), np.array(found_labels)), len(labels) - len(rows)


def is_in_the_middle(box: tuple[float, float, float, float]) -> bool:
    """True if the box's center is within MIDDLE_PX of the tile's."""
    x, y, width, height = box
    return max(abs(x + width / 2 - TILE_PX / 2), abs(y + height / 2 - TILE_PX / 2)) < MIDDLE_PX


def read_labels(path: Path, labels: tuple[str, ...]) -> dict[int, int]:
    """The label's index by tile number, from a CSV with the columns tile and emotion; DataError if it has none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(int(row["tile"]), row["emotion"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} is not a CSV with the columns tile and emotion ({error})") from error
    return {tile: labels.index(emotion) for tile, emotion in rows if emotion in labels}


def curve(answers: Answers) -> dict[str, list[float | None]]:
    """By threshold: the share of faces answered, and how many of the answered and of the withheld are right."""
    given = [answers.confidence >= threshold for threshold in THRESHOLDS]
    right = answers.right
    return {
        "answered": [float(mask.mean()) for mask in given],
        "right": [float(right[mask].mean()) if mask.any() else None for mask in given],
        "withheld_right": [None if mask.all() else float(right[~mask].mean()) for mask in given],
    }


def measure(classifier: Classifier, faces: FaceData, tiles: Path | None, labels: Path | None) -> Results:
    """The curve of each set of faces."""
    results = Results("confidence", "How often is an answer right, if less confident ones are unsure?", pin_threads(1))
    sets = {"PublicTest": answers_on_fer2013(classifier, faces)}
    if tiles is None or labels is None:
        results.skip("everyday faces: give --tiles and --labels")
    else:
        sets["everyday"], missed = answers_on_tiles(classifier, tiles, labels)
        if missed:
            results.skip(f"{missed} labeled tiles in which luma does not find the person")
    curves = {name: curve(answers) for name, answers in sets.items()}
    for name, values in curves.items():
        rows = [(f"{at:.2f}", *map(percent, row)) for at, *row in zip(THRESHOLDS, *values.values(), strict=True)]
        note = (
            f"{classifier.path.name}, {len(sets[name].labels)} faces; its contract says {classifier.min_confidence:g}."
        )
        columns = ("min_confidence", "faces answered", "answers right", "withheld right")
        results.tables.append(Table(f"Confidence, {name}", columns, rows, note))
    if "everyday" in sets and "neutral" in classifier.labels:
        results.tables.append(calm_table(sets["everyday"], classifier.labels))
    results.values = {"thresholds": THRESHOLDS, "min_confidence": classifier.min_confidence, "curves": curves}
    return results


def calm_table(answers: Answers, labels: tuple[str, ...]) -> Table:
    """The labels of the calm faces of the everyday set, by threshold; the others are unsure."""
    calm = answers.labels == labels.index("neutral")
    predicted, confidence = answers.probabilities[calm].argmax(axis=1), answers.confidence[calm]
    shown = [label for label in ("neutral", "angry", "sad") if label in labels]
    rows = []
    for threshold in THRESHOLDS:
        given = confidence >= threshold
        shares = [float(((predicted == labels.index(label)) & given).mean()) for label in shown]
        rows.append((f"{threshold:.2f}", *map(percent, [*shares, float((~given).mean())])))
    return Table("Calm everyday faces", ("min_confidence", *shown, "unsure"), rows, f"{int(calm.sum())} faces.")


def plot(results: Results) -> Any:
    """Right answers over the share of faces answered; a dot at each threshold, a ring at the contract's."""
    canvas = new_figure(7, 4.5)
    axes = canvas.subplots()
    curves: Mapping[str, Any] = results.values["curves"]
    for (name, values), color in zip(curves.items(), COLORS, strict=False):
        answered, right = (np.array(values[key], dtype=float) * 100 for key in ("answered", "right"))
        axes.plot(answered, right, "o-", color=color, markersize=3, label=name)
        at = int(np.argmin(np.abs(np.array(THRESHOLDS) - results.values["min_confidence"])))
        axes.plot(answered[at], right[at], "o", color=color, markersize=11, fillstyle="none")
        for index in range(6, len(THRESHOLDS), 2):
            axes.annotate(f"{THRESHOLDS[index]:.1f}", (answered[index], right[index]), fontsize=7,
                          textcoords="offset points", xytext=(4, 4))  # fmt: skip
    axes.set(xlabel="faces that get an answer, in %", ylabel="answers that are right, in %")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return canvas


@click.command(help=__doc__)
@data_option
@click.option("--tiles", type=FILE, metavar="DIR", help="Folder that train/recipes/lfw_tiles.py made.")
@click.option("--labels", type=FILE, metavar="CSV", help="Labels of the tiles, with the columns tile and emotion.")
@model_option
@results_command(plot)
def main(data: Path, tiles: Path | None, labels: Path | None, model: Path | None) -> Results:
    """Measure, print, write, draw."""
    return measure(Classifier(model or default_model()), public_test(data), tiles, labels)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.confidence")
