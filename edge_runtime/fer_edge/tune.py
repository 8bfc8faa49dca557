"""`fer-edge tune`: measure precision, threads and detection size on this machine, and keep the best as defaults."""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

import fer_models
from fer_edge.classifier import Classifier
from fer_edge.defaults import defaults_file, save_defaults
from fer_edge.detectors import open_detector
from fer_edge.drawn_face import ROUND_S, draw_scene
from fer_edge.errors import FerError
from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.sensors import usable_cores

FRAME_SIZE = (640, 480)
FRAMES = 12
DETECT_SIZES = (640, 480, 320)
TARGET_FPS = 30.0
MIN_FOUND = 0.9  # share of the demo's faces that a detection size must find


@dataclass(frozen=True)
class Timing:
    """One setting's median times in milliseconds a frame with one face, and the share of faces it found."""

    precision: str
    threads: int
    detect_size: int
    detect_ms: float
    classify_ms: float
    found: float

    @property
    def fps(self) -> float:
        """Frames a second with detection and classification side by side."""
        return 1000 / max(self.detect_ms, self.classify_ms)


def thread_choices(cores: int) -> list[int]:
    """1, 2, 4 … up to the cores."""
    return [count for count in (1, 2, 4, 8) if count <= cores] or [1]


def measure(models: dict[str, Path], detector: str, detector_model: Path | None, seconds: float) -> list[Timing]:
    """All settings' timings, over about `seconds`; settings take turns, so that a busy moment hits all alike."""
    frames = [draw_scene(ROUND_S * index / FRAMES, FRAME_SIZE) for index in range(FRAMES)]
    threads = thread_choices(usable_cores())
    classify = {
        (precision, count): _classify_job(path, count) for precision, path in models.items() for count in threads
    }
    detect = {
        (count, size): _detect_job(detector, detector_model, count, size) for count in threads for size in DETECT_SIZES
    }
    classify_ms: dict[tuple[str, int], list[float]] = {key: [] for key in classify}
    detect_ms: dict[tuple[int, int], list[float]] = {key: [] for key in detect}
    found: dict[tuple[int, int], list[bool]] = {key: [] for key in detect}
    for job in (*detect.values(), *classify.values()):
        job(frames[0])  # the first run loads code and caches
    deadline = time.monotonic() + seconds
    for frame in itertools.cycle(frames):
        for key, job in detect.items():
            elapsed, count = _timed(job, frame)
            detect_ms[key].append(elapsed)
            found[key].append(count > 0)
        for choice, classify_job in classify.items():
            classify_ms[choice].append(min(_timed(classify_job, frame)[0] for _ in range(3)))
        if time.monotonic() > deadline:
            break
    return [
        Timing(
            precision,
            count,
            size,
            statistics.median(detect_ms[count, size]),
            statistics.median(classify_ms[precision, count]),
            statistics.fmean(found[count, size]),
        )
        for precision, count in classify
        for size in DETECT_SIZES
    ]


def best(timings: Sequence[Timing]) -> Timing:
    """The largest detection size that keeps up with 30 frames a second, or else the fastest; then the fastest setting.

    Larger sizes find smaller faces, so speed beyond the camera's is better spent on them. Sizes that miss
    the demo's faces are out. Between equally fast settings (within 10 %) the one with fewer threads wins: it
    leaves more of the machine to others.
    """
    able = [timing for timing in timings if timing.found >= MIN_FOUND] or list(timings)
    keeping_up = [timing for timing in able if timing.fps >= TARGET_FPS]
    if keeping_up:
        size = max(timing.detect_size for timing in keeping_up)
        able = [timing for timing in keeping_up if timing.detect_size == size]
    shortest = min(timing.detect_ms + timing.classify_ms for timing in able)
    close = [timing for timing in able if timing.detect_ms + timing.classify_ms <= 1.1 * shortest]
    return min(close, key=lambda timing: (timing.threads, timing.detect_ms + timing.classify_ms))


Job = Callable[[Image], int]
"""Does the work on a frame and returns how many faces it found."""


def _timed(job: Job, frame: Image) -> tuple[float, int]:
    started = time.perf_counter()
    count = job(frame)
    return 1000 * (time.perf_counter() - started), count


def _classify_job(path: Path, threads: int) -> Job:
    classifier = Classifier(path, threads)
    height, width = classifier.contract.input_size
    batch = np.zeros((1, classifier.contract.channels, height, width), dtype=np.uint8)

    def job(_frame: Image) -> int:
        classifier.predict(batch)
        return 1

    return job


def _detect_job(name: str, model: Path | None, threads: int, size: int) -> Job:
    detector = open_detector(name, model, detect_size_px=size)

    def job(frame: Image) -> int:
        cv2.setNumThreads(threads)
        return len(detector.detect(frame))

    return job


def run_tuning(detector: str, detector_model: Path | None, seconds: float) -> Timing:
    """Measure the shipped networks for about `seconds`, print the table on stdout, return the best setting."""
    models = {precision: fer_models.model_path(precision) for precision in fer_models.manifest()["models"]}
    click.echo(f"measuring for {seconds:g} s ...", err=True)
    timings = measure(models, detector, detector_model, seconds)
    chosen = best(timings)
    click.echo("precision  threads  detect size   detect   classify   frames/s   demo faces found")
    for timing in timings:
        mark = "   <- best" if timing is chosen else ""
        click.echo(
            f"{timing.precision:9}  {timing.threads:7}  {timing.detect_size:8} px  {timing.detect_ms:6.1f}   "
            f"{timing.classify_ms:5.2f} ms  {timing.fps:9.1f}  {timing.found:12.0%}{mark}"
        )
    return chosen


def kept_in() -> Path:
    """The file that the setting goes to; FerError if there is none."""
    path = defaults_file()
    if path is None:
        raise FerError(
            "FER_EDGE_DEFAULTS is empty or there is no home folder, so nothing can be kept: "
            "name a file in FER_EDGE_DEFAULTS, or pass --dry-run"
        )
    return path


def keep(timing: Timing, path: Path) -> None:
    """Write the setting to `path` as defaults; OutputError if that fails."""
    values: dict[str, str | int] = {
        "precision": timing.precision,
        "threads": timing.threads,
        "detect_size": timing.detect_size,
    }
    save_defaults(values, path, "measured by fer-edge tune; delete this file to go back to the built-in defaults")
