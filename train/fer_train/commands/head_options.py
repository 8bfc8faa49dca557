"""The options of `fer-train` that choose the heads and what they learn. Imports nothing heavy."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_edge.errors import DataError
from fer_train.commands.data_options import FiniteRange, PathType

if TYPE_CHECKING:
    from fer_train.data import FaceData
    from fer_train.photos import Crop

NAME = re.compile(r"[a-z0-9_-]{1,32}")  # fer_train.networks.heads.NAME, without torch
VOTES = ("people", "ferplus")  # the heads that learn from votes; any other name is the head on the data's labels
Heads = Mapping[str, float]
"""Names of heads, in order, and the weights of their losses."""


def parse_heads(text: str) -> Heads:
    """Parse the value of --heads; ValueError if it is malformed.

    parse_heads("people,ferplus,fer2013=1.5")  # {"people": 1.0, "ferplus": 1.0, "fer2013": 1.5}
    """
    heads: dict[str, float] = {}
    for item in text.split(","):
        name, equals, weight = (part.strip() for part in item.partition("="))
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid head name: use a-z, 0-9, _ and -, 32 characters at most")
        if name in heads:
            raise ValueError(f"the head {name} is given twice")
        try:
            heads[name] = float(weight) if equals else 1.0
        except ValueError:
            heads[name] = 0.0
        if not 0 < heads[name] < float("inf"):
            raise ValueError(f"{weight!r} is not a weight above 0, as in {name}=1.5")
    others = [name for name in heads if name not in VOTES]
    if len(others) > 1:
        raise ValueError(
            f"{' and '.join(others)} would be heads on the same labels: name one, beside people and ferplus"
        )
    return heads


class HeadsType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on
    """The click type of --heads."""

    name = "heads"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse_heads(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


heads = click.option(
    "--heads", type=HeadsType(), metavar="NAME[=WEIGHT],...",
    help="Heads to train, the default one first: ferplus (the votes), people (votes, labels and --people), and a name "
    "of your choice for the labels of --data. WEIGHT is that of the loss, 1 by default.",
)  # fmt: skip
people = click.option(
    "--people", type=PathType, metavar="DATA",
    help="Faces labeled with what people would say, for the heads people and ferplus: folders train/<class>/ and "
    "test/<class>/ (kept aside, to choose the best epoch by), or any other data set.",
)  # fmt: skip
people_weight = click.option(
    "--people-weight", type=FiniteRange(0, min_open=True), metavar="X", default=0.3,
    help="Mean weight of a face of --people, where a face of --data has 1.",
)  # fmt: skip


def check_given(heads: Heads | None, ferplus: Path | None, ferplus_labels: str, people: Path | None) -> None:
    """Raise UsageError for heads that have nothing to learn from, and for people whom no head learns."""
    on_votes = [name for name in heads or () if name in VOTES]
    if on_votes and ferplus is None:
        raise click.UsageError(f"--heads {on_votes[0]} learns from votes: give --ferplus fer2013new.csv")
    if on_votes and ferplus_labels == "majority":
        raise click.UsageError(
            f"--heads {on_votes[0]} learns from votes, which --ferplus-labels majority uses up: leave that out"
        )
    if people is not None and not on_votes:
        raise click.UsageError("--people is for the heads people and ferplus: give --heads people,ferplus")


def load_people(path: Path, skip_bad: bool, crop: "Crop" = "auto") -> "FaceData":
    """Read the value of --people; DataError, which names this option, if that can't be done."""
    from fer_train.data import load_faces

    try:
        return load_faces(path, skip_bad=skip_bad, crop=crop)
    except DataError as error:
        raise DataError(str(error).replace("--data names", "--people names")) from error
