"""The command `fer-edge`."""

import gc
import logging
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import click

from fer_edge.cli.defaults import load_defaults
from fer_edge.console import CLEAR_LINE, MainCommand, signals_deferred
from fer_edge.detectors import detector_names

BOUNDS = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "h": 3600.0}  # bytes and seconds


def _number(
    kind: type[int] | type[float], least: float, most: float
) -> Callable[[click.Context, click.Parameter, str | None], float | None]:
    # click's own ranges fill the help with "[1<=x<=64]".
    def convert(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
        if text is None:
            return None
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            whole = "whole number" if kind is int else "number"
            raise click.BadParameter(f"{text!r} is not a {whole} from {least:,} to {most:,}", ctx, param)
        return number

    return convert


def _size(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", text)
    if not match:
        raise click.BadParameter(f"{text!r} is not WIDTHxHEIGHT, such as 640x480", ctx, param)
    return int(match[1]), int(match[2])


def _bound(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int | None, float | None] | None:
    """(bytes, None) of a size or (None, seconds) of hours."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*(kB|MB|GB|h)", text, re.ASCII | re.IGNORECASE)
    amount = float(match[1]) * BOUNDS[match[2].lower()] if match else 0.0
    if match is None or amount == 0:
        raise click.BadParameter(f"{text!r} is no size, such as 100MB, and no time, such as 24h", ctx, param)
    return (None, amount) if match[2].lower() == "h" else (int(amount), None)


def _check_distinct(ctx: click.Context, inputs: dict[str, object], outputs: dict[str, object]) -> None:
    """Refuse two outputs in one file, and an output that would replace what the run reads."""
    flag_of = {os.path.realpath(str(path)): flag for flag, path in inputs.items() if path}
    for flag, path in outputs.items():
        if flag in ("--output", "--report") and str(path) == "-":
            raise click.UsageError(f"{flag} can't go to stdout: name a file, or /dev/stdout", ctx)
        name = "-" if str(path) == "-" else os.path.realpath(str(path))
        if path is None or name.startswith("/dev/"):
            continue
        if name in flag_of:
            raise click.UsageError(f"{flag_of[name]} and {flag} can't share {path}: name two files", ctx)
        flag_of[name] = flag


def _default_threads() -> int:
    """Half the cores: detection and classification run side by side."""
    return max(1, (os.cpu_count() or 1) // 2)


@click.command(cls=MainCommand, context_settings={"max_content_width": 100})
@click.option("--camera", callback=_number(int, 0, 9999), metavar="N", help="Camera number.  [default: 0]")
@click.option(
    "--source",
    metavar="URI",
    help="Instead of a camera number: a video, picture, folder, glob, CSV of face pixels, /dev path, URL, rpicam: "
    "(a Pi's ribbon camera), or demo: (drawn, needs nothing).",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Emotion network (.onnx from fer-export).  [default: the shipped one]",
)
@click.option(
    "--precision", type=click.Choice(["int8", "fp32"]), help="Which shipped network, without --model.  [default: int8]"
)
@click.option(
    "--detector",
    type=click.Choice(detector_names()),
    help="Face detector: luma is shipped; yunet needs its file; haar needs OpenCV 4.  "
    "[default: luma; yunet if --detector-model is given]",
)
@click.option(
    "--detector-model", type=click.Path(path_type=Path), metavar="FILE", help="The detector's file; yunet needs one."
)
@click.option(
    "--min-face",
    callback=_number(int, 10, 10_000),
    default="40",
    show_default=True,
    metavar="PX",
    help="Smallest face to look for, by the side of the square that is classified, in pixels.",
)
@click.option(
    "--min-score",
    callback=_number(float, 0, 10**6),
    default="0",
    metavar="SCORE",
    help="Take only faces that the detector scores so high: luma and yunet 0 to 1, haar 0 and up.  [default: all]",
)
@click.option(
    "--detect-size",
    callback=_number(int, 64, 8192),
    default="640",
    show_default=True,
    metavar="PX",
    help="Longer frames are shrunk to this for the search: smaller is faster and misses small faces.",
)
@click.option(
    "--detect-hz",
    callback=_number(float, 0.1, 1000),
    metavar="HZ",
    help="Detect at most so often and follow the faces in between.  [default: every frame]",
)
@click.option("--no-follow", is_flag=True, help="Forget a face as soon as the detector misses it.")
@click.option(
    "--classify-interval",
    callback=_number(float, 0, 60_000),
    metavar="MS",
    help="Classify a followed face again after so long.  [default: live 100, files 0: every frame]",
)
@click.option(
    "--smooth",
    callback=_number(float, 0, 60),
    default="0.3",
    show_default=True,
    metavar="S",
    help="Average a face's probabilities over about so many seconds; 0: not at all.",
)
@click.option("--realtime", "lossless", flag_value="no", help="Play a file at its own speed; the newest frame wins.")
@click.option("--lossless", "lossless", flag_value="yes", help="Process every frame, of a live source too.")
@click.option(
    "--threads",
    callback=_number(int, 1, 64),
    metavar="N",
    help="CPU threads of one inference.  [default: half the cores]",
)
@click.option("--headless", is_flag=True, help="No window. It is also left out where there is no screen.")
@click.option("--max-frames", callback=_number(int, 1, 10**12), metavar="N", help="Stop after N captured frames.")
@click.option(
    "--duration",
    callback=_number(float, 0.001, 10**9),
    metavar="S",
    help="Stop after S seconds (of the video, for files).",
)
@click.option("--json", metavar="FILE", help="A JSON line per frame; - for stdout.")
@click.option("--csv", metavar="FILE", help="A CSV row per face, or per row of a CSV source; - for stdout.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Annotated video (.mp4), picture (.jpg, .png) or folder of pictures.",
)
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="The final report as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace existing output files.")
@click.option(
    "--rotate-output",
    callback=_bound,
    metavar="SIZE|HOURS",
    help="Begin --json, --csv and a video anew at 100MB or after 24h, say; out.jsonl is the newest, older ones are "
    "out-000001.jsonl and so on.",
)
@click.option(
    "--keep-output",
    callback=_number(int, 1, 100_000),
    default="10",
    show_default=True,
    metavar="N",
    help="With --rotate-output: keep the newest N older ones of each and delete the rest.",
)
@click.option("--mirror", is_flag=True, help="Mirror the picture, as a looking-glass does.")
@click.option(
    "--rotate",
    type=click.Choice(["0", "90", "180", "270"]),
    default="0",
    metavar="DEG",
    help="Turn the picture clockwise by 90, 180 or 270 degrees.",
)
@click.option(
    "--camera-size", callback=_size, metavar="WxH", help="Picture size asked of a camera.  [default: 640x480]"
)
@click.option(
    "--give-up",
    callback=_number(float, 1, 10**9),
    default="600",
    show_default=True,
    metavar="S",
    help="A camera or stream that is gone is tried again; end after S seconds without a frame.",
)
@click.option("--list-cameras", is_flag=True, help="List the cameras and exit.")
@click.pass_context
def edge(
    ctx: click.Context, camera: int | None, source: str | None, model: Path | None, precision: str | None,
    detector: str | None, detector_model: Path | None, min_face: int, min_score: float, detect_size: int,
    detect_hz: float | None,
    no_follow: bool, classify_interval: float | None, smooth: float, lossless: str | None,
    threads: int | None, headless: bool, max_frames: int | None,
    duration: float | None, json: str | None, csv: str | None, output: Path | None, report: Path | None,
    overwrite: bool, rotate_output: tuple[int | None, float | None] | None, keep_output: int,
    mirror: bool, rotate: str, camera_size: tuple[int, int] | None, give_up: float, list_cameras: bool,
) -> None:  # fmt: skip
    """Watch a camera or a video, find the faces and name the emotion of each.

    Without options it opens camera 0 and a window (q or Esc closes it). Results go to --json, --csv
    and --output; a status line and the final report, with the true rates, go to stderr; SIGUSR1
    asks for the report so far. No picture is stored unless --output asks for it.

    \b
    Try it without a camera:  fer-edge --source demo:
    A video into data:        fer-edge --source in.mp4 --headless --json out.jsonl
    """
    if list_cameras:
        _list_cameras()
        return
    if camera is not None and source is not None:
        raise click.UsageError("--camera and --source are two ways to say one thing: give one", ctx)
    if source == "":
        raise click.UsageError("--source is empty: give a file, folder, URL or demo:", ctx)
    _check_distinct(
        ctx,
        {"--source": source, "--model": model, "--detector-model": detector_model},
        {"--json": json, "--csv": csv, "--output": output, "--report": report},
    )
    over_status_line = CLEAR_LINE if sys.stderr and sys.stderr.isatty() else ""
    logging.basicConfig(level=logging.INFO, format=over_status_line + "fer-edge: %(message)s")

    with signals_deferred():  # a C extension makes an error of its own of an interrupted import
        from fer_edge.network.session import preload

        detector = detector or ("yunet" if detector_model else "luma")
        model, detector_model = _files(model, precision, detector, detector_model)
        threads = threads or _default_threads()
        preload(model, threads)
        if detector == "luma" and detector_model:
            preload(detector_model, threads, (1, 1, detect_size * 3 // 4 // 32 * 32, detect_size // 32 * 32))
        from fer_edge.cli.run import RunOptions, run
        from fer_edge.pipeline.options import Limits, StreamOptions

        if rotate_output:
            from fer_edge.sinks.rotation import Rotation

    run(
        RunOptions(
            source=source if source is not None else str(camera or 0),
            model=model,
            detector=detector,
            detector_model=detector_model,
            headless=headless,
            limits=Limits(max_frames, duration),
            flow=StreamOptions(
                lossless=None if lossless is None else lossless == "yes",
                detect_hz=detect_hz,
                follow=not no_follow,
                classify_interval_s=None if classify_interval is None else classify_interval / 1000,
                smooth_s=smooth,
            ),
            json=json,
            csv=csv,
            output=output,
            report=report,
            threads=threads,
            min_face_px=min_face,
            min_score=min_score,
            detect_size_px=detect_size,
            mirror=mirror,
            rotate_deg=int(rotate),
            camera_size=camera_size,
            give_up_s=give_up,
            overwrite=overwrite,
            rotation=Rotation(*rotate_output, keep_output) if rotate_output else None,
        )
    )


def _files(
    model: Path | None, precision: str | None, detector: str, detector_model: Path | None
) -> tuple[Path, Path | None]:
    """The networks' files: those given, else those shipped; None for a detector that has or needs another."""
    from fer_models import default_model, detector_path, model_path

    if model is None:
        model = model_path(precision) if precision else default_model()
    if detector == "luma" and detector_model is None:
        detector_model = detector_path()
    return model, detector_model


def _list_cameras() -> None:
    from fer_edge.sources.v4l2 import list_cameras

    cameras = list_cameras()
    for number, name in cameras:
        click.echo(f"{number}\t/dev/video{number}\t{name}")
    if not cameras:
        click.echo("fer-edge: no camera is known to the system: plug one in, or try --source demo:", err=True)


@click.command()
def doctor() -> int:
    """Look at all that a run needs, and say what is there and what to do."""
    from fer_edge.cli.doctor import examine

    marks = {"ok": "ok  ", "note": "note", "bad": "BAD "}
    bad = 0
    for finding in examine():
        click.echo(f"{marks[finding.level]}  {finding.what:14} {finding.text}")
        bad += finding.level == "bad"
    return int(bad > 0)


@click.command()
@click.option(
    "--detector",
    type=click.Choice(detector_names()),
    help="Detector to tune for.  [default: luma; yunet if --detector-model is given]",
)
@click.option("--detector-model", type=click.Path(path_type=Path), metavar="FILE", help="Its file; yunet needs one.")
@click.option(
    "--seconds",
    callback=_number(float, 1, 600),
    default="10",
    show_default=True,
    metavar="S",
    help="How long to measure.",
)
@click.option("--dry-run", is_flag=True, help="Measure and tell, but keep nothing.")
def tune(detector: str | None, detector_model: Path | None, seconds: float, dry_run: bool) -> None:
    """Find the precision, threads and detection size that are best on this machine, and keep them as defaults."""
    from fer_edge.cli.tune import keep, kept_in, run_tuning

    gc.enable()  # start.py has disabled it for the imports; the main job's own enabling is in app.py
    path = None if dry_run else kept_in()
    detector = detector or ("yunet" if detector_model else "luma")
    best = run_tuning(detector, detector_model, seconds)
    if path is not None:
        keep(best, path)
        click.echo(f"kept in {path}; options on the command line come first", err=True)


edge.defaults = load_defaults
edge.add_command(doctor)
edge.add_command(tune)


if __name__ == "__main__":
    from fer_edge.__main__ import main

    main()
