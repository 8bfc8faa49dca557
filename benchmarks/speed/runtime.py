"""How much does the runtime cost beyond its stages? Every figure is a ratio of one run, against its target.

Both sides of a ratio take turns, the first turn is not counted, and the median is given with its quartiles:
file throughput against what the machine's cores allow and against one thread, classifying faces against the bare
network, delay under overload, start and memory against importing the libraries alone, and what an idle run costs.

    python -m benchmarks.speed.runtime --json runtime.json --plot runtime.png
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.harness.drawn_clip import draw_clip
from benchmarks.harness.measuring import Reference, median_of, noise_line
from fer_edge.console import run_main
from fer_edge.demo.scene import draw_scene
from fer_edge.detectors.base import Detection, Detector
from fer_edge.detectors.luma import LumaDetector
from fer_edge.files import write_json
from fer_edge.framing import Framing, Image, Square
from fer_edge.network.classifier import Classifier
from fer_edge.network.session import open_session
from fer_edge.opencv import cv2
from fer_edge.pipeline.frame import Frame
from fer_edge.pipeline.options import Limits, StreamOptions
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.results import FrameResult
from fer_edge.sources import Source, SourceFrame, open_source
from fer_edge.system import machine_info, usable_cores
from fer_edge.tracking.labels import EmotionLabeler
from fer_edge.tracking.tracker import FaceTracker
from fer_models import default_model, model_path

QUESTION = "How much does the runtime cost beyond its stages?"
CLIP_FRAMES = 120
FACE_PX = 200
START_TURNS = 5  # for each round, since a start takes no longer than a blink
SLEEP_S, LIVE_FPS = 0.2, 60


@dataclass(frozen=True)
class Figure:
    """A measured value with its quartiles, and the bound it should keep: "<=" or ">=" `target`."""

    name: str
    median: float
    quartiles: tuple[float, float]
    bound: str
    target: float
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the median keeps the bound."""
        return self.median <= self.target if self.bound == "<=" else self.median >= self.target


def figure(name: str, values: Sequence[float], bound: str, target: float, note: str = "") -> Figure:
    """Median and quartiles of `values`."""
    low, middle, high = (round(float(value), 4) for value in np.percentile(values, [25, 50, 75]))
    return Figure(name, middle, (low, high), bound, target, note)


def in_turns(rounds: int, *jobs: Callable[[], float]) -> list[tuple[float, ...]]:
    """What each job gives in each of `rounds` rounds, after one that is not counted."""
    return [tuple(job() for job in jobs) for _ in range(rounds + 1)][1:]


def nobody(_frame: Frame, _result: FrameResult) -> None:
    """Take a result and do nothing with it."""


def piped(clip: Path, classifier: Classifier) -> tuple[float, float]:
    """Frames a second through the pipeline, and what the cores and the slowest stage would allow."""
    pipeline = Pipeline(open_source(clip), LumaDetector(), classifier, nobody)
    cpu = time.process_time()
    pipeline.start()
    while not pipeline.wait(60):
        pass
    stats = pipeline.stats
    cpu_per_frame = (time.process_time() - cpu) / stats.processed
    pipeline.release()
    slowest = max(stage.summary()["p50"] or 0.0 for stage in (stats.detect_ms, stats.classify_ms)) / 1000
    return stats.processed_rate.per_second() or 0.0, 1 / max(slowest, cpu_per_frame / usable_cores())


def in_one_thread(clip: Path, classifier: Classifier) -> float:
    """Frames a second of the same work in a plain loop, after five frames of warm-up."""
    source, detector, tracker = open_source(clip), LumaDetector(), FaceTracker()
    labeler = EmotionLabeler(classifier, detector.framing, 0.0, 0.3)
    started, frames = time.perf_counter(), 0
    while (grab := source.read()) is not None and grab.image is not None:
        frame = Frame(frames, grab.media_time_s or 0.0, grab.captured_at, grab.image)
        tracks = tracker.update(frame.gray, detector.detect(frame.gray), frame.t)
        labeler.label(frame.gray, tracks, frame.t, frame.captured_at)
        frames += 1
        if frames == 5:
            started = time.perf_counter()
    source.close()
    return (frames - 5) / (time.perf_counter() - started)


def throughput(clip: Path, rounds: int) -> list[Figure]:
    """File throughput against its bound and against one thread."""
    classifier = Classifier(default_model())
    pairs: list[tuple[float, float]] = []

    def pipeline() -> float:
        pairs.append(piped(clip, classifier))
        return pairs[-1][0]

    turns = in_turns(rounds, pipeline, lambda: in_one_thread(clip, classifier))
    fps = statistics.median(turn[0] for turn in turns)
    return [
        figure("file throughput / bound", [rate / bound for rate, bound in pairs[1:]], ">=", 0.9, f"{fps:.1f} FPS"),
        figure("file throughput / one thread", [threads / one for threads, one in turns], ">=", 1.0),
    ]


def classifying(rounds: int) -> list[Figure]:
    """Crop to label against the bare network on the ready batch."""
    gray = np.ascontiguousarray(cv2.cvtColor(draw_scene(0.5), cv2.COLOR_BGR2GRAY), dtype=np.uint8)
    figures = []
    for precision, target in (("int8", 1.15), ("fp32", 1.06)):
        path = model_path(precision)
        classifier, session = Classifier(path), open_session(path)
        name = session.get_inputs()[0].name
        for count in (1, 4, 16):
            squares = [Square(250.3 + 9 * index, 220.4 + 2 * index, FACE_PX) for index in range(count)]
            batch = classifier.batch(gray, squares)
            turns = in_turns(
                rounds * 40 // (1 + count // 4),
                median_of(lambda c=classifier, s=squares: c.classify(gray, s), 1),  # type: ignore[misc]
                median_of(lambda s=session, n=name, b=batch: s.run(None, {n: b}), 1),  # type: ignore[misc]
            )
            bare = 1000 * statistics.median(turn[1] for turn in turns)
            figures.append(
                figure(f"classify {count} {precision} / bare run", [ours / net for ours, net in turns], "<=", target,
                       f"{bare:.2f} ms bare")
            )  # fmt: skip
    return figures


class SteadyCamera(Source):
    """The same frame LIVE_FPS times a second."""

    name, live, fps = "steady camera", True, float(LIVE_FPS)

    def __init__(self) -> None:
        self._frame = draw_scene(0.5)
        self._due = time.monotonic()

    def read(self) -> SourceFrame | None:
        self._due += 1 / LIVE_FPS
        time.sleep(max(0.0, self._due - time.monotonic()))
        return SourceFrame(self._frame.copy())


class SlowDetector:
    """Finds what LumaDetector finds, SLEEP_S later."""

    name, needs_color = "slow luma", False

    def __init__(self) -> None:
        self._luma = LumaDetector()
        self.framing: Framing = self._luma.framing

    def detect(self, image: Image) -> list[Detection]:
        time.sleep(SLEEP_S)
        return self._luma.detect(image)


def resident_mb() -> float:
    """Memory in use now, in 10^6 bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def overload(duration_s: float) -> list[Figure]:
    """The delay of results, the frames under way and the memory when frames come much faster than they are done."""
    detector: Detector = SlowDetector()
    pipeline = Pipeline(
        SteadyCamera(),
        detector,
        Classifier(default_model()),
        nobody,
        Limits(duration_s=duration_s),
        StreamOptions(track=False),
    )
    pipeline.start()
    under_way, memory = [], []
    while not pipeline.wait(0.1):
        under_way.append(pipeline.in_flight)
        memory.append(resident_mb())
    pipeline.release()
    detect, classify, late = (
        stage.summary()
        for stage in (pipeline.stats.detect_ms, pipeline.stats.classify_ms, pipeline.stats.end_to_end_ms)
    )
    work = (detect["p50"] or 0.0) + (classify["p50"] or 0.0)
    third = len(memory) // 3
    growth = statistics.median(memory[-third:]) - statistics.median(memory[third : 2 * third])
    ratio = (late["p95"] or 0.0) / work
    return [
        figure("overload: p95 delay / detect + classify", [ratio], "<=", 1.5, f"{late['p95']} ms of {work:.0f} ms"),
        figure("overload: most frames under way", [max(under_way)], "<=", 4),
        figure("overload: memory growth in MB", [growth], "<=", 1),
    ]


def first_line(picture: Path, environment: dict[str, str]) -> float:
    """Seconds from the start of the installed command fer-edge to its first JSON line."""
    command = [str(Path(sys.executable).with_name("fer-edge")), "--source", str(picture), "--headless", "--json", "-"]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return time.perf_counter() - started


def peak_memory_mb(picture: Path) -> float:
    """What fer-edge's own report of a picture says."""
    report = picture.with_suffix(".json")
    command = [sys.executable, "-m", "fer_edge", "--source", str(picture), "--headless", "--report", str(report)]
    subprocess.run([*command, "--overwrite"], stderr=subprocess.DEVNULL, check=True)
    return float(json.loads(report.read_text())["peak_rss_mb"])


def imports_alone(environment: dict[str, str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of a Python that imports cv2 and onnxruntime and nothing else."""
    code = "import cv2, onnxruntime; print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], flush=True)"
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        peak_kib = int(process.stdout.readline())
        took = time.perf_counter() - started
    return took, peak_kib * 1024 / 1e6


def starting(folder: Path, rounds: int) -> list[Figure]:
    """Start and peak memory against the libraries' import."""
    picture = folder / "face.png"
    cv2.imwrite(str(picture), draw_scene(0.5))
    # pip compiles what it installs; an editable installation is compiled by the first turn, which does not count.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    turns = [(first_line(picture, environment), imports_alone(environment)) for _ in range(START_TURNS * rounds + 1)][
        1:
    ]
    took = statistics.median(ours for ours, _ in turns)
    bare_mb = statistics.median(bare[1] for _, bare in turns)
    return [
        figure("start to first line / imports", [ours / bare[0] for ours, bare in turns], "<=", 1.5, f"{took:.2f} s"),
        figure("peak memory - imports, in MB", [peak_memory_mb(picture) - bare_mb for _ in range(rounds)], "<=", 60),
    ]


CAMERA = """#!{python}
import sys, time
while True:
    sys.stdout.buffer.write(bytes(192 * 160 * 3 // 2))
    sys.stdout.buffer.flush()
    time.sleep(1)
"""


def cpu_s(process: int) -> float:
    """Processor time of a process in seconds, from its threads' schedstat, which counts nanoseconds."""
    threads = Path(f"/proc/{process}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def idle(folder: Path, duration_s: float) -> list[Figure]:
    """Processor time of a run whose camera gives a frame a second, without detection and classification."""
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
    before, started = cpu_s(process.pid), time.monotonic()
    time.sleep(duration_s)
    used, passed = cpu_s(process.pid) - before, time.monotonic() - started
    process.terminate()
    process.wait()
    latency = json.loads(report.read_text())["latency_ms"]
    stages = sum(latency[stage]["p50"] or 0.0 for stage in ("detect", "classify")) / 1000
    return [
        figure("idle: % of a core beside the stages", [100 * (used / passed - stages)], "<=", 1.0,
               f"{100 * used / passed:.2f} % with them")
    ]  # fmt: skip


def plot(figures: Sequence[Figure], path: Path) -> None:
    """Each figure as a share of its target, with quartiles; on the right side of the line it keeps its bound."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(figsize=(9, 0.42 * len(figures) + 1.2), layout="constrained")
    for row, item in enumerate(reversed(figures)):
        low, high = (value / item.target for value in item.quartiles)
        color = "tab:green" if item.met else "tab:red"
        axes.plot([low, high], [row, row], color=color, linewidth=3, alpha=0.4)
        axes.plot(item.median / item.target, row, "o", color=color)
    axes.axvline(1, color="black", linewidth=1)
    labels = [f"{item.name}: {item.median:.2f} ({item.bound} {item.target:g})" for item in reversed(figures)]
    axes.set_yticks(range(len(figures)), labels)
    axes.set_xlabel("measured / target, median and quartiles")
    fig.savefig(path, dpi=120)


@click.command(help=__doc__)
@click.option("--clip", type=click.Path(path_type=Path), help="A video to use in place of the drawn one.")
@click.option("--rounds", default=5, show_default=True, help="How often each ratio is measured.")
@click.option("--seconds", "duration_s", default=20.0, show_default=True, help="How long overload and idling last.")
@click.option("--only", multiple=True, help="throughput, classifying, overload, starting, idle; may be repeated.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Draw them here (.png).")
def main(
    clip: Path | None, rounds: int, duration_s: float, only: tuple[str, ...], json_file: Path | None,
    plot_file: Path | None,
) -> None:  # fmt: skip
    """Measure, print the table, write what is asked."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: dict[str, Callable[[], list[Figure]]] = {
            # First, as a run of its own would be: what earlier parts leave behind in the heap would count as growth.
            "overload": lambda: overload(duration_s),
            "throughput": lambda: throughput(clip or draw_clip(folder / "clip.mkv", CLIP_FRAMES), rounds),
            "classifying": lambda: classifying(rounds),
            "starting": lambda: starting(folder, rounds),
            "idle": lambda: idle(folder, duration_s),
        }
        figures, reference = [], Reference()
        for part in only or parts:
            click.echo(f"{part} ...", err=True)
            reference.take()
            figures += parts[part]()
            reference.take()
    machine: dict[str, Any] = machine_info()
    click.echo(f"{machine['cpu']}, {machine['cores']} cores; onnxruntime {machine['onnxruntime']}, "
               f"OpenCV {machine['opencv']}, Python {machine['python']}")  # fmt: skip
    click.echo(noise_line(reference.noise()))
    click.echo(f"{'':42} median  quartiles          target")
    for item in figures:
        low, high = item.quartiles
        click.echo(
            f"{item.name:42} {item.median:6.3f}  {low:7.3f} {high:7.3f}  {item.bound} {item.target:<5g}"
            f"  {'met   ' if item.met else 'MISSED'}  {item.note}"
        )
    if json_file is not None:
        shown = [asdict(item) | {"met": item.met} for item in figures]
        write_json(json_file, {"question": QUESTION, "figures": shown, "noise": reference.noise(), "machine": machine})
    if plot_file is not None:
        plot(figures, plot_file)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.runtime")
