"""The options of `fer-edge`: each is declared once, in MAIN_OPTIONS, and named after the field that it fills.

A new option needs its line there and a field in RunOptions, OutputOptions, ConnectOptions or StreamOptions.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from fer_edge.cli.connect_options import CONNECT_OPTIONS, Decorator, check_connections
from fer_edge.cli.parameters import (
    FrameSize,
    Interval,
    Number,
    SizeOrHours,
    StartTime,
    negated,
    to_int,
    to_seconds,
    yes_or_no,
)
from fer_edge.console import MainCommand, RenamedOption
from fer_edge.defaults import DEFAULT_GIVE_UP_S, DEFAULT_KEEP_OUTPUT, DETECT_SIZE_PX, PRECISIONS, THREADS
from fer_edge.detectors import (
    DEFAULT_DETECT_SIZE_PX,
    DEFAULT_MIN_FACE_PX,
    IMAGE_DETECT_SIZE_PX,
    default_detector,
    detector_names,
)  # fmt: skip
from fer_edge.detectors.defaults import SMALLEST_FACE_PX
from fer_edge.guards.secrets import shown_source
from fer_edge.pipeline.options import DEFAULT_SMOOTH_S, LIVE_CLASSIFY_INTERVAL_S, StreamOptions
from fer_edge.privacy.modes import BLUR_MODES, DEFAULT_AT_LEAST, MAX_AT_LEAST, Aggregation
from fer_edge.serve.options import ConnectOptions

LIVE_NAME = re.compile(r"\d{1,4}$|/dev/|rpicam:|rtsps?://", re.ASCII)  # a source that is certainly live


class OutputOptions(NamedTuple):
    """Where the results go. rotate_output: (bytes, None) or (None, seconds) at which an output is rotated."""

    json: str | None
    csv: str | None
    output: Path | None
    report: Path | None
    analyze: Path | None
    aggregate_out: str | None
    overwrite: bool
    rotate_output: tuple[int | None, float | None] | None
    keep_output: int

    @property
    def use_stdout(self) -> bool:
        """True if results go to stdout."""
        return "-" in (self.json, self.csv, self.aggregate_out)


class RunOptions(NamedTuple):
    """The settings of one run.

    sources: handled one after the other; at least one. detector_model: None for a detector that needs no file or has
    its own. detect_size_px: None for the default of the source's kind. aggregate: not None if counts per interval are
    all that may leave the program: then no output, log or report may say anything about single faces.
    """

    sources: tuple[str, ...]
    model: Path
    detector: str
    detector_model: Path | None
    min_face_px: int
    min_score: float
    detect_size_px: int | None
    head: str | None
    threads: int
    headless: bool
    verbose: bool
    aggregate: Aggregation | None
    stream: StreamOptions
    outputs: OutputOptions
    connect: ConnectOptions

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # the source may hold a password


def run_options(
    sources: tuple[str, ...], camera: int | None, source: str | None, model: Path | None, precision: str | None,
    detector: str | None, threads: int | None, headless: bool, aggregate: int | None, at_least: int | None,
    **values: Any,
) -> RunOptions:  # fmt: skip
    """The settings that the command line gives, with the defaults that depend on each other or on the machine."""
    from fer_models import default_model, model_path

    return RunOptions(
        sources=sources or (str(camera or 0) if source is None else source,),
        model=model or (model_path(precision) if precision else default_model()),
        detector=detector or default_detector(values["detector_model"]),
        headless=headless or aggregate is not None,
        aggregate=None if aggregate is None else _aggregation(aggregate, at_least),
        threads=threads or max(1, (os.cpu_count() or 1) // 2),  # detection and classification run side by side
        stream=_take(StreamOptions, values),
        outputs=_take(OutputOptions, values),
        connect=_take(ConnectOptions, values),
        **values,
    )


def _aggregation(interval_s: int, at_least: int | None) -> Aggregation:
    return Aggregation(interval_s, DEFAULT_AT_LEAST if at_least is None else at_least)


def _take(kind: Any, values: dict[str, Any]) -> Any:
    return kind(**{name: values.pop(name) for name in kind.__annotations__})


FILE = click.Path(path_type=Path)
option = click.option

# fmt: off
DETECTOR_OPTIONS: list[Decorator] = [  # of `tune`, too
    option("--detector", type=click.Choice(detector_names()),
           help="Face detector: luma ships with fer-edge, yunet needs its file, haar needs OpenCV 4.  "
                "[default: luma; yunet if --detector-model is given]"),
    option("--detector-model", type=FILE, metavar="FILE", help="The detector's file; yunet needs one."),
]
NETWORK_OPTIONS: list[Decorator] = [  # this and what follows: of `serve`, too
    option("--model", type=FILE, metavar="FILE", help="Emotion network (.onnx from fer-export).  [default: shipped]"),
    option("--precision", type=click.Choice(PRECISIONS),
           help="Shipped network to use without --model.  [default: int8]"),
    option("--head", metavar="NAME",
           help="Head of the network to use.  [default: its first]"),
]
DETECTION_OPTIONS: list[Decorator] = [
    option("--min-face", "min_face_px", type=Number(int, SMALLEST_FACE_PX, 10_000), default=DEFAULT_MIN_FACE_PX,
           show_default=True, metavar="PX",
           help="Smallest face to find: side of the square that is classified, in pixels."),
    option("--min-score", type=Number(float, 0, 10**6), default=0.0, metavar="SCORE",
           help="Ignore faces with a lower detector score; luma and yunet give 0 to 1, haar 0 and up.  [default: 0]"),
    option("--detect-size", "detect_size_px", type=Number(int, *DETECT_SIZE_PX), metavar="PX",
           help="Downscale longer frames to this for detection; less is faster but misses small faces.  "
                f"[default: {DEFAULT_DETECT_SIZE_PX}; {IMAGE_DETECT_SIZE_PX} for images]"),
]
MIN_CONFIDENCE_OPTION = option("--min-confidence", type=Number(float, 0, 1), metavar="P",
           help="Call a face unsure below this probability of its emotion; 0: never.  [default: the network's own]")
THREADS_OPTION = option("--threads", type=Number(int, *THREADS), metavar="N",
           help="CPU threads per inference.  [default: half the cores]")
MAIN_OPTIONS: list[Decorator] = [
    # Input and networks
    click.argument("sources", nargs=-1, metavar="[SOURCE]..."),
    option("--camera", type=Number(int, 0, 9999), metavar="N", help="Camera number.  [default: 0]"),
    option("--source", metavar="URI", help="Same as SOURCE, for a single one; @FILE reads it from a file.  "
                "[default: $FER_EDGE_SOURCE]"),
    option("--no-recursive", "recursive", is_flag=True, callback=negated,
           help="Read only the images directly in a folder, not those in its subfolders."),
    *NETWORK_OPTIONS,
    *DETECTOR_OPTIONS,
    # Detection
    *DETECTION_OPTIONS,
    option("--detect-hz", type=Number(float, 0.1, 1000), metavar="HZ",
           help="Run the detector at most HZ times per second; track faces in between.  [default: every frame]"),
    # Tracking and labels
    option("--no-track", "track", cls=RenamedOption, former=["--no-follow"], is_flag=True, callback=negated,
           help="Drop a face as soon as the detector misses it."),
    option("--classify-interval", "classify_interval_s", type=Number(float, 0, 60_000), callback=to_seconds,
           metavar="MS", help="Classify a tracked face again after MS milliseconds; 0: on every frame.  "
                              f"[default: {1000 * LIVE_CLASSIFY_INTERVAL_S:g} live, 0 for files]"),
    option("--smooth", "smooth_s", type=Number(float, 0, 60), default=DEFAULT_SMOOTH_S, show_default=True, metavar="S",
           help="Average a face's probabilities over about S seconds; 0: off."),
    MIN_CONFIDENCE_OPTION,
    # The run
    option("--realtime", "lossless", flag_value="no", callback=yes_or_no,
           help="Play a file at its own speed and drop frames that are too late."),
    option("--lossless", "lossless", flag_value="yes", callback=yes_or_no,
           help="Process every frame, even of a live source."),
    THREADS_OPTION,
    option("--headless", is_flag=True, help="Show no window (implied without a screen)."),
    option("--max-frames", type=Number(int, 1, 10**12), metavar="N", help="Stop each source after N captured frames."),
    option("--duration", "duration_s", type=Number(float, 0.001, 10**9), metavar="S",
           help="Stop each source after S seconds (media time for files)."),
    option("--start-time", type=StartTime(), metavar="ISO",
           help="Time of a file's first frame, such as 2026-05-01T14:30:00+02:00: its results get the time of day."),
    option("--verbose", is_flag=True, help="At the end, print all counts and latencies, too."),
    # Output
    option("--json", metavar="FILE", help="Write one JSON line per frame; - for stdout."),
    option("--csv", metavar="FILE", help="Write one CSV row per face, or per row of a CSV source; - for stdout."),
    option("--output", type=FILE, metavar="PATH",
           help="Annotated video (.mp4), short animation (.gif, .webp), image (.jpg, .png) or image folder; a folder "
                "for several sources."),
    option("--report", type=FILE, metavar="FILE", help="Write the final report as JSON."),
    option("--analyze", type=FILE, metavar="FILE.html",
           help="After the run, write the report of `fer-edge analyze` about it (needs the extra analysis)."),
    option("--overwrite", is_flag=True, help="Replace existing output files."),
    option("--rotate-output", type=SizeOrHours(), metavar="SIZE|HOURS",
           help="Start a new file for --json, --csv, --aggregate-out and video at this size (100MB) or age (24h). "
                "out.jsonl is the newest; older ones become out-000001.jsonl and so on."),
    option("--keep-output", type=Number(int, 1, 100_000), default=DEFAULT_KEEP_OUTPUT, show_default=True, metavar="N",
           help="With --rotate-output: keep the newest N older files of each output, delete the rest."),
    option("--blur", type=click.Choice(BLUR_MODES),
           help="Hide faces, or all, in every image that is shown or written; missed faces stay visible."),
    option("--aggregate", type=Interval(), metavar="INTERVAL",
           help="Count emotions per INTERVAL (60s, 5min, 1h), and say nothing about single faces anywhere; no window."),
    option("--at-least", type=Number(int, 0, MAX_AT_LEAST), metavar="K",
           help=f"With --aggregate: withhold intervals with fewer than K faces.  [default: {DEFAULT_AT_LEAST}]"),
    option("--aggregate-out", metavar="FILE", help="Write one JSON line per interval of --aggregate; - for stdout."),
    # Connections
    *CONNECT_OPTIONS,
    # Frames and cameras
    option("--mirror", is_flag=True, help="Flip frames horizontally."),
    option("--rotate", "rotate_deg", type=click.Choice(["0", "90", "180", "270"]), callback=to_int, default="0",
           metavar="DEG", help="Rotate frames clockwise by 90, 180 or 270 degrees."),
    option("--camera-size", type=FrameSize(), metavar="WxH",
           help="Frame size to request from a camera.  [default: 640x480]"),
    option("--give-up", "give_up_s", type=Number(float, 1, 10**9), default=DEFAULT_GIVE_UP_S, show_default=True,
           metavar="S", help="Reconnect to a lost camera or stream; end after S seconds without a frame."),
    option("--list-cameras", is_flag=True, help="List the cameras and exit."),
]
# fmt: on


def add_options(options: list[Decorator]) -> Decorator:
    """A decorator that adds `options` to a command, in this order."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def check_usage(ctx: click.Context, values: dict[str, Any]) -> None:
    """Raise click.UsageError for options that contradict each other."""
    _check_sources(ctx, values)
    _check_aggregate(ctx, values)
    check_connections(ctx, values)
    given = [ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in ("model", "precision")]
    if all(given):  # the file of defaults may hold a precision beside them
        raise click.UsageError("--precision is for the shipped networks: leave it out with --model", ctx)
    inputs = {"--model": values["model"], "--detector-model": values["detector_model"], "--source": values["source"]}
    flags = {_identity(str(path)): flag for flag, path in inputs.items() if path}
    flags |= {_identity(source): "SOURCE" for source in values["sources"]}
    for option in ("json", "csv", "output", "report", "analyze", "aggregate_out", "metrics_file"):
        flag, path = f"--{option.replace('_', '-')}", values[option]
        if option not in ("json", "csv", "aggregate_out") and str(path) == "-":
            raise click.UsageError(f"{flag} can't go to stdout: name a file, or /dev/stdout", ctx)
        name = "-" if str(path) == "-" else _identity(str(path))
        if path is None or str(name).startswith("/dev/"):
            continue
        if name in flags:
            raise click.UsageError(f"{flags[name]} and {flag} can't share {path}: name two files", ctx)
        flags[name] = flag
    _check_rotation(ctx, values)
    check_connections(ctx, values)


def _check_aggregate(ctx: click.Context, values: dict[str, Any]) -> None:
    """Raise click.UsageError for outputs about single faces beside --aggregate, and for half of its options."""
    if values["aggregate"] is None:
        for option in ("at_least", "aggregate_out"):
            if values[option] is not None:
                raise click.UsageError(f"--{option.replace('_', '-')} needs --aggregate, for example 60s", ctx)
        return
    for option in ("json", "csv", "output", "analyze"):
        if values[option] is not None:
            raise click.UsageError(
                f"--{option} is about single faces, which --aggregate never reports: leave one out", ctx
            )
    if all(values[option] is None for option in ("aggregate_out", "serve", "mqtt", "on_change", "webhook")):
        raise click.UsageError(
            "--aggregate needs --aggregate-out (a file, or - for stdout) or a connection that publishes the counts: "
            "--serve, --mqtt, --on-change or --webhook", ctx,
        )  # fmt: skip


def _identity(path: str) -> str | tuple[int, int]:
    """What two names of one file share: device and inode, which hard links share, too, or else the real path."""
    real = os.path.realpath(path)
    if os.path.isfile(real):  # noqa: PTH113 - pathlib takes longer
        found = os.stat(real)  # noqa: PTH116
        return found.st_dev, found.st_ino
    return real


def _check_rotation(ctx: click.Context, values: dict[str, Any]) -> None:
    """Raise click.UsageError for options of rotation without an output that is rotated."""
    output, texts = values["output"], (values[name] for name in ("json", "csv", "aggregate_out"))
    is_rotated = any(path is not None and str(path) != "-" for path in (*texts, output))
    if values["rotate_output"] is not None and not is_rotated:
        raise click.UsageError(
            "--rotate-output needs a file that it rotates: give --json, --csv, --aggregate-out or a video", ctx
        )
    keeps = ctx.get_parameter_source("keep_output") is ParameterSource.COMMANDLINE
    if keeps and values["rotate_output"] is None:
        raise click.UsageError("--keep-output needs --rotate-output", ctx)


def _check_sources(ctx: click.Context, values: dict[str, Any]) -> None:
    sources, output = values["sources"], values["output"]
    named = [f"the source {shown_source(sources[0])}"] if sources else []
    named += [f"--{option}" for option in ("camera", "source") if values[option] is not None]
    if len(named) > 1:
        raise click.UsageError(f"{' and '.join(named)} exclude each other: give one", ctx)
    for source in (*sources, values["source"]):
        if source == "":
            raise click.UsageError("the source is empty: give a file, folder, URL or demo:", ctx)
        if source == "-":
            raise click.UsageError("standard input can't be a source: give a file, folder, URL or demo:", ctx)
        if source is not None and isinstance(ctx.command, MainCommand):
            ctx.command.check_word(source)
    named_sources = sources or (values["source"] or str(values["camera"] or 0),)
    live = next(filter(LIVE_NAME.match, named_sources), None)
    if live is not None and values["start_time"] is not None:
        raise click.UsageError("--start-time is for files: a live source has its own clock, leave it out", ctx)
    if len(sources) < 2:
        return
    if values["start_time"] is not None:
        raise click.UsageError("--start-time is the time of one video: start a command for each", ctx)
    if live is not None:
        raise click.UsageError(
            f"{shown_source(live)} is a live source, which must be the only one: start a command for each", ctx
        )
    if output is not None and output.suffix and not output.is_dir():
        raise click.UsageError(f"--output {output} is a file: name a folder for the outputs of several sources", ctx)
