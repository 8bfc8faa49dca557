"""What does a USB camera's frame cost to decode: in color and then converted to gray, and its luma alone?

JPEGs of the drawn face with sensor noise, in the two subsamplings that cameras send. Both ways take turns on one
thread. Processor time is measured, which other programs hardly affect; the ratio is taken pair by pair.

    python -m benchmarks.speed.camera_decode --json camera_decode.json
"""

import statistics
import time

import click
import numpy as np

from benchmarks.harness.options import results_command, rounds_option
from benchmarks.harness.results import Results, figure
from benchmarks.harness.tables import Table
from benchmarks.harness.timing import pin_threads, ratios
from fer_edge.console import run_main
from fer_edge.demo.scene import draw_scene
from fer_edge.framing import Image, to_gray
from fer_edge.opencv import cv2
from fer_edge.sources.v4l2 import luma_decoder

SIZES = ((640, 480), (1280, 720))
SAMPLING = {"4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420}
QUALITY, NOISE_STD, FRAMES = 90, 6.0, 5


def jpegs(size: tuple[int, int], sampling: int) -> list[Image]:
    """JPEGs as V4L2 delivers them, uint8 [1, bytes]."""
    rng = np.random.default_rng(0)
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    made = []
    for index in range(FRAMES):
        scene = draw_scene(2.0 * index, size) + rng.normal(0, NOISE_STD, (size[1], size[0], 3))
        made.append(cv2.imencode(".jpg", np.clip(scene, 0, 255).astype(np.uint8), options)[1].reshape(1, -1))
    return [np.asarray(jpeg, dtype=np.uint8) for jpeg in made]


def decode_times(size: tuple[int, int], sampling: str, rounds: int) -> tuple[list[float], list[float], float]:
    """Milliseconds in color and of luma alone, per JPEG; and the largest difference of the two gray images."""
    decode_luma = luma_decoder("MJPG", size[1])
    assert decode_luma is not None
    color_ms, luma_ms, differences = [], [], []
    for jpeg in jpegs(size, SAMPLING[sampling]) * rounds:
        started = time.thread_time()
        gray = to_gray(np.asarray(cv2.imdecode(jpeg.ravel(), cv2.IMREAD_COLOR), dtype=np.uint8))
        between = time.thread_time()
        luma = decode_luma(jpeg)
        ended = time.thread_time()
        color_ms.append(1000 * (between - started))
        luma_ms.append(1000 * (ended - between))
        assert luma is not None
        differences.append(float(np.abs(gray.astype(int) - luma).max()))
    return color_ms, luma_ms, max(differences)


@click.command(help=__doc__)
@rounds_option(40)
@results_command()
def main(rounds: int) -> Results:
    """Measure, print, write."""
    results = Results("camera_decode", "What does a USB camera's frame cost to decode?", pin_threads(1))
    rows: list[list[str]] = []
    for size in SIZES:
        for sampling in SAMPLING:
            color_ms, luma_ms, difference = decode_times(size, sampling, rounds)
            name = f"{size[0]}x{size[1]}, {sampling}"
            ratio = figure(f"luma alone / color, then gray: {name}", ratios(luma_ms, color_ms), ratio=True)
            results.figures.append(ratio)
            rows.append([
                name, f"{statistics.median(color_ms):.2f} ms", f"{statistics.median(luma_ms):.2f} ms",
                f"{ratio.median:.3f} ({ratio.quartiles[0]:.3f}, {ratio.quartiles[1]:.3f})", f"{difference:.0f}",
            ])  # fmt: skip
    columns = ["JPEG", "color, then gray", "luma alone", "ratio (quartiles)", "largest difference, gray levels"]
    results.tables.append(Table("Decoding a USB camera's frame", columns, rows))
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.camera_decode")
