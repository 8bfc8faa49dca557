"""`fer-edge tune`: measure precisions, threads and detection sizes on this machine, and save the best as defaults."""

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fer_models
from fer_edge.console import echo_line, echo_lines
from fer_edge.defaults import defaults_file, save_defaults
from fer_edge.demo.scene import CYCLE_S, draw_scene
from fer_edge.detectors import DEFAULT_DETECT_SIZE_PX, DEFAULT_MIN_FACE_PX, open_detector
from fer_edge.errors import FerError
from fer_edge.framing import Box, Image, to_gray
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.system import usable_cores

FRAME_SIZE = (640, 480)
SCENES = 9  # of the demo: every expression once
LARGE_FRAMES = 3  # test frames with one large face
DRAWN_FACE_PX = 189  # side of the square around the drawn face in a frame: the median of the scenes
GRIDS = (1, 3, int(DRAWN_FACE_PX / DEFAULT_MIN_FACE_PX))  # faces per side; the last are about the smallest
DETECT_SIZES = (DEFAULT_DETECT_SIZE_PX, 480, 320)
TARGET_FPS = 30.0  # cameras give no more
MIN_FOUND = 0.9  # a usable detection size finds at least this fraction of the large faces
TOLERANCE = 0.05  # settings within 5 % of the best count as equally good

LEGEND = (
    "precision       number format of the emotion network: int8 is smaller, fp32 as trained",
    "threads         CPU threads per inference",
    "detect size     longer side to which larger frames are downscaled for the face detector",
    "detection       time to search a 640x480 frame for faces",
    "classification  time to classify one face",
    "rate            frames per second with one face each; detection and classification run side by side",
    "faces found     share of drawn faces that the detector finds, by the side of the face's square",
)

Job = Callable[[Image], object]
Search = Callable[[Image], list[Box]]
Key = tuple[int, int | str]
"""Threads, and the size of a detection or the precision of a classification."""


@dataclass(frozen=True)
class Timing:
    """One setting's median times in milliseconds for a frame with one face.

    found: the fractions of faces that the detector finds, from large to small ones.
    """

    precision: str
    threads: int
    detect_size: int
    detect_ms: float
    classify_ms: float
    found: tuple[float, ...]

    @property
    def fps(self) -> float:
        """Frames per second, with detection and classification in parallel."""
        return 1000 / max(self.detect_ms, self.classify_ms)

    @property
    def faces_per_second(self) -> float:
        """Faces found per second, with one face of each size in every frame, at most TARGET_FPS frames per second."""
        return sum(self.found) * min(self.fps, TARGET_FPS)


def run_tuning(detector: str, detector_model: Path | None, seconds: float, any_size: bool = False) -> Timing:
    """Measure the shipped networks for about `seconds`, print the table to stdout, return the best setting.

    any_size: the best setting may have a smaller detection size than the default.
    """
    models = {precision: fer_models.model_path(precision) for precision in fer_models.manifest()["models"]}
    echo_line(f"measuring for {seconds:g} s ...", err=True)
    timings = measure(models, detector, detector_model, seconds)
    chosen = best(timings, any_size)
    echo_lines(render_table(timings, chosen))
    if not any_size and (hint := _faster_size(timings, chosen)):
        echo_line(hint, err=True)
    return chosen


def render_table(timings: Sequence[Timing], chosen: Timing) -> str:
    """The measured settings, a line each, with units, and below what the columns mean."""
    sizes = [f"{DRAWN_FACE_PX / grid:.0f} px" for grid in GRIDS]
    found_head = "  ".join(f"{size:>6}" for size in sizes)
    lines = [
        f"precision  threads  detect size  detection  classification      rate   faces found of {found_head}",
        f"                             px   ms/frame         ms/face  frames/s                  {'':{len(found_head)}}",
    ]
    for timing in timings:
        found = "  ".join(f"{100 * fraction:4.0f} %" for fraction in timing.found)
        mark = "   <- best" if timing is chosen else ""
        lines.append(
            f"{timing.precision:9}  {timing.threads:7}  {timing.detect_size:11}  {timing.detect_ms:9.1f}  "
            f"{timing.classify_ms:14.2f}  {timing.fps:8.1f}   {'':14} {found}{mark}"
        )
    return "\n".join([*(line.rstrip() for line in lines), "", *LEGEND])


def _faster_size(timings: Sequence[Timing], chosen: Timing) -> str:
    """A line about the setting that a smaller detection size would allow; "" if it would gain nothing."""
    faster = best(timings, any_size=True)
    if faster.detect_size >= chosen.detect_size or chosen.fps >= TARGET_FPS:
        return ""
    return (
        f"a detection size of {faster.detect_size} px would give {faster.fps:.0f} instead of {chosen.fps:.0f} frames/s "
        f"but misses small faces: --allow-smaller-size chooses it"
    )


def measure(models: dict[str, Path], detector: str, detector_model: Path | None, seconds: float) -> list[Timing]:
    """Time every setting, for about `seconds` in total."""
    frames = _draw_frames()
    threads = thread_choices(usable_cores())
    searches = {
        (count, size): _search_job(detector, detector_model, count, size)
        for count, size in itertools.product(threads, DETECT_SIZES)
    }
    # The smallest drawn faces vary in size: --min-face would leave some of them out.
    found = {
        size: _fractions_found(_search_job(detector, detector_model, 1, size, DEFAULT_MIN_FACE_PX // 2), frames)
        for size in DETECT_SIZES
    }
    jobs: dict[Key, Job] = {}
    jobs.update(searches.items())
    for precision, count in itertools.product(models, threads):
        jobs[count, precision] = _classify_job(models[precision], count)
    times_ms = _median_times_ms(jobs, [frames[1, index] for index in range(LARGE_FRAMES)], seconds)
    return [
        Timing(precision, count, size, times_ms[count, size], times_ms[count, precision], found[size])
        for precision in models
        for count in threads
        for size in DETECT_SIZES
    ]


def _median_times_ms(jobs: Mapping[Key, Job], frames: Sequence[Image], seconds: float) -> dict[Key, float]:
    """Median time of every job. The jobs take turns, so that a busy moment slows all of them alike."""
    times_ms: dict[Key, list[float]] = {key: [] for key in jobs}
    for job in jobs.values():
        job(frames[0])  # the first run loads code and caches
    deadline = time.monotonic() + seconds
    for frame in itertools.cycle(frames):
        for key, job in jobs.items():
            repeats = 3 if isinstance(key[1], str) else 1  # classification is short and easily disturbed
            times_ms[key].append(min(_time_ms(job, frame) for _ in range(repeats)))
        if time.monotonic() > deadline:
            break
    return {key: statistics.median(values) for key, values in times_ms.items()}


def best(timings: Sequence[Timing], any_size: bool = False) -> Timing:
    """The setting that finds the most faces per second, among those that find large faces.

    any_size: False considers only the largest detection size, because a smaller one misses small faces, above all in
    frames that are larger than those measured here.

    Beyond 30 frames per second speed is worth nothing; it is better spent on small faces. Among settings within
    TOLERANCE of the best, the one with the fewest threads wins, because it leaves the machine to others; then the
    fastest.
    """
    largest = max(timing.detect_size for timing in timings)
    allowed = [timing for timing in timings if any_size or timing.detect_size == largest]
    usable = [timing for timing in allowed if timing.found[0] >= MIN_FOUND] or allowed
    most = max(timing.faces_per_second for timing in usable)
    equal = [timing for timing in usable if timing.faces_per_second >= (1 - TOLERANCE) * most]
    return min(equal, key=lambda timing: (timing.threads, timing.detect_ms + timing.classify_ms))


def thread_choices(cores: int) -> list[int]:
    """1, 2, 4 and 8, up to the number of cores."""
    return [count for count in (1, 2, 4, 8) if count <= cores] or [1]


def draw_scenes() -> list[Image]:
    """One round of the demo in SCENES images, uint8 BGR [480, 640, 3]."""
    return [draw_scene(CYCLE_S * index / SCENES, FRAME_SIZE) for index in range(SCENES)]


def face_grid(scenes: Sequence[Image], first: int, per_side: int) -> Image:
    """A grid of `per_side`² downscaled scenes, starting with scene `first`: uint8 BGR [480, 640, 3]."""
    width, height = FRAME_SIZE[0] // per_side, FRAME_SIZE[1] // per_side
    grid = np.zeros((FRAME_SIZE[1], FRAME_SIZE[0], 3), dtype=np.uint8)
    for index in range(per_side**2):
        row, column = divmod(index, per_side)
        scene = scenes[(first + index * len(scenes) // per_side**2) % len(scenes)]
        cell = cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA)
        grid[row * height : (row + 1) * height, column * width : (column + 1) * width] = cell
    return grid


def fraction_found(boxes: Sequence[Box], per_side: int) -> float:
    """The fraction of a grid's cells that hold the center of a box."""
    width, height = FRAME_SIZE[0] // per_side, FRAME_SIZE[1] // per_side
    cells = {(int((x + w / 2) // width), int((y + h / 2) // height)) for x, y, w, h in boxes}
    return sum(cell in cells for cell in itertools.product(range(per_side), repeat=2)) / per_side**2


def target_file() -> Path:
    """The file to save the setting in; FerError if there is none."""
    path = defaults_file()
    if path is None:
        raise FerError(
            "FER_EDGE_DEFAULTS is empty or there is no home folder, so nothing can be saved: "
            "name a file in FER_EDGE_DEFAULTS, or pass --dry-run"
        )
    return path


def save(timing: Timing, path: Path) -> None:
    """Save the setting in `path` as defaults; OutputError if that fails."""
    values: dict[str, str | int] = {
        "precision": timing.precision,
        "threads": timing.threads,
    }
    if timing.detect_size != DEFAULT_DETECT_SIZE_PX:  # saved, it would be the size for images, too
        values["detect_size"] = timing.detect_size
    save_defaults(values, path, "measured by fer-edge tune; delete this file to return to the built-in defaults")


def _draw_frames() -> dict[tuple[int, int], Image]:
    """The test frames by grid size and number."""
    scenes = draw_scenes()
    return {
        (grid, index): face_grid(scenes, SCENES * index // LARGE_FRAMES, grid)
        for grid in GRIDS
        for index in range(_frame_count(grid))
    }


def _frame_count(grid: int) -> int:
    """One frame is enough if it is full of faces."""
    return LARGE_FRAMES if grid == 1 else 1


def _time_ms(job: Job, frame: Image) -> float:
    started = time.perf_counter()
    job(frame)
    return 1000 * (time.perf_counter() - started)


def _classify_job(path: Path, threads: int) -> Job:
    classifier = Classifier(path, threads)
    height, width = classifier.contract.input_size
    batch = np.zeros((1, classifier.contract.channels, height, width), dtype=np.uint8)
    return lambda _frame: classifier.predict(batch)


def _search_job(
    name: str, model: Path | None, threads: int, size: int, min_face_px: int = DEFAULT_MIN_FACE_PX
) -> Search:
    detector = open_detector(name, model, min_face_px=min_face_px, detect_size_px=size, threads=threads)

    def search(frame: Image) -> list[Box]:
        cv2.setNumThreads(threads)
        return [found.box for found in detector.detect(frame if detector.needs_color else to_gray(frame))]

    return search


def _fractions_found(search: Search, frames: Mapping[tuple[int, int], Image]) -> tuple[float, ...]:
    fractions = {key: fraction_found(search(frame), key[0]) for key, frame in frames.items()}
    return tuple(statistics.fmean(fractions[grid, index] for index in range(_frame_count(grid))) for grid in GRIDS)
