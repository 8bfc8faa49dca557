"""How often is an answer right, and how many faces get one, if less confident answers count as unsure?

Two sets of faces: PublicTest of FER2013 against the truth that the head was trained for (FER2013's labels, or FER+'s
majorities with --ferplus), and press photos of calm, speaking and smiling adults (Labeled Faces in the Wild) with
everyday labels, on which luma finds the face: those of people kept aside. "Withheld" answers are below the threshold.

    python -m benchmarks.accuracy.confidence --data fer2013.csv --ferplus fer2013new.csv --tiles faces/ \
        --labels labels.csv --people people/ --plot confidence.png
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import numpy.typing as npt

from benchmarks.harness.heads import EMOTIONS, Head, as_emotions, head_option, open_head
from benchmarks.harness.options import (
    data_option,
    ferplus_option,
    labels_option,
    model_option,
    people_option,
    results_command,
    tiles_option,
)
from benchmarks.harness.photographs import Photographs, detected, load_photographs
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.results import Results
from benchmarks.harness.tables import Table, percent
from benchmarks.harness.timing import pin_threads
from benchmarks.harness.truths import FaceSet, own_fer2013_set
from fer_edge.console import run_main
from fer_edge.detectors import open_detector
from fer_edge.errors import DataError
from fer_train.evaluation.predictors import whole_square

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(18))
MIN_FACE_PX = 20


class Answers(NamedTuple):
    """Probabilities float [N, 8] of EMOTIONS and the true labels, indices [N]."""

    probabilities: npt.NDArray[np.floating[Any]]
    labels: npt.NDArray[np.int64]

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which answers are right [N]."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.labels)

    @property
    def confidence(self) -> npt.NDArray[np.floating[Any]]:
        """The probability of each answer [N]."""
        return np.asarray(self.probabilities.max(axis=1))


def answers_on_crops(head: Head, faces: FaceSet) -> Answers:
    """The network on faces that are cropped already, with their light normalized as in fer-edge."""
    classifier = head.classifier
    rows = [classifier.classify(face, [whole_square(face)]) for face in faces.images]
    return Answers(as_emotions(np.concatenate(rows), classifier.labels), faces.labels)


def answers_on_photographs(head: Head, photographs: Photographs) -> tuple[Answers, int]:
    """The network on the photographs in which luma finds the person; how many it does not find."""
    detector = open_detector("luma", None, min_face_px=MIN_FACE_PX)
    boxes = detected(detector, photographs.images)
    found = [(index, detector.framing.square(box)) for index, box in enumerate(boxes) if box is not None]
    if not found:
        raise DataError("luma finds the person in none of the photographs: are these the tiles of --labels?")
    rows = [head.classifier.classify(photographs.images[index], [square]) for index, square in found]
    labels = photographs.labels[[index for index, _ in found]]
    return Answers(as_emotions(np.concatenate(rows), head.classifier.labels), labels), len(boxes) - len(found)


def curve(answers: Answers) -> dict[str, list[float | None]]:
    """By threshold: the share of faces answered, and how many of the answered and of the withheld are right."""
    given = [answers.confidence >= threshold for threshold in THRESHOLDS]
    right = answers.right
    return {
        "answered": [float(mask.mean()) for mask in given],
        "right": [float(right[mask].mean()) if mask.any() else None for mask in given],
        "withheld_right": [None if mask.all() else float(right[~mask].mean()) for mask in given],
    }


def measure(head: Head, faces: FaceSet, photographs: Photographs | None) -> Results:
    """The curve of each set of faces."""
    results = Results("confidence", "How often is an answer right, if less confident ones are unsure?", pin_threads(1))
    min_confidence = head.classifier.min_confidence
    sets = {"PublicTest": answers_on_crops(head, faces)}
    if photographs is None:
        results.skip("everyday faces: give --tiles, --labels and --people")
    else:
        sets["everyday"], missed = answers_on_photographs(head, photographs)
        if missed:
            results.skip(f"{missed} photographs in which luma does not find the person")
    curves = {name: curve(answers) for name, answers in sets.items()}
    truths = {"PublicTest": faces.truth, "everyday": "labels of people kept aside"}
    for name, values in curves.items():
        rows = [(f"{at:.2f}", *map(percent, row)) for at, *row in zip(THRESHOLDS, *values.values(), strict=True)]
        note = (
            f"{head.title}, {len(sets[name].labels)} faces against {truths[name]}; its contract says "
            f"{min_confidence:g}."
        )
        columns = ("min_confidence", "faces answered", "answers right", "withheld right")
        results.tables.append(Table(f"Confidence, {name}", columns, rows, note))
    if "everyday" in sets:
        results.tables.append(calm_table(sets["everyday"]))
    results.values = {"thresholds": THRESHOLDS, "min_confidence": min_confidence, "head": head.name, "curves": curves}
    return results


def calm_table(answers: Answers) -> Table:
    """The labels of the calm faces of the everyday set, by threshold; the others are unsure."""
    calm = answers.labels == EMOTIONS.index("neutral")
    predicted, confidence = answers.probabilities[calm].argmax(axis=1), answers.confidence[calm]
    shown = ("neutral", "angry", "sad")
    rows = []
    for threshold in THRESHOLDS:
        given = confidence >= threshold
        shares = [float(((predicted == EMOTIONS.index(label)) & given).mean()) for label in shown]
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
@ferplus_option
@tiles_option()
@labels_option()
@people_option()
@model_option
@head_option
@results_command(plot)
def main(
    data: Path, ferplus: Path | None, tiles: Path | None, labels: Path | None, people: Path | None, model: Path | None,
    head: str | None,
) -> Results:  # fmt: skip
    """Measure, print, write, draw."""
    opened = open_head(model, head)
    photographs = None
    if tiles is not None and labels is not None and people is not None:
        photographs = load_photographs(tiles, labels, people)
    return measure(opened, own_fer2013_set(opened.name, data, ferplus), photographs)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.confidence")
