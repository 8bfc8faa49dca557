"""Options that several commands share: what data to read, and how. Types of paths and numbers for all options."""

import math
from pathlib import Path
from typing import Any

import click

from fer_edge.console import echo_line
from fer_train.class_choice import HELP, METAVAR, ClassesType


class _NonEmptyPath(click.Path):
    """A path that is not empty: an unset shell variable would otherwise name the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("it is empty: name a file or folder", param, ctx)
        return super().convert(value, param, ctx)


class FiniteRange(click.FloatRange):
    """A finite number in a range. click's FloatRange takes nan in every range, and inf in open ones."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


PathType = _NonEmptyPath(path_type=Path)
SETTINGS = {"show_default": True, "max_content_width": 110}
SPLITS = ("Training", "PublicTest", "PrivateTest")

data = click.option(
    "--data", type=PathType, required=True, metavar="DATA",
    help="fer2013.csv or a similar CSV; a folder with train/<class>/ and test/<class>/, or with <class>/; an archive "
    "or compressed file of these; or kaggle:OWNER/NAME.",
)  # fmt: skip
classes = click.option("--classes", type=ClassesType(), metavar=METAVAR, help=HELP)
skip_bad_rows = click.option(
    "--skip-bad-rows", is_flag=True, help="Skip unreadable rows and images, and report how many were skipped."
)
crop = click.option(
    "--crop", type=click.Choice(["auto", "always", "never"]), default="auto",
    help="How to use photographs. auto: cut out a face that is small in the image, if it is the only or dominant one; "
    "always: cut out the largest face of any image; never: use images whole.",
)  # fmt: skip
ferplus = click.option(
    "--ferplus", type=PathType, metavar="CSV", help="FER+ votes (fer2013new.csv) for the faces of fer2013.csv."
)
threads = click.option("--threads", type=click.IntRange(1), metavar="N", default=1, help="Number of CPU threads.")
head = click.option("--head", metavar="NAME", help="Head of the network to use.  [default: its first]")
model = click.argument("model", type=PathType, metavar="MODEL")


def log_notes(notes: tuple[str, ...]) -> None:
    """Print what reading changed or skipped to stderr, a line per note."""
    for note in notes:
        echo_line(f"note: {note}", err=True)
