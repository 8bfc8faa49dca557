"""fer-train summary"""

from pathlib import Path

import click

from fer_edge.console import extra_required
from fer_edge.files import write_json
from fer_train.class_choice import ClassChoice
from fer_train.commands import data_options as options
from fer_train.commands.evaluate import make_folder

JSON = "summary.json"
PICTURES = ("classes.png", "samples.png")


@click.command(context_settings=options.SETTINGS)
@options.data
@click.option(
    "--out",
    type=options.PathType,
    metavar="DIR",
    help="Folder for summary.json, classes.png and samples.png; made if missing.",
)
@options.ferplus
@options.classes
@click.option("--overwrite", is_flag=True, help="Replace what DIR holds of an earlier summary.")
def summary(data: Path, out: Path | None, ferplus: Path | None, classes: ClassChoice | None, overwrite: bool) -> None:
    """Tell what a data set holds, how often, and what can't be read.

    Duplicates are pixel-identical images, within a split, across splits (which flatters a test), and with different
    labels (one of which must be wrong).
    """
    with extra_required("fer-train", "train"):
        from fer_train.data import load_faces
        from fer_train.data.statistics import summarize
        from fer_train.plots import plot_classes, plot_samples

    if out is not None:
        make_folder(out, (JSON, *PICTURES), overwrite)
    faces = load_faces(data, ferplus, classes=classes, skip_bad=True)
    report = summarize(faces)
    click.echo(str(report))
    if out is not None:
        write_json(out / JSON, report.to_json())
        plot_classes(faces, out / "classes.png")
        plot_samples(faces, out / "samples.png")
        click.echo(f"wrote {JSON}, {', '.join(PICTURES)} to {out}", err=True)
