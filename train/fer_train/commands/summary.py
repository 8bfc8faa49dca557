"""The command `fer-train summary`."""

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

JSON = "summary.json"
PLOTS = ("classes.png", "samples.png")


@click.command(short_help="Count faces, duplicates and unreadable rows.", context_settings=data_options.SETTINGS)
@data_options.data
@click.option(
    "--out",
    type=data_options.PathType,
    metavar="DIR",
    help="Folder for summary.json, classes.png and samples.png; created if missing.",
)
@data_options.ferplus
@data_options.classes
@data_options.crop
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier summary in DIR.")
def summary(
    data: Path, out: Path | None, ferplus: Path | None, classes: ClassChoice | None, crop: "Crop", overwrite: bool
) -> None:
    """Count what a data set holds: faces per class and split, duplicates, and unreadable rows.

    Duplicates are pixel-identical images: within a split, across splits (which makes test scores too high), and with
    different labels (at most one of which is right).
    """
    with extra_required("fer-train", "train"):
        from fer_train.data import load_faces
        from fer_train.data.statistics import count_statistics
        from fer_train.plots import plot_classes, plot_samples

    if out is not None:
        create_folder(out, (JSON, *PLOTS), overwrite)
    faces = load_faces(data, ferplus, classes=classes, skip_bad=True, crop=crop)
    statistics = count_statistics(faces)
    echo_lines(str(statistics))
    if out is not None:
        write_json(out / JSON, statistics.to_json())
        plot_classes(faces, out / "classes.png")
        plot_samples(faces, out / "samples.png")
        echo_line(f"wrote {JSON}, {', '.join(PLOTS)} to {out}", err=True)
