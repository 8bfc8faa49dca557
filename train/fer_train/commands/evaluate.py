"""The command `fer-train evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_edge.console import echo_line, echo_lines, extra_required
from fer_edge.files import write_json
from fer_train.class_choice import ClassChoice
from fer_train.commands import data_options
from fer_train.result_folder import create_folder

if TYPE_CHECKING:
    from fer_train.photos import Crop

METRICS, REPORT = "metrics.json", "report.html"
PLOTS = ("confusion.png", "reliability.png", "predictions.png", "mistakes.png")  # plots.EVALUATION_PLOTS


@click.command(context_settings=data_options.SETTINGS)
@data_options.model
@data_options.data
@click.option("--split", type=click.Choice([*data_options.SPLITS, "all"]), default="PublicTest", help="Split to score.")
@click.option(
    "--out",
    type=data_options.PathType,
    metavar="DIR",
    help="Folder for metrics.json, plots and report.html; created if missing.",
)
@data_options.ferplus
@data_options.classes
@data_options.skip_bad_rows
@data_options.crop
@data_options.head
@data_options.threads
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier evaluation in DIR.")
def evaluate(
    model: Path, data: Path, split: str, out: Path | None, ferplus: Path | None, classes: ClassChoice | None,
    skip_bad_rows: bool, crop: "Crop", head: str | None, threads: int, overwrite: bool,
) -> None:  # fmt: skip
    """Score a checkpoint or an ONNX file on labeled faces.

    Prints accuracy, macro-F1, metrics per emotion and calibration errors. Accuracy is also given without the faces
    that are in Training too and, with --ferplus, against the votes. --out writes metrics.json and plots
    (confusion matrix, reliability, predictions and the most confident mistakes), and report.html, which shows them.
    """
    with extra_required("fer-train", "train"):
        from fer_train.data import load_faces
        from fer_train.evaluation.predictors import open_predictor
        from fer_train.evaluation.scoring import caveats, evaluate_predictor
        from fer_train.plots import plot_evaluation
        from fer_train.report.scores import Scores, data_section, options_section, pictures, write_report

    if out is not None:
        create_folder(out, (METRICS, *PLOTS, REPORT), overwrite)
    predictor = open_predictor(model, threads, head)
    faces = load_faces(data, ferplus, classes=classes, skip_bad=skip_bad_rows, crop=crop)
    data_options.log_notes(faces.notes)
    data_options.log_notes(caveats(predictor, faces))
    evaluation = evaluate_predictor(predictor, faces, split)
    echo_lines(str(evaluation))
    if out is not None:
        write_json(out / METRICS, evaluation.to_json())
        plot_evaluation(evaluation, out)
        scores = Scores(predictor.head or "default", f"labels of {split}", evaluation.to_json())
        source = {"file": model.name, "sha256": predictor.sha256, "precision": predictor.precision,
                  "head": predictor.head, "temperature": predictor.temperature}  # fmt: skip
        sections = [("Faces", data_section(evaluation.faces)), ("Test faces", pictures(out, PLOTS)),
                    ("Network", options_section(source))]  # fmt: skip
        write_report(out / REPORT, f"{model.name} on {faces.title}", [scores], sections)
        echo_line(f"wrote {METRICS}, {', '.join(PLOTS)}, {REPORT} to {out}", err=True)
