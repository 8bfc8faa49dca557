"""`fer-edge tune`: measure precision, threads and detection size on this machine, and keep the best as defaults."""

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

import fer_models
from fer_edge.cli.defaults import defaults_file, save_defaults
from fer_edge.demo.scene import CYCLE_S, draw_scene
from fer_edge.detectors import open_detector
from fer_edge.errors import FerError
from fer_edge.framing import Box, Image, to_gray
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.system import usable_cores

FRAME_SIZE = (640, 480)
SCENES = 9  # of the demo: all expressions
FRAMES = 3  # of one large face
GRIDS = (1, 3, 5)  # one large face of the demo; 9 small ones; 25 of about the smallest that are looked for
DETECT_SIZES = (640, 480, 320)
TARGET_FPS = 30.0
MIN_FOUND = 0.9  # share of the large faces that a detection size must find
ALIKE = 0.05


@dataclass(frozen=True)
class Timing:
    """One setting's median times in milliseconds a frame with one face; the shares of faces found, large to small."""

    precision: str
    threads: int
    detect_size: int
    detect_ms: float
    classify_ms: float
    found: tuple[float, ...]

    @property
    def fps(self) -> float:
        """Frames a second with detection and classification side by side."""
        return 1000 / max(self.detect_ms, self.classify_ms)

    @property
    def faces_a_second(self) -> float:
        """Of one face of each size in each frame, at TARGET_FPS frames a second at most."""
        return sum(self.found) * min(self.fps, TARGET_FPS)


def draw_scenes() -> list[Image]:
    """The demo's round in SCENES pictures, uint8 BGR [480, 640, 3]."""
    return [draw_scene(CYCLE_S * index / SCENES, FRAME_SIZE) for index in range(SCENES)]


def face_grid(scenes: Sequence[Image], first: int, per_side: int) -> Image:
    """`per_side`² of the scenes from the `first` on, shrunk and in a grid: uint8 BGR [480, 640, 3]."""
    width, height = FRAME_SIZE[0] // per_side, FRAME_SIZE[1] // per_side
    grid = np.zeros((FRAME_SIZE[1], FRAME_SIZE[0], 3), dtype=np.uint8)
    for index in range(per_side**2):
        row, column = divmod(index, per_side)
        scene = scenes[(first + index * len(scenes) // per_side**2) % len(scenes)]
        cell = cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA)
        grid[row * height : (row + 1) * height, column * width : (column + 1) * width] = cell
    return grid


def share_found(boxes: Sequence[Box], per_side: int) -> float:
    """The share of a grid's cells in which a box has its centre."""
    width, height = FRAME_SIZE[0] // per_side, FRAME_SIZE[1] // per_side
    cells = {(int((x + w / 2) // width), int((y + h / 2) // height)) for x, y, w, h in boxes}
    return sum(cell in cells for cell in itertools.product(range(per_side), repeat=2)) / per_side**2


def thread_choices(cores: int) -> list[int]:
    """1, 2, 4 … up to the cores."""
    return [count for count in (1, 2, 4, 8) if count <= cores] or [1]


def measure(models: dict[str, Path], detector: str, detector_model: Path | None, seconds: float) -> list[Timing]:
    """All settings' timings, over about `seconds`; settings take turns, so that a busy moment hits all alike."""
    scenes = draw_scenes()
    frames = {
        (grid, i): face_grid(scenes, SCENES * i // FRAMES, grid) for grid in GRIDS for i in range(_frames_of(grid))
    }
    threads = thread_choices(usable_cores())
    searches = {
        (count, size): _search(detector, detector_model, count, size)
        for count, size in itertools.product(threads, DETECT_SIZES)
    }
    found = {size: _found(searches[threads[0], size], frames) for size in DETECT_SIZES}
    jobs: dict[tuple[object, ...], Job] = {}
    jobs.update(searches.items())
    classifying = list(itertools.product(models, threads))
    for precision, count in classifying:
        jobs[precision, count] = _classify_job(models[precision], count)
    times_ms: dict[tuple[object, ...], list[float]] = {key: [] for key in jobs}
    for job in jobs.values():
        job(frames[1, 0])  # the first run loads code and caches
    deadline = time.monotonic() + seconds
    for i in itertools.cycle(range(FRAMES)):
        for key, job in jobs.items():
            repeats = 3 if key in classifying else 1  # it is short, and easily disturbed
            times_ms[key].append(min(_timed(job, frames[1, i]) for _ in range(repeats)))
        if time.monotonic() > deadline:
            break
    median_ms = {key: statistics.median(values) for key, values in times_ms.items()}
    return [
        Timing(precision, count, size, median_ms[count, size], median_ms[precision, count], found[size])
        for precision in models
        for count in threads
        for size in DETECT_SIZES
    ]


def best(timings: Sequence[Timing]) -> Timing:
    """The setting that finds the most faces a second, of those that find large ones.

    Frames beyond 30 a second count for nothing: no camera gives them, and speed is better spent on small faces. Of
    settings that are alike (within 5 %) those with the fewest threads win, which leave more of the machine to
    others, and of these the fastest.
    """
    able = [timing for timing in timings if timing.found[0] >= MIN_FOUND] or list(timings)
    most = max(timing.faces_a_second for timing in able)
    alike = [timing for timing in able if timing.faces_a_second >= (1 - ALIKE) * most]
    return min(alike, key=lambda timing: (timing.threads, timing.detect_ms + timing.classify_ms))


Job = Callable[[Image], object]
Search = Callable[[Image], list[Box]]


def _timed(job: Job, frame: Image) -> float:
    started = time.perf_counter()
    job(frame)
    return 1000 * (time.perf_counter() - started)


def _classify_job(path: Path, threads: int) -> Job:
    classifier = Classifier(path, threads)
    height, width = classifier.contract.input_size
    batch = np.zeros((1, classifier.contract.channels, height, width), dtype=np.uint8)
    return lambda _frame: classifier.predict(batch)


def _search(name: str, model: Path | None, threads: int, size: int) -> Search:
    detector = open_detector(name, model, detect_size_px=size, threads=threads)

    def search(frame: Image) -> list[Box]:
        cv2.setNumThreads(threads)
        return [found.box for found in detector.detect(frame if detector.needs_color else to_gray(frame))]

    return search


def _found(search: Search, frames: Mapping[tuple[int, int], Image]) -> tuple[float, ...]:
    shares = {key: share_found(search(frame), key[0]) for key, frame in frames.items()}
    return tuple(statistics.fmean(shares[grid, i] for i in range(_frames_of(grid))) for grid in GRIDS)


def _frames_of(grid: int) -> int:
    """How many frames are searched: one that is full of faces is enough."""
    return FRAMES if grid == 1 else 1


def run_tuning(detector: str, detector_model: Path | None, seconds: float) -> Timing:
    """Measure the shipped networks for about `seconds`, print the table on stdout, return the best setting."""
    models = {precision: fer_models.model_path(precision) for precision in fer_models.manifest()["models"]}
    click.echo(f"measuring for {seconds:g} s ...", err=True)
    timings = measure(models, detector, detector_model, seconds)
    chosen = best(timings)
    click.echo("precision  threads  detect size   detect   classify   frames/s   large, small, smallest faces found")
    for timing in timings:
        mark = "   <- best" if timing is chosen else ""
        found = ", ".join(f"{share:.0%}" for share in timing.found)
        click.echo(
            f"{timing.precision:9}  {timing.threads:7}  {timing.detect_size:8} px  {timing.detect_ms:6.1f}   "
            f"{timing.classify_ms:5.2f} ms  {timing.fps:9.1f}   {found}{mark}"
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
