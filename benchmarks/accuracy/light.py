"""How much accuracy does normalizing the light of dark and flat faces recover?

PublicTest faces lose light (darkness: their gray levels are scaled toward 0) or contrast (haze: toward middle gray),
rounded to whole levels, without and with a little sensor noise. The network sees them unchanged, as fer-edge prepares
them, and, if dark, brightened by a power law (gamma). The truth is the one that the head was trained for: FER2013's
labels, or with --ferplus the majorities of FER+'s votes.

    python -m benchmarks.accuracy.light --data fer2013.csv --json light.json --plot light.png
"""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.harness.heads import Head, head_option, open_head
from benchmarks.harness.options import data_option, ferplus_option, model_option, results_command
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.results import Results
from benchmarks.harness.tables import Table, percent
from benchmarks.harness.timing import pin_threads, progress
from benchmarks.harness.truths import FaceSet, own_fer2013_set
from fer_edge.console import run_main
from fer_edge.detectors.lighting import brighten
from fer_edge.framing import Image, normalize_light

TARGET_GRAY = {"darkness": 0.0, "haze": 128.0}  # the level toward which others are scaled
SHARES = (1.0, 0.6, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05)
NOISE_STD = (0.0, 2.0)  # in gray levels
SEED = 0
Faces = npt.NDArray[np.uint8]


def as_fer_edge(face: Image) -> Image:
    """The face as fer-edge gives it to the network."""
    face = face.copy()
    normalize_light(face)
    return face


METHODS: dict[str, Callable[[Image], Image]] = {
    "as it is": lambda face: face, "fer-edge": as_fer_edge, "gamma": brighten,
}  # fmt: skip


def degraded(faces: Faces, target: float, share: float, noise_std: float) -> Faces:
    """Faces whose distance from the gray level `target` is scaled by `share`, with Gaussian noise; seeded.

    faces: uint8 [N, H, W] or [H, W].
    """
    noise = np.random.default_rng(SEED).standard_normal(faces.shape, dtype=np.float32) * np.float32(noise_std)
    scaled = target + (faces - np.float32(target)) * np.float32(share)
    return np.clip(scaled + noise, 0, 255).round().astype(np.uint8)


def accuracy(head: Head, images: Faces, labels: npt.NDArray[np.int64]) -> float:
    """Share of faces uint8 [N, H, W] whose label (an index into EMOTIONS) is predicted."""
    return float((head.predict(images).argmax(axis=1) == labels).mean())


def measure(head: Head, faces: FaceSet) -> Results:
    """Accuracy by kind and strength of bad light, noise and method."""
    results = Results("light", "How much accuracy does normalizing the light recover?", pin_threads(1))
    accuracies: dict[str, list[float]] = {}
    rows = []
    for (case, target), noise_std in progress(list(product(TARGET_GRAY.items(), NOISE_STD)), "light"):
        for share in SHARES:
            images = degraded(faces.images, target, share, noise_std)
            row = []
            for name, method in METHODS.items():
                row.append(accuracy(head, np.stack([method(face) for face in images]), faces.labels))
                accuracies.setdefault(f"{case}, noise {noise_std:g}, {name}", []).append(row[-1])
            rows.append((case, f"{noise_std:g}", f"{share:g}", *(percent(value) for value in row)))
    note = f"{head.title}, {len(faces)} PublicTest faces, {faces.truth}; one standard error is about 0.8 points."
    results.tables.append(Table("Accuracy", ("", "noise", "left", *METHODS), rows, note))
    results.values = {"left": SHARES, "accuracy": accuracies, "head": head.name, "truth": faces.truth}
    return results


def plot(results: Results) -> Any:
    """Accuracy over the share of light or contrast that is left: a color per method, dashed with noise."""
    canvas = new_figure(10, 4)
    panels = canvas.subplots(1, len(TARGET_GRAY), sharey=True)
    for axes, (case, what) in zip(panels, {"darkness": "light", "haze": "contrast"}.items(), strict=True):
        for noise_std, (name, color) in product(NOISE_STD, zip(METHODS, COLORS, strict=False)):
            if name == "gamma" and case != "darkness":
                continue  # it only brightens
            accuracies = results.values["accuracy"][f"{case}, noise {noise_std:g}, {name}"]
            style = "o--" if noise_std else "o-"
            label = f"{name}, noise {noise_std:g}"
            axes.plot(SHARES, [100 * value for value in accuracies], style, color=color, label=label)
        axes.set(xscale="log", xlabel=f"share of the {what} that is left", title=case)
        ticks = (1, 0.4, 0.2, 0.1, 0.05)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy in %")
    panels[0].legend(frameon=False)
    return canvas


@click.command(help=__doc__)
@data_option
@ferplus_option
@model_option
@head_option
@results_command(plot)
def main(data: Path, ferplus: Path | None, model: Path | None, head: str | None) -> Results:
    """Measure, print, write, draw."""
    opened = open_head(model, head)
    return measure(opened, own_fer2013_set(opened.name, data, ferplus))


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.light")
