"""Is what a Raspberry Pi computes what this machine computes?

Builds a throw-away Debian for aarch64 with the real wheels, and in it, emulated as a Pi 4 and then as a Pi 5, runs the
edge test-suite, asks both shipped networks about faces, and runs the demo end to end. Every probability is
compared with this machine's. Exit code 1 if a bound is missed. Emulation says nothing about speed, and no time is told.

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

from benchmarks.raspberry_pi import guest
from benchmarks.raspberry_pi.boards import BOARDS
from benchmarks.raspberry_pi.compare import Check, Probabilities, compare_crops, compare_runs
from benchmarks.raspberry_pi.crops import Crops, drawn_crops, public_test_crops
from benchmarks.raspberry_pi.root import REPOSITORY, make_root, need
from fer_edge.console import run_main
from fer_edge.files import check_writable, write_json
from fer_edge.system import machine_info

# Tests that can't run under user-mode emulation, by the start of their node id, and why.
LEFT_OUT = {
    "tests/edge/test_v4l2.py::test_a_camera_in_use_is_refused_at_once_with_the_name_of_its_user": (
        "the board's /proc, which holds its processor, lists no processes"
    ),
    "tests/edge/test_doctor.py::test_a_network_that_does_not_run_is_bad[import os, signal": (
        "qemu says a line of its own when a program dies of a signal, and doctor tells that line"
    ),
}
COMPARED_VERSIONS = ("numpy", "onnxruntime", "opencv", "fer-edge")
YUNET_SHARE = 5  # of the demo's frames one in so many is watched through yunet, which is slow under emulation

Checks = list[tuple[str, Check]]
"""Checks, each with the name of its group."""


@dataclass(frozen=True)
class Question:
    """What every machine is asked: faces by where they come from, so many frames of the demo, yunet's file if given."""

    crops: dict[str, Crops]
    frames: int
    yunet: Path | None


@dataclass(frozen=True)
class Answer:
    """Probabilities by crops and precision, JSON lines by the demo's name, what the machine says of itself."""

    probabilities: dict[str, dict[str, Probabilities]]
    demos: dict[str, list[dict[str, Any]]]
    about: dict[str, Any]


def tell(text: str) -> None:
    """Say on stderr what goes on."""
    click.echo(f"make pi: {text}", err=True)


def answer(machine: guest.Machine, question: Question, folder: Path) -> Answer:
    """What `machine` says."""
    tell(f"{machine.name}: classifies {sum(map(len, question.crops.values()))} faces")
    rows, about = guest.ask(machine, np.concatenate(list(question.crops.values())), folder)
    tell(f"{machine.name}: watches {question.frames} frames of demo:")
    demos = {"demo:": guest.watch_demo(machine, question.frames, folder)}
    if question.yunet is not None:
        frames = -(-question.frames // YUNET_SHARE)
        tell(f"{machine.name}: watches {frames} frames of demo: through yunet")
        demos["demo:, yunet"] = guest.watch_demo(machine, frames, folder, question.yunet)
    return Answer(split(question.crops, rows), demos, about)


def split(crops: dict[str, Crops], rows: dict[str, Probabilities]) -> dict[str, dict[str, Probabilities]]:
    """The rows about all crops, one after the other, by the crops' name and precision."""
    ends = np.cumsum([len(some) for some in crops.values()])[:-1]
    parts = {precision: np.split(all_rows, ends) for precision, all_rows in rows.items()}
    return {name: {precision: parts[precision][i] for precision in parts} for i, name in enumerate(crops)}


def compare(here: Answer, there: Answer) -> Checks:
    """All that was asked, this machine's answer against the board's."""
    crops = [
        (name, check)
        for name, probabilities in here.probabilities.items()
        for check in compare_crops(probabilities, there.probabilities[name])
    ]
    return crops + [
        (name, check) for name, demo in here.demos.items() for check in compare_runs(demo, there.demos[name])
    ]


def check_board(machine: guest.Machine, question: Question, here: Answer, log: Path | None, folder: Path) -> Checks:
    """What `machine` does against `here`; with a log also the tests, beside the rest, since there may be two cores."""
    with ThreadPoolExecutor(1) as beside:
        if log is not None:
            tell(f"{machine.name}: runs tests/edge (tail -f {log})")
            testing = beside.submit(guest.run_tests, machine, tuple(LEFT_OUT), log)
        there = answer(machine, question, folder)
        if any(there.about["versions"][name] != here.about["versions"][name] for name in COMPARED_VERSIONS):
            tell(f"{machine.name}: versions differ: {there.about['versions']}, here {here.about['versions']}")
        checks = compare(here, there)
        return checks if log is None else [*checks, *test_checks(testing.result(), machine.name)]


def test_checks(ran: guest.TestRun, name: str) -> Checks:
    """The outcome of the tests as checks."""
    for test in ran.failed:
        tell(f"{name}: {test} failed")
    found = (
        Check("passed", ran.passed, ">=", 1),
        Check("failed twice", len(ran.failed), "<=", 0),
        Check("failed once, passed when repeated", ran.repeated),
        Check("skipped", ran.skipped),
    )
    return [("tests/edge", check) for check in found]


def table(results: dict[str, Checks]) -> str:
    """One row a check, one column a board; a missed bound is marked."""
    names = [BOARDS[key].name for key in results]
    rows = [("", "", "bound", *names)]
    for checks in zip(*results.values(), strict=True):
        group, check = checks[0]
        bound = "" if check.limit is None else f"{check.bound} {check.limit:g}"
        rows.append((group, check.name, bound, *(shown(one) for _group, one in checks)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = (zip(row, widths, strict=True) for row in rows)
    return "\n".join("  ".join(cell.ljust(width) for cell, width in row).rstrip() for row in padded)


def shown(check: Check) -> str:
    """The value, all its digits if it is a count or nearly 1."""
    value = f"{check.value:.3g}" if 0 < abs(check.value) < 0.01 else f"{check.value:.6g}"
    return value if check.passed else f"{value}  MISSED"


def as_json(results: dict[str, Checks], question: Question, here: Answer) -> dict[str, Any]:
    """The results for a file; a value that could not be compared is null."""

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


FILE = click.Path(path_type=Path)
EXISTING = click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path)


@click.command(help=__doc__)
@click.option("--folder", type=FILE, default=REPOSITORY / ".pi", help="For downloads and the root.  [default: .pi]")
@click.option("--board", "boards", type=click.Choice(list(BOARDS)), multiple=True, help="This one alone.")
@click.option("--data", type=EXISTING, metavar="FILE", help="fer2013.csv: ask about its PublicTest, too.")
@click.option("--yunet", type=EXISTING, metavar="FILE", help="YuNet's ONNX file: watch the demo through it, too.")
@click.option("--faces", type=click.IntRange(1, 3000), default=300, show_default=True, help="Of each kind.")
@click.option("--frames", type=click.IntRange(1, 300), default=300, show_default=True, help="Of the demo.")
@click.option("--tests/--no-tests", default=True, help="Run the edge test-suite.  [default: yes]")
@click.option("--suite", default="bookworm", show_default=True, help="The Debian release.")
@click.option("--mirror", metavar="URL", help="The Debian archive.  [default: this machine's]")
@click.option("--json", "json_path", type=FILE, metavar="FILE", help="The results (an existing file is replaced).")
def main(**options: Any) -> int:
    """Build, ask, compare."""
    need(guest.EMULATOR, "qemu-user-static")
    folder, json_path = options["folder"].resolve(), options["json_path"]
    folder.mkdir(parents=True, exist_ok=True)
    if json_path is not None:
        check_writable(json_path, overwrite=True)
    root = make_root(folder, options["suite"], options["mirror"], tell)
    crops = {"drawn faces": drawn_crops(options["faces"])}
    if options["data"] is not None:
        crops["PublicTest faces"] = public_test_crops(options["data"], options["faces"])
    question = Question(crops, options["frames"], options["yunet"])
    results: dict[str, Checks] = {}
    with tempfile.TemporaryDirectory() as scratch:
        here = answer(guest.this_machine(), question, Path(scratch))
        for key in options["boards"] or BOARDS:
            machine = guest.imitate(BOARDS[key], root, folder / f"debs-{options['suite']}")
            log = folder / f"tests-{key}.log" if options["tests"] else None
            results[key] = check_board(machine, question, here, log, Path(scratch))
            if json_path is not None:  # after each board: a run is long
                write_json(json_path, as_json(results, question, here))
    click.echo(table(results))
    for test, reason in LEFT_OUT.items() if options["tests"] else ():
        click.echo(f"left out: {test}...: {reason}")
    return 0 if passed(results) else 1


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.raspberry_pi.emulate")
