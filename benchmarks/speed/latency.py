"""How long does a network take for one face, and for a batch, in our runtime and in others?

The same network through our Classifier (int8 and fp32), a bare onnxruntime session, OpenCV's DNN module and PyTorch,
eager and compiled, on the same face crops; all take turns. Each time is also given as a ratio to the bare session of
the fp32 file. If a file has several heads, our Classifier also runs it with the first head alone. Every runtime's
probabilities are compared with that session's, to show that all do the same work.

    python -m benchmarks.speed.latency --json latency.json --plot latency.png
    python -m benchmarks.speed.latency --batch 1 --peer fer
"""

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.harness.inputs import drawn_faces
from benchmarks.harness.options import peers_option, results_command, rounds_option
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.results import Figure, Results, figure
from benchmarks.harness.tables import Table, number
from benchmarks.harness.timing import Job, interleave, median_time, pin_threads, ratios
from benchmarks.peers import one_line, open_all
from benchmarks.speed.model_variants import default_head_alone, normalized, without_front
from fer_edge.console import run_main
from fer_edge.network.classifier import Classifier
from fer_edge.network.session import open_session
from fer_edge.opencv import cv2
from fer_models import model_path

CHECKPOINT = Path(__file__).parents[2] / "models" / "checkpoints" / "fer2013.pt"
BATCHES = (1, 4, 16)
MAX_DIFFERENCE = 1e-3  # probabilities that differ less count as equal
BASE = "onnxruntime alone, fp32"
TURN_S = 0.06  # a turn repeats its batch for about this long, so that slow and fast runtimes get equal time
Batch = npt.NDArray[np.uint8]
"""uint8 [N, 1, 48, 48]."""
Run = Callable[[Batch], npt.NDArray[np.floating[Any]]]
"""Takes a batch of faces to probabilities [N, 7]."""
Times = Mapping[int, Mapping[str, Sequence[float]]]
"""Seconds per round, by batch size and runtime."""


@dataclass(frozen=True)
class Runtime:
    """A way of running a network. network: "fp32" or "int8" for the shipped ones, "other" for a peer's."""

    name: str
    run: Run
    network: str = "fp32"


def one_head(precision: str) -> str:
    """The name of the runtime that has the first head alone."""
    return f"fer-edge, {precision}, one head"


def ours(threads: int) -> list[Runtime]:
    """Our Classifier and a bare session, int8 and fp32; if the files have several heads, also with one."""
    found = []
    for precision in ("fp32", "int8"):
        path = model_path(precision)
        session = open_session(path, threads)
        name = session.get_inputs()[0].name

        def bare(batch: Batch, session: Any = session, name: str = name) -> npt.NDArray[np.floating[Any]]:
            return np.asarray(session.run(None, {name: batch})[0])

        found.append(Runtime(f"onnxruntime alone, {precision}", bare, precision))
        found.append(Runtime(f"fer-edge, {precision}", Classifier(path, threads).predict, precision))
        alone = default_head_alone(path)
        if alone is not None:
            found.append(Runtime(one_head(precision), Classifier(alone, threads).predict, precision))
    return found


def opencv_dnn(path: Path, faces: Batch, results: Results) -> Runtime:
    """OpenCV's own inference of the fp32 file; cv2.error if it cannot read it.

    OpenCV 4.14 reads the file but misinterprets its uint8 front. If its probabilities for `faces` differ from the
    session's, it gets the same network with a float input.
    """
    session = open_session(path)
    output = session.get_outputs()[0].name  # the default head's
    expected = session.run([output], {session.get_inputs()[0].name: faces})[0]
    network = cv2.dnn.readNetFromONNX(str(path))

    def run(batch: Batch) -> npt.NDArray[np.floating[Any]]:
        network.setInput(batch)
        return np.array(network.forward(output))

    difference = np.abs(run(faces) - expected).max()
    if difference < MAX_DIFFERENCE:
        return Runtime("OpenCV DNN, fp32", run)
    data, scale, zero = without_front(path)
    float_network = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    results.skip(
        f"OpenCV DNN with {path.name} unchanged: OpenCV {cv2.__version__} differs from onnxruntime by up to "
        f"{difference:.2f}; measured with the same network behind a float input"
    )

    def run_floats(batch: Batch) -> npt.NDArray[np.floating[Any]]:
        float_network.setInput(normalized(batch, scale, zero))
        return np.array(float_network.forward(output))

    return Runtime("OpenCV DNN, fp32", run_floats)


def pytorch(threads: int, compiled: bool) -> Runtime:
    """The checkpoint in PyTorch, from uint8 faces to probabilities, eager or compiled."""
    import torch

    from fer_train.networks.checkpoint import load_checkpoint
    from fer_train.networks.normalization import normalize

    torch.set_num_threads(threads)
    stored = load_checkpoint(CHECKPOINT)
    checkpoint = stored.only([stored.head().name])
    network = checkpoint.network()

    def probabilities(faces: torch.Tensor) -> torch.Tensor:
        return torch.softmax(network(normalize(faces)) / checkpoint.temperature, dim=1)

    forward = torch.compile(probabilities, dynamic=False) if compiled else probabilities

    def run(batch: Batch) -> npt.NDArray[np.floating[Any]]:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's own deprecations
            return np.asarray(forward(torch.from_numpy(batch[:, 0])).numpy())

    return Runtime(f"PyTorch {'compiled' if compiled else 'eager'}, fp32", run)


def others(threads: int, with_compiled: bool, faces: Batch, results: Results) -> list[Runtime]:
    """OpenCV DNN and PyTorch; what is not available is skipped."""
    found = []
    try:
        found.append(opencv_dnn(model_path("fp32"), faces, results))
    except cv2.error as error:
        results.skip(f"OpenCV DNN can't read {model_path('fp32').name} ({one_line(error)})")
    try:
        import torch
    except ImportError:
        results.skip("PyTorch is not installed: pip install 'fer-edge[train]'")
        return found
    if not CHECKPOINT.is_file():
        results.skip(f"PyTorch, since {CHECKPOINT.name} is not in the checkout")
        return found
    results.versions["torch"] = torch.__version__
    results.threads = f"{results.threads[:-1]}, {threads} for PyTorch."
    found.append(pytorch(threads, compiled=False))
    if not with_compiled:
        results.skip("compiled PyTorch (--no-compile)")
    elif shutil.which("c++") is None and shutil.which("g++") is None and shutil.which("clang++") is None:
        results.skip("compiled PyTorch, since torch.compile needs a C++ compiler: apt-get install g++")
    else:
        found.append(pytorch(threads, compiled=True))
    return found


def working(runtimes: Sequence[Runtime], batch: Batch, results: Results) -> list[Runtime]:
    """The runtimes that run, after one run each that loads and compiles; the others are skipped."""
    found = []
    for each in runtimes:
        try:
            each.run(batch)
        except Exception as error:  # noqa: BLE001 - compilers and peers fail in their own ways
            results.skip(f"{each.name} ({one_line(error, 160)})")
        else:
            found.append(each)
    return found


def differences(runtimes: Sequence[Runtime], faces: Batch) -> dict[str, tuple[float, float]]:
    """By name, the largest difference to the first runtime's probabilities, and the share of equal labels."""
    expected = runtimes[0].run(faces)
    found = {}
    for each in runtimes:
        given = each.run(faces)
        equal = float((given.argmax(axis=1) == expected.argmax(axis=1)).mean())
        found[each.name] = (float(np.abs(given - expected).max()), equal)
    return found


def timed(runtimes: Sequence[Runtime], batch: Batch, rounds: int, results: Results) -> dict[str, list[float]]:
    """Seconds per batch of each runtime, one value per round."""
    jobs: dict[str, Job] = {}
    for each in runtimes:

        def once(each: Runtime = each) -> object:
            return each.run(batch)

        once()
        expected = median_time(once, 3)()
        jobs[each.name] = median_time(once, max(3, min(50, round(TURN_S / expected))))
    return interleave(jobs, rounds, results.probe, f"batch {len(batch)}")


def measure(batches: Sequence[int], rounds: int, peers: Sequence[str], threads: int, with_compiled: bool) -> Results:
    """Time everything on drawn faces: the time of these networks does not depend on the image."""
    results = Results("latency", "How long does a network take for one face, and for a batch?")
    results.threads = pin_threads(threads)
    faces = drawn_faces().images[:, None]
    runtimes = ours(threads) + others(threads, with_compiled, faces[::20], results)
    for peer in open_all(peers, results.skip):
        runtimes.append(Runtime(f"{peer.name} {peer.version}", lambda batch, p=peer: p.predict(batch[:, 0]), "other"))  # type: ignore[misc]
    times: dict[int, dict[str, list[float]]] = {}
    for size in batches:
        batch = np.ascontiguousarray(np.resize(faces, (size, *faces.shape[1:])))
        runtimes = working(runtimes, batch, results)
        times[size] = timed(runtimes, batch, rounds, results)
    results.figures = figures(times)
    compared = differences(runtimes, np.ascontiguousarray(faces[:: len(faces) // batches[-1] or 1][: batches[-1]]))
    results.tables = [summary(times, runtimes, compared)]
    results.values = {
        "peers": [each.name for each in runtimes if each.network == "other"],
        "ms": {
            name: {size: round(1000 * float(np.median(of[name])), 4) for size, of in times.items()} for name in compared
        },
    }
    return results


def figures(times: Times) -> list[Figure]:
    """Ratios to the bare fp32 session, then of our runtime's files to each other, then milliseconds."""
    found = []
    for size, of in times.items():
        faces = f"batch {size}"
        found += [
            figure(f"{name} / {BASE}, {faces}", ratios(values, of[BASE]), ratio=True)
            for name, values in of.items()
            if name != BASE
        ]
        found.append(
            figure(f"fer-edge, fp32 / fer-edge, int8, {faces}", ratios(of["fer-edge, fp32"], of["fer-edge, int8"]),
                   ratio=True, note="how much faster int8 is")
        )  # fmt: skip
        found.append(
            figure(f"fer-edge, int8 / onnxruntime alone, int8, {faces}",
                   ratios(of["fer-edge, int8"], of["onnxruntime alone, int8"]), ratio=True)
        )  # fmt: skip
        found += [
            figure(f"fer-edge, {precision}, all heads / one head, {faces}",
                   ratios(of[f"fer-edge, {precision}"], of[one_head(precision)]), ratio=True, note="what heads cost")
            for precision in ("int8", "fp32") if one_head(precision) in of
        ]  # fmt: skip
        found += [figure(f"{name}, {faces}", [1000 * value for value in of[name]], "ms") for name in of]
    return found


def summary(times: Times, runtimes: Sequence[Runtime], compared: dict[str, tuple[float, float]]) -> Table:
    """A row per runtime: the milliseconds and the ratio per batch size."""
    columns = [""]
    for size in times:
        columns += [f"batch {size}, ms", "/ bare fp32"]
    columns += ["ms per face, best", "largest difference", "same labels"]
    rows = []
    for each in runtimes:
        cells, per_face = [each.name], []
        for size, of in times.items():
            milliseconds = 1000 * float(np.median(of[each.name]))
            per_face.append(milliseconds / size)
            cells += [number(milliseconds), number(float(np.median(ratios(of[each.name], of[BASE]))))]
        difference, equal = compared[each.name]
        answers = ("another network", "–") if each.network == "other" else (f"{difference:.1e}", f"{equal:.1%}")
        rows.append((*cells, number(min(per_face)), *answers))
    note = (
        "All get the same uint8 face crops. Differences are between the probabilities and those of the bare fp32 "
        f"session, on {list(times)[-1]} drawn faces; int8 is another network by design."
    )
    return Table("Time per batch", columns, rows, note)


def plot(results: Results) -> Any:
    """Milliseconds per face of each runtime, a bar per batch size."""
    milliseconds: dict[str, dict[int, float]] = results.values["ms"]
    sizes = list(next(iter(milliseconds.values())))
    canvas = new_figure(9, 0.62 * len(milliseconds) + 1.4)
    axes = canvas.subplots()
    height = 0.8 / len(sizes)
    for index, size in enumerate(sizes):
        places = [row + (index - (len(sizes) - 1) / 2) * height for row in range(len(milliseconds))]
        values = [of[size] / size for of in milliseconds.values()]
        bars = axes.barh(places, values, height, color=COLORS[index], label=f"batch {size}")
        axes.bar_label(bars, [number(value) for value in values], padding=3, fontsize=7.5)
    axes.set_yticks(range(len(milliseconds)), list(milliseconds))
    axes.invert_yaxis()
    axes.set(xlabel="ms per face (median), shorter is faster", title=results.threads)
    axes.title.set_fontsize(9)
    axes.margins(x=0.12)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(frameon=False)
    return canvas


@click.command(help=__doc__)
@click.option("--batch", "batches", multiple=True, type=click.IntRange(1), default=BATCHES, show_default=True,
              help="Faces per batch.  Repeatable.")  # fmt: skip
@rounds_option(15)
@peers_option
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of every runtime.")
@click.option("--compile/--no-compile", "with_compiled", default=True, help="Compiled PyTorch takes a minute more.")
@results_command(plot)
def main(**options: Any) -> Results:
    """Measure, print, write, draw."""
    return measure(**options)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.latency")
