"""Python on a machine: this one, or a Raspberry Pi that qemu emulates in the root."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

import numpy as np

from benchmarks.raspberry_pi.boards import Board, write_processor_files
from benchmarks.raspberry_pi.compare import Probabilities
from benchmarks.raspberry_pi.crops import Crops
from benchmarks.raspberry_pi.root import REPOSITORY, SITE, last_line, python_version, required_program
from fer_edge.errors import FerError

EMULATOR = "qemu-aarch64-static"
# A script, so that this machine's kernel can start sys.executable: tests and doctor start child processes.
LAUNCHER = """#!/bin/sh
PYTHONHOME='{root}/usr' PYTHONPATH='{root}/{site}' PYTHONNOUSERSITE=1 PYTHONPYCACHEPREFIX='{root}/pycache' \\
    exec '{emulator}' -cpu {cpu} -0 "$0" -L '{root}' '{root}/usr/bin/python{version}' "$@"
"""
TIMEOUT_S = 3600


@dataclass(frozen=True)
class Machine:
    """A machine: its name and its Python."""

    name: str
    python: Path

    def run(self, *arguments: str | Path, log: IO[str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Run Python with `arguments` in the repository; its output is captured, or written to `log`."""
        # The user's defaults must not affect the comparison, and an emulated network is slow.
        environment = os.environ | {"FER_EDGE_DEFAULTS": "", "FER_EDGE_MAX_MODEL_SECONDS": str(TIMEOUT_S)}
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "PYTHONPATH", "PYTHONHOME"):
            environment.pop(name, None)
        command = [str(self.python), *map(str, arguments)]
        output = log or subprocess.PIPE
        try:
            return subprocess.run(
                command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                text=True, timeout=TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise FerError(f"{self.name}: {' '.join(command[1:4])} did not end within {TIMEOUT_S} s") from error

    def must_run(self, *arguments: str | Path) -> str:
        """Run Python and return its stdout; FerError if it fails."""
        ran = self.run(*arguments)
        if ran.returncode != 0:
            why = f"signal {-ran.returncode}" if ran.returncode < 0 else f"exit code {ran.returncode}"
            raise FerError(f"{self.name}: python {' '.join(map(str, arguments))} ended with {why}: {last_line(ran)}")
        return str(ran.stdout)


def this_machine() -> Machine:
    """This machine, with this Python."""
    return Machine("this machine", Path(sys.executable))


def emulate(board: Board, root: Path, debs: Path) -> Machine:
    """Make the root look like that board."""
    write_processor_files(root, board)
    launcher = root / "usr/bin/python-pi"
    text = LAUNCHER.format(
        root=root, site=SITE, cpu=board.cpu, version=python_version(debs),
        emulator=required_program(EMULATOR, "qemu-user-static"),
    )  # fmt: skip
    launcher.write_text(text, encoding="utf-8")
    launcher.chmod(0o755)
    return Machine(board.name, launcher)


def classify(machine: Machine, crops: Crops, folder: Path) -> tuple[dict[str, Probabilities], dict[str, Any]]:
    """Probabilities of `crops` by precision, and the machine's description of itself."""
    inputs, outputs = folder / "crops.npz", folder / "answers.npz"
    np.savez(inputs, crops=crops)
    # By path: the guest has the runtime's packages, but not those that the benchmarks import.
    about: dict[str, Any] = json.loads(machine.must_run(Path(__file__).with_name("answers.py"), inputs, outputs))
    with np.load(outputs) as archive:
        return {precision: archive[precision] for precision in ("fp32", "int8")}, about


def run_demo(machine: Machine, frames: int, folder: Path, yunet: Path | None = None) -> list[dict[str, Any]]:
    """The JSON lines of the first `frames` of `fer-edge --source demo:`, int8, with luma, or with yunet's file."""
    path = folder / "demo.jsonl"
    machine.must_run(
        "-m", "fer_edge", "--source", "demo:", "--lossless", "--headless", "--precision", "int8",
        "--max-frames", str(frames), "--json", path, "--overwrite",
        *(() if yunet is None else ("--detector-model", yunet)),
    )  # fmt: skip
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@dataclass(frozen=True)
class TestRun:
    """The outcome of the edge tests. failed: names of those that failed twice; repeated: how many failed once."""

    passed: int
    skipped: int
    failed: tuple[str, ...]
    repeated: int = 0


def run_tests(machine: Machine, left_out: tuple[str, ...], log: Path) -> TestRun:
    """Run tests/edge without those whose node ids begin with one of `left_out`; pytest's output goes to `log`.

    Failed tests run once more: some have time limits that emulation can exceed.
    """
    with log.open("w", encoding="utf-8") as file:
        first = _pytest(machine, left_out, log, file)
        if not first.failed:
            return first
        second = _pytest(machine, left_out, log, file, "--last-failed")
    return TestRun(first.passed + second.passed, first.skipped, second.failed, second.passed)


def _pytest(machine: Machine, left_out: tuple[str, ...], log: Path, file: IO[str], *options: str) -> TestRun:
    report = log.with_suffix(".xml")
    report.unlink(missing_ok=True)
    machine.run(
        "-m", "pytest", "tests/edge", "-o", f"cache_dir={log.with_suffix('.cache')}", f"--junitxml={report}", *options,
        *(f"--deselect={test}" for test in left_out), log=file,
    )  # fmt: skip
    try:
        return read_junit(report.read_text(encoding="utf-8"))
    except (OSError, ElementTree.ParseError) as error:
        raise FerError(f"{machine.name}: pytest did not finish; {log} says why") from error


def read_junit(text: str) -> TestRun:
    """The outcome in pytest's JUnit XML; ParseError if it is not XML."""
    cases = list(ElementTree.fromstring(text).iter("testcase"))
    failed = tuple(
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    )
    skipped = sum(case.find("skipped") is not None for case in cases)
    return TestRun(len(cases) - len(failed) - skipped, skipped, failed)
