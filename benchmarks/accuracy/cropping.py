"""What does it cost to bring a large face to the network's size: in time, and in accuracy?

PublicTest faces are enlarged to each side and cut out again in three ways: by OpenCV's INTER_AREA, which weighs every
pixel exactly; as fer-edge does it, by halving; and linearly, which skips pixels. Times are processor time of one
thread, the three ways in turns.

    python -m benchmarks.accuracy.cropping --data fer2013.csv --json cropping.json --plot cropping.png
"""

import functools
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from benchmarks.harness.measuring import Results, check_outputs, figure, in_turns, pin_threads, progress, ratios
from benchmarks.harness.presenting import COLORS, Table, new_figure, number, percent, save_plot
from fer_edge.console import run_main
from fer_edge.framing import Image, Square, crop
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_models import default_model
from fer_train.data import PUBLIC_TEST, FaceData, load_faces

SIDES = (110, 130, 170, 200, 260, 333, 420)
MARGIN_PX = 10  # around the enlarged face
RUNS = 20  # of a job, a round
OURS, EXACT, LINEAR = "halving", "INTER_AREA", "INTER_LINEAR"
Way = Callable[[Image, Square, tuple[int, int]], Image]
Faces = npt.NDArray[np.uint8]


def by(interpolation: int) -> Way:
    """Cut a square that lies inside the picture out and resize it in one step."""

    def cut(image: Image, square: Square, size: tuple[int, int]) -> Image:
        left, top, side = round(square.x - square.side / 2), round(square.y - square.side / 2), round(square.side)
        inside = image[top : top + side, left : left + side]
        return np.asarray(cv2.resize(inside, size[::-1], interpolation=interpolation), dtype=np.uint8)

    return cut


WAYS: dict[str, Way] = {EXACT: by(cv2.INTER_AREA), OURS: crop, LINEAR: by(cv2.INTER_LINEAR)}


def enlarged(face: Image, side: int) -> tuple[Image, Square]:
    """A picture uint8 [H, W] that shows `face` and a little around it, `side` pixels large, and where it is."""
    whole = side + 2 * MARGIN_PX
    picture = cv2.resize(face, (whole, whole), interpolation=cv2.INTER_CUBIC)
    return np.asarray(picture, dtype=np.uint8), Square(whole / 2, whole / 2, side)


def answers(classifier: Classifier, faces: FaceData, side: int) -> dict[str, npt.NDArray[np.int64]]:
    """By way, the class index of every face, int64 [N]."""
    cut: dict[str, list[Image]] = {name: [] for name in WAYS}
    for face in faces.images:
        picture, square = enlarged(face, side)
        for name, way in WAYS.items():
            cut[name].append(way(picture, square, classifier.contract.input_size))
    return {name: classifier.predict(np.stack(crops)[:, None]).argmax(axis=1) for name, crops in cut.items()}


def cpu_seconds(way: Way, face: Image, side: int) -> float:
    """Processor time of one cut to the size of `face`, the mean of RUNS."""
    picture, square = enlarged(face, side)
    started = time.thread_time()
    for _ in range(RUNS):
        way(picture, square, face.shape)
    return (time.thread_time() - started) / RUNS


def measure(classifier: Classifier, faces: FaceData, rounds: int) -> Results:
    """Accuracy and agreement with INTER_AREA by side, and the time as a ratio to INTER_AREA's."""
    results = Results("cropping", "What does it cost to bring a large face to the network's size?", pin_threads(1))
    accuracy: dict[str, list[float]] = {name: [] for name in WAYS}
    rows = []
    for side in progress(SIDES, "accuracy"):
        said = answers(classifier, faces, side)
        for name, indices in said.items():
            accuracy[name].append(float((indices == faces.labels).mean()))
        agreed = [percent(float((said[name] == said[EXACT]).mean())) for name in (OURS, LINEAR)]
        rows.append((f"{side} px", *(percent(accuracy[name][-1]) for name in WAYS), *agreed))
    rows.append(("mean", *(percent(float(np.mean(shares))) for shares in accuracy.values()), "", ""))
    columns = ("face", *WAYS, f"{OURS} agrees", f"{LINEAR} agrees")
    note = f"{classifier.path.name}, {len(faces)} PublicTest faces; agreement is with {EXACT}."
    results.tables.append(Table("Accuracy", columns, rows, note))
    for side in SIDES:
        jobs = {name: functools.partial(cpu_seconds, way, faces.images[0], side) for name, way in WAYS.items()}
        taken = in_turns(jobs, rounds, results.reference, f"time at {side} px")
        microseconds = 1e6 * float(np.median(taken[OURS]))
        results.figures.append(
            figure(f"{OURS} / {EXACT}, {side} px", ratios(taken[OURS], taken[EXACT]), ratio=True,
                   note=f"{number(microseconds)} µs a face")
        )  # fmt: skip
    results.values = {"sides": SIDES, "accuracy": accuracy}
    return results


def plot(results: Results, path: Path) -> None:
    """Accuracy over the face's side, a line a way."""
    canvas = new_figure(7, 4)
    axes = canvas.subplots()
    for (name, shares), color in zip(results.values["accuracy"].items(), COLORS, strict=False):
        axes.plot(results.values["sides"], [100 * share for share in shares], "o-", color=color, label=name)
    axes.set(xlabel="side of the face in pixels", ylabel="accuracy in %", title="Bringing a face to the network's size")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save_plot(canvas, path)


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), required=True, metavar="CSV", help="fer2013.csv")
@click.option("--model", type=click.Path(path_type=Path), metavar="FILE", help="Network.  [default: the shipped one]")
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True, help="How often the ways take turns.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write everything here.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), metavar="FILE", help="Draw it here (.png).")
def main(data: Path, model: Path | None, rounds: int, json_file: Path | None, plot_file: Path | None) -> None:
    """Measure, print, write, draw."""
    check_outputs(json_file, plot_file)
    results = measure(Classifier(model or default_model()), load_faces(data).split(PUBLIC_TEST), rounds)
    results.show()
    results.write(json_file)
    if plot_file is not None:
        plot(results, plot_file)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.cropping")
