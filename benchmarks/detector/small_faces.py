"""What do small faces cost, and how many are found? luma with several sizes of the smallest face (`--min-face`).

The time per frame of 640x480 pixels, by what the frames show: the sizes take turns on each frame, and the ratio to the
first size is listed. There, the second look stops at the smallest face; in use it goes on to 10 px, to count the faces
left out. Photos give the faces found and the boxes that touch no label, and clips without faces give false alarms.
Frames are searched as those of a stream, photos as separate images.

    python -m benchmarks.detector.small_faces --media DIR
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import click
import numpy as np

from benchmarks.detector.contestants import search_with
from benchmarks.detector.detectors import FACELESS_CLIPS, FACELESS_STILLS, NO_BOXES, TIMED_CLIP
from benchmarks.detector.photos import Photograph, facemask, score, wider
from benchmarks.harness.inputs import video_frames
from benchmarks.harness.options import luma_option, media_option, results_command, rounds_option
from benchmarks.harness.results import Results, quartiles
from benchmarks.harness.tables import Table
from benchmarks.harness.timing import elapsed_s, pin_threads
from fer_edge.console import run_main
from fer_edge.demo.scene import CYCLE_S, draw_scene
from fer_edge.detectors import open_detector
from fer_edge.detectors.base import FramedDetector
from fer_edge.detectors.filter import FilteredDetector
from fer_edge.detectors.luma import LumaDetector
from fer_edge.detectors.search import SourceDetector
from fer_edge.framing import Image, to_gray
from fer_edge.opencv import cv2

SIZES_PX = (40, 30, 24, 20)
SIZE = (640, 480)
FRAMES = 20  # of each kind, spread over the clip
CROWD_CLIP = "intel_classroom.gif"


def timed_frames(media: Path) -> dict[str, list[Image]]:
    """Gray frames of 640x480 pixels by what they show."""
    moments = np.arange(FRAMES) * CYCLE_S / FRAMES
    clips = {"a face": TIMED_CLIP, "a classroom": CROWD_CLIP, "an empty room": FACELESS_CLIPS[1]}
    clips["a table with bottles"] = FACELESS_CLIPS[0]
    return {"the demo": [to_gray(draw_scene(float(t), SIZE)) for t in moments]} | {
        name: [_filling(frame) for frame in _spread(media / "videos" / clip)] for name, clip in clips.items()
    }


def _spread(clip: Path) -> Iterator[Image]:
    count = sum(1 for _ in video_frames(clip))
    yield from video_frames(clip, max(1, count // FRAMES))


def _filling(frame: Image) -> Image:
    """The middle of a frame, gray, in the format of SIZE."""
    height, width = frame.shape[:2]
    scale = min(width / SIZE[0], height / SIZE[1])
    left, top = round((width - scale * SIZE[0]) / 2), round((height - scale * SIZE[1]) / 2)
    middle = to_gray(frame)[top : round(top + scale * SIZE[1]), left : round(left + scale * SIZE[0])]
    return np.asarray(cv2.resize(middle, SIZE, interpolation=cv2.INTER_LINEAR), np.uint8)


def time_ratios(
    detectors: Mapping[int, FramedDetector], frames: Sequence[Image], rounds: int
) -> tuple[dict[int, list[float]], dict[int, float]]:
    """Quartiles, over the frames, of the time relative to the first detector; and the faces per frame."""
    ratios: dict[int, list[float]] = {size: [] for size in detectors}
    found: dict[int, list[int]] = {size: [] for size in detectors}
    for frame in frames:
        times: dict[int, list[float]] = {size: [] for size in detectors}
        for _ in range(rounds):
            for size, detector in detectors.items():
                times[size].append(elapsed_s(partial(detector.detect, frame)))
        first_s = min(next(iter(times.values())))
        for size, detector in detectors.items():
            ratios[size].append(min(times[size]) / first_s)
            found[size].append(len(FilteredDetector(detector, size).detect(frame)))
    return {size: quartiles(of) for size, of in ratios.items()}, {s: float(np.mean(of)) for s, of in found.items()}


def cost_table(detectors: Mapping[int, LumaDetector], media: Path, rounds: int) -> Table:
    """A row per kind of frame and size."""
    rows = []
    for name, frames in timed_frames(media).items():
        ratios, found = time_ratios(detectors, frames, rounds)
        for size, (low, middle, high) in ratios.items():
            rows.append([name, f"{size} px", f"{found[size]:.2f}", f"{middle:.3f}", f"{low:.3f} to {high:.3f}"])
    first = next(iter(detectors))
    return Table(
        f"Time per frame of 640x480 pixels, relative to {first} px",
        ["frames of", "smallest face", "faces per frame", "time", "quartiles"], rows,
    )  # fmt: skip


def found_table(detectors: Mapping[int, SourceDetector], media: Path) -> Table:
    """A row per size: recall and false boxes on photos, false alarms on clips and stills without faces."""
    detection = media / "detection"
    sets = [facemask(detection / "facemask853"), wider(detection / "wider_val10")]
    stills = [Photograph(media / "stills" / still, NO_BOXES, NO_BOXES).read() for still in FACELESS_STILLS]
    rows = []
    for size, detector in detectors.items():
        row = [f"{size} px"]
        for photographs in sets:
            scores = score(search_with(detector), photographs)
            row += [f"{sum(value >= 0 for value in scores.found)} of {len(scores.found)}", str(len(scores.false))]
        search = detector.for_stream()
        frames = [frame for clip in FACELESS_CLIPS for frame in video_frames(media / "videos" / clip, 3)]
        alarms = sum(len(search(frame).faces) for frame in frames) + sum(
            len(detector.detect(still)) for still in stills
        )
        rows.append([*row, str(alarms)])
    columns = [
        "smallest face",
        "facemask853",
        "false boxes",
        "wider_val10",
        "false boxes",
        "false alarms without faces",
    ]
    return Table("Faces found", columns, rows, "A false box touches no label; not every face of a crowd has one.")


@click.command(help=__doc__)
@media_option
@luma_option
@click.option("--min-face", "sizes", type=click.IntRange(10), multiple=True, default=SIZES_PX, show_default=True,
              metavar="PX", help="Smallest face; the others are compared with the first.  Repeatable.")  # fmt: skip
@rounds_option(3)
@results_command()
def main(media: Path, luma: Path | None, sizes: tuple[int, ...], rounds: int) -> Results:
    """Measure, print, write."""
    results = Results("small_faces", "What do small faces cost, and how many are found?", pin_threads(1))
    once = {size: LumaDetector(luma, size) for size in sizes}
    in_use = {size: open_detector("luma", luma, size) for size in sizes}
    results.tables = [cost_table(once, media, rounds), found_table(in_use, media)]
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.detector.small_faces")
