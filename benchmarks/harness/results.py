"""Figures, and the results of a benchmark: what it prints and the JSON file that the report reads.

benchmarks/README.md describes the JSON.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.harness.tables import Table, number
from benchmarks.harness.timing import NoiseProbe, noise_line
from fer_edge.files import write_json
from fer_edge.system import machine_info

SCHEMA = 1


@dataclass(frozen=True)
class Figure:
    """A measured value: median and quartiles of `samples` rounds.

    ratio: it compares two jobs that took turns, so it carries over to other machines better than a time does.
    unit: "" for a ratio. note: what else a reader needs. bound, target: "<=" or ">=" the aim, if there is one.
    """

    name: str
    median: float
    quartiles: tuple[float, float]
    samples: int
    ratio: bool = False
    unit: str = ""
    note: str = ""
    bound: str = ">="
    target: float | None = None

    @property
    def met(self) -> bool:
        """Whether the median meets the target; True without one."""
        if self.target is None:
            return True
        return self.median <= self.target if self.bound == "<=" else self.median >= self.target

    @property
    def aim(self) -> str:
        """The target and whether it is met, as text; "" without one."""
        if self.target is None:
            return ""
        return f"aim {self.bound} {self.target:g}: {'met' if self.met else 'missed'}"

    def to_json(self) -> dict[str, Any]:
        """An entry of "figures" in the results file."""
        aim = {} if self.target is None else {"bound": self.bound, "target": self.target, "met": self.met}
        return {
            "name": self.name, "median": self.median, "quartiles": list(self.quartiles), "samples": self.samples,
            "ratio": self.ratio, "unit": self.unit, "note": self.note, **aim,
        }  # fmt: skip


def figure(
    name: str, values: Sequence[float], unit: str = "", ratio: bool = False, note: str = "", bound: str = ">=",
    target: float | None = None,
) -> Figure:  # fmt: skip
    """Median and quartiles of `values`, which must not be empty."""
    low, middle, high = (float(f"{value:.5g}") for value in np.percentile(values, [25, 50, 75]))
    return Figure(name, middle, (low, high), len(values), ratio, unit, note, bound, target)


def quartiles(values: Sequence[float]) -> list[float]:
    """25th, 50th and 75th percentile, rounded to four decimals."""
    return [round(float(value), 4) for value in np.percentile(values, [25, 50, 75])]


def figure_table(figures: Sequence[Figure]) -> Table:
    """Figures as a table, ratios first."""
    rows = [
        (item.name, f"{number(item.median)} {item.unit}".strip(), *map(number, item.quartiles), str(item.samples),
         ", ".join(filter(None, [item.note, item.aim])))
        for item in sorted(figures, key=lambda item: not item.ratio)
    ]  # fmt: skip
    return Table("Medians and quartiles", ("", "median", "25 %", "75 %", "rounds", ""), rows)


@dataclass
class Results:
    """What a benchmark measured, under which conditions, and what it left out.

    threads: what was pinned, in words. skipped: a sentence per part that could not be measured. values: figures for
    programs, such as the report's scorecard. plotted: what only the plot needs; it is not written.
    """

    benchmark: str
    question: str
    threads: str = ""
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    values: Any = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    probe: NoiseProbe = field(default_factory=NoiseProbe)
    plotted: Any = None

    def skip(self, sentence: str) -> None:
        """Log on stderr, and note for the report, that a part is left out and why."""
        self.skipped.append(sentence)
        click.echo(f"skipped: {sentence}", err=True)

    def show(self) -> None:
        """Print everything."""
        click.echo(f"{self.question}\n{machine_line(machine_info() | self.versions)}")
        if self.threads:
            click.echo(self.threads)
        if self.probe.times:
            click.echo(noise_line(self.probe.noise()))
        for table in [*([figure_table(self.figures)] if self.figures else []), *self.tables]:
            click.echo(f"\n{table}")

    def to_json(self) -> dict[str, Any]:
        """The results file, as benchmarks/README.md describes it."""
        return {
            "schema": SCHEMA,
            "benchmark": self.benchmark,
            "question": self.question,
            "arguments": arguments_without_folders(sys.argv[1:]),
            "threads": self.threads,
            "figures": [item.to_json() for item in self.figures],
            "tables": [table.to_json() for table in self.tables],
            "skipped": self.skipped,
            "values": self.values,
            "noise": self.probe.noise(),
            "machine": machine_info() | self.versions,
        }

    def write(self, path: Path | None) -> None:
        """Write the results file, if a path is given."""
        if path is not None:
            write_json(path, self.to_json())


def machine_line(machine: Mapping[str, Any]) -> str:
    """Processor, cores and versions as a sentence."""
    names = {"onnxruntime": "onnxruntime", "opencv": "OpenCV", "numpy": "numpy", "torch": "torch", "python": "Python"}
    versions = ", ".join(f"{shown} {machine[name]}" for name, shown in names.items() if machine.get(name))
    dot = machine.get("dot_product") or "none"
    return f"{machine.get('cpu', '?')}, {machine.get('cores', '?')} cores (8-bit dot product: {dot}); {versions}"


def arguments_without_folders(arguments: Sequence[str]) -> str:
    """The command line with file names only: the report must not show where a user keeps files.

    >>> arguments_without_folders(["--peer", "face-api=/home/me/node_modules", "--data", "/home/me/fer2013.csv"])
    '--peer face-api=node_modules --data fer2013.csv'
    """
    return " ".join(re.sub(r"(^|[=,])[^=,]*/(?=[^=,])", r"\1", word) for word in arguments)
