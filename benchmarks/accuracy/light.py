"""What does giving dark and flat faces more light and contrast give back?

PublicTest faces lose light (darkness: their greys are multiplied by a share) or contrast (haze: their greys come as
much nearer to a middle grey), rounded to whole greys, without and with a little noise of a sensor. The network names
them as they are, as fer-edge gives them to it, and raised by a power (gamma) where they are dark.

    python -m benchmarks.accuracy.light --data fer2013.csv --json light.json --plot light.png
"""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from benchmarks.harness.measuring import Results, check_outputs, pin_threads, progress
from benchmarks.harness.presenting import COLORS, Table, new_figure, percent, save_plot
from fer_edge.console import run_main
from fer_edge.detectors.lighting import brighten
from fer_edge.framing import Image, normalize_light
from fer_edge.network.classifier import Classifier
from fer_models import default_model
from fer_train.data import PUBLIC_TEST, FaceData, load_faces

SPOILT = {"darkness": 0.0, "haze": 128.0}  # the grey that the others come nearer to
SHARES = (1.0, 0.6, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05)
NOISES = (0.0, 2.0)  # standard deviation, in grey levels
BATCH = 256
SEED = 0
Faces = npt.NDArray[np.uint8]


def as_fer_edge(face: Image) -> Image:
    """The face as fer-edge gives it to the network."""
    face = face.copy()
    normalize_light(face)
    return face


Way = Callable[[Image], Image]
WAYS: dict[str, Way] = {"as it is": lambda face: face, "fer-edge": as_fer_edge, "gamma": brighten}


def spoilt(faces: Faces, towards: float, share: float, noise: float) -> Faces:
    """uint8 [N, H, W] with that share of the distance from a grey, and Gaussian noise; the same each time."""
    grain = np.random.default_rng(SEED).standard_normal(faces.shape, dtype=np.float32) * np.float32(noise)
    nearer = towards + (faces - np.float32(towards)) * np.float32(share)
    return np.clip(nearer + grain, 0, 255).round().astype(np.uint8)


def accuracy(classifier: Classifier, images: Faces, labels: npt.NDArray[np.int64]) -> float:
    """Share of faces uint8 [N, H, W] that are named as labelled."""
    parts = [classifier.predict(images[start : start + BATCH, None]) for start in range(0, len(images), BATCH)]
    return float((np.concatenate(parts).argmax(axis=1) == labels).mean())


def measure(classifier: Classifier, faces: FaceData) -> Results:
    """Accuracy by what spoils the light, how much is left, noise and way."""
    results = Results("light", "What does giving faces more light and contrast give back?", pin_threads(1))
    shares: dict[str, list[float]] = {}
    rows = []
    for (case, towards), noise in progress(list(product(SPOILT.items(), NOISES)), "light"):
        for share in SHARES:
            bad = spoilt(faces.images, towards, share, noise)
            row = []
            for name, way in WAYS.items():
                row.append(accuracy(classifier, np.stack([way(face) for face in bad]), faces.labels))
                shares.setdefault(f"{case}, noise {noise:g}, {name}", []).append(row[-1])
            rows.append((case, f"{noise:g}", f"{share:g}", *(percent(value) for value in row)))
    note = f"{classifier.path.name}, {len(faces)} PublicTest faces; one standard error is about 0.8 points."
    results.tables.append(Table("Accuracy", ("", "noise", "left", *WAYS), rows, note))
    results.values = {"left": SHARES, "accuracy": shares}
    return results


def plot(results: Results, path: Path) -> None:
    """Accuracy over what is left of light or contrast: a colour a way, dashed with noise."""
    canvas = new_figure(10, 4)
    panels = canvas.subplots(1, len(SPOILT), sharey=True)
    for axes, (case, what) in zip(panels, {"darkness": "light", "haze": "contrast"}.items(), strict=True):
        for noise, (name, color) in product(NOISES, zip(WAYS, COLORS, strict=False)):
            if name == "gamma" and case != "darkness":
                continue  # it is for the dark
            shares = results.values["accuracy"][f"{case}, noise {noise:g}, {name}"]
            style = "o--" if noise else "o-"
            label = f"{name}, noise {noise:g}"
            axes.plot(SHARES, [100 * share for share in shares], style, color=color, label=label)
        axes.set(xscale="log", xlabel=f"share of the {what} that is left", title=case)
        ticks = (1, 0.4, 0.2, 0.1, 0.05)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy in %")
    panels[0].legend(frameon=False)
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
    run_main(main, "python -m benchmarks.accuracy.light")
