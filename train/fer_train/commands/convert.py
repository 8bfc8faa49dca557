"""fer-train convert"""

from pathlib import Path

import click

from fer_edge.console import extra_required
from fer_train.class_choice import ClassChoice
from fer_train.commands import data_options as options


@click.command(context_settings=options.SETTINGS)
@options.data
@click.option(
    "--out",
    type=options.PathType,
    required=True,
    metavar="FILE.csv|DIR",
    help="What to write: a CSV (.csv, .csv.gz, .csv.xz), or a new folder of PNGs.",
)
@options.classes
@options.skip_bad_rows
@click.option("--overwrite", is_flag=True, help="Replace the CSV if it exists; a folder is never replaced.")
def convert(data: Path, out: Path, classes: ClassChoice | None, skip_bad_rows: bool, overwrite: bool) -> None:
    """Turn a CSV of faces into folders of PNGs, or back, without a loss.

    Folders are train/<class>/, validation/<class>/ (PublicTest) and test/<class>/ (PrivateTest), or <class>/ where
    the data has no splits. Pictures are called by their place in the data, from 0, as FER+ does: fer0000012.png.
    A CSV's rows come in the order of the pictures' names.
    """
    with extra_required("fer-train", "train"):
        from fer_train.data import read_faces
        from fer_train.data.writers import check_target, is_csv, write_csv, write_folders

    check_target(out, overwrite)
    faces = read_faces(data, classes=classes, skip_bad=skip_bad_rows)
    options.tell(faces.notes)
    (write_csv if is_csv(out) else write_folders)(faces, out)
    click.echo(f"wrote {len(faces):,} faces of {len(faces.classes)} classes to {out}", err=True)
