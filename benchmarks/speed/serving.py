"""What does --serve cost the run: without a viewer, with one, and with ten of which one never reads?

A clip of the drawn face runs through the pipeline, as fast as it can and at 30 frames per second. The contestants take
turns. Processor time of this process per processed frame is measured; the viewers, which do what the dashboard does,
are another process. Each watches at most ten frames per second.

    python -m benchmarks.speed.serving --json serving.json --plot serving.png
"""

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import click

from benchmarks.harness.inputs import draw_clip
from benchmarks.harness.options import FILE, results_command, rounds_option
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.processes import resident_mb
from benchmarks.harness.results import Results, figure
from benchmarks.harness.streams import ignore_result
from benchmarks.harness.tables import Table
from benchmarks.harness.timing import interleave, pin_threads, ratios
from fer_edge.cli.report import build_report
from fer_edge.console import run_main
from fer_edge.detectors import open_detector
from fer_edge.detectors.base import FramedDetector
from fer_edge.errors import SourceError
from fer_edge.network.classifier import Classifier
from fer_edge.pipeline.options import StreamOptions
from fer_edge.pipeline.pipeline import Pipeline, Publish
from fer_edge.serve.run_state import RunState
from fer_edge.serve.web.dashboard import Dashboard
from fer_edge.serve.web.live import hub, images
from fer_edge.sinks.base import SinkRunner
from fer_edge.sources import open_source
from fer_models import default_model

BASELINE, ALONE, ONE, TEN = "without --serve", "--serve, no viewer", "one viewer", "ten viewers, one never reads"
VIEWERS = {ALONE: (0, 0), ONE: (1, 0), TEN: (9, 1)}  # those that read, and those that do not
SERVER_THREADS = ("fer-web", "fer-serve", "asyncio_")
WARM_UP_FRAMES = 30
NOTE = (
    "The ratio is that of all processor time to the same round's time without --serve. The server's threads are a part "
    "of it, in percent of all other threads: a busy machine changes this less. Each JPEG is made once for all viewers."
)
PACED = "at 30 frames per second"
SPEEDS = {"at full speed": None, PACED: False}  # values of `lossless`
AIMS = {(ONE, PACED): 1.05, (TEN, PACED): 1.10}  # of the ratio


@dataclass(frozen=True)
class Served:
    """One pass.

    cpu_ms: processor time per frame. own_percent: that of the server's threads, in % of all others'. jpegs_per_s: plain
    and drawn. growth_mb: of the resident memory.
    """

    cpu_ms: float
    own_percent: float
    jpegs_per_s: float
    growth_mb: float


class Counted:
    """A function that counts its calls and, unlike a mock, keeps none of the frames."""

    def __init__(self, function: Callable[..., images.Picture]) -> None:
        self.calls, self._function = 0, function

    def __call__(self, *values: Any) -> images.Picture:
        self.calls += 1
        return self._function(*values)


def server_s() -> float:
    """Processor time of the server's threads so far, in seconds; 0 where threads have no clock (macOS, Windows)."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return 0.0
    own = [thread.ident for thread in threading.enumerate() if thread.name.startswith(SERVER_THREADS)]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(ident)) for ident in own if ident is not None)


@contextlib.contextmanager
def watched(dashboard: Dashboard, state: RunState, reading: int, silent: int) -> Iterator[None]:
    """Viewers of `dashboard` during the block."""
    dashboard.start(lambda: None if state.pipeline is None else build_report(state.pipeline, 1.0, {}))
    command = [sys.executable, "-m", "benchmarks.speed.viewers", *map(str, (dashboard.port, reading, silent))]
    viewers = None
    try:
        if reading or silent:
            viewers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert viewers.stdout is not None
            viewers.stdout.readline()
        yield
    finally:
        dashboard.stop()
        if viewers is not None:
            viewers.communicate()


def one_pass(
    clip: Path, detector: FramedDetector, classifier: Classifier, lossless: bool | None, viewers: tuple[int, int] | None
) -> Served:
    """The clip from its WARM_UP_FRAMES on; without a server if `viewers` is None."""
    options = StreamOptions(lossless=lossless)
    with contextlib.ExitStack() as stack:
        encode, draw = Counted(images.encode), Counted(images.draw)
        stack.enter_context(mock.patch.multiple(hub, encode=encode, draw=draw))
        publish: Publish = ignore_result
        if viewers is not None:
            state = RunState(classifier)
            dashboard = Dashboard(("127.0.0.1", 0), None, (), state)
            runner = SinkRunner(dashboard.sink, live=True)
            stack.callback(runner.close)
            publish = runner.offer
            stack.enter_context(watched(dashboard, state, *viewers))
        pipeline = Pipeline(open_source(clip), detector, classifier, publish, options)
        if viewers is not None:
            state.begin(pipeline)
        pipeline.start()
        stats = pipeline.stats
        while stats.processed < WARM_UP_FRAMES and not pipeline.wait(0.01):
            pass
        encode.calls = draw.calls = 0
        before_mb = resident_mb()
        frames, cpu_s, own_s, started = stats.processed, time.process_time(), server_s(), time.perf_counter()
        while not pipeline.wait(60):
            pass
        cpu_s, own_s, wall_s = time.process_time() - cpu_s, server_s() - own_s, time.perf_counter() - started
        pipeline.release()
        frames = stats.processed - frames
        jpegs = (encode.calls + draw.calls) / wall_s
        growth_mb = resident_mb() - before_mb
    if frames < 1:
        raise SourceError(f"{clip} has too few frames: name a longer video")
    return Served(1000 * cpu_s / frames, 100 * own_s / (cpu_s - own_s), jpegs, growth_mb)


def plot(results: Results) -> Any:
    """The ratios with their quartiles, and their aims."""
    figures = [item for item in reversed(results.figures) if item.ratio]
    canvas = new_figure(9, 0.42 * len(figures) + 1.2)
    axes = canvas.subplots()
    for row, item in enumerate(figures):
        axes.plot(item.quartiles, [row, row], color=COLORS[0], linewidth=3, alpha=0.4)
        axes.plot(item.median, row, "o", color=COLORS[0])
        if item.target is not None:
            axes.plot(item.target, row, "|", color="black", markersize=12)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(figures)), [f"{item.name}: {item.median:.3f}" for item in figures])
    axes.set_xlabel("ratio of processor time per frame; bars: aims")
    return canvas


def add_results(results: Results, speed: str, measured: dict[str, list[Served]]) -> None:
    """The figures and the table of one speed."""
    baseline = [one.cpu_ms for one in measured[BASELINE]]
    rows = []
    for name, passes in measured.items():
        cpu = figure(f"{name}, {speed}", [one.cpu_ms for one in passes], "ms per frame")
        ratio = figure(
            f"{name} / {BASELINE}, {speed}", ratios([one.cpu_ms for one in passes], baseline), ratio=True,
            bound="<=", target=AIMS.get((name, speed)),
        )  # fmt: skip
        own = figure(f"{name}: the server's threads, {speed}", [one.own_percent for one in passes], "% of the others")
        if name != BASELINE:
            results.figures += [cpu, ratio, own]
        jpegs = figure(name, [one.jpegs_per_s for one in passes])
        growth = figure(name, [one.growth_mb for one in passes])
        rows.append([
            name, f"{cpu.median:.2f} ms", f"{ratio.median:.3f} ({ratio.quartiles[0]:.3f} to {ratio.quartiles[1]:.3f})",
            f"{own.median:.1f} %", f"{jpegs.median:.1f}", f"{round(growth.median, 1) + 0.0:.1f} MB",
        ])  # fmt: skip
    columns = [
        "",
        "processor time per frame",
        "ratio (quartiles)",
        "the server's threads",
        "JPEGs per second",
        "growth of memory",
    ]
    results.tables.append(Table(f"A clip {speed}", columns, rows, NOTE))


@click.command(help=__doc__)
@click.option("--video", type=FILE, metavar="FILE", help="Use this video.  [default: the drawn face]")
@click.option("--frames", type=click.IntRange(60), default=210, show_default=True, help="Frames of the drawn clip.")
@rounds_option(7)
@results_command(plot)
def main(video: Path | None, frames: int, rounds: int) -> Results:
    """Measure, print, write, draw."""
    results = Results("serving", "What does --serve cost the run?", pin_threads(1))
    detector, classifier = open_detector("luma"), Classifier(default_model())
    contestants = {BASELINE: None, **VIEWERS}
    with tempfile.TemporaryDirectory() as folder:
        clip = video or draw_clip(Path(folder) / "clip.mkv", frames)
        for speed, lossless in SPEEDS.items():
            jobs: dict[str, Callable[[], Served]] = {
                name: partial(one_pass, clip, detector, classifier, lossless, viewers)
                for name, viewers in contestants.items()
            }
            add_results(results, speed, interleave(jobs, rounds, results.probe))
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.serving")
