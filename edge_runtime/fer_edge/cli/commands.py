"""The command `fer-edge` and its subcommands."""

import gc
import logging
import sys
from pathlib import Path
from typing import Any

import click

from fer_edge.cli.options import (
    DETECTOR_OPTIONS,
    FILE,
    MAIN_OPTIONS,
    add_options,
    check_usage,
    run_options,
)
from fer_edge.cli.parameters import Number
from fer_edge.cli.subcommands.analyze import analyze
from fer_edge.cli.subcommands.serve import serve
from fer_edge.console import CLEAR_LINE, LogFormatter, MainCommand, echo_line, loading, option_named
from fer_edge.defaults import load_defaults
from fer_edge.detectors import default_detector
from fer_edge.guards.names import local_name
from fer_edge.guards.secrets import given_source
from fer_edge.guards.signals import signals_deferred


@click.command(cls=MainCommand, context_settings={"max_content_width": 100})
@add_options(MAIN_OPTIONS)
@click.pass_context
def edge(ctx: click.Context, /, list_cameras: bool, **values: Any) -> None:
    """Watch a camera, videos or photos, detect faces and classify their emotions.

    SOURCE is a video, image, folder, glob, CSV of face pixels, /dev path, URL, rpicam: (Raspberry Pi camera module) or
    demo: (a drawn face). Several files and folders are read one after the other, into one --json, --csv and --report.
    Without SOURCE, it opens camera 0 and a window (q or Esc closes it).

    Results go to --json, --csv and --output. A status line and the final report go to stderr; SIGUSR1 prints a report
    at any time. No image is stored without --output.

    \b
    Try it without a camera:  fer-edge demo:
    Annotate photos:          fer-edge photo.jpg holiday/ --output annotated
    From video to data:       fer-edge in.mp4 --headless --json out.jsonl
    """
    if list_cameras:
        _list_cameras()
        return
    if not values["sources"] and values["camera"] is None:
        values["source"] = given_source(values["source"])
    values["sources"] = tuple(map(local_name, values["sources"]))
    values["source"] = values["source"] and local_name(values["source"])
    check_usage(ctx, values)
    over_status_line = CLEAR_LINE if sys.stderr and sys.stderr.isatty() else ""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter(over_status_line + "fer-edge: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])

    with signals_deferred(), loading(lambda: "OpenCV and onnxruntime"):
        # Signals wait because a C extension would report an interrupted import as another error.
        options = run_options(**values)
        from fer_edge.pipeline.preload import preload_networks

        preload_networks(options.model, options.detector, options.detector_model, options.threads)
        from fer_edge.cli.run import run
    run(options)


def _list_cameras() -> None:
    from fer_edge.sources.v4l2 import UNLISTED, can_list_cameras, list_cameras

    if not can_list_cameras():
        echo_line(f"fer-edge: {UNLISTED}", err=True)
        return
    cameras = list_cameras()
    for number, name in cameras:
        echo_line(str(number), f"/dev/video{number}", name)
    if not cameras:
        echo_line("fer-edge: the system has no camera: plug one in, or try --source demo:", err=True)


@click.command()
def doctor() -> int:
    """Check everything a run needs: print what was found and what to fix."""
    from fer_edge.cli.subcommands.doctor import examine

    marks = {"ok": "ok  ", "note": "note", "bad": "BAD "}
    bad = 0
    for finding in examine():
        echo_line(f"{marks[finding.level]}  {finding.what:14} {finding.text}")
        bad += finding.level == "bad"
    return int(bad > 0)


@click.command()
@add_options(DETECTOR_OPTIONS)
@click.option(
    "--seconds", type=Number(float, 1, 600), default=10, show_default=True, metavar="S", help="How long to measure."
)
@click.option(
    "--allow-smaller-size",
    is_flag=True,
    help="Also choose a smaller detection size where that is better: faster, but it misses small faces.",
)
@click.option("--dry-run", is_flag=True, help="Measure and print the results, but save nothing.")
def tune(
    detector: str | None, detector_model: Path | None, seconds: float, allow_smaller_size: bool, dry_run: bool
) -> None:
    """Measure this machine and save the best settings as defaults.

    The settings are precision and threads and, with --allow-smaller-size, detection size. The table goes to
    stdout and explains its columns.
    """
    from fer_edge.cli.subcommands.tune import run_tuning, save, target_file

    gc.enable()  # __main__ disables it for the imports; the main job enables it in `run`
    path = None if dry_run else target_file()
    with option_named("--detector-model", detector_model):
        best = run_tuning(detector or default_detector(detector_model), detector_model, seconds, allow_smaller_size)
    if path is not None:
        save(best, path)
        echo_line(f"saved in {path}; options on the command line override it", err=True)


@click.command()
@click.option("--lang", type=click.Choice(["en", "de"]), required=True, help="Language of the page.")
@click.option("--contact", required=True, metavar="TEXT", help="Who is responsible, and how to reach them.")
@click.option("--purpose", required=True, metavar="TEXT", help="What the camera's results are used for.")
@click.option("--out", type=FILE, metavar="FILE", help="Write the page to FILE.  [default: stdout]")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def notice(lang: str, contact: str, purpose: str, out: Path | None, overwrite: bool) -> None:
    """Write a page for the door that informs people about the camera.

    The page is HTML for one A4 sheet. What is kept, and how long, is left blank: write it in by hand.
    """
    from fer_edge.files import atomic_write, check_writable
    from fer_edge.privacy.notice import notice_page

    try:
        page = notice_page(lang, contact, purpose).encode()
    except ValueError as error:
        raise click.UsageError(f"--{error}") from error
    if out is None or str(out) == "-":
        click.echo(page, nl=False)
        return
    check_writable(out, overwrite)
    with atomic_write(out) as part:
        part.write_bytes(page)


def _models() -> list[str]:
    """The shipped networks, for --version."""
    from fer_models import detector_manifest, manifest

    lines = []
    for kind, shipped in (("emotions", manifest()), ("faces", detector_manifest())):
        for precision, model in shipped["models"].items():
            line = f"{kind:8}  {precision:4}  {model['file']}, sha256 {model['sha256'][:8]}"
            if "heads" in model:
                head, figures = next(iter(model["heads"].items()))
                line += f", {head} right on {100 * figures['accuracy']:.1f} % ({figures['truth']})"
            elif "accuracy" in model:
                line += f", accuracy {100 * model['accuracy']:.1f} % on {shipped['split']}"
            lines.append(line + (" (default)" if precision == shipped["default"] else ""))
    return lines


edge.defaults = load_defaults
edge.version_details = _models
edge.alike = {"demo": "demo:", "webcam": "--camera 0", "camera": "--camera 0"}
edge.add_command(doctor)
edge.add_command(tune)
edge.add_command(analyze)
edge.add_command(serve)
edge.add_command(notice)
