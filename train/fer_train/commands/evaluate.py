"""fer-train evaluate"""

from pathlib import Path

import click

from fer_edge.console import extra_required
from fer_edge.errors import OutputError
from fer_edge.files import check_writable, write_json
from fer_train.class_choice import ClassChoice
from fer_train.commands import data_options as options

METRICS = "metrics.json"
PICTURES = ("confusion.png", "reliability.png", "predictions.png", "mistakes.png")  # plots.EVALUATION_PICTURES


@click.command(context_settings=options.SETTINGS)
@options.model
@options.data
@click.option("--split", type=click.Choice([*options.SPLITS, "all"]), default="PublicTest", help="Faces to score.")
@click.option(
    "--out", type=options.PathType, metavar="DIR", help="Folder for metrics.json and pictures; made if missing."
)
@options.ferplus
@options.classes
@options.skip_bad_rows
@options.threads
@click.option("--overwrite", is_flag=True, help="Replace what DIR holds of an earlier evaluation.")
def evaluate(
    model: Path, data: Path, split: str, out: Path | None, ferplus: Path | None, classes: ClassChoice | None,
    skip_bad_rows: bool, threads: int, overwrite: bool,
) -> None:  # fmt: skip
    """Score a checkpoint or an ONNX file on labelled faces.

    Prints accuracy (also without faces that stand in Training too, and, with --ferplus, against the majority of
    votes), macro-F1, figures per emotion and calibration errors. With --out, writes these as metrics.json, and
    pictures: confusion matrix, reliability, predictions and the worst mistakes.
    """
    with extra_required("fer-train", "train"):
        from fer_train.data import load_faces
        from fer_train.evaluation.predictors import open_predictor
        from fer_train.evaluation.scoring import evaluate_predictor
        from fer_train.plots import plot_evaluation

    if out is not None:
        make_folder(out, (METRICS, *PICTURES), overwrite)
    predictor = open_predictor(model, threads)
    faces = load_faces(data, ferplus, classes=classes, skip_bad=skip_bad_rows)
    options.tell(faces.notes)
    evaluation = evaluate_predictor(predictor, faces, split)
    click.echo(str(evaluation))
    if out is not None:
        write_json(out / METRICS, evaluation.to_json())
        plot_evaluation(evaluation, out)
        click.echo(f"wrote {METRICS}, {', '.join(PICTURES)} to {out}", err=True)


def make_folder(out: Path, names: tuple[str, ...], overwrite: bool) -> None:
    """Make the folder `out`; OutputError if it can't be made, or one of `names` in it can't or must not be written."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: --out names a folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} can't be made: {error.strerror}") from error
    for name in names:
        check_writable(out / name, overwrite)
