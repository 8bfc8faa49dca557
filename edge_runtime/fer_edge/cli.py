"""The command `fer-edge`."""

import logging
import os
import re
from pathlib import Path
from typing import NoReturn

import click

from fer_edge.console import MainCommand, run_main

DETECTORS = ("haar", "yunet")  # as in fer_edge.detectors, which needs cv2; a test holds them equal


class Size(click.ParamType):
    """WIDTHxHEIGHT in pixels."""

    name = "WxH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", str(value))
        if not match:
            self.fail(f"{value!r} is not WIDTHxHEIGHT, such as 640x480", param, ctx)
        return int(match[1]), int(match[2])


def _default_threads() -> int:
    """Half the cores: detection and classification run side by side."""
    return max(1, (os.cpu_count() or 1) // 2)


@click.command(cls=MainCommand, context_settings={"max_content_width": 100})
@click.option("--camera", type=click.IntRange(0), metavar="N", help="Camera number.  [default: 0]")
@click.option(
    "--source",
    metavar="URI",
    help="Instead of a camera: a video, picture, folder, glob, /dev path, URL, or demo: (drawn, needs nothing).",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Emotion network (.onnx from fer-export).  [default: the shipped one]",
)
@click.option(
    "--detector",
    type=click.Choice(DETECTORS),
    help="Face detector.  [default: haar; yunet if --detector-model is given]",
)
@click.option(
    "--detector-model", type=click.Path(path_type=Path), metavar="FILE", help="The detector's file; yunet needs one."
)
@click.option(
    "--min-face",
    type=click.IntRange(10),
    default=40,
    show_default=True,
    metavar="PX",
    help="Smallest face to look for, in pixels.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 64),
    metavar="N",
    help="CPU threads of one inference.  [default: half the cores]",
)
@click.option("--headless", is_flag=True, help="No window. It is also left out where there is no screen.")
@click.option("--max-frames", type=click.IntRange(1), metavar="N", help="Stop after N captured frames.")
@click.option(
    "--duration",
    type=click.FloatRange(0, min_open=True),
    metavar="S",
    help="Stop after S seconds (of the video, for files).",
)
@click.option("--json", metavar="FILE", help="A JSON line per frame; - for stdout.")
@click.option("--csv", metavar="FILE", help="A CSV row per face.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Annotated video (.mp4), picture (.jpg, .png) or folder of pictures.",
)
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="The final report as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace existing output files.")
@click.option("--mirror", is_flag=True, help="Mirror the picture, as a looking-glass does.")
@click.option(
    "--rotate",
    type=click.Choice(["0", "90", "180", "270"]),
    default="0",
    metavar="DEG",
    help="Turn the picture clockwise by 90, 180 or 270 degrees.",
)
@click.option("--camera-size", type=Size(), metavar="WxH", help="Picture size asked of a camera.  [default: 640x480]")
@click.option("--list-cameras", is_flag=True, help="List the cameras and exit.")
@click.pass_context
def edge(
    ctx: click.Context, camera: int | None, source: str | None, model: Path | None, detector: str | None,
    detector_model: Path | None, min_face: int, threads: int | None, headless: bool, max_frames: int | None,
    duration: float | None, json: str | None, csv: str | None, output: Path | None, report: Path | None,
    overwrite: bool, mirror: bool, rotate: str, camera_size: tuple[int, int] | None, list_cameras: bool,
) -> None:  # fmt: skip
    """Watch a camera or a video, find the faces and name the emotion of each.

    Without options it opens camera 0 and a window (q or Esc closes it). Results go to --json, --csv
    and --output; a status line and the final report, with the true rates, go to stderr. No picture
    is stored unless --output asks for it.

    \b
    Try it without a camera:    fer-edge --source demo:
    A video to data and video:  fer-edge --source in.mp4 --headless --json out.jsonl --output out.mp4
    """
    if list_cameras:
        _list_cameras()
        return
    if camera is not None and source is not None:
        raise click.UsageError("--camera and --source are two ways to say one thing: give one", ctx)
    if source == "":
        raise click.UsageError("--source is empty: give a file, folder, URL or demo:", ctx)
    if json is not None and json == csv:
        raise click.UsageError(f"--json and --csv can't share {json}: name two files", ctx)
    logging.basicConfig(level=logging.INFO, format="fer-edge: %(message)s")

    from fer_edge.app import AppOptions, run
    from fer_edge.pipeline import Limits

    run(
        AppOptions(
            source=source if source is not None else str(camera or 0),
            model=model,
            detector=detector or ("yunet" if detector_model else "haar"),
            detector_model=detector_model,
            headless=headless,
            limits=Limits(max_frames, duration),
            json=json,
            csv=csv,
            output=output,
            report=report,
            threads=threads or _default_threads(),
            min_face_px=min_face,
            mirror=mirror,
            rotate_deg=int(rotate),
            camera_size=camera_size,
            overwrite=overwrite,
        )
    )


def _list_cameras() -> None:
    from fer_edge.sources.video import list_cameras

    cameras = list_cameras()
    for number, name in cameras:
        click.echo(f"{number}\t/dev/video{number}\t{name}")
    if not cameras:
        click.echo("fer-edge: no camera is known to the system: plug one in, or try --source demo:", err=True)


def main() -> NoReturn:
    """Entry point of the console script."""
    run_main(edge, "fer-edge")


if __name__ == "__main__":
    main()
