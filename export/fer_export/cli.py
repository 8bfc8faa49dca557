"""The command `fer-export`."""

import math
import sys
from pathlib import Path
from typing import NoReturn

import click

from fer_edge.console import MainCommand, RenamedOption, extra_required, run_main
from fer_train.class_choice import ClassChoice
from fer_train.commands import data_options as shared
from fer_train.commands.data_options import SETTINGS, PathType

SPLITS = click.Choice(shared.SPLITS)
# quantise.MIN_CALIBRATION_IMAGES and tuning's calibrators; importing them would make --help load torch.
CALIBRATION_RANGE = click.IntRange(512)
CALIBRATORS = click.Choice(["auto", "minmax", "percentile-99.999", "percentile-99.99", "entropy"])
DATA_HELP = "fer2013.csv, or any data fer-train takes: Training faces calibrate int8, PublicTest faces measure."


class ColorType(click.Choice[str]):
    """gray, rgb or bgr. Contracts spell gray "grey", so that spelling is accepted, and it is what the command gets."""

    def __init__(self) -> None:
        super().__init__(["gray", "rgb", "bgr"])

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The contract's spelling of `value`."""
        chosen = super().convert("gray" if value == "grey" else value, param, ctx)
        return "grey" if chosen == "gray" else chosen


@click.command(cls=MainCommand, context_settings=SETTINGS)
@click.argument("checkpoint", type=PathType)
@click.option("--out", type=PathType, required=True, metavar="FILE.onnx", help="The fp32 file; names the others too.")
@click.option("--quantize", is_flag=True, help="Write FILE.int8.onnx too: smaller, and faster on most machines.")
@click.option("--calibration-data", type=PathType, metavar="DATA", help=DATA_HELP)
@click.option("--calibration-images", type=CALIBRATION_RANGE, default=512, help="Training faces to calibrate on.")
@click.option("--calibrator", type=CALIBRATORS, default="auto", help="auto: the one that agrees best with fp32.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the faces that are drawn.")
@shared.skip_bad_rows
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--force", is_flag=True, help="Write even if a gate fails; the file is marked as failed.")
def export(
    checkpoint: Path, out: Path, quantize: bool, calibration_data: Path | None, calibration_images: int,
    calibrator: str, seed: int, skip_bad_rows: bool, overwrite: bool, force: bool,
) -> None:  # fmt: skip
    """Turn CHECKPOINT (the best.pt of fer-train) into one ONNX file that fer-edge runs.

    Writes FILE.onnx, with --quantize also FILE.int8.onnx, and FILE.export.json with all that was
    measured: parity with PyTorch, accuracy, agreement of int8 with fp32, and the time a face.
    Nothing is written if a figure is out of bounds, unless --force is given; fer-edge then warns.
    """
    if out.suffix != ".onnx":
        raise click.BadParameter(f"{out} must end in .onnx", param_hint="--out")
    if quantize and calibration_data is None:
        raise click.UsageError("--quantize needs faces to calibrate on: add --calibration-data fer2013.csv")
    with extra_required("fer-export", "export"):
        import onnxscript  # noqa: F401 - torch's exporter wants it, and would say so less clearly

        from fer_export.classifier import ExportOptions, run_export
        from fer_export.report import table

    options = ExportOptions(
        checkpoint,
        out,
        quantize,
        calibration_data,
        calibration_images,
        calibrator,
        seed,
        overwrite,
        force,
        skip_bad_rows,
    )
    report, written = run_export(options, _say)
    click.echo(table(report, written))


@click.command(context_settings=SETTINGS)
@click.argument("file", type=PathType)
def inspect(file: Path) -> None:
    """Tell what an ONNX file holds: contract, operators, size.

    "stored" counts the operators in the file, "running" those that onnxruntime makes of them on this machine.
    """
    with extra_required("fer-export", "export"):
        from fer_export.inspection import describe

    click.echo(describe(file))


@click.command(context_settings=SETTINGS)
@click.argument("file", type=PathType, metavar="FILE.onnx")
@shared.data
@shared.classes
@shared.skip_bad_rows
@click.option("--split", type=SPLITS, default="PublicTest", help="Rows to score.")
@shared.threads
@click.option("--json", "json_file", type=PathType, metavar="FILE", help="Write the scores there too.")
@click.option("--overwrite", is_flag=True, help="Replace the --json file if it exists.")
def evaluate(
    file: Path, data: Path, classes: ClassChoice | None, skip_bad_rows: bool, split: str, threads: int,
    json_file: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Score an ONNX file on labelled faces.

    `fer-train evaluate` scores checkpoints as well, and draws pictures.
    """
    from fer_edge.files import check_writable, write_json

    if json_file is not None:
        check_writable(json_file, overwrite)
    with extra_required("fer-export", "export"):
        from fer_train.data import load_faces
        from fer_train.evaluation.predictors import OnnxPredictor
        from fer_train.evaluation.scoring import evaluate as score

    predictor = OnnxPredictor(file, threads)
    faces = load_faces(data, classes=classes, skip_bad=skip_bad_rows)
    shared.tell(faces.notes)
    evaluation = score(predictor, faces, split)
    click.echo(str(evaluation))
    if json_file is not None:
        write_json(json_file, evaluation.to_json())


@click.command(context_settings=SETTINGS)
@click.argument("first", type=PathType, metavar="A.onnx")
@click.argument("second", type=PathType, metavar="B.onnx")
@shared.data
@shared.classes
@shared.skip_bad_rows
@click.option("--split", type=SPLITS, default="PublicTest", help="Rows to score.")
@shared.threads
@click.option("--json", "json_file", type=PathType, metavar="FILE", help="Write the comparison there too.")
@click.option("--overwrite", is_flag=True, help="Replace the --json file if it exists.")
def compare(
    first: Path, second: Path, data: Path, classes: ClassChoice | None, skip_bad_rows: bool, split: str, threads: int,
    json_file: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Compare two ONNX files: accuracy, agreement, time, and where they differ.

    Both are timed in turns in this process, on one face at a time.
    """
    from fer_edge.files import check_writable, write_json

    if json_file is not None:
        check_writable(json_file, overwrite)
    with extra_required("fer-export", "export"):
        from fer_export.compare import compare as compare_files

    comparison = compare_files(first, second, data, split, threads, classes, skip_bad_rows)
    click.echo(str(comparison))
    if json_file is not None:
        write_json(json_file, comparison.to_json())


@click.command(context_settings=SETTINGS)
@click.argument("file", type=PathType, metavar="FILE.onnx")
@click.option("--labels", required=True, metavar="A,B,...", help="The emotions, in the order of the network's output.")
@click.option("--input-size", required=True, metavar="N|HxW", help="Pixels a side, or height x width.")
@click.option("--mean", required=True, metavar="M[,M,M]", help="Subtracted from pixels 0 to 255; one a channel.")
@click.option("--std", required=True, metavar="S[,S,S]", help="What the difference is divided by; one a channel.")
@click.option(
    "--color", cls=RenamedOption, former=["--colour"], type=ColorType(), required=True,
    help="Channels that the network takes, in its order.",
)  # fmt: skip
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), default="nchw", help="Order of the network's input.")
@click.option("--softmax/--no-softmax", default=None, help="Add one or not.  [default: if the answers need it]")
@click.option("--framing", type=float, default=1.0, help="Side of the view, as a multiple of FER2013's square.")
@click.option("--dataset", default="", help="What it was trained on, for the contract.")
@click.option("--out", type=PathType, required=True, metavar="FILE.onnx", help="The file to write.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
def adopt(
    file: Path, labels: str, input_size: str, mean: str, std: str, color: str, layout: str, softmax: bool | None,
    framing: float, dataset: str, out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Make a third-party emotion network one that fer-edge runs.

    Puts a front that takes uint8 faces and normalises them before the network, a softmax behind it if
    it has none, and a contract into the file. For pixels / 255 say --mean 0 --std 255, for -1 to 1
    say --mean 127.5 --std 127.5.
    """
    with extra_required("fer-export", "export"):
        from fer_export.adopt import Adoption
        from fer_export.adopt import adopt as adopt_file

    names = tuple(name.strip() for name in labels.split(","))
    if len(set(names)) < 2 or len(set(names)) != len(names) or not all(names):
        raise click.BadParameter(f"{labels!r} must be two or more different names", param_hint="--labels")
    if not 0 < framing < math.inf:
        raise click.BadParameter(f"{framing:g} must be above 0", param_hint="--framing")
    size, means, deviations = _size(input_size), _numbers("--mean", mean), _numbers("--std", std)
    try:
        adoption = Adoption(names, size, color, layout, means, deviations, softmax, framing, dataset)
    except ValueError as error:
        raise click.UsageError(f"--{error}, for --color {color}") from error
    changes = adopt_file(file, adoption, out, overwrite)
    click.echo(f"wrote {out}: {file} with {', '.join(changes)} and a contract")


@click.command(context_settings=SETTINGS)
@click.argument("checkpoint", type=PathType, metavar="DETECTOR.pt")
@click.option("--scenes", type=PathType, required=True, metavar="DIR", help="Of fer-train scenes: calibrate int8.")
@click.option("--out", type=PathType, required=True, metavar="FILE.onnx", help="The fp32 file; names the others too.")
@click.option("--score-threshold", type=click.FloatRange(0.01, 0.99), default=0.5, help="Score of what is a face.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--force", is_flag=True, help="Write even if a gate fails; the file is marked as failed.")
def detector(checkpoint: Path, scenes: Path, out: Path, score_threshold: float, overwrite: bool, force: bool) -> None:
    """Turn the face detector of fer-train detector into ONNX files that fer-edge runs.

    Writes FILE.onnx, FILE.int8.onnx and FILE.export.json. Nothing is written if a figure is out of
    bounds (parity with PyTorch, convolutions that stay float, boxes that differ, size), unless --force is given.
    """
    if out.suffix != ".onnx":
        raise click.BadParameter(f"{out} must end in .onnx", param_hint="--out")
    with extra_required("fer-export", "export"):
        import onnxscript  # noqa: F401 - torch's exporter wants it, and would say so less clearly

        from fer_export.detector import DetectorExportOptions, export_detector, table

    options = DetectorExportOptions(checkpoint, out, scenes, score_threshold, overwrite, force)
    click.echo(table(*export_detector(options, _say)))


for command in (inspect, evaluate, compare, adopt, detector):
    export.add_command(command)


def _size(text: str) -> tuple[int, int]:
    """(height, width) of "112" or "64x48"."""
    sides = text.lower().split("x")
    if not (len(sides) <= 2 and all(side.isascii() and side.isdigit() and int(side) > 0 for side in sides)):
        raise click.BadParameter(f"{text!r} is neither pixels a side nor HEIGHTxWIDTH", param_hint="--input-size")
    return int(sides[0]), int(sides[-1])


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no list of numbers", param_hint=option) from error


def _say(line: str) -> None:
    if sys.stderr.isatty():  # in a log an error must stand alone
        click.echo(line, err=True)


def main() -> NoReturn:
    """Entry point of the console script."""
    run_main(export, "fer-export")


if __name__ == "__main__":
    main()
