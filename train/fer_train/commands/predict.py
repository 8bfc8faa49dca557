"""The command `fer-train predict`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_edge.console import echo_line, extra_required, hold_output
from fer_edge.files import check_writable
from fer_edge.guards.text import text_cell
from fer_train.commands import data_options
from fer_train.tables import save_csv

if TYPE_CHECKING:
    import pandas as pd

    from fer_train.data import UnlabeledFaces
    from fer_train.evaluation.predictors import Predictor
    from fer_train.photos import Crop


@click.command(context_settings=data_options.SETTINGS)
@data_options.model
@click.option(
    "--data",
    type=data_options.PathType,
    required=True,
    metavar="DATA",
    help="A CSV with the column pixels, such as FER2013's test.csv, or a folder or archive of face images.",
)
@click.option("--out", type=data_options.PathType, metavar="CSV", default="predictions.csv", help="The file to write.")
@data_options.skip_bad_rows
@data_options.crop
@data_options.head
@data_options.threads
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
def predict(
    model: Path,
    data: Path,
    out: Path,
    skip_bad_rows: bool,
    crop: "Crop",
    head: str | None,
    threads: int,
    overwrite: bool,
) -> None:
    """Predict the emotions of unlabeled faces.

    MODEL is a checkpoint of fer-train or an ONNX file. The CSV has the columns of `fer-edge --csv`: row (from 1),
    emotion, confidence and a column per label. Predictions of image files also have the column file, at the end.
    """
    with extra_required("fer-train", "train"):
        from fer_edge.sentences import counted
        from fer_train.data import load_unlabeled
        from fer_train.evaluation.predictors import open_predictor

    check_writable(out, overwrite)
    hold_output(out)
    predictor = open_predictor(model, threads, head)
    faces = load_unlabeled(data, skip_bad_rows, crop)
    data_options.log_notes(faces.notes)
    table = _predictions(predictor, faces)
    save_csv(table, out)
    counts = table["emotion"].value_counts().reindex(list(map(text_cell, predictor.classes)), fill_value=0)
    found = ", ".join(f"{count:,} {label}" for label, count in counts.items())
    echo_line(f"wrote {out}: {counted(len(table), 'face')}, {found}", err=True)


def _predictions(predictor: "Predictor", faces: "UnlabeledFaces") -> "pd.DataFrame":
    """Return a row per face: row, emotion, confidence, a column per label, and file for image files."""
    import pandas as pd

    from fer_edge.results import PROBABILITY_DECIMALS

    probabilities = predictor.predict(faces.images, "predicting", normalize_light=True)
    # Python's round: numpy's gives other digits than `fer-edge --csv` in halfway cases
    rounded = [[round(value, PROBABILITY_DECIMALS) for value in row] for row in probabilities.tolist()]
    table = pd.DataFrame(rounded, columns=list(map(text_cell, predictor.classes)))
    emotions = [text_cell(predictor.classes[answer]) for answer in probabilities.argmax(axis=1)]
    table.insert(0, "row", faces.rows)
    table.insert(1, "emotion", emotions)
    table.insert(2, "confidence", [max(row) for row in rounded])
    if faces.files is not None:
        table["file"] = [text_cell(name) for name in faces.files.tolist()]
    return table
