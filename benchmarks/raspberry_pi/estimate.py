"""How long would a Raspberry Pi take? An estimate on paper, from one run here and others' published measurements.

No Raspberry Pi was measured. The detectors and the networks are timed here, one thread, in turns; what others published
of the same kernels on a Raspberry Pi makes a range of it, low to high. docs/raspberry-pi.md explains the method, and
how to replace the estimate by a measurement.

    python -m benchmarks.raspberry_pi.estimate --yunet yunet.onnx --json pi-estimate.json
"""

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx

from fer_edge.console import run_main
from fer_edge.demo.scene import CYCLE_S, draw_scene
from fer_edge.detectors import open_detector
from fer_edge.detectors.haar import HaarDetector
from fer_edge.files import write_json
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.system import machine_info
from fer_models import detector_path, model_path

FRAME_SIZE, SIZES = (640, 480), (640, 320)  # the demo's picture, and the detection sizes (--detect-size) told of
Job = Callable[[], object]
PICTURES = 4  # moments of the demo that a round takes in turn


@dataclass(frozen=True)
class Range:
    """What a value lies between; products of ranges are the widest that their ends allow."""

    low: float
    high: float

    def __mul__(self, other: "Range") -> "Range":
        return Range(self.low * other.low, self.high * other.high)

    def __truediv__(self, other: "Range") -> "Range":
        return Range(self.low / other.high, self.high / other.low)

    @property
    def middle(self) -> float:
        """The geometric mean of the ends: it errs by the same factor to both sides."""
        return math.sqrt(self.low * self.high)


@dataclass(frozen=True)
class Published:
    """A published measurement, as a range over what was published of it, and where."""

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
        Range(360.4, 379.9), "ms, Haar (step 1.1, 3 neighbours), 320x320, one thread, Pi 4 at 1.5 GHz", CASCADE_EVAL
    ),
    "pi5_over_pi4": Published(
        Range(42.58 / 20.22, 420.93 / 151.10),
        "times as fast: Cortex-A76 at 2.25 GHz (Khadas Edge2) to Pi 4, OpenCV DNN fp32; YuNet 2.71, FER MobileFaceNet "
        "2.24, SFace 2.38, MobileNet V1 2.34, PP-HumanSeg 2.41; the ends are hand pose and ResNet-50",
        OPENCV_ZOO,
    ),
    "pi5_fp32": Published(
        Range(9.4 * 3.225 / 4, 0.85 * 19.2),
        "GMAC/s a core, onnxruntime fp32, Pi 5: YOLOX-Tiny (3.225 GMAC) at 9.4 FPS on four cores; at best 85 % of the "
        "19.2 that a Cortex-A76 has at 2.4 GHz (two 128-bit fused multiply-adds a cycle)",
        "visionanalysis.org, ONNX Runtime FP32 on Raspberry Pi 5; YOLOX's own README for its operations",
    ),
    "pi4_fp32": Published(
        Range(4.09 / 0.351 / 4 * 1.5 / 2.2, 0.85 * 6.0),
        "GMAC/s a core, onnxruntime fp32, Pi 4: ResNet-50 (4.09 GMAC) in 351 ms on four Cortex-A73 at 2.2 GHz, brought "
        "to 1.5 GHz; at best 85 % of the 6.0 of a Cortex-A72 (one 128-bit fused multiply-add a cycle)",
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
}  # fmt: skip


class Turns:
    """Milliseconds of each job in each round. Jobs take turns, so that a busy machine hardly shows in a ratio."""

    def __init__(self, jobs: Mapping[str, Job], rounds: int) -> None:
        for job in jobs.values():
            job()  # not counted
        self._taken: dict[str, list[float]] = {name: [] for name in jobs}
        with click.progressbar(range(rounds), label="measuring", file=sys.stderr) as bar:
            for _ in bar:
                for name, job in jobs.items():
                    started = time.perf_counter()
                    job()
                    self._taken[name].append(1000 * (time.perf_counter() - started) / PICTURES)

    def __contains__(self, name: str) -> bool:
        return name in self._taken

    def __iter__(self) -> Iterator[str]:
        return iter(self._taken)

    def time(self, name: str) -> Range:
        """The quartiles of the job's time, a picture or face."""
        return _quartiles(self._taken[name])

    def ratio(self, name: str, other: str) -> Range:
        """The quartiles of how much longer `name` took than `other` in the same round."""
        return _quartiles([a / b for a, b in zip(self._taken[name], self._taken[other], strict=True)])


def _quartiles(values: Sequence[float]) -> Range:
    low, _median, high = statistics.quantiles(values, n=4)
    return Range(low, high)


def make_jobs(yunet: Path | None) -> dict[str, Job]:
    """The stages as fer-edge runs them, and the detectors as they were run where they were published."""
    frames = [draw_scene(index * CYCLE_S / PICTURES, FRAME_SIZE) for index in range(PICTURES)]
    grays = [np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8) for frame in frames]
    small = [np.asarray(cv2.resize(frame, (320, 320)), dtype=np.uint8) for frame in frames]
    small_grays = [np.asarray(cv2.resize(gray, (320, 320)), dtype=np.uint8) for gray in grays]
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data/haarcascade_frontalface_default.xml"))

    def published_haar() -> None:
        for gray in small_grays:
            cascade.detectMultiScale3(gray, scaleFactor=1.1, minNeighbors=3, outputRejectLevels=True)

    jobs: dict[str, Job] = {"haar, as published": published_haar}
    for size in SIZES:
        haar = HaarDetector(detect_size_px=size)
        jobs[f"haar at {size}"] = lambda haar=haar: [haar.detect(gray) for gray in grays]  # type: ignore[misc]
    if yunet is not None:
        published = open_detector("yunet", yunet, detect_size_px=320)
        jobs["yunet, as published"] = lambda: [published.detect(frame) for frame in small]
        for size in SIZES:
            detector = open_detector("yunet", yunet, detect_size_px=size)
            jobs[f"yunet at {size}"] = lambda detector=detector: [detector.detect(frame) for frame in frames]  # type: ignore[misc]
    face = np.asarray(cv2.resize(grays[0][120:360, 200:440], (48, 48)), dtype=np.uint8)[None, None]
    for precision in ("fp32", "int8"):
        classifier = Classifier(model_path(precision))
        jobs[precision] = lambda classifier=classifier: [classifier.predict(face) for _ in range(PICTURES)]  # type: ignore[misc]
    return jobs


def multiplications(path: Path, height: int | None = None, width: int | None = None) -> int:
    """Multiply-accumulates of the convolutions and matrix products for one face, or for a picture of that size."""
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
    """What luma does on a frame of 640x480, by how it is searched: at 640 at half its size, too, for close-ups."""
    full, half = (multiplications(detector_path("fp32"), *size) / 1e9 for size in ((480, 640), (256, 320)))
    return {"luma at 640": full + half, "luma at 320": half}


def estimate(here: Turns, gmac: float, luma: Mapping[str, float]) -> dict[str, dict[str, Range]]:
    """Milliseconds by stage and board; `gmac`: the fp32 network's work for a face; `luma`: the detector's."""
    known = {name: published.range for name, published in PUBLISHED.items()}
    stages: dict[str, dict[str, Range]] = {}
    for detector in ("yunet", "haar"):
        for size in SIZES:
            if (name := f"{detector} at {size}") in here:
                pi4 = known[detector] * here.ratio(name, f"{detector}, as published")
                stages[f"detect, {name}"] = {"Pi 4": pi4, "Pi 5": pi4 / known["pi5_over_pi4"]}
    work = Range(1000 * gmac, 1000 * gmac)
    fp32 = {"Pi 4": work / known["pi4_fp32"], "Pi 5": work / known["pi5_fp32"]}
    stages["classify a face, fp32"] = fp32
    stages["classify a face, int8"] = {
        "Pi 4": fp32["Pi 4"] / known["pi4_int8_gain"],
        "Pi 5": fp32["Pi 5"] / known["pi5_int8_gain"],
    }
    for name, share in luma.items():  # the same kind of convolutions, so the same throughput
        times = Range(share / gmac, share / gmac)
        stages[f"detect, {name}, int8"] = {
            board: value * times for board, value in stages["classify a face, int8"].items()
        }
    if "yunet, as published" in here:
        # Another way to the same: as much slower than here as yunet is. This machine's fp32 kernels are dense and
        # wide, yunet's are neither, so it says too little; it is told as a check.
        pi4 = here.ratio("fp32", "yunet, as published") * known["yunet"]
        stages["(check: classify a face, fp32, by yunet's ratio)"] = {"Pi 4": pi4, "Pi 5": pi4 / known["pi5_over_pi4"]}
    return stages


def shown(value: Range) -> str:
    """Two figures each, as in "24 (15 to 41)"."""
    middle, low, high = (
        f"{part:.0f}" if part >= 9.95 else f"{part:.1f}" for part in (value.middle, value.low, value.high)
    )
    return f"{middle} ({low} to {high})"


def table(stages: dict[str, dict[str, Range]]) -> str:
    """One row a stage, as Markdown."""
    lines = ["| estimate, ms, one thread | Pi 4 (1.5 GHz) | Pi 5 (2.4 GHz) |", "|---|---|---|"]
    lines += [f"| {name} | {shown(boards['Pi 4'])} | {shown(boards['Pi 5'])} |" for name, boards in stages.items()]
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option(
    "--yunet", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="YuNet's ONNX file; without it nothing is said about it, and the classifier is estimated one way only.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(4, 10_000), default=40, show_default=True, help="Turns of measuring.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="All of it (replaced).")
def main(yunet: Path | None, rounds: int, json_path: Path | None) -> None:
    """Measure, multiply, print."""
    cv2.setNumThreads(1)
    here = Turns(make_jobs(yunet), rounds)
    gmac = multiplications(model_path("fp32")) / 1e9
    luma = luma_gmac()
    stages = estimate(here, gmac, luma)
    machine: dict[str, Any] = machine_info()
    click.echo(f"Measured here ({machine['cpu']}, one thread; quartiles of {rounds} rounds, ms a picture or face):")
    for name in here:
        click.echo(f"  {name:20} {here.time(name).low:.2f} to {here.time(name).high:.2f}")
    searched = ", ".join(f"{name} {1000 * share:.0f}" for name, share in luma.items())
    click.echo(f"  million multiply-accumulates: {1000 * gmac:.1f} a face, {searched} a frame\n\nPublished:")
    for name, published in PUBLISHED.items():
        click.echo(f"  {name:14} {published.range.low:.3g} to {published.range.high:.3g} {published.what}")
        click.echo(f"  {'':14} [{published.source}]")
    click.echo(f"\n{table(stages)}\n\nEstimates, not measurements: no Raspberry Pi was run.")
    if json_path is not None:
        write_json(json_path, as_json(here, gmac, stages, machine))


def as_json(here: Turns, gmac: float, stages: dict[str, dict[str, Range]], machine: dict[str, Any]) -> dict[str, Any]:
    """All of it for a file."""
    return {
        "schema": 1,
        "estimate": True,
        "machine": machine,
        "gmac": gmac,
        "luma_gmac": luma_gmac(),
        "here_ms": {name: asdict(here.time(name)) for name in here},
        "published": {name: asdict(published) for name, published in PUBLISHED.items()},
        "stages_ms": {
            name: {board: asdict(times) | {"middle": times.middle} for board, times in boards.items()}
            for name, boards in stages.items()
        },
    }


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.raspberry_pi.estimate")
