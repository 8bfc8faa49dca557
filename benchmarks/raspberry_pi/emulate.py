"""Does a Raspberry Pi compute what this machine computes?

Builds a throw-away Debian for aarch64 with the real wheels. In it, emulated as a Pi 4 and then as a Pi 5, it runs the
edge tests, classifies faces with both shipped networks, and runs the demo end to end. Every probability is compared
with this machine's. Exit code 1 if a bound is missed. Emulation says nothing about speed, so no times are reported.

    python -m benchmarks.raspberry_pi.emulate --json pi.json --data fer2013.csv
"""

import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.harness.options import FILE
from benchmarks.raspberry_pi import guest
from benchmarks.raspberry_pi.boards import BOARDS
from benchmarks.raspberry_pi.compare import Check, Probabilities, compare_crops, compare_runs
from benchmarks.raspberry_pi.crops import Crops, drawn_crops, public_test_crops
from benchmarks.raspberry_pi.root import REPOSITORY, make_root, required_program
from fer_edge.console import run_main
from fer_edge.files import check_writable, write_json
from fer_edge.system import machine_info

# Tests that can't run under user-mode emulation, by the start of their node id, and why.
LEFT_OUT = {
    "tests/edge/sources/test_v4l2.py::test_a_camera_in_use_is_refused_at_once_naming_the_program": (
        "the emulated /proc has the board's processor and lists no processes"
    ),
    "tests/edge/cli/test_doctor.py::test_a_network_that_does_not_run_is_bad[import os, signal": (
        "qemu prints a line when a program dies of a signal, and doctor reports that line"
    ),
}
COMPARED_VERSIONS = ("numpy", "onnxruntime", "opencv", "fer-edge")
YUNET_SHARE = 5  # yunet, slow under emulation, gets a fifth of the demo's frames

Checks = list[tuple[str, Check]]
"""Checks, each with the name of its group."""


@dataclass(frozen=True)
class Question:
    """The inputs of every machine: faces by their origin, the number of the demo's frames, yunet's file if given."""

    crops: dict[str, Crops]
    frames: int
    yunet: Path | None


@dataclass(frozen=True)
class Answer:
    """A machine's outputs: probabilities by crops and precision, JSON lines by demo, its description of itself."""

    probabilities: dict[str, dict[str, Probabilities]]
    demos: dict[str, list[dict[str, Any]]]
    about: dict[str, Any]


def log(text: str) -> None:
    """Log progress on stderr."""
    click.echo(f"make pi: {text}", err=True)


def run_all(machine: guest.Machine, question: Question, folder: Path) -> Answer:
    """Run everything on `machine`."""
    log(f"{machine.name}: classifies {sum(map(len, question.crops.values()))} faces")
    rows, about = guest.classify(machine, np.concatenate(list(question.crops.values())), folder)
    log(f"{machine.name}: runs {question.frames} frames of demo:")
    demos = {"demo:": guest.run_demo(machine, question.frames, folder)}
    if question.yunet is not None:
        frames = -(-question.frames // YUNET_SHARE)
        log(f"{machine.name}: runs {frames} frames of demo: with yunet")
        demos["demo:, yunet"] = guest.run_demo(machine, frames, folder, question.yunet)
    return Answer(split(question.crops, rows), demos, about)


def split(crops: dict[str, Crops], rows: dict[str, Probabilities]) -> dict[str, dict[str, Probabilities]]:
    """Split the rows of all crops by the crops' name and precision."""
    ends = np.cumsum([len(some) for some in crops.values()])[:-1]
    parts = {precision: np.split(all_rows, ends) for precision, all_rows in rows.items()}
    return {name: {precision: parts[precision][i] for precision in parts} for i, name in enumerate(crops)}


def compare(here: Answer, there: Answer) -> Checks:
    """All checks of the board's outputs against this machine's."""
    crops = [
        (name, check)
        for name, probabilities in here.probabilities.items()
        for check in compare_crops(probabilities, there.probabilities[name])
    ]
    return crops + [
        (name, check) for name, demo in here.demos.items() for check in compare_runs(demo, there.demos[name])
    ]


def check_board(
    machine: guest.Machine, question: Question, here: Answer, test_log: Path | None, folder: Path
) -> Checks:
    """All checks of `machine` against `here`; with a log file, also run the tests, in parallel."""
    with ThreadPoolExecutor(1) as beside:
        if test_log is not None:
            log(f"{machine.name}: runs tests/edge (tail -f {test_log})")
            testing = beside.submit(guest.run_tests, machine, tuple(LEFT_OUT), test_log)
        there = run_all(machine, question, folder)
        if any(there.about["versions"][name] != here.about["versions"][name] for name in COMPARED_VERSIONS):
            log(f"{machine.name}: versions differ: {there.about['versions']}, here {here.about['versions']}")
        checks = compare(here, there)
        return checks if test_log is None else [*checks, *test_checks(testing.result(), machine.name)]


def test_checks(ran: guest.TestRun, name: str) -> Checks:
    """The outcome of the tests as checks."""
    for test in ran.failed:
        log(f"{name}: {test} failed")
    found = (
        Check("passed", ran.passed, ">=", 1),
        Check("failed twice", len(ran.failed), "<=", 0),
        Check("failed once, passed when repeated", ran.repeated),
        Check("skipped", ran.skipped),
    )
    return [("tests/edge", check) for check in found]


def table(results: dict[str, Checks]) -> str:
    """A row per check, a column per board; missed bounds are marked."""
    names = [BOARDS[key].name for key in results]
    rows = [("", "", "bound", *names)]
    for checks in zip(*results.values(), strict=True):
        group, check = checks[0]
        bound = "" if check.limit is None else f"{check.bound} {check.limit:g}"
        rows.append((group, check.name, bound, *(shown(one) for _group, one in checks)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def shown(check: Check) -> str:
    """The value, with enough digits for counts and shares near 1."""
    value = f"{check.value:.3g}" if 0 < abs(check.value) < 0.01 else f"{check.value:.6g}"
    return value if check.passed else f"{value}  MISSED"


def as_json(results: dict[str, Checks], question: Question, here: Answer) -> dict[str, Any]:
    """The results as JSON; a value that could not be compared is null."""

    def entry(group: str, check: Check) -> dict[str, Any]:
        value = None if math.isnan(check.value) else check.value
        return asdict(check) | {"group": group, "value": value, "passed": check.passed}

    return {
        "schema": 1,
        "machine": machine_info(),
        "versions": here.about["versions"],
        "faces": {name: len(crops) for name, crops in question.crops.items()},
        "frames": {name: len(demo) for name, demo in here.demos.items()},
        "tests_left_out": LEFT_OUT,
        "boards": {
            key: {"name": BOARDS[key].name, "cpu": BOARDS[key].cpu, "checks": [entry(*pair) for pair in pairs]}
            for key, pairs in results.items()
        },
        "passed": passed(results),
    }


def passed(results: dict[str, Checks]) -> bool:
    """Whether every bound is kept."""
    return all(check.passed for pairs in results.values() for _group, check in pairs)


EXISTING = click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path)


@click.command(help=__doc__)
@click.option("--folder", type=FILE, default=REPOSITORY / ".pi", help="For downloads and the root.  [default: .pi]")
@click.option("--board", "boards", type=click.Choice(list(BOARDS)), multiple=True, help="Only this one.")
@click.option("--data", type=EXISTING, metavar="FILE", help="fer2013.csv: also classify PublicTest faces.")
@click.option(
    "--yunet",
    type=EXISTING,
    metavar="FILE",
    envvar="FER_YUNET",
    show_envvar=True,
    help="YuNet's ONNX file: also run the demo with it.",
)
@click.option("--faces", type=click.IntRange(1, 3000), default=300, show_default=True, help="Faces of each kind.")
@click.option("--frames", type=click.IntRange(1, 300), default=300, show_default=True, help="Frames of the demo.")
@click.option("--tests/--no-tests", default=True, help="Run the edge tests.  [default: yes]")
@click.option("--suite", default="bookworm", show_default=True, help="The Debian release.")
@click.option("--mirror", metavar="URL", help="The Debian archive.  [default: that of apt]")
@click.option("--json", "json_path", type=FILE, metavar="FILE", help="Write the results (replaces the file).")
def main(**options: Any) -> int:
    """Build, run, compare."""
    required_program(guest.EMULATOR, "qemu-user-static")
    folder, json_path = options["folder"].resolve(), options["json_path"]
    folder.mkdir(parents=True, exist_ok=True)
    if json_path is not None:
        check_writable(json_path, overwrite=True)
    root = make_root(folder, options["suite"], options["mirror"], log)
    crops = {"drawn faces": drawn_crops(options["faces"])}
    if options["data"] is not None:
        crops["PublicTest faces"] = public_test_crops(options["data"], options["faces"])
    question = Question(crops, options["frames"], options["yunet"])
    results: dict[str, Checks] = {}
    with tempfile.TemporaryDirectory() as scratch:
        here = run_all(guest.this_machine(), question, Path(scratch))
        for key in options["boards"] or BOARDS:
            machine = guest.emulate(BOARDS[key], root, folder / f"debs-{options['suite']}")
            test_log = folder / f"tests-{key}.log" if options["tests"] else None
            results[key] = check_board(machine, question, here, test_log, Path(scratch))
            if json_path is not None:  # after each board: a run is long
                write_json(json_path, as_json(results, question, here))
    click.echo(table(results))
    for test, reason in LEFT_OUT.items() if options["tests"] else ():
        click.echo(f"left out: {test}...: {reason}")
    return 0 if passed(results) else 1


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.raspberry_pi.emulate")
