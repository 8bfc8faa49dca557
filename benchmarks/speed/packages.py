"""How many packages does installing each recognizer bring?

Asks pip what it would install into an empty environment; nothing is installed. torch is held at the release that
fer-train needs, whose CPU build brings no GPU packages. --npm counts the packages of a node_modules folder.

    python -m benchmarks.speed.packages --json packages.json
    python -m benchmarks.speed.packages --package fer --npm face-api=node_modules
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.harness.options import results_command
from benchmarks.harness.results import Results
from benchmarks.harness.tables import Table
from benchmarks.harness.timing import progress
from benchmarks.peers import one_line
from fer_edge.console import run_main
from fer_edge.errors import DataError, FerError

ROOT = Path(__file__).parents[2]
REQUIREMENTS: Mapping[str, Sequence[str]] = {
    "fer-edge": (str(ROOT),),
    "fer": ("fer",),
    "deepface": ("deepface",),
    "hsemotion-onnx": ("hsemotion-onnx",),
    "opencv-zoo": ("opencv-python", "numpy"),  # what its demo imports
}
CONSTRAINT = "torch==2.13.0"
LOCK = Path(".package-lock.json")


def resolved(requirements: Sequence[str]) -> list[tuple[str, str]]:
    """Name and version of every package that pip would install, sorted; FerError if pip can't resolve them."""
    with tempfile.TemporaryDirectory() as folder:
        constraints, report = Path(folder) / "constraints.txt", Path(folder) / "report.json"
        constraints.write_text(CONSTRAINT, encoding="utf-8")
        options = ["--dry-run", "--ignore-installed", "--quiet", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "install", *options, "--constraint", str(constraints)]
        ran = subprocess.run(
            [*command, "--report", str(report), *requirements], capture_output=True, text=True, check=False
        )
        if ran.returncode:
            raise FerError(f"pip can't resolve {' '.join(requirements)} ({one_line(RuntimeError(ran.stderr))})")
        return installs(json.loads(report.read_text(encoding="utf-8")))


def installs(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and version of each package in pip's report (its "install"), sorted."""
    return sorted((item["metadata"]["name"].lower(), item["metadata"]["version"]) for item in report["install"])


def npm_packages(modules: Path) -> list[tuple[str, str]]:
    """Name and version of each package that npm put into a node_modules folder; DataError if npm did not write it."""
    try:
        listed = json.loads((modules / LOCK).read_text(encoding="utf-8"))["packages"]
        return sorted((name.rpartition("node_modules/")[2], each["version"]) for name, each in listed.items() if name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{modules} does not hold npm's {LOCK} ({error}): run npm install") from error


def measure(names: Sequence[str], npm: Sequence[str]) -> Results:
    """Count the packages of each recognizer; one that pip can't resolve is skipped."""
    results = Results("packages", "How many packages does installing each recognizer bring?")
    found: dict[str, list[tuple[str, str]]] = {}
    for name in progress(list(names or REQUIREMENTS), "recognizers"):
        try:
            found[name] = resolved(REQUIREMENTS[name])
        except FerError as error:
            results.skip(str(error))
    for spec in npm:
        name, _, folder = spec.rpartition("=")
        found[name or "npm"] = npm_packages(Path(folder))
    releases = {name: dict(packages)[name] for name, packages in found.items() if name in dict(packages)}
    rows = [(name, releases.get(name, "–"), str(len(packages))) for name, packages in found.items()]
    note = f"With {CONSTRAINT} where torch is needed. The recognizer itself counts. The results file names them all."
    results.tables = [Table("Packages", ("", "release", "packages"), rows, note)]
    results.values = {
        "packages": {name: len(packages) for name, packages in found.items()},
        "releases": releases,
        "names": {name: [" ".join(each) for each in packages] for name, packages in found.items()},
    }
    return results


@click.command(help=__doc__)
@click.option("--package", "names", multiple=True, type=click.Choice(list(REQUIREMENTS)),
              help="Only this one.  Repeatable.")  # fmt: skip
@click.option("--npm", multiple=True, metavar="NAME=DIR", help="Also a node_modules folder.  Repeatable.")
@results_command()
def main(**options: Any) -> Results:
    """Count, print, write."""
    return measure(**options)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.packages")
