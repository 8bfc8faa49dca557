"""What does a USB camera's picture cost to decode, in colour and then made grey, and its luma alone?

JPEGs of the drawn face with a camera's noise, in the two forms that cameras send; both ways take turns in one process
on one thread. Processor time counts, which other programs' work hardly touches. The ratio is taken pair by pair.

    python -m benchmarks.speed.camera_decode --json camera_decode.json
"""

import statistics
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from fer_edge.console import run_main
from fer_edge.demo.scene import draw_scene
from fer_edge.files import write_json
from fer_edge.framing import Image, to_gray
from fer_edge.opencv import cv2
from fer_edge.sources.v4l2 import luma_decoder
from fer_edge.system import machine_info

SIZES = ((640, 480), (1280, 720))
SAMPLING = {"4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420}
QUALITY, NOISE_STD, PICTURES = 90, 6.0, 5


def jpegs(size: tuple[int, int], sampling: int) -> list[Image]:
    """JPEGs as V4L2 gives them, uint8 [1, bytes]."""
    rng = np.random.default_rng(0)
    made = []
    for index in range(PICTURES):
        scene = draw_scene(2.0 * index, size) + rng.normal(0, NOISE_STD, (size[1], size[0], 3))
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
        made.append(cv2.imencode(".jpg", np.clip(scene, 0, 255).astype(np.uint8), options)[1].reshape(1, -1))
    return [np.asarray(jpeg, dtype=np.uint8) for jpeg in made]


def measure(size: tuple[int, int], sampling: str, rounds: int) -> dict[str, Any]:
    """Medians in ms, the ratio with its quartiles, and how far the two greys lie apart."""
    luma_of = luma_decoder("MJPG", size[1])
    assert luma_of is not None
    color_ms, luma_ms, apart = [], [], []
    for jpeg in jpegs(size, SAMPLING[sampling]) * rounds:
        started = time.thread_time()
        gray = to_gray(np.asarray(cv2.imdecode(jpeg.ravel(), cv2.IMREAD_COLOR), dtype=np.uint8))
        between = time.thread_time()
        luma = luma_of(jpeg)
        ended = time.thread_time()
        color_ms.append(1000 * (between - started))
        luma_ms.append(1000 * (ended - between))
        assert luma is not None
        apart.append(float(np.abs(gray.astype(int) - luma).max()))
    ratios = statistics.quantiles([b / a for a, b in zip(color_ms, luma_ms, strict=True)], n=4)
    return {
        "name": f"{size[0]}x{size[1]}, {sampling}", "colour_ms": statistics.median(color_ms),
        "luma_ms": statistics.median(luma_ms), "ratio": ratios[1], "quartiles": [ratios[0], ratios[2]],
        "most_apart": max(apart),
    }  # fmt: skip


@click.command(help=__doc__)
@click.option("--rounds", default=40, show_default=True, help=f"Each of {PICTURES} pictures.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write everything here.")
def main(rounds: int, json_file: Path | None) -> None:
    """Measure, print the table."""
    cv2.setNumThreads(1)
    records = [measure(size, sampling, rounds) for size in SIZES for sampling in SAMPLING]
    columns = ["JPEG", "colour, then grey", "luma alone", "ratio (quartiles)", "grey levels apart at most"]
    rows = [
        [
            record["name"], f"{record['colour_ms']:.2f} ms", f"{record['luma_ms']:.2f} ms",
            f"{record['ratio']:.3f} ({record['quartiles'][0]:.3f}, {record['quartiles'][1]:.3f})",
            f"{record['most_apart']:.0f}",
        ]
        for record in records
    ]  # fmt: skip
    for row in [columns, *rows]:
        click.echo("".join(cell.ljust(28) for cell in row).rstrip())
    if json_file is not None:
        figures = [
            {"name": f"luma alone / colour, then grey: {record['name']}", "median": record["ratio"],
             "quartiles": record["quartiles"], "samples": PICTURES * rounds, "ratio": True, "unit": ""}
            for record in records
        ]  # fmt: skip
        table = {"title": "Decoding a USB camera's picture", "columns": columns, "rows": rows}
        write_json(json_file, {"figures": figures, "tables": [table], "machine": machine_info()})


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.camera_decode")
