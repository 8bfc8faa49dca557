"""The options of `fer-edge`: each is declared once, named after the field of `RunOptions` that it fills."""

import dataclasses
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from fer_edge.console import RenamedOption
from fer_edge.detectors import DEFAULT_DETECT_SIZE_PX, DEFAULT_MIN_FACE_PX, default_detector, detector_names
from fer_edge.pipeline.options import DEFAULT_SMOOTH_S, LIVE_CLASSIFY_INTERVAL_S, Limits, StreamOptions

PRECISIONS = ("int8", "fp32")
THREADS = (1, 64)  # the allowed range
DETECT_SIZE_PX = (64, 8192)
SIZE_UNITS = {"kb": 1e3, "mb": 1e6, "gb": 1e9}
HOUR_S = 3600.0


@dataclass(frozen=True)
class OutputOptions:
    """Where the results go. rotate_output: (bytes, None) or (None, seconds) at which an output is rotated."""

    json: str | None
    csv: str | None
    output: Path | None
    report: Path | None
    overwrite: bool
    rotate_output: tuple[int | None, float | None] | None
    keep_output: int


@dataclass(frozen=True, eq=False, repr=False)  # the source may hold a password
class RunOptions:
    """The settings of one run. `detector_model` is None for a detector that needs no file or has its own."""

    source: str
    model: Path
    detector: str
    detector_model: Path | None
    min_face_px: int
    min_score: float
    detect_size_px: int
    threads: int
    headless: bool
    mirror: bool
    rotate_deg: int
    camera_size: tuple[int, int] | None
    give_up_s: float
    stream: StreamOptions
    limits: Limits
    outputs: OutputOptions


def run_options(
    camera: int | None, source: str | None, model: Path | None, precision: str | None, detector: str | None,
    threads: int | None, **values: Any,
) -> RunOptions:  # fmt: skip
    """The settings that the command line gives, with the defaults that depend on each other or on the machine."""
    from fer_models import default_model, model_path

    return RunOptions(
        source=str(camera or 0) if source is None else source,
        model=model or (model_path(precision) if precision else default_model()),
        detector=detector or default_detector(values["detector_model"]),
        threads=threads or max(1, (os.cpu_count() or 1) // 2),  # detection and classification run side by side
        stream=_take(StreamOptions, values),
        limits=_take(Limits, values),
        outputs=_take(OutputOptions, values),
        **values,
    )


def _take(kind: Any, values: dict[str, Any]) -> Any:
    return kind(**{field.name: values.pop(field.name) for field in dataclasses.fields(kind)})


class Number(click.ParamType):  # type: ignore[type-arg]
    """A number within bounds. click's own ranges fill the help with "[1<=x<=64]"."""

    name = "number"

    def __init__(self, kind: type[int] | type[float], minimum: float, maximum: float) -> None:
        self._kind, self._minimum, self._maximum = kind, minimum, maximum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = self._kind(value)
        except ValueError:
            number = math.nan
        if not self._minimum <= number <= self._maximum:
            kind = "whole number" if self._kind is int else "number"
            self.fail(f"{value!r} is not a {kind} from {self._minimum:,} to {self._maximum:,}", param, ctx)
        return number


class FrameSize(click.ParamType):  # type: ignore[type-arg]
    """WIDTHxHEIGHT in pixels, as a tuple."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", value)
        if not match:
            self.fail(f"{value!r} is not WIDTHxHEIGHT, for example 640x480", param, ctx)
        return int(match[1]), int(match[2])


class SizeOrHours(click.ParamType):  # type: ignore[type-arg]
    """(bytes, None) of a size such as 100MB, or (None, seconds) of a time such as 24h."""

    name = "bound"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, float | None]:
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*(kB|MB|GB|h)", value, re.ASCII | re.IGNORECASE)
        amount = float(match[1]) if match else 0.0
        if match is None or amount == 0:
            self.fail(f"{value!r} is neither a size, for example 100MB, nor a time, for example 24h", param, ctx)
        unit = match[2].lower()
        return (None, amount * HOUR_S) if unit == "h" else (int(amount * SIZE_UNITS[unit]), None)


def _to_seconds(_ctx: click.Context, _param: click.Parameter, value_ms: float | None) -> float | None:
    return None if value_ms is None else value_ms / 1000


def _to_int(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    return int(value)


def _negated(_ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    return not value


def _is_lossless(_ctx: click.Context, _param: click.Parameter, value: str | None) -> bool | None:
    return None if value is None else value == "lossless"


FILE = click.Path(path_type=Path)
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

# `tune` has them, too.
DETECTOR_OPTIONS: list[Decorator] = [
    click.option(
        "--detector",
        type=click.Choice(detector_names()),
        help="Face detector: luma ships with fer-edge, yunet needs its file, haar needs OpenCV 4.  "
        "[default: luma; yunet if --detector-model is given]",
    ),
    click.option("--detector-model", type=FILE, metavar="FILE", help="The detector's file; yunet needs one."),
]

INPUT_OPTIONS: list[Decorator] = [
    click.option("--camera", type=Number(int, 0, 9999), metavar="N", help="Camera number.  [default: 0]"),
    click.option(
        "--source",
        metavar="URI",
        help="Read this instead of a camera number: a video, image, folder, glob, CSV of face pixels, /dev path, URL, "
        "rpicam: (Raspberry Pi camera module), or demo: (a drawn face, needs no camera).",
    ),
]

NETWORK_OPTIONS: list[Decorator] = [
    click.option(
        "--model", type=FILE, metavar="FILE", help="Emotion network (.onnx from fer-export).  [default: shipped]"
    ),
    click.option(
        "--precision", type=click.Choice(PRECISIONS), help="Shipped network to use without --model.  [default: int8]"
    ),
]

DETECTION_OPTIONS: list[Decorator] = [
    *DETECTOR_OPTIONS,
    click.option(
        "--min-face",
        "min_face_px",
        type=Number(int, 10, 10_000),
        default=DEFAULT_MIN_FACE_PX,
        show_default=True,
        metavar="PX",
        help="Smallest face to find: side of the square that is classified, in pixels.",
    ),
    click.option(
        "--min-score",
        type=Number(float, 0, 10**6),
        default=0.0,
        metavar="SCORE",
        help="Ignore faces with a lower detector score; luma and yunet give 0 to 1, haar 0 and up.  [default: 0]",
    ),
    click.option(
        "--detect-size",
        "detect_size_px",
        type=Number(int, *DETECT_SIZE_PX),
        default=DEFAULT_DETECT_SIZE_PX,
        show_default=True,
        metavar="PX",
        help="Downscale longer frames to this for detection; less is faster but misses small faces.",
    ),
    click.option(
        "--detect-hz",
        type=Number(float, 0.1, 1000),
        metavar="HZ",
        help="Run the detector at most HZ times per second; track faces in between.  [default: every frame]",
    ),
]

LABEL_OPTIONS: list[Decorator] = [
    click.option(
        "--no-track",
        "track",
        cls=RenamedOption,
        former=["--no-follow"],
        is_flag=True,
        callback=_negated,
        help="Drop a face as soon as the detector misses it.",
    ),
    click.option(
        "--classify-interval",
        "classify_interval_s",
        type=Number(float, 0, 60_000),
        callback=_to_seconds,
        metavar="MS",
        help="Classify a tracked face again after MS milliseconds; 0: on every frame.  "
        f"[default: {1000 * LIVE_CLASSIFY_INTERVAL_S:g} live, 0 for files]",
    ),
    click.option(
        "--smooth",
        "smooth_s",
        type=Number(float, 0, 60),
        default=DEFAULT_SMOOTH_S,
        show_default=True,
        metavar="S",
        help="Average a face's probabilities over about S seconds; 0: off.",
    ),
]

RUN_OPTIONS: list[Decorator] = [
    click.option(
        "--realtime", "lossless", flag_value="realtime", callback=_is_lossless,
        help="Play a file at its own speed and drop frames that are too late.",
    ),
    click.option(
        "--lossless", "lossless", flag_value="lossless", callback=_is_lossless,
        help="Process every frame, even of a live source.",
    ),
    click.option(
        "--threads", type=Number(int, *THREADS), metavar="N",
        help="CPU threads per inference.  [default: half the cores]",
    ),
    click.option("--headless", is_flag=True, help="Show no window (implied without a screen)."),
    click.option("--max-frames", type=Number(int, 1, 10**12), metavar="N", help="Stop after N captured frames."),
    click.option(
        "--duration", "duration_s", type=Number(float, 0.001, 10**9), metavar="S",
        help="Stop after S seconds (media time for files).",
    ),
]  # fmt: skip

OUTPUT_OPTIONS: list[Decorator] = [
    click.option("--json", metavar="FILE", help="Write one JSON line per frame; - for stdout."),
    click.option("--csv", metavar="FILE", help="Write one CSV row per face, or per row of a CSV source; - for stdout."),
    click.option(
        "--output", type=FILE, metavar="PATH", help="Annotated video (.mp4), image (.jpg, .png) or folder of images."
    ),
    click.option("--report", type=FILE, metavar="FILE", help="Write the final report as JSON."),
    click.option("--overwrite", is_flag=True, help="Replace existing output files."),
    click.option(
        "--rotate-output",
        type=SizeOrHours(),
        metavar="SIZE|HOURS",
        help="Start a new file for --json, --csv and video at this size (100MB) or age (24h). out.jsonl is the newest; "
        "older ones become out-000001.jsonl and so on.",
    ),
    click.option(
        "--keep-output",
        type=Number(int, 1, 100_000),
        default=10,
        show_default=True,
        metavar="N",
        help="With --rotate-output: keep the newest N older files of each output, delete the rest.",
    ),
]

FRAME_OPTIONS: list[Decorator] = [
    click.option("--mirror", is_flag=True, help="Flip frames horizontally."),
    click.option(
        "--rotate",
        "rotate_deg",
        type=click.Choice(["0", "90", "180", "270"]),
        callback=_to_int,
        default="0",
        metavar="DEG",
        help="Rotate frames clockwise by 90, 180 or 270 degrees.",
    ),
    click.option(
        "--camera-size",
        type=FrameSize(),
        metavar="WxH",
        help="Frame size to request from a camera.  [default: 640x480]",
    ),
    click.option(
        "--give-up",
        "give_up_s",
        type=Number(float, 1, 10**9),
        default=600,
        show_default=True,
        metavar="S",
        help="Reconnect to a lost camera or stream; end after S seconds without a frame.",
    ),
    click.option("--list-cameras", is_flag=True, help="List the cameras and exit."),
]

MAIN_OPTIONS = [
    *INPUT_OPTIONS, *NETWORK_OPTIONS, *DETECTION_OPTIONS, *LABEL_OPTIONS, *RUN_OPTIONS, *OUTPUT_OPTIONS, *FRAME_OPTIONS,
]  # fmt: skip


def add_options(options: list[Decorator]) -> Decorator:
    """A decorator that adds `options` to a command, in this order."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def check_usage(ctx: click.Context, values: dict[str, Any]) -> None:
    """Raise click.UsageError for options that contradict each other."""
    if values["camera"] is not None and values["source"] is not None:
        raise click.UsageError("--camera and --source exclude each other: give one", ctx)
    if values["source"] == "":
        raise click.UsageError("--source is empty: give a file, folder, URL or demo:", ctx)
    inputs = {f"--{name.replace('_', '-')}": values[name] for name in ("source", "model", "detector_model")}
    outputs = {f"--{name}": values[name] for name in ("json", "csv", "output", "report")}
    flags = {os.path.realpath(str(path)): flag for flag, path in inputs.items() if path}
    for flag, path in outputs.items():
        if flag in ("--output", "--report") and str(path) == "-":
            raise click.UsageError(f"{flag} can't go to stdout: name a file, or /dev/stdout", ctx)
        name = "-" if str(path) == "-" else os.path.realpath(str(path))
        if path is None or name.startswith("/dev/"):
            continue
        if name in flags:
            raise click.UsageError(f"{flags[name]} and {flag} can't share {path}: name two files", ctx)
        flags[name] = flag
