"""The command `fer-export`."""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from fer_edge.console import MainCommand, RenamedOption, echo_json, echo_line, echo_lines, extra_required, run_main
from fer_edge.files import check_writable, write_json
from fer_export.adoption.heads import HEAD_FORM, AdoptedHead
from fer_export.int8.settings import AUTO, CALIBRATORS, MIN_CALIBRATION_IMAGES
from fer_export.option_types import ADOPTED_HEAD, FACE_SIZE, FACTOR, LABELS, NUMBERS, ColorType, ThresholdsType
from fer_export.outputs import Outputs
from fer_train.class_choice import ClassChoice
from fer_train.commands import data_options as shared
from fer_train.commands.data_options import SETTINGS, FiniteRange, PathType

if TYPE_CHECKING:
    from fer_export.compare import Comparison
    from fer_train.evaluation.scoring import Evaluation
    from fer_train.photos import Crop

SPLITS = click.Choice(shared.SPLITS)
Command = TypeVar("Command", bound=Callable[..., None])
STDOUT = Path("-")
FILE_NAMES_OTHERS = "The fp32 file; the other files get their names from it."
DATA_HELP = "fer2013.csv, or any data that fer-train takes: Training faces calibrate int8, PublicTest faces measure."
FORCE_HELP = "Write even if a gate fails; the files are marked as failed."

out_option = click.option("--out", type=PathType, required=True, metavar="FILE.onnx", help=FILE_NAMES_OTHERS)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
force_option = click.option("--force", is_flag=True, help=FORCE_HELP)


@click.command(cls=MainCommand, context_settings=SETTINGS)
@click.argument("checkpoint", type=PathType)
@out_option
@click.option("--quantize", is_flag=True, help="Write FILE.int8.onnx too: smaller, and faster on most machines.")
@click.option("--calibration-data", type=PathType, metavar="DATA", help=DATA_HELP)
@click.option(
    "--calibration-images", type=click.IntRange(MIN_CALIBRATION_IMAGES), default=MIN_CALIBRATION_IMAGES, metavar="N",
    help="How many Training faces calibrate int8.",
)  # fmt: skip
@click.option(
    "--calibrator", type=click.Choice([AUTO, *CALIBRATORS]), default=AUTO,
    help="How int8 ranges are chosen; auto: the way that agrees best with fp32.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, metavar="N", help="Seed for drawing calibration faces.")
@click.option(
    "--min-confidence", type=ThresholdsType(), metavar="P|HEAD=P,...",
    help="For the contract: fer-edge calls a face unsure below this probability of its emotion.  [default: the "
    "checkpoint's]",
)  # fmt: skip
@click.option(
    "--head", "heads", multiple=True, metavar="NAME",
    help="Keep only this head of the network.  Repeatable: the first is the default one.",
)  # fmt: skip
@shared.ferplus
@click.option(
    "--people", type=PathType, metavar="DATA",
    help="Faces labeled with what people would say, as for fer-train: its test faces measure the head people, too.",
)  # fmt: skip
@shared.skip_bad_rows
@shared.crop
@overwrite_option
@force_option
def export(
    checkpoint: Path, out: Path, quantize: bool, calibration_data: Path | None, calibration_images: int,
    calibrator: str, seed: int, min_confidence: Mapping[str, float] | None, heads: tuple[str, ...],
    ferplus: Path | None, people: Path | None, skip_bad_rows: bool, crop: "Crop", overwrite: bool, force: bool,
) -> None:  # fmt: skip
    """Turn CHECKPOINT (the best.pt of fer-train) into one ONNX file that fer-edge runs.

    Writes FILE.onnx, with --quantize also FILE.int8.onnx, and FILE.export.json with every measurement: parity with
    PyTorch, accuracy, agreement of int8 with fp32, and the time per face. Writes nothing if a measurement is out of
    bounds (a gate fails), unless --force is given; fer-edge warns about such a file.
    """
    _check_onnx_name(out)
    if quantize and calibration_data is None:
        raise click.UsageError("--quantize needs faces to calibrate on: add --calibration-data fer2013.csv")
    if len(set(heads)) < len(heads):
        raise click.BadParameter("a head is given twice", param_hint="--head")
    if ferplus is not None and calibration_data is None:
        raise click.UsageError("--ferplus are votes for the faces of --calibration-data: give both")
    if people is not None and ferplus is None:
        raise click.UsageError("--people measures the head people beside FER+'s votes: give --ferplus, too")
    _keep_inputs("--out", Outputs.named_after(out, quantize).paths, checkpoint, calibration_data, ferplus, people)
    with extra_required("fer-export", "export"):
        import onnxscript  # noqa: F401 - torch's exporter needs it, and its own message is less clear

        from fer_export.classifier import ClassifierExport, ClassifierExportOptions

    options = ClassifierExportOptions(
        checkpoint=checkpoint,
        out=out,
        quantize=quantize,
        data=calibration_data,
        calibration_images=calibration_images,
        calibrator=calibrator,
        seed=seed,
        min_confidence=min_confidence or {},
        overwrite=overwrite,
        force=force,
        skip_bad=skip_bad_rows,
        crop=crop,
        heads=heads,
        ferplus=ferplus,
        people=people,
    )
    report, written = ClassifierExport(options, _log).run()
    echo_lines(report.table(written))


@click.command(context_settings=SETTINGS)
@click.argument("file", type=PathType)
def inspect(file: Path) -> None:
    """Show an ONNX file's contract, operators and size.

    "stored" counts the operators in the file, "running" those that onnxruntime runs on this machine.
    """
    with extra_required("fer-export", "export"):
        from fer_export.inspection import describe

    echo_lines(describe(file))


def scoring_options(command: Command) -> Command:
    """The options of what scores ONNX files on labeled faces."""
    for option in (
        click.option("--overwrite", is_flag=True, help="Replace the --json file if it exists."),
        click.option(
            "--json",
            "json_file",
            type=PathType,
            metavar="FILE",
            help="Write the scores to FILE, too; - prints only them.",
        ),
        shared.threads,
        shared.crop,
        click.option("--split", type=SPLITS, default="PublicTest", help="Rows to score."),
        shared.skip_bad_rows,
        shared.classes,
        shared.data,
    ):
        command = option(command)
    return command


@click.command(context_settings=SETTINGS)
@click.argument("file", type=PathType, metavar="FILE.onnx")
@scoring_options
@shared.head
def evaluate(
    file: Path, data: Path, classes: ClassChoice | None, skip_bad_rows: bool, split: str, crop: "Crop", threads: int,
    head: str | None, json_file: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Score an ONNX file on labeled faces.

    `fer-train evaluate` also scores checkpoints, and draws plots.
    """
    _check_json_file(json_file, overwrite, file, data)
    with extra_required("fer-export", "export"):
        from fer_train.data import load_faces
        from fer_train.evaluation.predictors import OnnxPredictor
        from fer_train.evaluation.scoring import caveats, evaluate_predictor

    predictor = OnnxPredictor(file, threads, head)
    faces = load_faces(data, classes=classes, skip_bad=skip_bad_rows, crop=crop)
    shared.log_notes(faces.notes)
    shared.log_notes(caveats(predictor, faces))
    evaluation = evaluate_predictor(predictor, faces, split)
    _print_scores(evaluation, json_file)


@click.command(context_settings=SETTINGS)
@click.argument("first", type=PathType, metavar="A.onnx")
@click.argument("second", type=PathType, metavar="B.onnx")
@scoring_options
@click.option(
    "--head", metavar="NAME", help="Compare this head alone, also with a file without heads.  [default: all in common]"
)
def compare(
    first: Path, second: Path, data: Path, classes: ClassChoice | None, skip_bad_rows: bool, split: str, crop: "Crop",
    threads: int, head: str | None, json_file: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Compare two ONNX files: accuracy, agreement, time, and where they differ.

    Times both in turns, in this process, on one face at a time. If both have several heads, a table compares those
    that both have, and the rest is about the first that the data's labels fit.
    """
    _check_json_file(json_file, overwrite, first, second, data)
    with extra_required("fer-export", "export"):
        from fer_export.compare import compare as compare_files

    comparison = compare_files(first, second, data, split, threads, classes, skip_bad_rows, head, crop)
    shared.log_notes(comparison.notes)
    _print_scores(comparison, json_file)


@click.command(context_settings=SETTINGS)
@click.argument("file", type=PathType, metavar="FILE.onnx")
@click.option("--labels", type=LABELS, metavar="A,B,...", help="The emotions, in the order of the network's output.")
@click.option(
    "--head", "heads", type=ADOPTED_HEAD, multiple=True, metavar=HEAD_FORM,
    help="Instead of --labels: an output of the network that becomes the head NAME.  Repeatable: the first is the "
    "default head, outputs that no head reads are left out.",
)  # fmt: skip
@click.option("--input-size", type=FACE_SIZE, required=True, metavar="N|HxW", help="Height and width in pixels.")
@click.option(
    "--mean", type=NUMBERS, required=True, metavar="M[,M,M]", help="Subtracted from pixels 0 to 255; one per channel."
)
@click.option("--std", type=NUMBERS, required=True, metavar="S[,S,S]", help="Divides the difference; one per channel.")
@click.option(
    "--color", cls=RenamedOption, former=["--colour"], type=ColorType(), required=True,
    help="Channels that the network takes, in its order.",
)  # fmt: skip
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), default="nchw", help="Order of the network's input.")
@click.option(
    "--softmax/--no-softmax",
    default=None,
    help="Whether to add a softmax.  [default: to logits; shares, as of a sigmoid, are divided by their sum]",
)
@click.option(
    "--framing", type=FACTOR, default=1.0, metavar="FACTOR",
    help="Side of the square that the network sees, as a multiple of FER2013's.",
)  # fmt: skip
@click.option("--dataset", default="", metavar="NAME", help="Name of its training data, for the contract.")
@click.option(
    "--min-confidence", type=ThresholdsType(), metavar="P|HEAD=P,...",
    help="For the contract: fer-edge calls a face unsure below this probability of its emotion.",
)  # fmt: skip
@click.option("--out", type=PathType, required=True, metavar="FILE.onnx", help="The file to write.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
def adopt(
    file: Path, labels: AdoptedHead | None, heads: tuple[AdoptedHead, ...], input_size: tuple[int, int],
    mean: tuple[float, ...], std: tuple[float, ...], color: str, layout: str, softmax: bool | None, framing: float,
    dataset: str, min_confidence: Mapping[str, float] | None, out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Turn a third-party emotion network into a file that fer-edge runs.

    Adds normalization of uint8 faces before the network, what turns its outputs into probabilities, and a contract. For
    pixels / 255 use --mean 0 --std 255, for -1 to 1 use --mean 127.5 --std 127.5.
    """
    if (labels is None) == (not heads):
        raise click.UsageError(
            "--labels names the emotions of a network with one answer, --head those of each: give one"
        )
    _check_onnx_name(out)
    _keep_inputs("--out", [out], file)
    with extra_required("fer-export", "export"):
        from fer_export.adopt import adopt as adopt_file
        from fer_export.adoption.options import Adoption

    try:
        adoption = Adoption(
            heads=heads if labels is None else (labels,),
            input_size=input_size,
            color=color,
            layout=layout,
            mean=mean,
            std=std,
            softmax=softmax,
            framing=framing,
            dataset=dataset,
            min_confidence=min_confidence or {},
        )
    except ValueError as error:
        raise click.UsageError(f"--{error}") from error
    echo_line(f"wrote {out}: {file} {adopt_file(file, adoption, out, overwrite)}")


@click.command(context_settings=SETTINGS)
@click.argument("checkpoint", type=PathType, metavar="DETECTOR.pt")
@click.option(
    "--scenes", type=PathType, required=True, metavar="DIR",
    help="Folder made by fer-train scenes: calibrates and measures int8.",
)  # fmt: skip
@out_option
@click.option(
    "--score-threshold",
    type=FiniteRange(0.01, 0.99),
    default=0.5,
    metavar="SCORE",
    help="Lowest score of a detection that counts as a face.",
)
@overwrite_option
@force_option
def detector(checkpoint: Path, scenes: Path, out: Path, score_threshold: float, overwrite: bool, force: bool) -> None:
    """Turn DETECTOR.pt (of fer-train detector) into ONNX files that fer-edge runs.

    Writes FILE.onnx, FILE.int8.onnx and FILE.export.json. Writes nothing if a measurement is out of bounds (parity
    with PyTorch, convolutions left in float, boxes that differ, size), unless --force is given.
    """
    _check_onnx_name(out)
    _keep_inputs("--out", Outputs.named_after(out, quantize=True).paths, checkpoint)
    with extra_required("fer-export", "export"):
        import onnxscript  # noqa: F401 - torch's exporter needs it, and its own message is less clear

        from fer_export.detector import DetectorExport, DetectorExportOptions

    options = DetectorExportOptions(
        checkpoint=checkpoint,
        out=out,
        scenes=scenes,
        score_threshold=score_threshold,
        overwrite=overwrite,
        force=force,
    )
    report, written = DetectorExport(options, _log).run()
    echo_lines(report.table(written))


for command in (inspect, evaluate, compare, adopt, detector):
    export.add_command(command)


def _check_onnx_name(out: Path) -> None:
    if out.suffix != ".onnx":
        raise click.BadParameter(f"{out} must end in .onnx", param_hint="--out")


def _keep_inputs(option: str, outputs: Iterable[Path], *inputs: Path | None) -> None:
    """click.UsageError if an output would replace a file that the command reads."""
    for path in outputs:
        if any(given is not None and path.exists() and given.exists() and path.samefile(given) for given in inputs):
            raise click.UsageError(f"{option} would replace {path}, which is read: name another file")


def _check_json_file(file: Path | None, overwrite: bool, *inputs: Path) -> None:
    """click.UsageError if --json would replace an input, OutputError if it can't be written."""
    if file not in (None, STDOUT):
        _keep_inputs("--json", [file], *inputs)
        check_writable(file, overwrite)


def _print_scores(scores: "Evaluation | Comparison", json_file: Path | None) -> None:
    """Print the scores, as JSON if that goes to stdout, and write the file of --json."""
    if json_file == STDOUT:
        echo_json(scores.to_json())
        return
    echo_lines(str(scores))
    if json_file is not None:
        write_json(json_file, scores.to_json())


def _log(line: str) -> None:
    if sys.stderr.isatty():  # a log file gets errors only
        echo_line(line, err=True)


def main() -> NoReturn:
    """Run the command; `__main__` does so for the console script."""
    run_main(export, "fer-export")


if __name__ == "__main__":
    main()
