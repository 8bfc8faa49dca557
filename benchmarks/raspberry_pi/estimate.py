"""How long would a Raspberry Pi take? An estimate from one run here and published measurements of others.

No Raspberry Pi was measured. The detectors and the networks are timed here, on one thread and in turns; published times
of the same kernels on a Raspberry Pi turn that into a range. docs/raspberry-pi.md explains the method, and how to
replace the estimate by a measurement.

    python -m benchmarks.raspberry_pi.estimate --yunet yunet.onnx --json pi-estimate.json
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx

from benchmarks.harness.inputs import CASCADE
from benchmarks.harness.options import FILE, check_outputs, rounds_option, yunet_option
from benchmarks.harness.timing import Job, NoiseProbe, elapsed_s, interleave, pin_threads, ratios
from fer_edge.console import run_main
from fer_edge.demo.scene import CYCLE_S, draw_scene
from fer_edge.detectors import open_detector
from fer_edge.detectors.haar import HaarDetector
from fer_edge.files import write_json
from fer_edge.framing import to_gray
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.system import machine_info
from fer_models import detector_path, model_path

FRAME_SIZE, SIZES = (640, 480), (640, 320)  # of the demo's frames, and the detection sizes (--detect-size)
FRAMES_PER_ROUND = 4  # different moments of the demo
Times = Mapping[str, Sequence[float]]
"""Milliseconds per frame or face, a value per round, by job."""


@dataclass(frozen=True)
class Range:
    """Bounds of a value; the product or quotient of ranges is the widest that their ends allow."""

    low: float
    high: float

    def __mul__(self, other: "Range") -> "Range":
        return Range(self.low * other.low, self.high * other.high)

    def __truediv__(self, other: "Range") -> "Range":
        return Range(self.low / other.high, self.high / other.low)

    @property
    def middle(self) -> float:
        """The geometric mean of the ends, which is off by the same factor on both sides."""
        return math.sqrt(self.low * self.high)


@dataclass(frozen=True)
class Published:
    """A published measurement: its range over all published values, what it is, and where."""

    range: Range
    what: str
    source: str


CASCADE_EVAL = "github.com/TonyCongqianWang/cv_facedetection_eval, results/blog_revisit_results/linux"
OPENCV_ZOO = "github.com/opencv/opencv_zoo, benchmark/README.md (OpenCV 4.10)"
NCNN = "github.com/Tencent/ncnn/issues/3485"
ARM = "learn.arm.com, ExecuTorch on Arm, and huggingface.co/Arm (model cards), 2026"
PUBLISHED = {
    "yunet": Published(
        Range(213.2 / 4, 54.4),
        "ms, YuNet, 320x320, one thread, Pi 4 at 1.5 GHz: 53.8, 54.4, and a quarter of 213.2 at 640x640",
        CASCADE_EVAL,
    ),
    "haar": Published(
        Range(360.4, 379.9), "ms, Haar (step 1.1, 3 neighbors), 320x320, one thread, Pi 4 at 1.5 GHz", CASCADE_EVAL
    ),
    "pi5_over_pi4": Published(
        Range(42.58 / 20.22, 420.93 / 151.10),
        "times as fast: Cortex-A76 at 2.25 GHz (Khadas Edge2) to Pi 4, OpenCV DNN fp32; YuNet 2.71, FER MobileFaceNet "
        "2.24, SFace 2.38, MobileNet V1 2.34, PP-HumanSeg 2.41; the ends are hand pose and ResNet-50",
        OPENCV_ZOO,
    ),
    "pi5_fp32": Published(
        Range(9.4 * 3.225 / 4, 0.85 * 19.2),
        "GMAC/s per core, onnxruntime fp32, Pi 5: YOLOX-Tiny (3.225 GMAC) at 9.4 FPS on four cores; at best 85 % of "
        "the 19.2 that a Cortex-A76 has at 2.4 GHz (two 128-bit fused multiply-adds per cycle)",
        "visionanalysis.org, ONNX Runtime FP32 on Raspberry Pi 5; YOLOX's own README for its operations",
    ),
    "pi4_fp32": Published(
        Range(4.09 / 0.351 / 4 * 1.5 / 2.2, 0.85 * 6.0),
        "GMAC/s per core, onnxruntime fp32, Pi 4: ResNet-50 (4.09 GMAC) in 351 ms on four Cortex-A73 at 2.2 GHz, "
        "scaled to 1.5 GHz; at best 85 % of the 6.0 of a Cortex-A72 (one 128-bit fused multiply-add per cycle)",
        "gist.github.com/zihaomu/1cf236339099708a0c75aeef5620433e; Arm's Cortex-A72 Software Optimization Guide",
    ),
    "pi5_int8_gain": Published(
        Range(2.23, 3.61),
        "times as fast as fp32 with dot-product instructions, Pi 5 (XNNPACK): YOLOv8s 2.23, MobileNetV2 2.72, "
        "GoogLeNet 3.58, ResNet-18 3.61",
        ARM,
    ),
    "pi4_int8_gain": Published(
        Range(0.8, 176.18 / 97.99),
        "times as fast as fp32 without them, Pi 4 (ncnn): SqueezeNet 1.19, GoogLeNet 1.20, MobileNet 1.79, ResNet-18 "
        "1.80; other runtimes lose, hence 0.8",
        f"{NCNN}; github.com/ARM-software/armnn/issues/511 for a loss",
    ),
}


def time_range(times: Sequence[float]) -> Range:
    """The quartiles of the times."""
    low, _median, high = statistics.quantiles(times, n=4)
    return Range(low, high)


def ratio_range(times: Times, name: str, other: str) -> Range:
    """The quartiles of how much longer `name` took than `other` in the same round."""
    return time_range(ratios(times[name], times[other]))


def make_jobs(yunet: Path | None) -> dict[str, Callable[[], object]]:
    """The stages as fer-edge runs them, and the detectors as they were run for the published figures.

    Each job handles FRAMES_PER_ROUND frames or faces.
    """
    frames = [draw_scene(index * CYCLE_S / FRAMES_PER_ROUND, FRAME_SIZE) for index in range(FRAMES_PER_ROUND)]
    grays = [to_gray(frame) for frame in frames]
    small, small_grays = ([np.asarray(cv2.resize(one, (320, 320)), np.uint8) for one in of] for of in (frames, grays))
    cascade = cv2.CascadeClassifier(CASCADE)

    def published_haar() -> None:
        for gray in small_grays:
            cascade.detectMultiScale3(gray, scaleFactor=1.1, minNeighbors=3, outputRejectLevels=True)

    def each_of(run: Callable[[Any], object], images: Sequence[Any]) -> Callable[[], object]:
        return lambda: [run(image) for image in images]

    jobs: dict[str, Callable[[], object]] = {"haar, as published": published_haar}
    for size in SIZES:
        jobs[f"haar at {size}"] = each_of(HaarDetector(detect_size_px=size).detect, grays)
    if yunet is not None:
        jobs["yunet, as published"] = each_of(open_detector("yunet", yunet, detect_size_px=320).detect, small)
        for size in SIZES:
            jobs[f"yunet at {size}"] = each_of(open_detector("yunet", yunet, detect_size_px=size).detect, frames)
    face = np.asarray(cv2.resize(grays[0][120:360, 200:440], (48, 48)), dtype=np.uint8)[None, None]
    for precision in ("fp32", "int8"):
        jobs[precision] = each_of(Classifier(model_path(precision)).predict, [face] * FRAMES_PER_ROUND)
    return jobs


def measure(yunet: Path | None, rounds: int, probe: NoiseProbe) -> dict[str, list[float]]:
    """Time the jobs in turns."""

    def timed(job: Callable[[], object]) -> Job:
        return lambda: 1000 * elapsed_s(job) / FRAMES_PER_ROUND

    return interleave({name: timed(job) for name, job in make_jobs(yunet).items()}, rounds, probe)


def multiplications(path: Path, height: int | None = None, width: int | None = None) -> int:
    """Multiply-accumulates of the convolutions and matrix products, for one face or for an image of that size."""
    model = onnx.load(str(path))
    if height and width:
        for axis, size in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, 1, height, width), strict=True):
            axis.dim_value = size
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += math.prod(weights[node.input[1]]) * math.prod(shapes[node.output[0]][2:])
        elif node.op_type in ("Gemm", "MatMul"):
            total += math.prod(weights[node.input[1]])
    return total


def luma_gmac() -> dict[str, float]:
    """10^9 multiply-accumulates of luma per 640x480 frame, by detection size; at 640 it also searches at half size."""
    full, half = (multiplications(detector_path("fp32"), *size) / 1e9 for size in ((480, 640), (256, 320)))
    return {"luma at 640": full + half, "luma at 320": half}


def estimate(times: Times, gmac: float, luma: Mapping[str, float]) -> dict[str, dict[str, Range]]:
    """Milliseconds by stage and board.

    gmac: 10^9 multiply-accumulates of the emotion network per face. luma: those of the detector per frame.
    """
    known = {name: published.range for name, published in PUBLISHED.items()}
    stages: dict[str, dict[str, Range]] = {}
    for detector in ("yunet", "haar"):
        for size in SIZES:
            if (name := f"{detector} at {size}") in times:
                pi4 = known[detector] * ratio_range(times, name, f"{detector}, as published")
                stages[f"detect, {name}"] = {"Pi 4": pi4, "Pi 5": pi4 / known["pi5_over_pi4"]}
    work = Range(1000 * gmac, 1000 * gmac)
    fp32 = {"Pi 4": work / known["pi4_fp32"], "Pi 5": work / known["pi5_fp32"]}
    stages["classify a face, fp32"] = fp32
    stages["classify a face, int8"] = {
        "Pi 4": fp32["Pi 4"] / known["pi4_int8_gain"],
        "Pi 5": fp32["Pi 5"] / known["pi5_int8_gain"],
    }
    for name, work_gmac in luma.items():  # the same kind of convolutions, so the same throughput
        factor = Range(work_gmac / gmac, work_gmac / gmac)
        stages[f"detect, {name}, int8"] = {
            board: value * factor for board, value in stages["classify a face, int8"].items()
        }
    if "yunet, as published" in times:
        # A second estimate: as much slower than here as yunet is. Our fp32 kernels are dense and wide and yunet's are
        # not, so it is too low; it serves as a check.
        pi4 = ratio_range(times, "fp32", "yunet, as published") * known["yunet"]
        stages["(check: classify a face, fp32, by yunet's ratio)"] = {"Pi 4": pi4, "Pi 5": pi4 / known["pi5_over_pi4"]}
    return stages


def shown(value: Range) -> str:
    """The middle and the ends with two digits, as in "24 (15 to 41)"."""
    middle, low, high = (
        f"{part:.0f}" if part >= 9.95 else f"{part:.1f}" for part in (value.middle, value.low, value.high)
    )
    return f"{middle} ({low} to {high})"


def table(stages: dict[str, dict[str, Range]]) -> str:
    """A row per stage, as Markdown."""
    lines = ["| estimate, ms, one thread | Pi 4 (1.5 GHz) | Pi 5 (2.4 GHz) |", "|---|---|---|"]
    lines += [f"| {name} | {shown(boards['Pi 4'])} | {shown(boards['Pi 5'])} |" for name, boards in stages.items()]
    return "\n".join(lines)


@click.command(help=__doc__)
@yunet_option()
@rounds_option(40, minimum=4)
@click.option("--json", "json_path", type=FILE, metavar="FILE", help="Write everything (replaces the file).")
def main(yunet: Path | None, rounds: int, json_path: Path | None) -> None:
    """Measure, multiply, print."""
    check_outputs(json_path, None)
    pin_threads(1)
    times = measure(yunet, rounds, NoiseProbe())
    gmac, luma = multiplications(model_path("fp32")) / 1e9, luma_gmac()
    stages = estimate(times, gmac, luma)
    machine: dict[str, Any] = machine_info()
    click.echo(f"Measured here ({machine['cpu']}, one thread; quartiles of {rounds} rounds, ms per frame or face):")
    for name, values in times.items():
        click.echo(f"  {name:20} {time_range(values).low:.2f} to {time_range(values).high:.2f}")
    per_frame = ", ".join(f"{name} {1000 * work:.0f}" for name, work in luma.items())
    click.echo(f"  million multiply-accumulates: {1000 * gmac:.1f} per face, {per_frame} per frame\n\nPublished:")
    for name, published in PUBLISHED.items():
        click.echo(f"  {name:14} {published.range.low:.3g} to {published.range.high:.3g} {published.what}")
        click.echo(f"  {'':14} [{published.source}]")
    click.echo(f"\n{table(stages)}\n\nEstimates, not measurements: no Raspberry Pi was run.")
    if json_path is not None:
        write_json(json_path, as_json(times, gmac, stages, machine))


def as_json(times: Times, gmac: float, stages: dict[str, dict[str, Range]], machine: dict[str, Any]) -> dict[str, Any]:
    """Everything for the file."""
    return {
        "schema": 1,
        "estimate": True,
        "machine": machine,
        "gmac": gmac,
        "luma_gmac": luma_gmac(),
        "here_ms": {name: asdict(time_range(values)) for name, values in times.items()},
        "published": {name: asdict(published) for name, published in PUBLISHED.items()},
        "stages_ms": {
            name: {board: asdict(ms) | {"middle": ms.middle} for board, ms in boards.items()}
            for name, boards in stages.items()
        },
    }


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.raspberry_pi.estimate")
