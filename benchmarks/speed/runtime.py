"""How much does the runtime cost beyond its stages? Every figure is a ratio of one run, against its target.

Both sides of a ratio take turns. Measured are: file throughput against what the machine's cores allow and against one
thread, classifying faces against the bare network, delay under overload, start and memory against importing the
libraries alone, and the processor time of an idle run.

    python -m benchmarks.speed.runtime --json runtime.json --plot runtime.png
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks.harness.inputs import draw_clip
from benchmarks.harness.options import results_command, rounds_option
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.processes import first_result, import_libraries, processor_s, resident_mb, write_face
from benchmarks.harness.results import Figure, Results, figure
from benchmarks.harness.streams import ignore_result, one_thread, run_pipeline
from benchmarks.harness.timing import NoiseProbe, interleave, median_time, pin_threads, ratios
from fer_edge.console import run_main
from fer_edge.demo.scene import draw_scene
from fer_edge.detectors.base import Detection, FramedDetector
from fer_edge.detectors.luma import LumaDetector
from fer_edge.framing import Framing, Image, Square, to_gray
from fer_edge.network.classifier import Classifier
from fer_edge.network.session import open_session
from fer_edge.pipeline.options import StreamOptions
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.sources import Source, SourceFrame
from fer_edge.system import usable_cores
from fer_models import default_model, model_path

CLIP_FRAMES = 120
FACE_PX = 200
STARTS_PER_ROUND = 5  # a start is short
SLOW_DETECTION_S, LIVE_FPS = 0.2, 60


def throughput(clip: Path, rounds: int, probe: NoiseProbe) -> list[Figure]:
    """File throughput against its bound and against one thread."""
    classifier = Classifier(default_model())

    def piped() -> tuple[float, float]:
        """Frames per second, and what the cores and the slowest stage would allow."""
        pipeline, cpu_s = run_pipeline(clip, LumaDetector(), classifier)
        stats = pipeline.stats
        slowest_s = max(stage.summary()["p50"] or 0.0 for stage in (stats.detect_ms, stats.classify_ms)) / 1000
        bound = 1 / max(slowest_s, cpu_s / stats.processed / usable_cores())
        return stats.processed_rate.per_second() or 0.0, bound

    def single() -> tuple[float, float]:
        return one_thread(clip, LumaDetector(), classifier).fps, 0.0

    taken = interleave({"pipeline": piped, "one thread": single}, rounds, probe, "throughput")
    rates, bounds = ([pair[index] for pair in taken["pipeline"]] for index in (0, 1))
    one = [rate for rate, _ in taken["one thread"]]
    note = f"{statistics.median(rates):.1f} FPS"
    return [
        figure("file throughput / bound", ratios(rates, bounds), ratio=True, target=0.9, note=note),
        figure("file throughput / one thread", ratios(rates, one), ratio=True, target=1.0),
    ]


def classifying(rounds: int, probe: NoiseProbe) -> list[Figure]:
    """Crop to label against the bare network on the prepared batch."""
    gray = to_gray(draw_scene(0.5))
    figures: list[Figure] = []
    for precision, target in (("int8", 1.15), ("fp32", 1.06)):
        classifier, session = Classifier(model_path(precision)), open_session(model_path(precision))
        name = session.get_inputs()[0].name
        for count in (1, 4, 16):
            squares = [Square(250.3 + 9 * index, 220.4 + 2 * index, FACE_PX) for index in range(count)]
            batch = classifier.batch(gray, squares)
            jobs = {
                "ours": median_time(lambda c=classifier, s=squares: c.classify(gray, s), 1),  # type: ignore[misc]
                "bare": median_time(lambda s=session, n=name, b=batch: s.run(None, {n: b}), 1),  # type: ignore[misc]
            }
            label = f"classify {count} {precision} / bare run"
            taken = interleave(jobs, rounds * 40 // (1 + count // 4), probe, label)
            figures.append(
                figure(label, ratios(taken["ours"], taken["bare"]), ratio=True, bound="<=", target=target,
                       note=f"{1000 * statistics.median(taken['bare']):.2f} ms bare")
            )  # fmt: skip
    return figures


class SteadyCamera(Source):
    """The same frame LIVE_FPS times per second."""

    name, live, fps = "steady camera", True, float(LIVE_FPS)

    def __init__(self) -> None:
        self._frame = draw_scene(0.5)
        self._due = time.monotonic()

    def read(self) -> SourceFrame | None:
        self._due += 1 / LIVE_FPS
        time.sleep(max(0.0, self._due - time.monotonic()))
        return SourceFrame(self._frame.copy())


class SlowDetector:
    """Luma, SLOW_DETECTION_S slower."""

    name, needs_color = "slow luma", False

    def __init__(self) -> None:
        self._luma = LumaDetector()
        self.framing: Framing = self._luma.framing

    def detect(self, image: Image) -> list[Detection]:
        time.sleep(SLOW_DETECTION_S)
        return self._luma.detect(image)


def overload(duration_s: float) -> list[Figure]:
    """Delay of results, frames in flight and memory when frames come much faster than they are processed."""
    detector: FramedDetector = SlowDetector()
    pipeline = Pipeline(
        SteadyCamera(), detector, Classifier(default_model()), ignore_result,
        StreamOptions(track=False, duration_s=duration_s),
    )  # fmt: skip
    pipeline.start()
    in_flight, memory = [], []
    while not pipeline.wait(0.1):
        in_flight.append(pipeline.in_flight)
        memory.append(resident_mb())
    pipeline.release()
    stats = pipeline.stats
    detect, classify, delay = (stage.summary() for stage in (stats.detect_ms, stats.classify_ms, stats.end_to_end_ms))
    work_ms = (detect["p50"] or 0.0) + (classify["p50"] or 0.0)
    third = len(memory) // 3
    growth = statistics.median(memory[-third:]) - statistics.median(memory[third : 2 * third])
    note = f"{delay['p95']} ms of {work_ms:.0f} ms"
    return [
        figure("overload: p95 delay / detect + classify", [(delay["p95"] or 0.0) / work_ms], ratio=True, bound="<=",
               target=1.5, note=note),
        figure("overload: most frames under way", [max(in_flight)], bound="<=", target=4),
        figure("overload: memory growth in MB", [growth], bound="<=", target=1),
    ]  # fmt: skip


def starting(folder: Path, rounds: int, probe: NoiseProbe) -> list[Figure]:
    """Start and peak memory of fer-edge against importing its libraries."""
    image = write_face(folder)
    # pip compiles what it installs; the warm-up round compiles an editable installation.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    jobs = {
        "fer-edge": lambda: first_result(sys.executable, image, environment),
        "libraries": lambda: import_libraries(sys.executable, environment),
    }
    taken = interleave(jobs, STARTS_PER_ROUND * rounds, probe, "starting")
    ours, libraries = (list(zip(*taken[name], strict=True)) for name in jobs)  # each: seconds, peaks in MB
    libraries_mb = statistics.median(libraries[1])
    return [
        figure("start to first line / imports", ratios(ours[0], libraries[0]), ratio=True, bound="<=", target=1.5,
               note=f"{statistics.median(ours[0]):.2f} s"),
        figure("peak memory - imports, in MB", [peak - libraries_mb for peak in ours[1]], bound="<=", target=60),
    ]  # fmt: skip


CAMERA = """#!{python}
import sys, time
while True:
    sys.stdout.buffer.write(bytes(192 * 160 * 3 // 2))
    sys.stdout.buffer.flush()
    time.sleep(1)
"""


def idle(folder: Path, duration_s: float) -> list[Figure]:
    """Processor time beside detection and classification of a run whose camera delivers one frame per second."""
    camera = folder / "rpicam-vid"
    camera.write_text(CAMERA.format(python=sys.executable))
    camera.chmod(0o755)
    lines, report = folder / "idle.jsonl", folder / "idle.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_edge", "--source", "rpicam:160x160", "--headless", "--json", str(lines),
         "--report", str(report)],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not lines.exists() or not lines.stat().st_size:
        time.sleep(0.1)
    before, started = processor_s(process.pid), time.monotonic()
    time.sleep(duration_s)
    used_s, passed_s = processor_s(process.pid) - before, time.monotonic() - started
    process.terminate()
    process.wait()
    latency = json.loads(report.read_text())["latency_ms"]
    stages_s = sum(latency[stage]["p50"] or 0.0 for stage in ("detect", "classify")) / 1000
    return [
        figure("idle: % of a core beside the stages", [100 * (used_s / passed_s - stages_s)], bound="<=", target=1.0,
               note=f"{100 * used_s / passed_s:.2f} % with them")
    ]  # fmt: skip


def plot(results: Results) -> Any:
    """Each figure as a share of its target, with quartiles; green figures meet their target."""
    figures = list(reversed(results.figures))
    canvas = new_figure(9, 0.42 * len(figures) + 1.2)
    axes = canvas.subplots()
    for row, item in enumerate(figures):
        assert item.target is not None
        color = COLORS[2] if item.met else COLORS[1]
        axes.plot([value / item.target for value in item.quartiles], [row, row], color=color, linewidth=3, alpha=0.4)
        axes.plot(item.median / item.target, row, "o", color=color)
    axes.axvline(1, color="black", linewidth=1)
    labels = [f"{item.name}: {item.median:.2f} ({item.bound} {item.target:g})" for item in figures]
    axes.set_yticks(range(len(figures)), labels)
    axes.set_xlabel("measured / target, median and quartiles")
    return canvas


PARTS = ("overload", "throughput", "classifying", "starting", "idle")
"""In this order: overload first, because memory that earlier parts leave in the heap would count as growth."""


@click.command(help=__doc__)
@click.option("--clip", type=click.Path(path_type=Path), metavar="FILE", help="A video in place of the drawn one.")
@rounds_option(5)
@click.option("--seconds", "duration_s", default=20.0, show_default=True, help="Duration of overload and of idle.")
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="Only these parts.  Repeatable.")
@results_command(plot)
def main(clip: Path | None, rounds: int, duration_s: float, only: tuple[str, ...]) -> Results:
    """Measure, print, write, draw."""
    results = Results("runtime", "How much does the runtime cost beyond its stages?", pin_threads(1))
    with tempfile.TemporaryDirectory() as name:
        folder, probe = Path(name), results.probe
        parts: dict[str, Callable[[], list[Figure]]] = {
            "overload": lambda: overload(duration_s),
            "throughput": lambda: throughput(clip or draw_clip(folder / "clip.mkv", CLIP_FRAMES), rounds, probe),
            "classifying": lambda: classifying(rounds, probe),
            "starting": lambda: starting(folder, rounds, probe),
            "idle": lambda: idle(folder, duration_s),
        }
        for part in only or PARTS:
            click.echo(f"{part} ...", err=True)
            probe.take()
            results.figures += parts[part]()
            probe.take()
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.runtime")
