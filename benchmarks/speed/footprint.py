"""How much does it take: the wheel, what each extra installs, the time to start, and memory?

Builds the wheel, installs it into a fresh virtual environment per extra, and measures there: size on disk, packages,
the time of imports, of --help and from the start of fer-edge to its first result on an image, and its peak memory.
With --quick nothing is installed: the sizes are those of this environment's packages, found through their declared
dependencies, and the times are this environment's.

    python -m benchmarks.speed.footprint --json footprint.json --plot footprint.png
    python -m benchmarks.speed.footprint --quick
"""

import importlib.metadata
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from packaging.requirements import Requirement

from benchmarks.harness.options import results_command, rounds_option
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.processes import IMPORT_LIBRARIES, MB, first_result, import_libraries, write_face
from benchmarks.harness.results import Results, figure
from benchmarks.harness.tables import Table, number
from benchmarks.harness.timing import Job, elapsed_s, interleave, ratios
from fer_edge.console import run_main
from fer_edge.errors import FerError
from fer_models import model_path

ROOT = Path(__file__).parents[2]
DISTRIBUTION = "fer-edge"
EXTRAS = ("base", "train", "export")
LISTING = """
import importlib.metadata, json
def size(distribution):
    files = {file.locate() for file in distribution.files or [] if file.suffix != ".pyc"}
    return sum(path.stat().st_size for path in files if path.is_file())
print(json.dumps({each.name: size(each) for each in importlib.metadata.distributions()}))
"""


@dataclass(frozen=True)
class Install:
    """What an extra installs. packages: bytes by distribution; python: the interpreter of its environment."""

    extra: str
    packages: Mapping[str, int]
    python: Path

    @property
    def total_mb(self) -> float:
        """The size of all packages in 10^6 bytes."""
        return sum(self.packages.values()) / MB


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout in `folder`; FerError if that fails."""
    options = ["--quiet", "--no-deps", "--disable-pip-version-check", "--wheel-dir", str(folder), str(ROOT)]
    command = [sys.executable, "-m", "pip", "wheel", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if ran.returncode or not wheels:
        raise FerError(f"the wheel can't be built ({' '.join(ran.stderr.split())[-200:]}): is the registry reachable?")
    return wheels[0]


def normalized_name(name: str) -> str:
    """The name of a distribution as the registry compares names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def size_of(name: str) -> int:
    """Bytes of a distribution's installed files, without compiled .pyc files."""
    files = importlib.metadata.files(name) or []
    paths = {Path(str(file.locate())) for file in files if file.suffix != ".pyc"}
    return sum(path.stat().st_size for path in paths if path.is_file())


def closure(extra: str) -> set[str]:
    """The installed distributions that fer-edge with `extra` ("base": none) depends on, itself included."""
    wanted: list[tuple[str, frozenset[str]]] = [(DISTRIBUTION, frozenset() if extra == "base" else frozenset([extra]))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        name, extras = wanted.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            declared = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            seen.discard((name, extras))
            continue
        for requirement in map(Requirement, declared):
            if requirement.marker is None or any(
                requirement.marker.evaluate({"extra": each}) for each in (extras or {""})
            ):
                wanted.append((normalized_name(requirement.name), frozenset(requirement.extras)))
    return {name for name, _ in seen}


def installed_here(extra: str, wheel: Path) -> Install:
    """What this environment has of an extra; fer-edge may be installed editable, so the wheel gives its size."""
    packages = {name: size_of(name) for name in closure(extra) if name != DISTRIBUTION}
    return Install(extra, packages | {DISTRIBUTION: unpacked_bytes(wheel)}, Path(sys.executable))


def unpacked_bytes(wheel: Path) -> int:
    """Bytes of the wheel's contents."""
    with zipfile.ZipFile(wheel) as archive:
        return sum(item.file_size for item in archive.infolist())


def installed_fresh(extra: str, wheel: Path, folder: Path) -> Install:
    """Install the wheel with the extra into a fresh virtual environment; FerError if pip fails."""
    where = folder / extra
    venv.create(where, with_pip=True)
    wanted = str(wheel) if extra == "base" else f"{wheel}[{extra}]"
    python = where / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wanted]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise FerError(f"pip can't install {DISTRIBUTION}[{extra}] ({' '.join(ran.stderr.split())[-200:]})")
    listed = json.loads(subprocess.run([python, "-c", LISTING], capture_output=True, text=True, check=True).stdout)
    own_tools = {"pip", "setuptools"}
    return Install(
        extra, {normalized_name(name): size for name, size in listed.items() if name not in own_tools}, python
    )


def clean_environment() -> dict[str, str]:
    """This process's environment without PYTHON* variables, which would change the interpreter that is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def runs(python: Path, *arguments: str) -> Job:
    """A job that runs python with these arguments and returns the seconds until it ends."""

    def job() -> float:
        return elapsed_s(
            lambda: subprocess.run(
                [python, *arguments], check=True, capture_output=True, env=clean_environment(), cwd="/"
            )
        )

    return job


def starting_jobs(install: Install, image: Path, peaks: list[float]) -> dict[str, Job]:
    """What is timed in one environment; `peaks` collects the peak memory of fer-edge in MB."""

    def first() -> float:
        took, peak = first_result(install.python, image, clean_environment())
        peaks.append(peak)
        return took

    jobs: dict[str, Job] = {
        "python alone": runs(install.python, "-c", "pass"),
        "import fer_edge": runs(install.python, "-c", "import fer_edge"),
        IMPORT_LIBRARIES: runs(install.python, "-c", IMPORT_LIBRARIES),
        "fer-edge --help": runs(install.python, "-m", "fer_edge", "--help"),
        "fer-edge, start to first result": first,
    }
    if install.extra != "base":
        jobs["fer-train --help"] = runs(install.python, "-m", "fer_train", "--help")
        jobs["import torch"] = runs(install.python, "-c", "import torch")
    if install.extra == "export":
        jobs["fer-export --help"] = runs(install.python, "-m", "fer_export.cli", "--help")
    return jobs


def time_starts(install: Install, rounds: int, folder: Path, results: Results) -> dict[str, Any]:
    """Add start times and memory of one environment to the figures; the medians, by name."""
    peaks: list[float] = []
    taken = interleave(
        starting_jobs(install, write_face(folder), peaks), rounds, results.probe, f"[{install.extra}] starts"
    )
    libraries = [import_libraries(install.python, clean_environment())[1] for _ in range(3)]
    where = f"[{install.extra}]"
    first, imports = taken["fer-edge, start to first result"], taken[IMPORT_LIBRARIES]
    results.figures += [
        figure(f"start to first result / import cv2, onnxruntime, {where}", ratios(first, imports), ratio=True),
        *(figure(f"{name}, {where}", values, "s") for name, values in taken.items()),
        figure(f"peak memory of fer-edge, {where}", peaks[1:], "MB", note="one image, luma, int8"),
        figure(f"peak memory of import cv2, onnxruntime, {where}", libraries, "MB"),
    ]
    medians = {name: round(statistics.median(values), 4) for name, values in taken.items()}
    return medians | {"peak_mb": statistics.median(peaks[1:]), "libraries_peak_mb": statistics.median(libraries)}


def size_table(installs: Sequence[Install], wheel: Path, quick: bool) -> Table:
    """A row per extra."""
    rows = [("wheel", "1", f"{wheel.stat().st_size / MB:.2f}", "the file that is downloaded")]
    rows.append((f"{DISTRIBUTION} unpacked", "1", f"{unpacked_bytes(wheel) / MB:.2f}", "our packages and networks"))
    for install in installs:
        largest = sorted(install.packages.items(), key=lambda item: -item[1])[:4]
        shown = ", ".join(f"{name} {size / MB:.0f}" for name, size in largest)
        rows.append((f"[{install.extra}] installed", str(len(install.packages)), f"{install.total_mb:.1f}", shown))
    how = "this environment's packages, by declared dependencies" if quick else "fresh virtual environments"
    note = f"Sizes in MB (10^6 bytes) without compiled .pyc files, pip and setuptools; {how}."
    return Table("Sizes", ("", "packages", "MB", "largest"), rows, note)


def measure(extras: Sequence[str], quick: bool, rounds: int) -> Results:
    """Build the wheel, install it per extra, measure."""
    results = Results("footprint", "How much does it take: on the disk, to start, in memory?")
    results.threads = "Threads: fer-edge's own default; every start is a fresh process with warm disk caches."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build_wheel(folder)
        if quick:
            results.skip("fresh environments per extra (--quick): sizes and times are those of this environment")
            installs = [installed_here(extra, wheel) for extra in extras]
            timed = installs[:1]
        else:
            installs = [installed_fresh(extra, wheel, folder) for extra in extras]
            timed = installs
        starts = {install.extra: time_starts(install, rounds, folder, results) for install in timed}
        results.tables.append(size_table(installs, wheel, quick))
        results.values = {
            "networks_mb": {name: model_path(name).stat().st_size / MB for name in ("int8", "fp32")},
            "quick": quick, "wheel_mb": wheel.stat().st_size / MB, "starts": starts,
            "installed_mb": {install.extra: round(install.total_mb, 2) for install in installs},
            "packages": {install.extra: len(install.packages) for install in installs},
            "largest_mb": {
                install.extra: {name: round(size / MB, 2) for name, size in install.packages.items()}
                for install in installs
            },
        }  # fmt: skip
    return results


def plot(results: Results) -> Any:
    """Installed size per extra and package, and the start times of the first extra."""
    values = results.values
    canvas = new_figure(11, 3.6)
    left, right = canvas.subplots(1, 2)
    draw_sizes(left, values["largest_mb"])
    extra, starts = next(iter(values["starts"].items()))
    named = {name: value for name, value in starts.items() if not name.endswith("_mb")}
    bars = right.barh(range(len(named)), [1000 * value for value in named.values()], color=COLORS[0])
    right.bar_label(bars, [f"{1000 * value:.0f}" for value in named.values()], padding=3, fontsize=8)
    right.set_yticks(range(len(named)), list(named))
    right.invert_yaxis()
    right.margins(x=0.15)
    right.set(xlabel="ms (median)", title=f"Starting, [{extra}]")
    return canvas


def draw_sizes(axes: Any, sizes: Mapping[str, Mapping[str, float]]) -> None:
    """A stacked bar per extra: the largest packages by name, the others as one."""
    everywhere = {name: max(of.get(name, 0.0) for of in sizes.values()) for of in sizes.values() for name in of}
    shown = sorted(everywhere, key=lambda name: -everywhere[name])[:6]
    starts = [0.0] * len(sizes)
    parts = [(name, [of.get(name, 0.0) for of in sizes.values()]) for name in shown]
    others = [sum(size for name, size in of.items() if name not in shown) for of in sizes.values()]
    for index, (name, values) in enumerate([*parts, ("others", others)]):
        axes.barh(range(len(sizes)), values, left=starts, color=COLORS[index], label=name)
        starts = [start + value for start, value in zip(starts, values, strict=True)]
    for row, total in enumerate(starts):
        axes.annotate(f" {number(total)} MB", (total, row), va="center", fontsize=8)
    axes.set_yticks(range(len(sizes)), [f"[{name}]" for name in sizes])
    axes.invert_yaxis()
    axes.margins(x=0.22)
    axes.set(xlabel="MB installed", title="Installed size")
    axes.legend(frameon=False, fontsize=7, loc="upper right", ncols=2)


@click.command(help=__doc__)
@click.option("--extra", "extras", multiple=True, type=click.Choice(EXTRAS), default=EXTRAS, show_default=True,
              help="Only these.  Repeatable.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Measure this environment, without fresh ones.")
@rounds_option(7)
@results_command(plot)
def main(**options: Any) -> Results:
    """Measure, print, write, draw."""
    return measure(**options)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.footprint")
