"""How fast are augmented batches made, against the way tutorials make them? Every figure is a ratio of one run.

Ours: all faces lie on the device as uint8, a whole batch is changed at once. The tutorials': a data set of pictures,
each turned, shifted, scaled, mirrored, relit and erased by itself with Pillow, in a DataLoader with two workers. Both
change the faces in the same ways and as far, take turns, and feed the same network. Faces are drawn noise: their
content costs no time. `network's share` is the time of an epoch whose batches come for nothing, of one whose don't.
Beside the ratio of times stands that of processor times (all threads and workers), which other work on the machine
hardly touches; on two idle cores the two agree.

    python -m benchmarks.speed.training --json training.json --plot training.png
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fer_edge.console import run_main
from fer_edge.files import write_json
from fer_edge.system import machine_info
from fer_train.data import FER2013_CLASSES, TRAINING, FaceData
from fer_train.network_names import network_names
from fer_train.networks import NETWORKS
from fer_train.networks.normalization import MEAN, STD
from fer_train.training.augment import Augmentation
from fer_train.training.batches import Batch, Batches
from fer_train.training.distributed import Rank
from fer_train.training.options import TrainOptions
from fer_train.training.trainer import Trainer

WORKERS = 2  # as tutorials have it
AIMS = {"data handling": 3.0, "network's share": 0.9}  # at least
Rates = tuple[float, float]
"""Images a second, and images a second of processor time."""


@dataclass(frozen=True)
class Figure:
    """A measured ratio with its quartiles, the same of processor time, and the bound it should keep, if any."""

    name: str
    median: float
    quartiles: tuple[float, float]
    processor_median: float
    processor_quartiles: tuple[float, float]
    target: float | None
    note: str

    @property
    def met(self) -> bool | None:
        """Whether the median keeps the bound; None without one."""
        return None if self.target is None else self.median >= self.target


class PillowFaces(Dataset[tuple[Tensor, int]]):
    """Faces changed one by one, in the ways and as far as `options` says, as tutorials do it."""

    def __init__(self, faces: FaceData, options: Augmentation) -> None:
        self._faces, self._options = faces, options

    def __len__(self) -> int:
        return len(self._faces)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        draw, options = np.random.default_rng(int(torch.randint(2**62, ()))), self._options
        picture = Image.fromarray(self._faces.images[index])
        if draw.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture = self._moved(picture, draw)
        picture = ImageEnhance.Brightness(picture).enhance(1 + draw.uniform(-options.brightness, options.brightness))
        picture = ImageEnhance.Contrast(picture).enhance(1 + draw.uniform(-options.contrast, options.contrast))
        face = (np.asarray(picture, dtype=np.float32) - MEAN) / STD
        if draw.random() < options.erase:
            face = self._erased(face, draw)
        return torch.from_numpy(face).unsqueeze(0), int(self._faces.labels[index])

    def _moved(self, picture: Image.Image, draw: np.random.Generator) -> Image.Image:
        options, side = self._options, picture.width
        angle = np.radians(draw.uniform(-options.rotation_deg, options.rotation_deg))
        scale = 1 / (1 + draw.uniform(-options.scale, options.scale))
        shift_x, shift_y = draw.uniform(-options.shift * side, options.shift * side, 2)
        cos, sin, middle = scale * np.cos(angle), scale * np.sin(angle), (side - 1) / 2
        from_x = middle - cos * middle + sin * middle + shift_x
        from_y = middle - sin * middle - cos * middle + shift_y
        matrix = (cos, -sin, from_x, sin, cos, from_y)
        return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)

    @staticmethod
    def _erased(face: npt.NDArray[np.float32], draw: np.random.Generator) -> npt.NDArray[np.float32]:
        side, area, aspect = len(face), draw.uniform(0.02, 0.25), np.exp(draw.uniform(-1.2, 1.2))
        height, width = (max(1, round(side * np.sqrt(part))) for part in (area * aspect, area / aspect))
        top, left = (draw.integers(0, side - edge + 1) for edge in (height, width))
        face[top : top + height, left : left + width] = draw.standard_normal((height, width))
        return face


def drawn_faces(count: int) -> FaceData:
    """`count` faces of noise to train on, and one to test on."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count + 1, 48, 48)).astype(np.uint8)
    labels = generator.integers(0, len(FER2013_CLASSES), count + 1)
    usage = np.array([TRAINING] * count + ["PublicTest"])
    return FaceData(images, labels, usage, FER2013_CLASSES, Path("noise.csv"))


def our_batches(faces: FaceData, options: TrainOptions) -> Batches:
    """fer-train's batches."""
    return Batches(faces, None, options, Rank())


class Tutorial:
    """The tutorials' batches, from workers that stay alive between epochs."""

    def __init__(self, faces: FaceData, options: TrainOptions) -> None:
        self._loader = DataLoader(
            PillowFaces(faces, options.augmentation), options.recipe.batch_size, shuffle=True, num_workers=WORKERS,
            persistent_workers=True, worker_init_fn=_one_thread,
        )  # fmt: skip

    def epoch(self, _number: int) -> Iterator[Batch]:
        """The batches of an epoch."""
        for faces, labels in self._loader:
            targets = torch.nn.functional.one_hot(labels, len(FER2013_CLASSES)).float()
            yield Batch(faces.contiguous(memory_format=torch.channels_last), targets, None)


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)


def processor_s() -> float:
    """Processor time of this process and its children so far, in seconds."""
    folders = list(Path("/proc/self/task").iterdir())
    children = {child for folder in folders for child in (folder / "children").read_text().split()}
    tasks = [task for child in children for task in Path(f"/proc/{child}/task").iterdir()]
    return time.process_time() + sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def images_per_s(count: int, batches: Callable[[], Iterator[Batch]], step: Callable[[Batch], object]) -> Rates:
    """How many of `count` faces go through `step` in a second, and in a second of processor time."""
    processor, started = processor_s(), time.perf_counter()
    for batch in batches():
        step(batch)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return count / (time.perf_counter() - started), count / (processor_s() - processor)


def measure(model: str, count: int, steps: int, rounds: int) -> tuple[list[Figure], dict[str, list[Rates]]]:
    """Images a second of each way in `rounds` rounds after one that is not counted, and their ratios.

    Batches alone are made of `count` faces, training goes over `steps` batches.
    """
    options = TrainOptions(
        model, 1_000_000, NETWORKS[model].recipe, device="cuda" if torch.cuda.is_available() else "cpu"
    )
    size = options.recipe.batch_size
    many, few = drawn_faces(max(count // size, 1) * size), drawn_faces(steps * size)
    trainer = Trainer(few, options, Path())
    trainer.student.train()
    ours, theirs = ([make(faces.split(TRAINING), options) for faces in (many, few)] for make in (our_batches, Tutorial))
    ready = next(ours[1].epoch(0))

    def one(faces: FaceData, batches: Callable[[], Iterator[Batch]], step: Callable[[Batch], object]) -> Rates:
        return images_per_s(len(faces) - 1, batches, step)

    jobs: dict[str, Callable[[], Rates]] = {
        "batches, ours": lambda: one(many, lambda: ours[0].epoch(0), lambda _batch: None),
        "batches, tutorials'": lambda: one(many, lambda: theirs[0].epoch(0), lambda _batch: None),
        "training, ours": lambda: one(few, lambda: ours[1].epoch(0), trainer._step),
        "training, tutorials'": lambda: one(few, lambda: theirs[1].epoch(0), trainer._step),
        "network alone": lambda: one(few, lambda: iter([ready] * steps), trainer._step),
    }
    rates: dict[str, list[Rates]] = {name: [] for name in jobs}
    for turn in range(rounds + 1):
        for name, job in jobs.items():
            click.echo(f"\rround {turn}/{rounds}: {name:24}", nl=False, err=True)
            rates[name].append(job())
    click.echo("\r" + " " * 50 + "\r", nl=False, err=True)
    rates = {name: values[1:] for name, values in rates.items()}
    return [
        _ratio("data handling", "batches, ours", "batches, tutorials'", rates),
        _ratio("whole training", "training, ours", "training, tutorials'", rates),
        _ratio("network's share", "training, ours", "network alone", rates),
        _ratio("network's share, tutorials'", "training, tutorials'", "network alone", rates),
    ], rates


def _ratio(name: str, above: str, below: str, rates: dict[str, list[Rates]]) -> Figure:
    pairs = np.array(rates[above]) / np.array(rates[below])  # [rounds, 2]
    (low, processor_low), (middle, processor_middle), (high, processor_high) = (
        [round(float(value), 4) for value in row] for row in np.percentile(pairs, [25, 50, 75], axis=0)
    )
    note = f"{_middle(rates[above]):,.0f} / {_middle(rates[below]):,.0f} images/s"
    return Figure(
        name, middle, (low, high), processor_middle, (processor_low, processor_high), AIMS.get(name), note
    )  # fmt: skip


def _middle(rates: Sequence[Rates]) -> float:
    return statistics.median(rate for rate, _ in rates)


def plot(rates: dict[str, list[Rates]], title: str, path: Path) -> None:
    """Images a second of each way: a bar at the median, a dot for every round."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    for row, (name, values) in enumerate(reversed(rates.items())):
        color = "#4477aa" if "ours" in name else "#ee6677" if "tutorials" in name else "#bbbbbb"
        times = [rate for rate, _ in values]
        axes.barh(row, _middle(values), color=color, height=0.6)
        axes.plot(times, [row] * len(times), ".", color="black", alpha=0.6, markersize=4)
        axes.annotate(
            f"{_middle(values):,.0f}", (max(times), row), xytext=(6, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(rates)), reversed(rates))
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_xlabel("images a second (logarithmic)")
    axes.set_title(title.replace("; ", "\n"), fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=120)


def table(figures: Sequence[Figure]) -> str:
    """The ratios as lines of text."""
    lines = [f"{'':28} median  quartiles       processor time           target"]
    for item in figures:
        (low, high), (processor_low, processor_high) = item.quartiles, item.processor_quartiles
        verdict = "" if item.target is None else f">= {item.target:<4g} {'met' if item.met else 'MISSED'}"
        processor = f"{item.processor_median:6.3f}  {processor_low:6.3f} {processor_high:6.3f}"
        lines.append(
            f"{item.name:28} {item.median:6.3f}  {low:6.3f} {high:6.3f}  {processor}   {verdict:14} {item.note}"
        )
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--model", type=click.Choice(network_names()), default="edgeresnet", show_default=True)
@click.option("--faces", "count", default=8192, show_default=True, help="Faces of which batches alone are made.")
@click.option("--steps", default=8, show_default=True, help="Batches that the network is trained on.")
@click.option("--rounds", default=5, show_default=True, help="How often each way is measured.")
@click.option("--threads", type=int, help="CPU threads; default: all cores.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Draw them here (.png).")
def main(
    model: str, count: int, steps: int, rounds: int, threads: int | None, json_file: Path | None, plot_file: Path | None
) -> None:
    """Measure, print the table, write what is asked."""
    if threads:
        torch.set_num_threads(threads)
    figures, rates = measure(model, count, steps, rounds)
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else str(machine_info()["cpu"])
    told = (
        f"{model}, {count:,} faces, {steps} steps, {rounds} rounds; {where}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}; load at the end {os.getloadavg()[0]:.1f}"
    )
    click.echo(told)
    click.echo(table(figures))
    if json_file is not None:
        ratios = [asdict(item) | {"met": item.met} for item in figures]
        write_json(json_file, {"ratios": ratios, "images_per_s": rates, "told": told, "machine": machine_info()})
    if plot_file is not None:
        plot(rates, told, plot_file)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.training")
