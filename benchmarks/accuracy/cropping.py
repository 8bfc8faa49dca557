"""What does it cost to downscale a large face to the network's size: in time, and in accuracy?

PublicTest faces are enlarged to each side and cropped again in three ways: with OpenCV's INTER_AREA, which weighs every
pixel exactly; with fer-edge's halving; and linearly, which skips pixels. Times are processor times of one thread; the
three methods take turns.

    python -m benchmarks.accuracy.cropping --data fer2013.csv --json cropping.json --plot cropping.png
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.harness.heads import head_of_labels_option, labels_classifier
from benchmarks.harness.inputs import public_test
from benchmarks.harness.options import data_option, model_option, results_command, rounds_option
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.results import Results, figure
from benchmarks.harness.tables import Table, number, percent
from benchmarks.harness.timing import interleave, pin_threads, progress, ratios
from fer_edge.console import run_main
from fer_edge.framing import Image, Square, crop
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_train.data import FaceData

SIDES_PX = (110, 130, 170, 200, 260, 333, 420)
MARGIN_PX = 10  # around the enlarged face
RUNS_PER_ROUND = 20
OURS, EXACT, LINEAR = "halving", "INTER_AREA", "INTER_LINEAR"
Crop = Callable[[Image, Square, tuple[int, int]], Image]


def resize_with(interpolation: int) -> Crop:
    """Crop a square that lies inside the image and resize it in one step."""

    def cut(image: Image, square: Square, size: tuple[int, int]) -> Image:
        left, top, side = round(square.x - square.side / 2), round(square.y - square.side / 2), round(square.side)
        inside = image[top : top + side, left : left + side]
        return np.asarray(cv2.resize(inside, size[::-1], interpolation=interpolation), dtype=np.uint8)

    return cut


METHODS: dict[str, Crop] = {EXACT: resize_with(cv2.INTER_AREA), OURS: crop, LINEAR: resize_with(cv2.INTER_LINEAR)}


def enlarged(face: Image, side_px: int) -> tuple[Image, Square]:
    """An image uint8 [H, W] of `face`, enlarged to `side_px`, with a margin; and the face's square in it."""
    whole = side_px + 2 * MARGIN_PX
    image = cv2.resize(face, (whole, whole), interpolation=cv2.INTER_CUBIC)
    return np.asarray(image, dtype=np.uint8), Square(whole / 2, whole / 2, side_px)


def predictions(classifier: Classifier, faces: FaceData, side_px: int) -> dict[str, npt.NDArray[np.int64]]:
    """The class index of every face, int64 [N], by method."""
    crops: dict[str, list[Image]] = {name: [] for name in METHODS}
    for face in faces.images:
        image, square = enlarged(face, side_px)
        for name, method in METHODS.items():
            crops[name].append(method(image, square, classifier.contract.input_size))
    return {name: classifier.predict(np.stack(found)[:, None]).argmax(axis=1) for name, found in crops.items()}


def cpu_seconds(method: Crop, face: Image, side_px: int) -> float:
    """Processor time of one crop to the size of `face`, the mean of RUNS_PER_ROUND."""
    image, square = enlarged(face, side_px)
    started = time.thread_time()
    for _ in range(RUNS_PER_ROUND):
        method(image, square, face.shape)
    return (time.thread_time() - started) / RUNS_PER_ROUND


def measure(classifier: Classifier, faces: FaceData, rounds: int) -> Results:
    """Accuracy and agreement with INTER_AREA by side, and the time as a ratio to INTER_AREA's."""
    results = Results("cropping", "What does it cost to downscale a large face to the network's size?", pin_threads(1))
    accuracy: dict[str, list[float]] = {name: [] for name in METHODS}
    rows = []
    for side_px in progress(SIDES_PX, "accuracy"):
        predicted = predictions(classifier, faces, side_px)
        for name, indices in predicted.items():
            accuracy[name].append(float((indices == faces.labels).mean()))
        agreement = [percent(float((predicted[name] == predicted[EXACT]).mean())) for name in (OURS, LINEAR)]
        rows.append((f"{side_px} px", *(percent(accuracy[name][-1]) for name in METHODS), *agreement))
    rows.append(("mean", *(percent(float(np.mean(values))) for values in accuracy.values()), "", ""))
    columns = ("face", *METHODS, f"{OURS} agrees", f"{LINEAR} agrees")
    note = f"{classifier.path.name}, {len(faces)} PublicTest faces; agreement is with {EXACT}."
    results.tables.append(Table("Accuracy", columns, rows, note))
    for side_px in SIDES_PX:
        jobs = {name: partial(cpu_seconds, method, faces.images[0], side_px) for name, method in METHODS.items()}
        taken = interleave(jobs, rounds, results.probe, f"time at {side_px} px")
        note = f"{number(1e6 * float(np.median(taken[OURS])))} µs per face"
        ratio = ratios(taken[OURS], taken[EXACT])
        results.figures.append(figure(f"{OURS} / {EXACT}, {side_px} px", ratio, ratio=True, note=note))
    results.values = {"sides": SIDES_PX, "accuracy": accuracy}
    return results


def plot(results: Results) -> Any:
    """Accuracy over the face's side, a line per method."""
    canvas = new_figure(7, 4)
    axes = canvas.subplots()
    for (name, accuracies), color in zip(results.values["accuracy"].items(), COLORS, strict=False):
        axes.plot(results.values["sides"], [100 * value for value in accuracies], "o-", color=color, label=name)
    axes.set(
        xlabel="side of the face in pixels", ylabel="accuracy in %", title="Downscaling a face to the network's size"
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return canvas


@click.command(help=__doc__)
@data_option
@model_option
@head_of_labels_option
@rounds_option(30)
@results_command(plot)
def main(data: Path, model: Path | None, head: str | None, rounds: int) -> Results:
    """Measure, print, write, draw."""
    return measure(labels_classifier(model, head), public_test(data), rounds)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.cropping")
