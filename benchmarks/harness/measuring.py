"""What the benchmarks share: measuring in turns, how noisy the machine was, and the JSON that the report reads.

The JSON's form is described in benchmarks/README.md.
"""

import hashlib
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

from benchmarks.harness.presenting import Table, machine_line, number, shown_arguments
from fer_edge.console import extra_required
from fer_edge.files import atomic_write, check_writable
from fer_edge.opencv import cv2
from fer_edge.system import machine_info, usable_cores

SCHEMA = 1
REFERENCE_BYTES = 1 << 20
MORE_RUNS = 3
QUIET, UNEASY = 0.05, 0.15  # relative spread (5th to 95th percentile) of the reference kernel
CROWDED = 1.5  # processes that wanted to run, for each core, when the benchmark began

T = TypeVar("T")
Job = Callable[[], float]
"""Does one piece of work and gives what is measured of it, mostly seconds."""


@dataclass(frozen=True)
class Figure:
    """A measured value: median and quartiles of `samples` rounds.

    ratio: it compares two things that took turns, so it carries from machine to machine better than a time does.
    unit: "" for a ratio. note: what else a reader needs.
    """

    name: str
    median: float
    quartiles: tuple[float, float]
    samples: int
    ratio: bool = False
    unit: str = ""
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the "figures" of the JSON."""
        return {
            "name": self.name, "median": self.median, "quartiles": list(self.quartiles), "samples": self.samples,
            "ratio": self.ratio, "unit": self.unit, "note": self.note,
        }  # fmt: skip


def figure(name: str, values: Sequence[float], unit: str = "", ratio: bool = False, note: str = "") -> Figure:
    """Median and quartiles of `values`, which must not be empty."""
    low, middle, high = (float(f"{value:.5g}") for value in np.percentile(values, [25, 50, 75]))
    return Figure(name, middle, (low, high), len(values), ratio, unit, note)


class Reference:
    """A fixed piece of work, timed now and then: as far as its times differ, the machine and not the code did."""

    def __init__(self) -> None:
        self._bytes = bytes(range(256)) * (REFERENCE_BYTES // 256)
        self.times: list[float] = []
        self._load_before = os.getloadavg()[0]
        for _ in range(5):  # warm-up
            hashlib.sha256(self._bytes)

    def take(self) -> None:
        """Time it, three times."""
        self.times += [seconds(lambda: hashlib.sha256(self._bytes)) for _ in range(3)]

    def noise(self) -> dict[str, Any] | None:
        """Median in ms, 5th and 95th percentile and the slowest as multiples of it, a verdict; None if never taken."""
        if not self.times:
            return None
        median = statistics.median(self.times)
        low, high = (float(value) / median for value in np.percentile(self.times, [5, 95]))
        spread, crowded = high - low, self._load_before / usable_cores()
        verdict = "quiet" if spread <= QUIET else "uneasy" if spread <= UNEASY else "noisy"
        if crowded > CROWDED:
            verdict = "noisy"
        return {
            "kernel": "SHA-256 of 1 MiB", "median_ms": round(1000 * median, 4), "p5": round(low, 3),
            "p95": round(high, 3), "slowest": round(max(self.times) / median, 2), "samples": len(self.times),
            "load_before": round(self._load_before, 2), "load_after": round(os.getloadavg()[0], 2),
            "verdict": verdict,
        }  # fmt: skip


def noise_line(noise: Mapping[str, Any] | None) -> str:
    """The noise of a run as a sentence."""
    if noise is None:
        return "The machine's noise was not measured."
    return (
        f"The machine was {noise['verdict']}: a fixed kernel ({noise['kernel']}, {noise['median_ms']:.2f} ms) took "
        f"{noise['p5']:.2f} to {noise['p95']:.2f} times its median in 90 % of {noise['samples']} samples and "
        f"{noise['slowest']:.2f} times at worst; load "
        f"{noise['load_before']:.1f} before, {noise['load_after']:.1f} after."
    )


def seconds(job: Callable[[], object]) -> float:
    """How long `job` takes."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def interruptions() -> int:
    """How often the kernel has taken a core from this process for somebody else's work."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def median_of(job: Callable[[], object], runs: int) -> Job:
    """A job that gives the median seconds of `runs` runs of `job` that nobody interrupted.

    On a busy machine up to MORE_RUNS times as many are tried. If none is left in peace, the processor time of all of
    them counts, which for work in one thread is what it takes in peace; for work in several it is the wall time.
    """

    def measure() -> float:
        every: list[tuple[float, float]] = []
        peaceful: list[float] = []
        while len(peaceful) < runs and len(every) < MORE_RUNS * runs:
            before, cpu_s = interruptions(), time.process_time()
            wall_s = seconds(job)
            every.append((wall_s, time.process_time() - cpu_s))
            if interruptions() == before:
                peaceful.append(wall_s)
        return statistics.median(peaceful or map(min, every))

    return measure


def in_turns(
    jobs: Mapping[str, Job], rounds: int, reference: Reference, label: str = "measuring"
) -> dict[str, list[float]]:
    """What each job gives in each of `rounds` rounds.

    Before them comes one round that is not counted. Every other round goes backwards, so that none always
    follows the same one. The reference kernel is timed once a round.
    """
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in progress(range(rounds + 1), label):
        reference.take()
        for name in list(jobs)[:: -1 if turn % 2 else 1]:
            value = jobs[name]()
            if turn:
                taken[name].append(value)
    return taken


def ratios(values: Sequence[float], against: Sequence[float]) -> list[float]:
    """Round by round, how many times `against` each value is."""
    return [value / base for value, base in zip(values, against, strict=True)]


def progress(items: Sequence[T], label: str) -> Iterator[T]:
    """Go through `items` with a bar on stderr, if that is a terminal."""
    with click.progressbar(items, label=label, file=sys.stderr) as bar:
        yield from bar


@dataclass
class Results:
    """All that a benchmark has to tell: of what, under what conditions, with what left out.

    threads: what was pinned, in words. skipped: a sentence for each part that could not be measured.
    values: figures for programs, such as the report's scorecard.
    """

    benchmark: str
    question: str
    threads: str = ""
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    reference: Reference = field(default_factory=Reference)

    def skip(self, sentence: str) -> None:
        """Tell on stderr now, and in the report, that a part is left out, and why."""
        self.skipped.append(sentence)
        click.echo(f"skipped: {sentence}", err=True)

    def show(self) -> None:
        """Print everything."""
        machine = machine_info()
        click.echo(f"{self.question}\n{machine_line(machine | self.versions)}")
        if self.threads:
            click.echo(self.threads)
        if self.reference.times:
            click.echo(noise_line(self.reference.noise()))
        for table in [*([figure_table(self.figures)] if self.figures else []), *self.tables]:
            click.echo(f"\n{table}")

    def to_json(self) -> dict[str, Any]:
        """As benchmarks/README.md describes it."""
        return {
            "schema": SCHEMA,
            "benchmark": self.benchmark,
            "question": self.question,
            "arguments": shown_arguments(sys.argv[1:]),
            "threads": self.threads,
            "figures": [item.to_json() for item in self.figures],
            "tables": [table.to_json() for table in self.tables],
            "skipped": self.skipped,
            "values": self.values,
            "noise": self.reference.noise(),
            "machine": machine_info() | self.versions,
        }

    def write(self, path: Path | None) -> None:
        """Write the JSON, if a path is given."""
        if path is not None:
            with atomic_write(path) as part:
                part.write_text(json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def figure_table(figures: Sequence[Figure]) -> Table:
    """Figures as a table, ratios first."""
    rows = [
        (item.name, f"{number(item.median)} {item.unit}".strip(), *map(number, item.quartiles), str(item.samples),
         item.note)
        for item in sorted(figures, key=lambda item: not item.ratio)
    ]  # fmt: skip
    return Table("Medians and quartiles", ("", "median", "25 %", "75 %", "rounds", ""), rows)


def pin_threads(count: int) -> str:
    """Let OpenCV use `count` threads, and say so; onnxruntime's sessions are told theirs when they are opened."""
    cv2.setNumThreads(count)
    return f"Threads: {count} for OpenCV, {count} for each onnxruntime session."


def check_outputs(json_file: Path | None, plot_file: Path | None) -> None:
    """Refuse, before anything is measured, what couldn't be written afterwards: OutputError, MissingExtraError."""
    for path in filter(None, (json_file, plot_file)):
        check_writable(path, overwrite=True)
    if plot_file is not None:
        with extra_required("--plot", "train"):
            import matplotlib  # noqa: F401 - only whether it is there
