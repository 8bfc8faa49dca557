"""The settings that a search varies: --tune's ranges, and whether the options take their values."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from fer_edge.errors import FerError
from fer_train.commands.training_options import Given
from fer_train.network_names import network_names

if TYPE_CHECKING:
    import optuna

CLASS_WEIGHTS = ("none", "sqrt", "balanced")
AUGMENT = ("rotation_deg", "scale", "shift", "brightness", "contrast", "erase", "aspect", "shear_deg", "blur", "noise")
NUMBERS = (
    "lr", "weight_decay", "label_smoothing", "mixup", "ema_decay", "ferplus_weight", "distill_weight",
    "distill_temperature", "batch_size",
)  # fmt: skip
NAMES = {"model": network_names(), "class_weights": CLASS_WEIGHTS}
DEFAULT_SPACE = (
    "lr=0.02:0.3:log",
    "weight_decay=1e-5:5e-3:log",
    "label_smoothing=0:0.3",
    "mixup=0:1",
    "shift=0.02:0.2",
)


@dataclass(frozen=True)
class Range:
    """A setting to vary: between `low` and `high`, on a linear or logarithmic scale, or among `choices`."""

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def suggest(self, trial: "optuna.trial.BaseTrial") -> float | int | str:
        """Ask Optuna for the value that `trial` uses."""
        if self.choices:
            return str(trial.suggest_categorical(self.name, self.choices))
        if self.name == "batch_size":
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def __str__(self) -> str:
        """As --tune takes it."""
        values = ",".join(self.choices) or f"{self.low:g}:{self.high:g}{':log' * self.log}"
        return f"{self.name}={values}"


def parse_range(text: str) -> Range:
    """Parse a --tune value such as "lr=0.01:0.3:log" or "model=edgeresnet,cnn4"; UsageError if it is malformed.

    parse_range("mixup=0:1")  # Range("mixup", 0.0, 1.0)
    """
    name, _, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if name in NAMES:
        choices = tuple(value.strip() for value in values.split(","))
        if unknown := [choice for choice in choices if choice not in NAMES[name]]:
            raise click.UsageError(f"--tune {text}: {unknown[0]!r} is none of {', '.join(NAMES[name])}")
        return Range(name, choices=choices)
    if name not in NUMBERS + AUGMENT:
        raise click.UsageError(f"--tune {text}: {name!r} is none of {', '.join((*NAMES, *NUMBERS, *AUGMENT))}")
    parts = re.fullmatch(r"([^:]+):([^:]+)(:log)?", values)
    try:
        low, high = (float(part) for part in parts.group(1, 2)) if parts else (math.nan, math.nan)
    except ValueError:
        low = high = math.nan
    log = bool(parts and parts[3])
    if not -math.inf < low < high < math.inf or (log and low <= 0):
        raise click.UsageError(f"--tune {text}: give LOW:HIGH or, with LOW above 0, LOW:HIGH:log")
    return Range(name, low, high, log)


def check_space(space: Sequence[Range], given: Given, command: click.Command) -> None:
    """UsageError for a setting that is varied twice, or beyond what its option takes: such a trial can't be repeated.

    given: the other values of the command line. command: has the options.
    """
    names = [item.name for item in space]
    if twice := [name for name in names if names.count(name) > 1]:
        raise click.UsageError(f"--tune names {twice[0]} twice")
    options = {str(param.name): param for param in command.params}
    for item in space:
        for end in () if item.choices else (item.low, item.high):
            try:
                _check_value(item.name, end, given, options)
            except (click.UsageError, FerError) as error:
                reason = (error.message if isinstance(error, click.UsageError) else str(error)).rpartition(": ")[2]
                raise click.UsageError(f"--tune {item}: {reason}") from error


def _check_value(name: str, value: float, given: Given, options: Mapping[str, click.Parameter]) -> None:
    from fer_train.training.augment import parse_augmentation

    if name in AUGMENT:
        parse_augmentation(with_values(given, {name: value})["augment"])
    else:
        options[name].type.convert(int(value) if name == "batch_size" else value, options[name], None)


def with_values(given: Given, values: Mapping[str, Any]) -> Given:
    """Return `given` with `values` replaced; values of augmentation are appended to `augment`."""
    changes = "".join(f",{name}={value}" for name, value in values.items() if name in AUGMENT)
    own = {name: value for name, value in values.items() if name not in AUGMENT}
    return given | own | {"augment": given["augment"] + changes}
