"""Does a detector's framing give the network what FER2013 gives it?

Every PublicTest face is enlarged and laid on a canvas, found again by each detector, cut out by its framing and
classified. The accuracy should be that of the untouched face; and the square should be the picture's place on the
canvas. Beyond the picture the canvas repeats its edge, as fer-edge does at the edge of a frame: what was really
there is not known, and a flat grey with a sharp border, which no camera shows, would be measured instead. `--side`
lays the pictures there smaller or larger: how many such faces are found then, of every expression, turned, with hands?

    python -m benchmarks.accuracy.framing --data fer2013.csv --yunet yunet.onnx --plot framing.png
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.harness.presenting import COLORS, Table, new_figure, percent, save_plot
from fer_edge.console import run_main
from fer_edge.detectors import DEFAULT_MIN_FACE_PX, open_detector
from fer_edge.detectors.base import Detector
from fer_edge.errors import FerError
from fer_edge.files import write_json
from fer_edge.framing import Square
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.system import machine_info
from fer_models import default_model
from fer_train.data import PUBLIC_TEST, FaceData, load_faces
from fer_train.evaluation.metrics import score

USUAL_PX = 192  # FER2013's 48 pixels, four times enlarged
CANVAS_PX = 320

EDGES = {"repeat": cv2.BORDER_REPLICATE, "mirror": cv2.BORDER_REFLECT, "grey": cv2.BORDER_CONSTANT}


def canvas_of(face: np.ndarray[Any, np.dtype[np.uint8]], side: int, edge: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The 48x48 face, `side` wide, in the middle of a canvas that goes on as EDGES has it, uint8 [320, 320]."""
    how = cv2.INTER_AREA if side < len(face) else cv2.INTER_CUBIC
    large = cv2.resize(face, (side, side), interpolation=how)
    margin = (CANVAS_PX - side) // 2
    canvas = cv2.copyMakeBorder(large, margin, margin, margin, margin, EDGES[edge], value=int(face.mean()))
    return np.asarray(canvas, dtype=np.uint8)


def measure(
    detector: Detector, classifier: Classifier, faces: FaceData, side: int, edge: str
) -> tuple[dict[str, Any], list[Square]]:
    """Accuracy through `detector`, on the faces it finds, beside that of the same faces untouched; its squares."""
    found, squares, probabilities = [], [], []
    with click.progressbar(range(len(faces)), label=detector.name, file=sys.stderr) as indices:
        for index in indices:
            canvas = canvas_of(faces.images[index], side, edge)
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
    labels = faces.labels[found]
    figures = {
        "found": len(found) / len(faces),
        "accuracy": score(np.stack(probabilities), labels, faces.classes)["accuracy"],
        "accuracy_untouched": score(direct, labels, faces.classes)["accuracy"],
        "agreement": float((np.stack(probabilities).argmax(1) == direct.argmax(1)).mean()),
        "side": quartiles([square.side / side for square in squares]),
        "right": quartiles([(square.x - CANVAS_PX / 2) / side for square in squares]),
        "down": quartiles([(square.y - CANVAS_PX / 2) / side for square in squares]),
    }
    return figures, squares


def quartiles(values: list[float]) -> list[float]:
    """25th, 50th and 75th percentile."""
    return [round(float(value), 4) for value in np.percentile(values, [25, 50, 75])]


def centerd(classifier: Classifier, faces: FaceData, side: int) -> float:
    """Accuracy when the square is known exactly: what enlarging and shrinking alone costs."""
    square = Square(CANVAS_PX / 2, CANVAS_PX / 2, side)
    rows = [classifier.classify(canvas_of(face, side, "repeat"), [square])[0] for face in faces.images]
    return float(score(np.stack(rows), faces.labels, faces.classes)["accuracy"])


def table(results: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    """A row for each detector."""
    rows = [
        [name, percent(row["found"]), percent(row["accuracy"]), percent(row["accuracy_untouched"]),
         percent(row["agreement"]), " ".join(f"{value:.3f}" for value in row["side"]),
         f"{row['right'][1]:+.3f}", f"{row['down'][1]:+.3f}"]
        for name, row in results.items()
    ]  # fmt: skip
    columns = ["detector", "found", "accuracy", "untouched", "agreement", "side (quartiles)", "right", "down"]
    return Table(title, columns, rows, "side, right and down in picture sides; right and down are medians")


def plot(
    results: Mapping[str, Mapping[str, Any]], squares: Mapping[str, Sequence[Square]], exact: float, side: int
) -> Any:
    """Left the accuracies, right where each detector's squares lie and how large they are."""
    canvas = new_figure(11, 4.6)
    bars, places, sides = canvas.subplots(1, 3, width_ratios=[1.2, 1, 1])
    names = list(results)
    for offset, key, label, alpha in ((-0.2, "accuracy_untouched", "the 48x48 picture itself", 0.35),
                                      (0.2, "accuracy", "found, cut out and shrunk", 1.0)):  # fmt: skip
        values = [100 * results[name][key] for name in names]
        places_x = [index + offset for index in range(len(names))]
        colors = COLORS[: len(names)]
        drawn = bars.bar(places_x, values, 0.38, color=colors, alpha=alpha, label=label)
        bars.bar_label(drawn, fmt="%.2f", fontsize=8)
    bars.axhline(100 * exact, color="#444444", linestyle=":", label=f"all faces, exact square: {100 * exact:.2f} %")
    bars.set_xticks(range(len(names)), [f"{name}\n{100 * results[name]['found']:.1f} % found" for name in names])
    lowest = min(100 * row["accuracy"] for row in results.values())
    bars.set_ylim(lowest - 3, 100 * exact + 4)
    bars.set_ylabel("accuracy on the faces found, %")
    bars.legend(fontsize=8, loc="upper left")
    for name, color in zip(names, COLORS, strict=False):
        right = [(square.x - CANVAS_PX / 2) / side for square in squares[name]]
        down = [(square.y - CANVAS_PX / 2) / side for square in squares[name]]
        places.scatter(right, down, s=2, alpha=0.25, color=color, linewidths=0)
        places.scatter([], [], s=20, color=color, label=name)
    places.axhline(0, color="#888888", linewidth=0.8)
    places.axvline(0, color="#888888", linewidth=0.8)
    places.set_xlim(-0.3, 0.3)
    places.set_ylim(0.3, -0.3)  # as in pictures, down is down
    places.set_aspect("equal")
    places.set_xlabel("centre too far right, picture sides")
    places.set_ylabel("centre too far down")
    places.legend(fontsize=8)
    boxes = sides.boxplot(
        [[square.side / side for square in squares[name]] for name in names], widths=0.5, patch_artist=True,
        whis=(5, 95), showfliers=False, medianprops={"color": "black"},
    )  # fmt: skip
    for patch, color in zip(boxes["boxes"], COLORS, strict=False):
        patch.set_facecolor(color)
    sides.set_xticks(range(1, len(names) + 1), names)
    sides.axhline(1, color="#888888", linewidth=0.8)
    sides.set_ylabel("side, picture sides (box: quartiles, whiskers: 5 to 95 %)")
    return canvas


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), required=True, metavar="CSV", help="fer2013.csv")
@click.option(
    "--model", type=click.Path(path_type=Path), metavar="FILE", help="Emotion network.  [default: the shipped one]"
)
@click.option(
    "--yunet",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="YuNet's ONNX file; without it yunet is left out.",
)
@click.option(
    "--luma", type=click.Path(path_type=Path), metavar="FILE", help="Our detector.  [default: the shipped one]"
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures here too."
)
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw them here.")
@click.option("--every", type=click.IntRange(1), default=1, metavar="N", help="Every Nth face, for a quick look.")
@click.option(
    "--edge",
    type=click.Choice(list(EDGES)),
    default="repeat",
    show_default=True,
    help="How the canvas goes on beyond the picture; grey is its mean.",
)
@click.option(
    "--side",
    type=click.IntRange(16, CANVAS_PX - 32),
    default=USUAL_PX,
    show_default=True,
    metavar="PX",
    help=f"Side of the picture on the canvas, which has {CANVAS_PX}; even.",
)
def main(
    data: Path, model: Path | None, yunet: Path | None, luma: Path | None, json_file: Path | None,
    plot_file: Path | None, every: int, edge: str, side: int,
) -> None:  # fmt: skip
    """Print the table."""
    if side % 2:
        raise click.BadParameter(f"{side} is odd: the picture lies in the middle", param_hint="--side")
    classifier = Classifier(model or default_model(), threads=1)
    faces = load_faces(data).split(PUBLIC_TEST)
    faces = faces.rows(np.arange(len(faces)) % every == 0)
    smallest = min(DEFAULT_MIN_FACE_PX, side // 2)
    detectors = [open_detector("luma", luma, smallest)]
    if yunet is not None:
        detectors.append(open_detector("yunet", yunet, smallest))
    if hasattr(cv2, "CascadeClassifier"):
        detectors.append(open_detector("haar", None, smallest))
    measured = {detector.name: measure(detector, classifier, faces, side, edge) for detector in detectors}
    results = {name: figures for name, (figures, _) in measured.items()}
    exact = centerd(classifier, faces, side)
    shown = table(results, f"{classifier.path.name}, {len(faces)} faces at {side} px; exact square: {exact:.2%}")
    click.echo(str(shown))
    if json_file is not None:
        write_json(
            json_file, {"side": side, "edge": edge, "exact": exact, "detectors": results, "machine": machine_info()}
        )
    if plot_file is not None:
        save_plot(plot(results, {name: squares for name, (_, squares) in measured.items()}, exact, side), plot_file)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.framing")
