"""How much does it take: the wheel, what each extra installs, the time to start, and memory?

Builds the wheel, installs it into a fresh virtual environment per extra, and measures there: size on disk, packages,
the time of imports and of --help, from starting fer-edge to its first result on a picture, and the peak of its
memory. With --quick nothing is installed: sizes are those of the packages that this environment already has, found
through their declared dependencies, and the times are this environment's.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from packaging.requirements import Requirement

from benchmarks.harness.measuring import Job, Results, check_outputs, figure, in_turns, ratios, seconds
from benchmarks.harness.presenting import COLORS, Table, new_figure, number, save_plot
from fer_edge.console import run_main
from fer_edge.demo.scene import draw_scene
from fer_edge.errors import FerError
from fer_edge.opencv import cv2
from fer_models import model_path

ROOT = Path(__file__).parents[2]
DISTRIBUTION = "fer-edge"
EXTRAS = ("base", "train", "export")
MB = 1e6
LISTING = """
import importlib.metadata, json
def size(distribution):
    files = {file.locate() for file in distribution.files or [] if file.suffix != ".pyc"}
    return sum(path.stat().st_size for path in files if path.is_file())
print(json.dumps({each.name: size(each) for each in importlib.metadata.distributions()}))
"""
PEAK = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], flush=True)"


@dataclass(frozen=True)
class Install:
    """What one extra puts on the disk. packages: its distributions and their bytes; python: to measure with."""

    extra: str
    packages: Mapping[str, int]
    python: Path

    @property
    def total_mb(self) -> float:
        """All of them in 10^6 bytes."""
        return sum(self.packages.values()) / MB


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout, in `folder`; FerError if it can't be built."""
    options = ["--quiet", "--no-deps", "--disable-pip-version-check", "--wheel-dir", str(folder), str(ROOT)]
    command = [sys.executable, "-m", "pip", "wheel", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if ran.returncode or not wheels:
        raise FerError(f"the wheel can't be built ({' '.join(ran.stderr.split())[-200:]}): is the registry reachable?")
    return wheels[0]


def normal(name: str) -> str:
    """A distribution's name as the registry compares names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def size_of(name: str) -> int:
    """Bytes of the installed files of a distribution, without compiled Python."""
    files = importlib.metadata.files(name) or []
    paths = {Path(str(file.locate())) for file in files if file.suffix != ".pyc"}
    return sum(path.stat().st_size for path in paths if path.is_file())


def closure(extra: str) -> set[str]:
    """The distributions that DISTRIBUTION with `extra` ("base": none) needs, as far as they are installed here."""
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
                wanted.append((normal(requirement.name), frozenset(requirement.extras)))
    return {name for name, _ in seen}


def installed_here(extra: str, wheel: Path) -> Install:
    """As this environment has it; our own size is that of the wheel's contents, since it may be installed editable."""
    packages = {name: size_of(name) for name in closure(extra) if name != DISTRIBUTION}
    return Install(extra, packages | {DISTRIBUTION: unpacked_bytes(wheel)}, Path(sys.executable))


def unpacked_bytes(wheel: Path) -> int:
    """Bytes of the wheel's contents."""
    import zipfile

    with zipfile.ZipFile(wheel) as archive:
        return sum(item.file_size for item in archive.infolist())


def installed_fresh(extra: str, wheel: Path, folder: Path) -> Install:
    """A fresh virtual environment with the wheel and the extra; FerError if pip fails."""
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
    return Install(extra, {normal(name): size for name, size in listed.items() if name not in own_tools}, python)


def clean_environment() -> dict[str, str]:
    """This one's without Python's own variables, so that a fresh interpreter is fresh."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def runs(python: Path, *arguments: str) -> Job:
    """A job that runs python with these arguments to its end and gives the seconds."""

    def job() -> float:
        return seconds(
            lambda: subprocess.run(
                [python, *arguments], check=True, capture_output=True, env=clean_environment(), cwd="/"
            )
        )

    return job


def first_result(python: Path, picture: Path) -> tuple[float, float]:
    """Seconds from starting fer-edge on a picture to its first JSON line, and the peak of its memory in MB."""
    report = picture.with_suffix(".json")
    options = ["--source", str(picture), "--headless", "--json", "-", "--overwrite", "--report", str(report)]
    with subprocess.Popen(
        [str(python), "-m", "fer_edge", *options],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean_environment(), cwd="/",
    ) as process:  # fmt: skip
        took = seconds(lambda: process.stdout and process.stdout.readline())
    return took, float(json.loads(report.read_text(encoding="utf-8"))["peak_rss_mb"])


def starting_jobs(install: Install, picture: Path, peaks: list[float]) -> dict[str, Job]:
    """What is timed in one environment; the peaks of fer-edge's memory are collected on the way."""

    def first() -> float:
        took, peak = first_result(install.python, picture)
        peaks.append(peak)
        return took

    jobs: dict[str, Job] = {
        "python alone": runs(install.python, "-c", "pass"),
        "import fer_edge": runs(install.python, "-c", "import fer_edge"),
        "import cv2, onnxruntime": runs(install.python, "-c", "import cv2, onnxruntime"),
        "fer-edge --help": runs(install.python, "-m", "fer_edge", "--help"),
        "fer-edge, start to first result": first,
    }
    if install.extra != "base":
        jobs["fer-train --help"] = runs(install.python, "-m", "fer_train.cli", "--help")
        jobs["import torch"] = runs(install.python, "-c", "import torch")
    if install.extra == "export":
        jobs["fer-export --help"] = runs(install.python, "-m", "fer_export.cli", "--help")
    return jobs


def peak_of(python: Path, code: str) -> float:
    """Peak memory in MB of a Python that runs `code`."""
    ran = subprocess.run(
        [python, "-c", f"{code}\n{PEAK}"], capture_output=True, text=True, check=True, env=clean_environment(), cwd="/"
    )
    return int(ran.stdout) * 1024 / MB


def time_starts(install: Install, rounds: int, folder: Path, results: Results) -> dict[str, Any]:
    """Start times and memory in one environment, as figures; and the medians, by name."""
    picture = folder / "face.png"
    cv2.imwrite(str(picture), draw_scene(0.5))
    peaks: list[float] = []
    taken = in_turns(starting_jobs(install, picture, peaks), rounds, results.reference, f"[{install.extra}] starts")
    libraries = [peak_of(install.python, "import cv2, onnxruntime") for _ in range(3)]
    where = f"[{install.extra}]"
    first, imports = taken["fer-edge, start to first result"], taken["import cv2, onnxruntime"]
    results.figures += [
        figure(f"start to first result / import cv2, onnxruntime, {where}", ratios(first, imports), ratio=True),
        *(figure(f"{name}, {where}", values, "s") for name, values in taken.items()),
        figure(f"peak memory of fer-edge, {where}", peaks[1:], "MB", note="one picture, luma, int8"),
        figure(f"peak memory of import cv2, onnxruntime, {where}", libraries, "MB"),
    ]
    medians = {name: round(statistics.median(values), 4) for name, values in taken.items()}
    return medians | {"peak_mb": statistics.median(peaks[1:]), "libraries_peak_mb": statistics.median(libraries)}


def size_table(installs: Sequence[Install], wheel: Path, quick: bool) -> Table:
    """A row an extra."""
    rows = [("wheel", "1", f"{wheel.stat().st_size / MB:.2f}", "the file that is downloaded")]
    rows.append(
        (f"{DISTRIBUTION} unpacked", "1", f"{unpacked_bytes(wheel) / MB:.2f}", "our four packages, the networks")
    )
    for install in installs:
        largest = sorted(install.packages.items(), key=lambda item: -item[1])[:4]
        shown = ", ".join(f"{name} {size / MB:.0f}" for name, size in largest)
        rows.append((f"[{install.extra}] installed", str(len(install.packages)), f"{install.total_mb:.1f}", shown))
    how = "this environment's packages, by declared dependencies" if quick else "fresh virtual environments"
    note = f"Sizes in MB (10^6 bytes) without compiled .pyc files, pip and setuptools; {how}."
    return Table("Sizes", ("", "packages", "MB", "largest"), rows, note)


def measure(extras: Sequence[str], quick: bool, rounds: int) -> Results:
    """Build, install, measure."""
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


def plot(results: Results, path: Path) -> None:
    """Installed size per extra by package, and the start times of the first one."""
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
    save_plot(canvas, path)


def draw_sizes(axes: Any, sizes: Mapping[str, Mapping[str, float]]) -> None:
    """A stacked bar an extra: the largest packages by name, the rest as one."""
    everywhere = {name: max(of.get(name, 0.0) for of in sizes.values()) for of in sizes.values() for name in of}
    shown = sorted(everywhere, key=lambda name: -everywhere[name])[:6]
    starts = [0.0] * len(sizes)
    parts = [(name, [of.get(name, 0.0) for of in sizes.values()]) for name in shown]
    rest = [sum(size for name, size in of.items() if name not in shown) for of in sizes.values()]
    for index, (name, values) in enumerate([*parts, ("the rest", rest)]):
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
@click.option("--quick", is_flag=True, help="Without virtual environments.")
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True, help="How often each start is timed.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write everything here.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), metavar="FILE", help="Draw it here (.png).")
def main(
    extras: tuple[str, ...], quick: bool, rounds: int, json_file: Path | None, plot_file: Path | None
) -> None:  # fmt: skip
    """Measure, print, write, draw."""
    check_outputs(json_file, plot_file)
    results = measure(extras, quick, rounds)
    results.show()
    results.write(json_file)
    if plot_file is not None:
        plot(results, plot_file)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.footprint")
