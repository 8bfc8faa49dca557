"""fer-train predict"""

from pathlib import Path

import click

from fer_edge.console import extra_required
from fer_edge.files import check_writable
from fer_train.commands import data_options as options


@click.command(context_settings=options.SETTINGS)
@options.model
@click.option(
    "--data",
    type=options.PathType,
    required=True,
    metavar="DATA",
    help="A CSV with a column pixels, such as FER2013's test.csv, or a folder or archive of pictures of faces.",
)
@click.option("--out", type=options.PathType, metavar="CSV", default="predictions.csv", help="The file to write.")
@options.skip_bad_rows
@options.threads
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
def predict(model: Path, data: Path, out: Path, skip_bad_rows: bool, threads: int, overwrite: bool) -> None:
    """Name the emotions of faces without labels.

    MODEL is a checkpoint of fer-train or an ONNX file. The rows written are those of `fer-edge --csv`: row (1 is
    the first), emotion, confidence, a column per label; for pictures also file, at the end.
    """
    with extra_required("fer-train", "train"):
        from fer_train.data import load_unlabeled
        from fer_train.evaluation.prediction import write_predictions
        from fer_train.evaluation.predictors import open_predictor

    check_writable(out, overwrite)
    predictor = open_predictor(model, threads)
    faces = load_unlabeled(data, skip_bad_rows)
    options.tell(faces.notes)
    counts = write_predictions(predictor, faces, out)
    found = ", ".join(f"{count:,} {label}" for label, count in counts.items())
    click.echo(f"wrote {out}: {len(faces.rows):,} faces, {found}", err=True)
