"""Does a detector's framing give the network the same crop as FER2013?

Every PublicTest face is enlarged and laid on a canvas, found again by each detector, cropped by its framing and
classified. The accuracy should equal that of the original face, and the square should match the image's place on the
canvas. By default the canvas repeats the image's edge, as fer-edge does at the edge of a frame; a flat gray with a
sharp border does not occur in a camera's frame and would change the result. `--side` gives smaller or larger faces:
how many does a detector find then? At 320 pixels the image is all face; `luma once` searches it without a border.

    python -m benchmarks.accuracy.framing --data fer2013.csv --yunet yunet.onnx --plot framing.png
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.classifier import own_faces
from benchmarks.harness.heads import EMOTIONS, Head, as_emotions, head_of_labels_option, labels_classifier
from benchmarks.harness.options import (
    data_option,
    ferplus_option,
    luma_option,
    model_option,
    results_command,
    yunet_option,
)
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.results import Results, quartiles
from benchmarks.harness.streams import open_detectors
from benchmarks.harness.tables import Table, percent
from benchmarks.harness.timing import progress
from fer_edge.console import run_main
from fer_edge.detectors import DEFAULT_DETECT_SIZE_PX, DEFAULT_MIN_FACE_PX
from fer_edge.detectors.base import FramedDetector
from fer_edge.detectors.luma import LumaDetector
from fer_edge.errors import FerError
from fer_edge.framing import Image, Square
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_train.data import PUBLIC_TEST, FaceData, load_faces
from fer_train.evaluation.metrics import score

DEFAULT_SIDE_PX = 192  # FER2013's 48 pixels, four times enlarged
CANVAS_PX = 320
BORDERS = {"repeat": cv2.BORDER_REPLICATE, "mirror": cv2.BORDER_REFLECT, "grey": cv2.BORDER_CONSTANT}


def canvas_of(face: Image, side: int, border: str) -> Image:
    """A face of FER2013, `side` pixels wide, in the middle of a canvas, uint8 [320, 320]; border: a key of BORDERS."""
    how = cv2.INTER_AREA if side < len(face) else cv2.INTER_CUBIC
    large = cv2.resize(face, (side, side), interpolation=how)
    margin = (CANVAS_PX - side) // 2
    canvas = cv2.copyMakeBorder(large, margin, margin, margin, margin, BORDERS[border], value=int(face.mean()))
    return np.asarray(canvas, dtype=np.uint8)


def offsets(squares: Sequence[Square], side: int) -> tuple[list[float], list[float], list[float]]:
    """Sides of the squares, and how far their centers lie to the right and down, all in image sides."""
    return (
        [square.side / side for square in squares],
        [(square.x - CANVAS_PX / 2) / side for square in squares],
        [(square.y - CANVAS_PX / 2) / side for square in squares],
    )


def through_detector(
    detector: FramedDetector, classifier: Classifier, faces: FaceData, side: int, border: str
) -> tuple[dict[str, Any], list[Square]]:
    """Accuracy through `detector` on the faces that it finds, and of their originals; and its squares.

    FerError if it finds none.
    """
    found, squares, probabilities = [], [], []
    for index in progress(range(len(faces)), detector.name):
        canvas = canvas_of(faces.images[index], side, border)
        detections = detector.detect(canvas)
        if not detections:
            continue
        largest = max(detections, key=lambda detection: detection.box[2] * detection.box[3])
        square = detector.framing.square(largest.box)
        found.append(index)
        squares.append(square)
        probabilities.append(classifier.classify(canvas, [square])[0])
    if not found:
        raise FerError(f"{detector.name} finds none of {len(faces)} faces at {side} px: give a larger --side")
    direct = classifier.predict(faces.images[found][:, None])
    direct, given = (in_order(rows, classifier, faces.classes) for rows in (direct, np.stack(probabilities)))
    labels = faces.labels[found]
    sides, right, down = offsets(squares, side)
    figures = {
        "found": len(found) / len(faces),
        "accuracy": score(given, labels, faces.classes)["accuracy"],
        "accuracy_untouched": score(direct, labels, faces.classes)["accuracy"],
        "agreement": float((given.argmax(1) == direct.argmax(1)).mean()),
        "side": quartiles(sides),
        "right": quartiles(right),
        "down": quartiles(down),
    }
    return figures, squares


def with_exact_square(classifier: Classifier, faces: FaceData, side: int) -> float:
    """Accuracy when the square is known exactly: the cost of enlarging and downscaling alone."""
    square = Square(CANVAS_PX / 2, CANVAS_PX / 2, side)
    rows = [classifier.classify(canvas_of(face, side, "repeat"), [square])[0] for face in faces.images]
    given = in_order(np.stack(rows), classifier, faces.classes)
    return float(score(given, faces.labels, faces.classes)["accuracy"])


def in_order(rows: npt.NDArray[Any], classifier: Classifier, classes: Sequence[str]) -> npt.NDArray[Any]:
    """Probabilities [N, labels] in the order of the truth's `classes`; FER+'s have contempt, which a head may lack."""
    return as_emotions(rows, classifier.labels) if tuple(classes) == EMOTIONS else rows


def table(detectors: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    """A row per detector."""
    rows = [
        [name, percent(row["found"]), percent(row["accuracy"]), percent(row["accuracy_untouched"]),
         percent(row["agreement"]), " ".join(f"{value:.3f}" for value in row["side"]),
         f"{row['right'][1]:+.3f}", f"{row['down'][1]:+.3f}"]
        for name, row in detectors.items()
    ]  # fmt: skip
    columns = ["detector", "found", "accuracy", "untouched", "agreement", "side (quartiles)", "right", "down"]
    note = "Side, right and down are in sides of the image; right and down are medians."
    return Table(title, columns, rows, note)


def plot(results: Results) -> Any:
    """Left the accuracies, then the centers and the sides of each detector's squares."""
    canvas = new_figure(11, 4.6)
    left, middle, right = canvas.subplots(1, 3, width_ratios=[1.2, 1, 1])
    draw_accuracies(left, results.values["detectors"], results.values["exact"])
    squares: Mapping[str, Sequence[Square]] = results.plotted
    sides = {}
    for (name, of), color in zip(squares.items(), COLORS, strict=False):
        sides[name], to_right, down = offsets(of, results.values["side"])
        middle.scatter(to_right, down, s=2, alpha=0.25, color=color, linewidths=0)
        middle.scatter([], [], s=20, color=color, label=name)
    middle.axhline(0, color="#888888", linewidth=0.8)
    middle.axvline(0, color="#888888", linewidth=0.8)
    middle.set(xlim=(-0.3, 0.3), ylim=(0.3, -0.3), aspect="equal")  # y grows downwards, as in images
    middle.set(xlabel="center too far right, image sides", ylabel="center too far down")
    middle.legend(fontsize=8)
    boxes = right.boxplot(
        list(sides.values()), widths=0.5, patch_artist=True, whis=(5, 95), showfliers=False,
        medianprops={"color": "black"},
    )  # fmt: skip
    for patch, color in zip(boxes["boxes"], COLORS, strict=False):
        patch.set_facecolor(color)
    right.set_xticks(range(1, len(sides) + 1), list(sides))
    right.axhline(1, color="#888888", linewidth=0.8)
    right.set_ylabel("side, image sides (box: quartiles, whiskers: 5 to 95 %)")
    return canvas


def draw_accuracies(axes: Any, detectors: Mapping[str, Mapping[str, Any]], exact: float) -> None:
    """Draw the accuracy through each detector beside that of the originals of the faces found."""
    places = np.arange(len(detectors))
    for offset, key, label, alpha in ((-0.2, "accuracy_untouched", "the 48x48 image itself", 0.35),
                                      (0.2, "accuracy", "found, cropped and downscaled", 1.0)):  # fmt: skip
        values = [100 * row[key] for row in detectors.values()]
        bars = axes.bar(places + offset, values, 0.38, color=COLORS[: len(values)], alpha=alpha, label=label)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.axhline(100 * exact, color="#444444", linestyle=":", label=f"all faces, exact square: {100 * exact:.2f} %")
    axes.set_xticks(places, [f"{name}\n{100 * row['found']:.1f} % found" for name, row in detectors.items()])
    axes.set_ylim(min(100 * row["accuracy"] for row in detectors.values()) - 3, 100 * exact + 4)
    axes.set_ylabel("accuracy on the faces found, %")
    axes.legend(fontsize=8, loc="upper left")


@click.command(help=__doc__)
@data_option
@ferplus_option
@model_option
@head_of_labels_option
@yunet_option()
@luma_option
@click.option("--every", type=click.IntRange(1), default=1, metavar="N", help="Only every Nth face.")
@click.option("--edge", "border", type=click.Choice(list(BORDERS)), default="repeat", show_default=True,
              help="What surrounds the image on the canvas; grey is its mean.")  # fmt: skip
@click.option("--side", type=click.IntRange(16, CANVAS_PX), default=DEFAULT_SIDE_PX, show_default=True,
              metavar="PX", help=f"Side of the image on the canvas of {CANVAS_PX} pixels; even.")  # fmt: skip
@results_command(plot)
def main(
    data: Path, ferplus: Path | None, model: Path | None, head: str | None, yunet: Path | None, luma: Path | None,
    every: int, border: str, side: int,
) -> Results:  # fmt: skip
    """Measure, print, write, draw."""
    if side % 2:
        raise click.BadParameter(f"{side} is odd: the image lies in the middle", param_hint="--side")
    results = Results("framing", "Does a detector's framing give the network the same crop as FER2013?")
    classifier = labels_classifier(model, head)
    test = load_faces(data, ferplus).split(PUBLIC_TEST)
    opened_head = Head(classifier.head, classifier)
    faces, truth = own_faces(opened_head, test, results.skip)
    faces = faces.rows(np.arange(len(faces)) % every == 0)
    min_face_px = min(DEFAULT_MIN_FACE_PX, side // 2)
    opened = open_detectors(yunet, luma, min_face_px, DEFAULT_DETECT_SIZE_PX)
    detectors = {each.name: each for each in opened} | {"luma once": LumaDetector(luma, min_face_px)}
    measured = {name: through_detector(each, classifier, faces, side, border) for name, each in detectors.items()}
    figures = {name: found for name, (found, _) in measured.items()}
    exact = with_exact_square(classifier, faces, side)
    title = f"{opened_head.title}, {truth}, {len(faces)} faces at {side} px; exact square: {exact:.2%}"
    results.tables.append(table(figures, title))
    results.plotted = {name: squares for name, (_, squares) in measured.items()}
    results.values = {"side": side, "edge": border, "exact": exact, "detectors": figures}
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.framing")
