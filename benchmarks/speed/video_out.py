"""What does --output cost: H.264 through ffmpeg, by preset, against OpenCV's MPEG-4?

A clip of the drawn face with its sensor noise, or frames of your own video, encoded by each encoder in turn.
Processor time is measured, of this process and of ffmpeg, which other programs hardly affect.

    python -m benchmarks.speed.video_out --json video_out.json
"""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import click
import numpy as np

from benchmarks.harness.options import FILE, results_command, rounds_option
from benchmarks.harness.results import Results, figure
from benchmarks.harness.tables import Table
from benchmarks.harness.timing import pin_threads, ratios
from fer_edge.console import run_main
from fer_edge.demo.scene import draw_scene
from fer_edge.errors import FerError, SourceError
from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.sinks import ffmpeg
from fer_edge.sinks.video import Encoder, OpenCvEncoder

FPS, SIZE = 30.0, (640, 480)
PRESETS = ("ultrafast", "superfast", "veryfast", "faster")
BASELINE = "OpenCV, mp4v"


@dataclass(frozen=True)
class Encoded:
    """One encoding: processor and wall milliseconds per frame, kilobits per second, PSNR against the input in dB."""

    cpu_ms: float
    wall_ms: float
    kbps: float
    psnr_db: float


def clip(source: Path | None, count: int) -> list[Image]:
    """`count` frames at SIZE: drawn, or the first ones of a video."""
    if source is None:
        return [draw_scene(index / FPS, SIZE) for index in range(count)]
    video, frames = cv2.VideoCapture(str(source)), list[Image]()
    while len(frames) < count:
        ok, image = video.read()
        if not ok:
            break
        frames.append(np.asarray(cv2.resize(image, SIZE), dtype=np.uint8))
    if not frames:
        raise SourceError(f"{source} can't be read as a video")
    return frames


def _cpu_s() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def encode(open_encoder: Callable[[Path], Encoder], frames: Sequence[Image], folder: Path) -> Encoded:
    """Encode `frames` into a file and read it again."""
    path = folder / "out.mp4"
    path.unlink(missing_ok=True)
    cpu_s, started = _cpu_s(), time.perf_counter()
    encoder = open_encoder(path)
    for image in frames:
        encoder.write(image)
    encoder.finish()
    wall_s, cpu_s = time.perf_counter() - started, _cpu_s() - cpu_s
    video = cv2.VideoCapture(str(path))
    quality = [cv2.PSNR(image, video.read()[1]) for image in frames]
    kbps = path.stat().st_size * 8 / 1000 / (len(frames) / FPS)
    return Encoded(1000 * cpu_s / len(frames), 1000 * wall_s / len(frames), kbps, statistics.median(quality))


def encoders() -> dict[str, Callable[[Path], Encoder]]:
    """Every encoder by its name; FerError without an ffmpeg that has libx264."""
    program = ffmpeg.find_ffmpeg()
    if program is None or ffmpeg.h264_encoder(program) != "libx264":
        raise FerError("this benchmark needs an ffmpeg with libx264: sudo apt-get install ffmpeg")

    def h264(preset: str) -> Callable[[Path], Encoder]:
        def open_encoder(path: Path) -> Encoder:
            with mock.patch.object(ffmpeg, "PRESET", preset):
                return ffmpeg.FfmpegEncoder(path, path, FPS, SIZE, program, "libx264")

        return open_encoder

    return {BASELINE: lambda path: OpenCvEncoder(path, path, FPS, SIZE)} | {
        f"ffmpeg, libx264 {preset}": h264(preset) for preset in PRESETS
    }


@click.command(help=__doc__)
@click.option("--video", type=FILE, metavar="FILE", help="Encode this video's frames.  [default: the drawn face]")
@click.option("--frames", type=click.IntRange(2), default=240, show_default=True, help="Frames per encoding.")
@rounds_option(5)
@results_command()
def main(video: Path | None, frames: int, rounds: int) -> Results:
    """Measure, print, write."""
    results = Results("video_out", "What does an annotated video cost?", pin_threads(1))
    images, contestants = clip(video, frames), encoders()
    measured: dict[str, list[Encoded]] = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, open_encoder in contestants.items():
                measured[name].append(encode(open_encoder, images, Path(folder)))
    baseline = [one.cpu_ms for one in measured[BASELINE]]
    rows = []
    for name, runs in measured.items():
        ratio = figure(
            f"{name} / {BASELINE}, processor time", ratios([one.cpu_ms for one in runs], baseline), ratio=True
        )
        if name != BASELINE:
            results.figures.append(ratio)
        values = (statistics.median(one.cpu_ms for one in runs), statistics.median(one.wall_ms for one in runs))
        rows.append([name, *(f"{value:.2f} ms" for value in values), f"{ratio.median:.2f}",
                     f"{runs[-1].kbps:.0f} kbit/s", f"{runs[-1].psnr_db:.1f} dB"])  # fmt: skip
    columns = ["encoder", "processor time per frame", "wall time per frame", "ratio", "size", "PSNR"]
    results.tables.append(Table(f"Encoding {SIZE[0]}x{SIZE[1]}", columns, rows, "Wall time depends on idle cores."))
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.video_out")
