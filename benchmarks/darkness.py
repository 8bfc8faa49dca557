"""What does brightening dark faces give back?

PublicTest faces get less light, as a sensor would: a share of their greys, rounded to whole ones, with a little noise.
The network names them as they are, as fer-edge gives them to it, and raised by a power (gamma) instead of a factor.

    python benchmarks/darkness.py --data fer2013.csv --json darkness.json --plot darkness.png
"""

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from fer_edge.classifier import Classifier
from fer_edge.console import run_main
from fer_edge.detectors.luma import brightened
from fer_edge.framing import Image, brighten
from fer_models import default_model
from fer_train.data import PUBLIC_TEST, FaceData, load_faces
from measuring import Results, check_outputs, pin_threads, progress
from presenting import COLOURS, Table, new_figure, percent, save_plot

SHARES = (1.0, 0.6, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05)
NOISES = (0.0, 2.0)  # standard deviation, in grey levels
BATCH = 256
SEED = 0
Faces = npt.NDArray[np.uint8]


def by_factor(face: Image) -> Image:
    """As fer-edge does it."""
    face = face.copy()
    brighten(face)
    return face


WAYS: dict[str, Callable[[Image], Image]] = {"as it is": lambda face: face, "fer-edge": by_factor, "gamma": brightened}


def darkened(faces: Faces, share: float, noise: float) -> Faces:
    """uint8 [N, H, W] with that share of the light and Gaussian noise; the same each time."""
    grain = np.random.default_rng(SEED).standard_normal(faces.shape, dtype=np.float32) * np.float32(noise)
    return np.clip(faces * np.float32(share) + grain, 0, 255).round().astype(np.uint8)


def accuracy(classifier: Classifier, images: Faces, labels: npt.NDArray[np.int64]) -> float:
    """Share of faces uint8 [N, H, W] that are named as labelled."""
    parts = [classifier.predict(images[start : start + BATCH, None]) for start in range(0, len(images), BATCH)]
    return float((np.concatenate(parts).argmax(axis=1) == labels).mean())


def measure(classifier: Classifier, faces: FaceData) -> Results:
    """Accuracy by share of the light, noise and way."""
    results = Results("darkness", "What does brightening dark faces give back?", pin_threads(1))
    shares: dict[str, list[float]] = {}
    rows = []
    for noise in NOISES:
        for share in progress(SHARES, f"noise {noise:g}"):
            dark = darkened(faces.images, share, noise)
            row = []
            for name, way in WAYS.items():
                seen = np.stack([way(face) for face in dark])
                row.append(accuracy(classifier, seen, faces.labels))
                shares.setdefault(f"{name}, noise {noise:g}", []).append(row[-1])
            rows.append((f"{share:g}", f"{noise:g}", *(percent(value) for value in row)))
    note = f"{classifier.path.name}, {len(faces)} PublicTest faces; one standard error is about 0.8 points."
    results.tables.append(Table("Accuracy", ("light", "noise", *WAYS), rows, note))
    results.values = {"light": SHARES, "accuracy": shares}
    return results


def plot(results: Results, path: Path) -> None:
    """Accuracy over the share of the light: a colour a way, dashed with noise."""
    canvas = new_figure(7, 4)
    axes = canvas.subplots()
    for index, (name, shares) in enumerate(results.values["accuracy"].items()):
        style = "o-" if index < len(WAYS) else "o--"
        axes.plot(SHARES, [100 * share for share in shares], style, color=COLOURS[index % len(WAYS)], label=name)
    axes.set(xscale="log", xlabel="share of the light", ylabel="accuracy in %", title="Faces in the dark")
    ticks = (1, 0.4, 0.2, 0.1, 0.05)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save_plot(canvas, path)


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), required=True, metavar="CSV", help="fer2013.csv")
@click.option("--model", type=click.Path(path_type=Path), metavar="FILE", help="Network.  [default: the shipped one]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write everything here.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), metavar="FILE", help="Draw it here (.png).")
def main(data: Path, model: Path | None, json_file: Path | None, plot_file: Path | None) -> None:
    """Measure, print, write, draw."""
    check_outputs(json_file, plot_file)
    results = measure(Classifier(model or default_model()), load_faces(data).split(PUBLIC_TEST))
    results.show()
    results.write(json_file)
    if plot_file is not None:
        plot(results, plot_file)


if __name__ == "__main__":
    run_main(main, "darkness.py")
