"""How much memory do hostile inputs take: images, videos, tables and archives that claim gigabytes?

Each input is read by the command in a separate process, whose peak memory is measured. fer-train's is counted above a
run on a small table, which has the same imports.

    python -m benchmarks.speed.limits --json limits.json
"""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.harness.options import results_command
from benchmarks.harness.results import Results
from benchmarks.harness.tables import Table
from benchmarks.speed.hostile import FOR_EDGE, FOR_TRAIN, HEADER, EndlessStream
from fer_edge.console import run_main

MAX_EDGE_MB, MAX_TRAIN_MB = 400, 200  # fer-train's above its imports
TIMEOUT_S = 120
# A process inherits its parent's peak, so a small one starts the command and prints its status and peak in KiB.
LAUNCHER = """
import os, signal, subprocess, sys
process = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL)
signal.signal(signal.SIGALRM, lambda *_: process.kill())
signal.alarm(int(sys.argv[1]))
_, status, usage = os.wait4(process.pid, 0)
print(status, usage.ru_maxrss)
"""
STREAMS = {"MJPEG part of 2 GB over HTTP": "part", "MJPEG without a boundary over HTTP": "boundary"}


class Ended(NamedTuple):
    """How a command ended, its peak memory in MB and the first line of its stderr."""

    code: int
    peak_mb: float
    line: str


def run_measured(arguments: Sequence[str]) -> Ended:
    """Run `python -m ARGUMENTS` to its end; a negative code if it takes longer than TIMEOUT_S."""
    command = [sys.executable, "-c", LAUNCHER, str(TIMEOUT_S), sys.executable, "-m", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    status, peak_kib = map(int, ran.stdout.split())
    lines = ran.stderr.strip().splitlines()
    return Ended(os.waitstatus_to_exitcode(status), peak_kib * 1024 / 1e6, lines[0] if lines else "")


@contextmanager
def endless_streams() -> Iterator[str]:
    """The address of a server of endless streams."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EndlessStream) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def measure_edge(names: Callable[[str], bool]) -> Iterator[tuple[str, Ended]]:
    """fer-edge on each input that `names` selects."""
    for name, make in FOR_EDGE.items():
        if names(name):
            with tempfile.TemporaryDirectory() as folder:
                yield name, run_measured(["fer_edge", str(make(Path(folder))), "--headless"])
    with endless_streams() as address:
        for name, path in STREAMS.items():
            if names(name):
                yield name, run_measured(["fer_edge", f"{address}/{path}", "--headless", "--duration", "2"])


def measure_train(names: Callable[[str], bool]) -> Iterator[tuple[str, Ended]]:
    """fer-train on each input that `names` selects, without the memory that a small table takes."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.csv"
        small.write_bytes(HEADER + b"0," + b"7 " * 48 * 48 + b",Training\n")
        imports = run_measured(["fer_train", "summary", "--data", str(small)])
    for name, make in FOR_TRAIN.items():
        if names(name):
            with tempfile.TemporaryDirectory() as folder:
                ended = run_measured(["fer_train", "summary", "--data", str(make(Path(folder)))])
            yield name, ended._replace(peak_mb=ended.peak_mb - imports.peak_mb)


def rows_of(measured: Iterator[tuple[str, Ended]]) -> list[list[str]]:
    """Table rows of what was measured."""
    return [[name, f"{ended.peak_mb:.0f} MB", str(ended.code)] for name, ended in measured]


@click.command(help=__doc__)
@click.option("--only", default="", metavar="TEXT", help="Only inputs whose names contain this.")
@results_command()
def main(only: str) -> Results:
    """Measure, print, write."""
    results = Results("limits", "How much memory do hostile inputs take?")
    edge, train = rows_of(measure_edge(lambda name: only in name)), rows_of(measure_train(lambda name: only in name))
    results.tables.append(Table("fer-edge", ("input", "peak memory", "exit code"), edge, f"Bound: {MAX_EDGE_MB} MB."))
    bound = f"Bound: {MAX_TRAIN_MB} MB above a run on a small table."
    results.tables.append(Table("fer-train", ("input", "peak memory above imports", "exit code"), train, bound))
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.limits")
