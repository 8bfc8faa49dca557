"""How fast are augmented batches made, against the way tutorials make them? Every figure is a ratio of one run.

Ours: all faces lie on the device as uint8, and a whole batch is augmented at once. The tutorials': a data set of
images, each rotated, shifted, scaled, mirrored, relit and erased by itself with Pillow, in a DataLoader with two
workers. Both augment in the same ways and ranges, take turns, and feed the same network. The faces are noise: their
content does not affect the time. `network's share` is the time of an epoch whose batches cost nothing, divided by the
time of one whose batches are made. Beside the ratio of times stands that of processor times (all threads and workers),
which other work on the machine hardly affects; on two idle cores the two agree.

    python -m benchmarks.speed.training --json training.json --plot training.png
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.harness.options import results_command, rounds_option
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.processes import processor_s
from benchmarks.harness.results import Figure, Results, figure
from benchmarks.harness.tables import Table, number
from benchmarks.harness.timing import interleave, ratios
from fer_edge.console import run_main
from fer_edge.system import machine_info
from fer_train.data import FER2013_CLASSES, PUBLIC_TEST, TRAINING, FaceData
from fer_train.network_names import network_names
from fer_train.networks import network_class
from fer_train.networks.normalization import MEAN, STD
from fer_train.training.augment import Augmentation
from fer_train.training.batches import Batch, Batches
from fer_train.training.distributed import Rank
from fer_train.training.options import TrainOptions
from fer_train.training.targets import training_set
from fer_train.training.trainer import Trainer

WORKERS = 2  # as in tutorials
TARGETS = {"data handling": 3.0, "network's share": 0.9}  # at least
PAIRS = {
    "data handling": ("batches, ours", "batches, tutorials'"),
    "whole training": ("training, ours", "training, tutorials'"),
    "network's share": ("training, ours", "network alone"),
    "network's share, tutorials'": ("training, tutorials'", "network alone"),
}
Rates = tuple[float, float]
"""Images per second, and images per second of processor time."""
BatchStep = Callable[[Batch], object]


class PillowFaces(Dataset[tuple[Tensor, int]]):
    """Faces augmented one by one, in the ways and ranges of `options`, as tutorials do it."""

    def __init__(self, faces: FaceData, options: Augmentation) -> None:
        self._faces, self._options = faces, options

    def __len__(self) -> int:
        return len(self._faces)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        rng, options = np.random.default_rng(int(torch.randint(2**62, ()))), self._options
        image = Image.fromarray(self._faces.images[index])
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image = self._moved(image, rng)
        image = ImageEnhance.Brightness(image).enhance(1 + rng.uniform(-options.brightness, options.brightness))
        image = ImageEnhance.Contrast(image).enhance(1 + rng.uniform(-options.contrast, options.contrast))
        face = (np.asarray(image, dtype=np.float32) - MEAN) / STD
        if rng.random() < options.erase:
            face = self._erased(face, rng)
        return torch.from_numpy(face).unsqueeze(0), int(self._faces.labels[index])

    def _moved(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        options, side = self._options, image.width
        angle = np.radians(rng.uniform(-options.rotation_deg, options.rotation_deg))
        scale = 1 / (1 + rng.uniform(-options.scale, options.scale))
        shift_x, shift_y = rng.uniform(-options.shift * side, options.shift * side, 2)
        cos, sin, middle = scale * np.cos(angle), scale * np.sin(angle), (side - 1) / 2
        from_x = middle - cos * middle + sin * middle + shift_x
        from_y = middle - sin * middle - cos * middle + shift_y
        matrix = (cos, -sin, from_x, sin, cos, from_y)
        return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)

    @staticmethod
    def _erased(face: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        side, area, aspect = len(face), rng.uniform(0.02, 0.25), np.exp(rng.uniform(-1.2, 1.2))
        height, width = (max(1, round(side * np.sqrt(part))) for part in (area * aspect, area / aspect))
        top, left = (rng.integers(0, side - edge + 1) for edge in (height, width))
        face[top : top + height, left : left + width] = rng.standard_normal((height, width))
        return face


def noise_faces(count: int) -> FaceData:
    """`count` faces of noise to train on, and one to test on."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count + 1, 48, 48)).astype(np.uint8)
    labels = rng.integers(0, len(FER2013_CLASSES), count + 1)
    usage = np.array([TRAINING] * count + [PUBLIC_TEST])
    return FaceData(images, labels, usage, FER2013_CLASSES, Path("noise.csv"))


def our_batches(faces: FaceData, options: TrainOptions) -> Batches:
    """The batches of fer-train."""
    return Batches(training_set(faces), None, options, Rank())


class TutorialBatches:
    """The batches of the tutorials, from workers that stay alive between epochs."""

    def __init__(self, faces: FaceData, options: TrainOptions) -> None:
        self._loader = DataLoader(
            PillowFaces(faces, options.augmentation), options.recipe.batch_size, shuffle=True, num_workers=WORKERS,
            persistent_workers=True, worker_init_fn=_one_thread,
        )  # fmt: skip

    def epoch(self, _number: int) -> Iterator[Batch]:
        """The batches of an epoch."""
        for faces, labels in self._loader:
            soft_targets = torch.nn.functional.one_hot(labels, len(FER2013_CLASSES)).float()
            taught = torch.ones(len(faces), 1)
            yield Batch(faces.contiguous(memory_format=torch.channels_last), soft_targets, taught)


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)


def processor_s_with_children() -> float:
    """Processor time of this process and its children in seconds."""
    children = {
        child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()
    }
    return time.process_time() + sum(map(processor_s, children))


def images_per_s(faces: FaceData, batches: Callable[[], Iterator[Batch]], step: BatchStep) -> Rates:
    """How many training faces go through `step` per second, and per second of processor time."""
    count = len(faces) - 1
    processor, started = processor_s_with_children(), time.perf_counter()
    for batch in batches():
        step(batch)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return count / (time.perf_counter() - started), count / (processor_s_with_children() - processor)


def make_jobs(model: str, count: int, steps: int) -> dict[str, Callable[[], Rates]]:
    """The ways to measure: batches alone are made of `count` faces, training goes over `steps` batches."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    options = TrainOptions(model, 1_000_000, network_class(model).recipe, device=device)
    size = options.recipe.batch_size
    many, few = noise_faces(max(count // size, 1) * size), noise_faces(steps * size)
    trainer = Trainer(training_set(few), options, Path())
    trainer.student.train()
    ours, theirs = (
        [make(faces.split(TRAINING), options) for faces in (many, few)] for make in (our_batches, TutorialBatches)
    )
    ready = next(ours[1].epoch(0))

    def ignore(_batch: Batch) -> None:
        pass

    return {
        "batches, ours": partial(images_per_s, many, lambda: ours[0].epoch(0), ignore),
        "batches, tutorials'": partial(images_per_s, many, lambda: theirs[0].epoch(0), ignore),
        "training, ours": partial(images_per_s, few, lambda: ours[1].epoch(0), trainer._step),
        "training, tutorials'": partial(images_per_s, few, lambda: theirs[1].epoch(0), trainer._step),
        "network alone": partial(images_per_s, few, lambda: iter([ready] * steps), trainer._step),
    }


def compare(rates: Mapping[str, Sequence[Rates]]) -> tuple[list[Figure], list[Figure]]:
    """The ratios of PAIRS, by time and by processor time."""
    by_time, by_processor = [], []
    for name, (above, below) in PAIRS.items():
        of_time, of_processor = (
            ratios([rate[which] for rate in rates[above]], [rate[which] for rate in rates[below]]) for which in (0, 1)
        )
        note = f"{median_rate(rates[above]):,.0f} / {median_rate(rates[below]):,.0f} images/s"
        by_time.append(figure(name, of_time, ratio=True, note=note, target=TARGETS.get(name)))
        by_processor.append(figure(name, of_processor))  # no ratio of the report: it compares times of two runs
    return by_time, by_processor


def median_rate(rates: Sequence[Rates]) -> float:
    """The median of the images per second."""
    return statistics.median(rate for rate, _ in rates)


def table(by_processor: Sequence[Figure], note: str) -> Table:
    """A row per ratio of processor times."""
    rows = [[item.name, number(item.median), *map(number, item.quartiles)] for item in by_processor]
    return Table("Ratios by processor time", ["", "median", "25 %", "75 %"], rows, note)


def plot(results: Results) -> Any:
    """Images per second of each way: a bar at the median, a dot per round."""
    rates: dict[str, list[Rates]] = results.values["images_per_s"]
    canvas = new_figure(9, 3.6)
    axes = canvas.subplots()
    for row, (name, values) in enumerate(reversed(rates.items())):
        color = COLORS[0] if "ours" in name else COLORS[1] if "tutorials" in name else COLORS[6]
        per_second = [rate for rate, _ in values]
        axes.barh(row, median_rate(values), color=color, height=0.6)
        axes.plot(per_second, [row] * len(per_second), ".", color="black", alpha=0.6, markersize=4)
        axes.annotate(
            f"{median_rate(values):,.0f}", (max(per_second), row), xytext=(6, 0), textcoords="offset points",
            va="center",
        )  # fmt: skip
    axes.set_yticks(range(len(rates)), reversed(rates))
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_xlabel("images per second (logarithmic)")
    axes.set_title(results.values["conditions"].replace("; ", "\n"), fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return canvas


@click.command(help=__doc__)
@click.option("--model", type=click.Choice(network_names()), default="edgeresnet", show_default=True)
@click.option("--faces", "count", default=8192, show_default=True, help="Faces of which batches alone are made.")
@click.option("--steps", default=8, show_default=True, help="Batches that the network is trained on.")
@rounds_option(5)
@click.option("--threads", type=int, help="CPU threads.  [default: all cores]")
@results_command(plot)
def main(model: str, count: int, steps: int, rounds: int, threads: int | None) -> Results:
    """Measure, print, write, draw."""
    if threads:
        torch.set_num_threads(threads)
    results = Results("training", "How fast are augmented batches made, against the way tutorials make them?")
    results.versions["torch"] = torch.__version__
    rates = interleave(make_jobs(model, count, steps), rounds, results.probe)
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else str(machine_info()["cpu"])
    conditions = (
        f"{model}, {count:,} faces, {steps} steps, {rounds} rounds; {where}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}; load at the end {os.getloadavg()[0]:.1f}"
    )
    results.figures, by_processor = compare(rates)
    results.tables.append(table(by_processor, conditions))
    results.values = {"images_per_s": rates, "conditions": conditions}
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.training")
