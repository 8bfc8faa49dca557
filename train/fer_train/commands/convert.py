"""The command `fer-train convert`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_edge.console import echo_line, extra_required
from fer_train.class_choice import ClassChoice
from fer_train.commands import data_options

if TYPE_CHECKING:
    from fer_train.photos import Crop


@click.command(context_settings=data_options.SETTINGS)
@data_options.data
@click.option(
    "--out",
    type=data_options.PathType,
    required=True,
    metavar="FILE.csv|DIR",
    help="What to write: a CSV (.csv, .csv.gz, .csv.xz) or a new folder of PNGs.",
)
@data_options.classes
@data_options.skip_bad_rows
@data_options.crop
@click.option("--overwrite", is_flag=True, help="Replace an existing CSV; a folder is never replaced.")
def convert(
    data: Path, out: Path, classes: ClassChoice | None, skip_bad_rows: bool, crop: "Crop", overwrite: bool
) -> None:
    """Convert a CSV of faces to folders of PNGs, or back, without loss.

    Folders are train/<class>/, validation/<class>/ (PublicTest) and test/<class>/ (PrivateTest), or <class>/ if the
    data has no splits. Images are numbered from 0 by their position in the data, as in FER+: fer0000012.png. A CSV
    lists the images by file name.
    """
    with extra_required("fer-train", "train"):
        from fer_train.data import read_faces
        from fer_train.data.writers import check_target, is_csv, write_csv, write_folders

    check_target(out, overwrite)
    faces = read_faces(data, classes=classes, skip_bad=skip_bad_rows, crop=crop)
    data_options.log_notes(faces.notes)
    (write_csv if is_csv(out) else write_folders)(faces, out)
    echo_line(f"wrote {len(faces):,} faces of {len(faces.classes)} classes to {out}", err=True)
