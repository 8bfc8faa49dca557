"""Types of fer-export's options: from the text of a command line to a value, or a message that says what is wrong."""

from collections.abc import Callable, Mapping

import click

from fer_edge.network.contract import MAX_FACTOR, MAX_INPUT_PX, MIN_FACTOR
from fer_export.adoption.heads import AdoptedHead, split_labels

MAX_DIGITS = 9  # of a side in pixels


class ColorType(click.Choice[str]):
    """gray, rgb or bgr. Contracts spell gray "grey", so that spelling is accepted, and it is what the command gets."""

    def __init__(self) -> None:
        super().__init__(["gray", "rgb", "bgr"])

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The contract's spelling of `value`."""
        chosen = super().convert("gray" if value == "grey" else value, param, ctx)
        return "grey" if chosen == "gray" else chosen


class ThresholdsType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on
    """P for all heads, or NAME=P,...: the command gets {"": P} or {NAME: P, ...}."""

    name = "thresholds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Mapping[str, float]:
        """The thresholds by head, "" for all heads that are not named."""
        found: dict[str, float] = {}
        for item in str(value).split(","):
            name, _, number = (part.strip() for part in item.rpartition("="))
            try:
                found.setdefault(name, float(number))
            except ValueError:
                self.fail(f"{item!r} is not a number, nor NAME=NUMBER", param, ctx)
            if not 0 <= found[name] < 1:
                self.fail(f"{number} must be at least 0 and below 1", param, ctx)
        if len(found) < len(str(value).split(",")):
            self.fail(f"{value!r} names a head twice", param, ctx)
        return found


class ParsedType(click.ParamType):  # type: ignore[type-arg]
    """What `parse` makes of the text; its ValueError is the message."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """The parsed text; a default is given as it is."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def face_size(text: str) -> tuple[int, int]:
    """(height, width) of "112" or "64x48"."""
    sides = text.lower().split("x")
    if not (len(sides) <= 2 and all(side.isascii() and side.isdigit() for side in sides)):
        raise ValueError(f"{text!r} is neither a number of pixels nor HEIGHTxWIDTH")
    most = MAX_INPUT_PX["classifier"]
    if not all(len(side) <= MAX_DIGITS and 0 < int(side) <= most for side in sides):
        raise ValueError(f"{text:.40} must be from 1 to {most} pixels")
    return int(sides[0]), int(sides[-1])


def numbers(text: str) -> tuple[float, ...]:
    """The numbers in "M,M,M"."""
    try:
        return tuple(float(value) for value in text.split(","))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a list of numbers") from error


def factor(text: str) -> float:
    """A number that a contract's framing can be."""
    (value, *more) = numbers(text)
    if more or not MIN_FACTOR <= value <= MAX_FACTOR:
        raise ValueError(f"{text} must be a number from {MIN_FACTOR:g} to {MAX_FACTOR:g}")
    return value


FACE_SIZE = ParsedType("size", face_size)
NUMBERS = ParsedType("numbers", numbers)
FACTOR = ParsedType("factor", factor)
ADOPTED_HEAD = ParsedType("head", AdoptedHead.parse)
LABELS = ParsedType("labels", lambda text: AdoptedHead(split_labels(text)))
