"""How many frames per second from a video to labels, and how late is a label? Our pipeline against plain loops.

The contestants take turns on the same clip: our pipeline (int8, the default), our pipeline with eight detections per
second, its stages in one thread, and the loop that tutorials teach: Haar on every full frame, float preprocessing, one
network call per face. The tutorial loop runs our fp32 network behind a float input, so that only the loop differs. It
runs with the tutorials' scale step of 1.3, and with our 1.1, which finds more faces. Nothing is drawn or shown.

    python -m benchmarks.speed.pipeline --json pipeline.json --plot pipeline.png
    python -m benchmarks.speed.pipeline party.mp4 street.mkv --rounds 3
"""

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.harness.inputs import CASCADE, draw_clip
from benchmarks.harness.options import results_command, rounds_option, yunet_option
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.results import Figure, Results, figure
from benchmarks.harness.streams import Pass, loop_over, one_thread, run_pipeline
from benchmarks.harness.tables import Table, number
from benchmarks.harness.timing import interleave, pin_threads, ratios
from benchmarks.speed.model_variants import INPUT, normalized, without_front
from fer_edge.console import run_main
from fer_edge.detectors import detector_names, open_detector
from fer_edge.detectors.base import FramedDetector
from fer_edge.errors import FerError, SourceError
from fer_edge.network.classifier import Classifier
from fer_edge.onnx_runtime import onnxruntime
from fer_edge.opencv import cv2
from fer_edge.pipeline.options import StreamOptions
from fer_models import default_model, model_path

OURS, ONE_THREAD = "fer-edge", "one thread"
TUTORIAL, TUTORIAL_FINE = "tutorial loop", "tutorial loop, step 1.1"
OURS_8_HZ = f"{OURS}, finding faces at 8 Hz"

Contestant = Callable[[Path], Pass]
Passes = Mapping[str, Sequence[Pass]]
"""The counted passes of each contestant, by its name."""


def full_speed(clip: Path, detector: FramedDetector, classifier: Classifier, detect_hz: float | None = None) -> Pass:
    """Our pipeline on every frame as fast as it can; its delays are NaN, since only a live run has any."""
    pipeline, cpu_s = run_pipeline(clip, detector, classifier, StreamOptions(detect_hz=detect_hz))
    stats = pipeline.stats
    fps = stats.processed_rate.per_second() or 0.0
    return Pass(fps, np.nan, np.nan, stats.faces_seen / stats.processed, 1000 * cpu_s / stats.processed)


def real_time(clip: Path, detector: FramedDetector, classifier: Classifier, detect_hz: float | None = None) -> Pass:
    """Our pipeline on the clip in real time, as from a camera, to measure its delay."""
    options = StreamOptions(lossless=False, detect_hz=detect_hz)
    pipeline, cpu_s = run_pipeline(clip, detector, classifier, options)
    stats, delay = pipeline.stats, pipeline.stats.end_to_end_ms.summary()
    return Pass(
        stats.processed_rate.per_second() or 0.0, delay["p50"] or 0.0, delay["p95"] or 0.0,
        stats.faces_seen / stats.processed, 1000 * cpu_s / stats.processed,
    )  # fmt: skip


def tutorial(clip: Path, step: float) -> Pass:
    """The loop that FER tutorials teach, with our fp32 network."""
    data, scale, zero = without_front(model_path("fp32"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    cascade = cv2.CascadeClassifier(CASCADE)

    def label(frame: Any, _t: float) -> int:
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        boxes = cascade.detectMultiScale(gray, step, 5)
        for x, y, width, height in boxes:
            face = cv2.resize(gray[y : y + height, x : x + width], (48, 48))
            batch = normalized(np.asarray(face, np.uint8)[None, None], scale, zero)
            int(np.argmax(session.run(None, {INPUT: batch})[0]))
        return len(boxes)

    return loop_over(clip, label)


def contestants(yunet: Path | None, results: Results) -> tuple[dict[str, Contestant], dict[str, Contestant]]:
    """The contestants at full speed, and those in real time, by name."""
    classifier, luma = Classifier(default_model()), open_detector("luma")
    fast: dict[str, Contestant] = {
        OURS: lambda clip: full_speed(clip, luma, classifier),
        OURS_8_HZ: lambda clip: full_speed(clip, luma, classifier, 8),
        ONE_THREAD: lambda clip: one_thread(clip, luma, classifier),
        TUTORIAL: lambda clip: tutorial(clip, 1.3),
        TUTORIAL_FINE: lambda clip: tutorial(clip, 1.1),
    }
    live: dict[str, Contestant] = {
        OURS: lambda clip: real_time(clip, luma, classifier),
        OURS_8_HZ: lambda clip: real_time(clip, luma, classifier, 8),
    }
    for name in detector_names():
        if name == "luma":
            continue
        try:
            other = open_detector(name, yunet if name == "yunet" else None)
        except FerError as error:
            results.skip(f"detector {name}: {error}")
            continue
        fast[f"{OURS}, {name}"] = lambda clip, other=other: full_speed(clip, other, classifier)  # type: ignore[misc]
        live[f"{OURS}, {name}"] = lambda clip, other=other: real_time(clip, other, classifier)  # type: ignore[misc]
    return fast, live


def take_turns(
    named: Mapping[str, Contestant], clip: Path, rounds: int, results: Results, label: str
) -> dict[str, list[Pass]]:
    """The passes of each contestant over the clip."""
    jobs = {name: partial(run, clip) for name, run in named.items()}
    return interleave(jobs, rounds, results.probe, label)


def figures(clip: str, fast: Passes, live: Passes) -> list[Figure]:
    """Ratios of the frame rates, then the rates, delays and processor times."""
    fps = {name: [each.fps for each in of] for name, of in fast.items()}
    found = [
        figure(f"{OURS} / {name}, {clip}", ratios(fps[OURS], fps[name]), ratio=True, note="frames per second")
        for name in (ONE_THREAD, TUTORIAL, TUTORIAL_FINE)
    ]
    found += [
        figure(f"{name} / {OURS}, {clip}", ratios(fps[name], fps[OURS]), ratio=True, note="frames per second")
        for name in fps
        if name.startswith(f"{OURS},")
    ]
    cpu = {name: [each.cpu_ms for each in of] for name, of in fast.items()}
    found += [
        figure(f"{name} / {OURS}, {clip}: processor time", ratios(values, cpu[OURS]), ratio=True, note="per frame")
        for name, values in cpu.items()
        if name != OURS
    ]
    found += [figure(f"{name}, {clip}", values, "FPS") for name, values in fps.items()]
    delays = dict(live) | {name: of for name, of in fast.items() if name not in live}
    found += [figure(f"{name}: delay p50, {clip}", [each.p50_ms for each in of], "ms") for name, of in delays.items()]
    return found + [figure(f"{name}: processor time per frame, {clip}", values, "ms") for name, values in cpu.items()]


def summary(clip: str, fast: Passes, live: Passes) -> Table:
    """A row per contestant."""

    def median(of: Sequence[Pass], field: str) -> str:
        return number(float(statistics.median(getattr(each, field) for each in of)))

    rows = []
    for name, of in fast.items():
        delays = live.get(name, of)
        against = statistics.median(ratios([each.fps for each in of], [each.fps for each in fast[TUTORIAL]]))
        rows.append(
            (name, median(of, "fps"), number(against), median(delays, "p50_ms"), median(delays, "p95_ms"),
             median(of, "cpu_ms"), median(of, "faces_per_frame"))
        )  # fmt: skip
    columns = ("", "FPS", "/ tutorial", "delay p50, ms", "p95, ms", "processor, ms per frame", "faces per frame")
    note = (
        "FPS: every frame, as fast as possible. Delay: from a frame's arrival to its labels, with the clip played in "
        "real time for fer-edge; for the loops, their time per frame (a camera's own queue comes on top)."
    )
    return Table(f"On {clip}", columns, rows, note)


def measure(clips: Sequence[Path], rounds: int, frames: int, threads: int, yunet: Path | None = None) -> Results:
    """Let all contestants take turns on every clip."""
    results = Results("pipeline", "How many frames per second from a video to labels, and how late is a label?")
    results.threads = pin_threads(threads)
    contestants_fast, contestants_live = contestants(yunet, results)
    results.values = {"clips": {}}
    with tempfile.TemporaryDirectory() as folder:
        for clip in clips or [draw_clip(Path(folder) / "drawn.mkv", frames)]:
            if not clip.is_file():
                raise SourceError(f"{clip} is not a file: name a video")
            shown = "the drawn clip" if not clips else clip.name
            fast = take_turns(contestants_fast, clip, rounds, results, f"{shown}, full speed")
            live = take_turns(contestants_live, clip, rounds, results, f"{shown}, real time")
            results.figures += figures(shown, fast, live)
            results.tables.append(summary(shown, fast, live))
            results.values["clips"][shown] = {
                name: {
                    "fps": [round(each.fps, 2) for each in of],
                    "p50_ms": [round(each.p50_ms, 3) for each in live.get(name, of)],
                    "cpu_ms": [round(each.cpu_ms, 3) for each in of],
                }
                for name, of in fast.items()
            }
    return results


def plot(results: Results) -> Any:
    """Per clip, frames per second and delay: bars at the medians, a mark per round."""
    clips: dict[str, dict[str, dict[str, list[float]]]] = results.values["clips"]
    names = list(next(iter(clips.values())))
    canvas = new_figure(11, len(clips) * (0.42 * len(names) + 1.3) + 0.3)
    panels = canvas.subplots(len(clips), 2, squeeze=False, sharey=True)
    titles = {"fps": "frames per second, longer is better", "p50_ms": "delay (p50) in ms, shorter is better"}
    for row, (clip, of) in zip(panels, clips.items(), strict=True):
        for axes, (key, title) in zip(row, titles.items(), strict=True):
            medians = [statistics.median(of[name][key]) for name in names]
            colors = [COLORS[0] if name.startswith(OURS) else COLORS[6] for name in names]
            axes.barh(range(len(names)), medians, color=colors)
            for place, (name, value) in enumerate(zip(names, medians, strict=True)):
                axes.plot(of[name][key], [place] * len(of[name][key]), "|", color="black", markersize=7, alpha=0.6)
                axes.annotate(f"  {number(value)}", (max(of[name][key]), place), va="center", fontsize=8)
            axes.set(title=clip, xlabel=title)
            axes.margins(x=0.15)
            axes.grid(axis="x", alpha=0.3)
        row[0].set_yticks(range(len(names)), names)
        row[0].invert_yaxis()
    return canvas


@click.command(help=__doc__)
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path), metavar="[CLIP]...")
@rounds_option(5)
@click.option("--frames", type=click.IntRange(10), default=120, show_default=True, help="Length of the drawn clip.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of OpenCV.")
@yunet_option()
@results_command(plot)
def main(**options: Any) -> Results:
    """Measure, print, write, draw."""
    return measure(**options)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.pipeline")
