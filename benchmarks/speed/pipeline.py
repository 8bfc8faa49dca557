"""How many frames a second from a video to labels, and how late is a label? Our pipeline against plain loops.

The contestants take turns on the same clip: our pipeline (int8, the default), the same finding the faces only eight
times a second, the same work in one thread, and the loop of the field's tutorials: Haar on every full frame, float
preprocessing, one face at a time, one network call a face. The tutorial loop gets our fp32 network behind a float
input, so that only the loop differs, and is run with the tutorials' scale step of 1.3 and with ours of 1.1, which
finds more faces. Nobody draws or shows anything.

    python -m benchmarks.speed.pipeline --json pipeline.json --plot pipeline.png
    python -m benchmarks.speed.pipeline party.mp4 street.mkv --rounds 3
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnxruntime

from benchmarks.harness.drawn_clip import CLIP_FPS, draw_clip
from benchmarks.harness.measuring import Figure, Job, Results, check_outputs, figure, in_turns, pin_threads, ratios
from benchmarks.harness.presenting import COLORS, Table, new_figure, number, save_plot
from benchmarks.speed.float_front import INPUT, normalized, without_front
from fer_edge.console import run_main
from fer_edge.detectors import detector_names, open_detector
from fer_edge.detectors.base import Detector
from fer_edge.errors import FerError, SourceError
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.pipeline.frame import Frame
from fer_edge.pipeline.options import StreamOptions
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.results import FrameResult
from fer_edge.sources import open_source
from fer_edge.tracking.labels import EmotionLabeler
from fer_edge.tracking.tracker import FaceTracker
from fer_models import default_model, model_path

WARM_FRAMES = 5
CASCADE = f"{getattr(cv2, 'data').haarcascades}haarcascade_frontalface_default.xml"  # noqa: B009 - it has no stub
OURS, ONE_THREAD = "fer-edge", "one thread"
TUTORIAL, TUTORIAL_FINE = "tutorial loop", "tutorial loop, step 1.1"


@dataclass(frozen=True)
class Pass:
    """One pass over a clip: frames a second, ms from frame to labels (p50, p95), faces found, CPU ms a frame."""

    fps: float
    p50_ms: float
    p95_ms: float
    faces_a_frame: float
    cpu_ms: float


Contestant = Callable[[Path], Pass]


def piped(clip: Path, detector: Detector, classifier: Classifier, detect_hz: float | None = None) -> Pass:
    """Our pipeline: throughput of every frame as fast as it goes, without delays, which only a live run has."""
    pipeline, cpu_s = run_pipeline(clip, detector, classifier, StreamOptions(detect_hz=detect_hz))
    stats = pipeline.stats
    fps = stats.processed_rate.per_second() or 0.0
    return Pass(fps, np.nan, np.nan, stats.faces_seen / stats.processed, 1000 * cpu_s / stats.processed)


def live(clip: Path, detector: Detector, classifier: Classifier, detect_hz: float | None = None) -> Pass:
    """Our pipeline, with the clip played in real time as a camera would: what its delay is."""
    pipeline, cpu_s = run_pipeline(clip, detector, classifier, StreamOptions(lossless=False, detect_hz=detect_hz))
    stats, late = pipeline.stats, pipeline.stats.end_to_end_ms.summary()
    return Pass(
        stats.processed_rate.per_second() or 0.0, late["p50"] or 0.0, late["p95"] or 0.0,
        stats.faces_seen / stats.processed, 1000 * cpu_s / stats.processed,
    )  # fmt: skip


def run_pipeline(
    clip: Path, detector: Detector, classifier: Classifier, options: StreamOptions
) -> tuple[Pipeline, float]:
    """Run one to its end; the CPU seconds it took. SourceError if the clip gave nothing."""

    def nobody(_frame: Frame, _result: FrameResult) -> None:
        pass

    pipeline = Pipeline(open_source(clip), detector, classifier, nobody, options=options)
    before = time.process_time()
    pipeline.start()
    while not pipeline.wait(60):
        pass
    pipeline.release()
    if pipeline.error is not None:
        raise pipeline.error
    if not pipeline.stats.processed:
        raise SourceError(f"{clip} gave no frame: name a video")
    return pipeline, time.process_time() - before


def looped(clip: Path, step: Callable[[Any, float], int]) -> Pass:
    """Read the clip frame by frame and call `step(frame_bgr, t)`, which gives the number of faces it labelled."""
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    fps = capture.get(cv2.CAP_PROP_FPS) or CLIP_FPS
    took: list[float] = []
    faces = 0
    started, cpu = time.perf_counter(), time.process_time()
    while True:
        read, frame = capture.read()
        if not read:
            break
        before = time.perf_counter()
        faces += step(frame, len(took) / fps)
        took.append(time.perf_counter() - before)
        if len(took) == WARM_FRAMES:
            started, cpu = time.perf_counter(), time.process_time()
    capture.release()
    frames = len(took) - WARM_FRAMES
    if frames < 1:
        raise SourceError(f"{clip} gave {len(took)} frames, and more than {WARM_FRAMES} are needed: name a video")
    p50, p95 = (1000 * float(value) for value in np.percentile(took[WARM_FRAMES:], [50, 95]))
    cpu_ms = 1000 * (time.process_time() - cpu) / frames
    return Pass(frames / (time.perf_counter() - started), p50, p95, faces / len(took), cpu_ms)


def one_thread(clip: Path, detector: Detector, classifier: Classifier) -> Pass:
    """The pipeline's own stages one after the other."""
    tracker = FaceTracker()
    labeler = EmotionLabeler(classifier, detector.framing, 0.0, 0.3)

    def step(frame: Any, t: float) -> int:
        gray = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        found = detector.detect(frame if detector.needs_color else gray)
        return len(labeler.label(gray, tracker.update(gray, found, t), t, t).faces)

    return looped(clip, step)


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

    return looped(clip, label)


def contestants(yunet: Path | None, results: Results) -> tuple[dict[str, Contestant], dict[str, Contestant]]:
    """Who runs as fast as it can, and who plays in real time, by name."""
    classifier, luma = Classifier(default_model()), open_detector("luma")
    fast: dict[str, Contestant] = {
        OURS: lambda clip: piped(clip, luma, classifier),
        f"{OURS}, finding faces at 8 Hz": lambda clip: piped(clip, luma, classifier, 8),
        ONE_THREAD: lambda clip: one_thread(clip, luma, classifier),
        TUTORIAL: lambda clip: tutorial(clip, 1.3),
        TUTORIAL_FINE: lambda clip: tutorial(clip, 1.1),
    }
    slow: dict[str, Contestant] = {
        OURS: lambda clip: live(clip, luma, classifier),
        f"{OURS}, finding faces at 8 Hz": lambda clip: live(clip, luma, classifier, 8),
    }
    for name in detector_names():
        if name == "luma":
            continue
        try:
            other = open_detector(name, yunet if name == "yunet" else None)
        except FerError as error:
            results.skip(f"detector {name}: {error}")
            continue
        shown = f"{OURS}, {name}"
        fast[shown] = lambda clip, other=other: piped(clip, other, classifier)  # type: ignore[misc]
        slow[shown] = lambda clip, other=other: live(clip, other, classifier)  # type: ignore[misc]
    return fast, slow


def keeping(named: Mapping[str, Contestant], clip: Path, passes: dict[str, list[Pass]]) -> dict[str, Job]:
    """Jobs that give frames a second, and keep each whole pass in `passes`."""

    def job(name: str) -> Job:
        def run() -> float:
            passes.setdefault(name, []).append(named[name](clip))
            return passes[name][-1].fps

        return run

    return {name: job(name) for name in named}


def figures(clip: str, passes: Mapping[str, Sequence[Pass]], played: Mapping[str, Sequence[Pass]]) -> list[Figure]:
    """Ratios of the frame rates, then the rates, delays and CPU times."""
    fps = {name: [each.fps for each in of] for name, of in passes.items()}
    found = [
        figure(f"{OURS} / {name}, {clip}", ratios(fps[OURS], fps[name]), ratio=True, note="frames a second")
        for name in (ONE_THREAD, TUTORIAL, TUTORIAL_FINE)
    ]
    found += [
        figure(f"{name} / {OURS}, {clip}", ratios(fps[name], fps[OURS]), ratio=True, note="frames a second")
        for name in fps
        if name.startswith(f"{OURS},")
    ]
    cpu = {name: [each.cpu_ms for each in of] for name, of in passes.items()}
    found += [
        figure(f"{name} / {OURS}, {clip}: processor time", ratios(values, cpu[OURS]), ratio=True, note="a frame")
        for name, values in cpu.items()
        if name != OURS
    ]
    found += [figure(f"{name}, {clip}", values, "FPS") for name, values in fps.items()]
    late = dict(played) | {name: of for name, of in passes.items() if name not in played}
    found += [figure(f"{name}: delay p50, {clip}", [each.p50_ms for each in of], "ms") for name, of in late.items()]
    return found + [figure(f"{name}: processor time a frame, {clip}", values, "ms") for name, values in cpu.items()]


def summary(clip: str, passes: Mapping[str, Sequence[Pass]], played: Mapping[str, Sequence[Pass]]) -> Table:
    """A row a contestant."""

    def median(of: Sequence[Pass], field: str) -> float:
        return float(statistics.median(getattr(each, field) for each in of))

    rows = []
    for name, of in passes.items():
        late = played.get(name, of)
        against = statistics.median(ratios([each.fps for each in of], [each.fps for each in passes[TUTORIAL]]))
        rows.append(
            (name, number(median(of, "fps")), number(against), number(median(late, "p50_ms")),
             number(median(late, "p95_ms")), number(median(of, "cpu_ms")), number(median(of, "faces_a_frame")))
        )  # fmt: skip
    columns = ("", "FPS", "/ tutorial", "delay p50, ms", "p95, ms", "processor, ms a frame", "faces a frame")
    note = (
        "FPS: every frame, as fast as it goes. Delay: from a frame's arrival to its labels; of fer-edge with the clip "
        "played in real time, of the loops the time they spend on a frame (a camera's own queue comes on top)."
    )
    return Table(f"On {clip}", columns, rows, note)


def measure(clips: Sequence[Path], rounds: int, frames: int, threads: int, yunet: Path | None = None) -> Results:
    """Let everybody take turns on every clip."""
    results = Results("pipeline", "How many frames a second from a video to labels, and how late is a label?")
    results.threads = pin_threads(threads)
    fast, slow = contestants(yunet, results)
    with tempfile.TemporaryDirectory() as folder:
        results.values = {"clips": {}}
        for clip in clips or [draw_clip(Path(folder) / "drawn.mkv", frames)]:
            if not clip.is_file():
                raise SourceError(f"{clip} is not a file: name a video")
            shown = "the drawn clip" if not clips else clip.name
            passes: dict[str, list[Pass]] = {}
            played: dict[str, list[Pass]] = {}
            in_turns(keeping(fast, clip, passes), rounds, results.reference, f"{shown}, full speed")
            in_turns(keeping(slow, clip, played), rounds, results.reference, f"{shown}, real time")
            counted, seen = ({name: each[1:] for name, each in of.items()} for of in (passes, played))
            results.figures += figures(shown, counted, seen)
            results.tables.append(summary(shown, counted, seen))
            results.values["clips"][shown] = {
                name: {
                    "fps": [round(each.fps, 2) for each in of],
                    "p50_ms": [round(each.p50_ms, 3) for each in seen.get(name, of)],
                    "cpu_ms": [round(each.cpu_ms, 3) for each in of],
                }
                for name, of in counted.items()
            }
    return results


def plot(results: Results, path: Path) -> None:
    """Per clip, frames a second and delay as bars with the single rounds as dots."""
    clips: dict[str, dict[str, dict[str, list[float]]]] = results.values["clips"]
    names = list(next(iter(clips.values())))
    canvas = new_figure(11, len(clips) * (0.42 * len(names) + 1.3) + 0.3)
    panels = canvas.subplots(len(clips), 2, squeeze=False, sharey=True)
    titles = {"fps": "frames a second, longer is better", "p50_ms": "delay (p50) in ms, shorter is better"}
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
    save_plot(canvas, path)


@click.command(help=__doc__)
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path), metavar="[CLIP]...")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="How often all take turns.")
@click.option("--frames", type=click.IntRange(10), default=120, show_default=True, help="Length of the drawn clip.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of OpenCV.")
@click.option("--yunet", type=click.Path(path_type=Path), metavar="FILE", help="YuNet's ONNX file, to run it too.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write everything here.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), metavar="FILE", help="Draw it here (.png).")
def main(
    clips: tuple[Path, ...],
    rounds: int,
    frames: int,
    threads: int,
    yunet: Path | None,
    json_file: Path | None,
    plot_file: Path | None,
) -> None:
    """Measure, print, write, draw."""
    check_outputs(json_file, plot_file)
    results = measure(clips, rounds, frames, threads, yunet)
    results.show()
    results.write(json_file)
    if plot_file is not None:
        plot(results, plot_file)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.pipeline")
