"""How long does a network take for one face, and for a batch, in our hands and in those of others?

The same network through our Classifier (int8 and fp32), through a bare onnxruntime session, through OpenCV's DNN module
and through PyTorch, eager and compiled, on the same ready faces, in turns. Each time is also given as a ratio to the
bare session of the fp32 file. Every runtime's answers are compared with that session's, so that all do the same work.

    python -m benchmarks.speed.latency --json latency.json --plot latency.png
    python -m benchmarks.speed.latency --batch 1 --peer fer
"""

import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.classifier import drawn_faces
from benchmarks.harness.measuring import (
    Figure,
    Job,
    Results,
    check_outputs,
    figure,
    in_turns,
    median_of,
    pin_threads,
    ratios,
)
from benchmarks.harness.presenting import COLORS, Table, new_figure, number, save_plot
from benchmarks.peers import PEERS, open_all
from benchmarks.speed.float_front import normalized, without_front
from fer_edge.console import run_main
from fer_edge.network.classifier import Classifier
from fer_edge.network.session import open_session
from fer_edge.opencv import cv2
from fer_models import model_path

CHECKPOINT = Path(__file__).parents[2] / "models" / "checkpoints" / "fer2013.pt"
BATCHES = (1, 4, 16)
SAME = 1e-3  # probabilities this close are the same answer
BASE = "onnxruntime alone, fp32"
RUN_S = 0.06  # of each contestant in each round, so that slow and fast ones take equal time
Batch = npt.NDArray[np.uint8]
"""uint8 [N, 1, 48, 48]."""
Run = Callable[[Batch], npt.NDArray[np.floating[Any]]]
"""A batch of faces to probabilities [N, 7]."""


@dataclass(frozen=True)
class Runtime:
    """A way of running a network: "fp32" and "int8" are the shipped ones; "other" is somebody else's."""

    name: str
    run: Run
    network: str = "fp32"


def ours(threads: int) -> list[Runtime]:
    """Our Classifier and a bare session, int8 and fp32."""
    found = []
    for precision in ("fp32", "int8"):
        path = model_path(precision)
        session = open_session(path, threads)
        name = session.get_inputs()[0].name

        def bare(batch: Batch, session: Any = session, name: str = name) -> npt.NDArray[np.floating[Any]]:
            return np.asarray(session.run(None, {name: batch})[0])

        found.append(Runtime(f"onnxruntime alone, {precision}", bare, precision))
        found.append(Runtime(f"fer-edge, {precision}", Classifier(path, threads).predict, precision))
    return found


def opencv_dnn(path: Path, faces: Batch, results: Results) -> Runtime:
    """OpenCV's own inference of the fp32 file; cv2.error if it can't read it.

    OpenCV 4.14 reads the file as it is, but misunderstands its uint8 front. If its answers on `faces` are not the
    session's, it is given the same network with a float input.
    """
    session = open_session(path)
    expected = session.run(None, {session.get_inputs()[0].name: faces})[0]
    network = cv2.dnn.readNetFromONNX(str(path))

    def as_it_is(batch: Batch) -> npt.NDArray[np.floating[Any]]:
        network.setInput(batch)
        return np.array(network.forward())

    if np.abs(as_it_is(faces) - expected).max() < SAME:
        return Runtime("OpenCV DNN, fp32", as_it_is)
    data, scale, zero = without_front(path)
    stripped = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    results.skip(
        f"OpenCV DNN with {path.name} as it is: OpenCV {cv2.__version__} gives other answers than onnxruntime then "
        f"(up to {np.abs(as_it_is(faces) - expected).max():.2f}); measured with the same network behind a float input"
    )

    def with_floats(batch: Batch) -> npt.NDArray[np.floating[Any]]:
        stripped.setInput(normalized(batch, scale, zero))
        return np.array(stripped.forward())

    return Runtime("OpenCV DNN, fp32", with_floats)


def pytorch(threads: int, compiled: bool) -> Runtime:
    """The checkpoint in PyTorch, from uint8 faces to probabilities, as it stands or compiled."""
    import torch

    from fer_train.networks.checkpoint import load_checkpoint
    from fer_train.networks.normalization import normalize

    torch.set_num_threads(threads)
    checkpoint = load_checkpoint(CHECKPOINT)
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
    """OpenCV DNN and PyTorch, as far as they can be had; the rest is skipped."""
    found = []
    try:
        found.append(opencv_dnn(model_path("fp32"), faces, results))
    except cv2.error as error:
        results.skip(f"OpenCV DNN can't read {model_path('fp32').name} ({' '.join(str(error).split())[:120]})")
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
    """Those that run, after one run each that loads and compiles; the others are skipped."""
    found = []
    for each in runtimes:
        try:
            each.run(batch)
        except Exception as error:  # noqa: BLE001 - compilers and peers fail in their own ways
            results.skip(f"{each.name} ({' '.join(str(error).split())[:160]})")
        else:
            found.append(each)
    return found


def differences(runtimes: Sequence[Runtime], faces: Batch) -> dict[str, tuple[float, float]]:
    """How far each one's answers are from those of the first, per name: largest difference, share of equal labels."""
    expected = runtimes[0].run(faces)
    found = {}
    for each in runtimes:
        given = each.run(faces)
        equal = float((given.argmax(axis=1) == expected.argmax(axis=1)).mean())
        found[each.name] = (float(np.abs(given - expected).max()), equal)
    return found


def timed(runtimes: Sequence[Runtime], batch: Batch, rounds: int, results: Results) -> dict[str, list[float]]:
    """Seconds a batch of each, one value a round."""
    jobs: dict[str, Job] = {}
    for each in runtimes:

        def once(each: Runtime = each) -> object:
            return each.run(batch)

        once()
        expected = median_of(once, 3)()
        jobs[each.name] = median_of(once, max(3, min(50, round(RUN_S / expected))))
    return in_turns(jobs, rounds, results.reference, f"batch {len(batch)}")


def measure(
    batches: Sequence[int], rounds: int, peers: Sequence[str], threads: int, with_compiled: bool
) -> Results:  # fmt: skip
    """Time everything on drawn faces: the time of these networks does not depend on what they see."""
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
    apart = differences(runtimes, np.ascontiguousarray(faces[:: len(faces) // batches[-1] or 1][: batches[-1]]))
    results.tables = [summary(times, runtimes, apart)]
    results.values = {
        "peers": [each.name for each in runtimes if each.network == "other"],
        "ms": {
            name: {size: round(1000 * float(np.median(of[name])), 4) for size, of in times.items()} for name in apart
        },
    }
    return results


def figures(times: dict[int, dict[str, list[float]]]) -> list[Figure]:
    """Ratios to the bare fp32 session, then int8 against fp32 in our hands, then milliseconds."""
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
        found += [figure(f"{name}, {faces}", [1000 * value for value in of[name]], "ms") for name in of]
    return found


def summary(
    times: dict[int, dict[str, list[float]]], runtimes: Sequence[Runtime], apart: dict[str, tuple[float, float]]
) -> Table:
    """A row a runtime: per batch size the milliseconds and the ratio."""
    columns = [""]
    for size in times:
        columns += [f"batch {size}, ms", "/ bare fp32"]
    columns += ["ms a face, best", "largest difference", "same labels"]
    rows = []
    for each in runtimes:
        cells, per_face = [each.name], []
        for size, of in times.items():
            milliseconds = 1000 * float(np.median(of[each.name]))
            per_face.append(milliseconds / size)
            cells += [number(milliseconds), number(float(np.median(ratios(of[each.name], of[BASE]))))]
        difference, equal = apart[each.name]
        answers = ("another network", "–") if each.network == "other" else (f"{difference:.1e}", f"{equal:.1%}")
        rows.append((*cells, number(min(per_face)), *answers))
    note = (
        "The same ready faces, uint8, for all. The differences are those of the probabilities to the bare fp32 "
        f"session's, on {list(times)[-1]} drawn faces; int8 is another network by design."
    )
    return Table("Time a batch", columns, rows, note)


def plot(results: Results, path: Path) -> None:
    """Milliseconds a face per runtime, a bar a batch size."""
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
    axes.set(xlabel="ms a face (median), shorter is faster", title=results.threads)
    axes.title.set_fontsize(9)
    axes.margins(x=0.12)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(frameon=False)
    save_plot(canvas, path)


@click.command(help=__doc__)
@click.option("--batch", "batches", multiple=True, type=click.IntRange(1), default=BATCHES, show_default=True,
              help="Faces a batch.  Repeatable.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True, help="How often all take turns.")
@click.option("--peer", "peers", multiple=True, metavar="NAME[=FILE,…]", help=f"Also {', '.join(PEERS)}.  Repeatable.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of every runtime.")
@click.option("--compile/--no-compile", "with_compiled", default=True, help="Compiled PyTorch takes a minute more.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write everything here.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), metavar="FILE", help="Draw it here (.png).")
def main(
    batches: tuple[int, ...], rounds: int, peers: tuple[str, ...], threads: int, with_compiled: bool,
    json_file: Path | None, plot_file: Path | None,
) -> None:  # fmt: skip
    """Measure, print, write, draw."""
    check_outputs(json_file, plot_file)
    results = measure(batches, rounds, peers, threads, with_compiled)
    results.show()
    results.write(json_file)
    if plot_file is not None:
        plot(results, plot_file)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.latency")
