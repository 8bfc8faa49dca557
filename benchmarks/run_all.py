"""Run every benchmark at a small size, one after the other, and leave JSON and plots in a folder for the report.

A benchmark that fails does not stop the others, but the exit code is 1 then. Without --data, the parts that need
FER2013 are left out or use drawn faces, and say so; --ferplus and --people add FER+'s votes and people.

    python -m benchmarks.run_all --out build/bench --data fer2013.csv
"""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from fer_edge.console import run_main
from fer_edge.errors import DataError, GateError


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as run_all starts it.

    module: below `benchmarks`. options: what makes it small. takes: the input options that it has. needs: the one
    without which it cannot run. extra: the one of ours without which it cannot run, and a module of it.
    """

    module: str
    options: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    needs: str | None = None
    extra: tuple[str, str] | None = None


# By the name of the results file. All of these together take less than ten minutes on two cores.
BENCHMARKS = {
    "accuracy": Benchmark("accuracy.classifier", ("--faces", "600"), ("--data", "--ferplus", "--peer")),
    "people": Benchmark("accuracy.people", (), ("--data", "--ferplus", "--people", "--peer"), needs="--data"),
    "groups": Benchmark("accuracy.groups", (), ("--data", "--ferplus", "--people", "--tiles"), needs="--people"),
    "latency": Benchmark("speed.latency", ("--rounds", "7"), ("--peer",)),
    "pipeline": Benchmark("speed.pipeline", ("--rounds", "5", "--frames", "75"), ("--yunet",)),
    "detector": Benchmark("detector.detectors", (), ("--media", "--yunet"), needs="--media"),
    "runtime": Benchmark("speed.runtime", ("--rounds", "4", "--seconds", "15")),
    "footprint": Benchmark("speed.footprint", ("--quick",)),
    "training": Benchmark("speed.training", ("--faces", "1024", "--rounds", "3")),
    "serving": Benchmark("speed.serving", ("--rounds", "4", "--frames", "75"), extra=("web", "uvicorn")),
    "soak": Benchmark("speed.soak", ("--minutes", "1")),
}


def command(name: str, out: Path, files: Mapping[str, Path | None], peers: Sequence[str]) -> list[str]:
    """The command line of one benchmark; `files` (by option) and `peers` only where it takes them."""
    benchmark = BENCHMARKS[name]
    outputs = ["--json", str(out / f"{name}.json"), "--plot", str(out / f"{name}.png")]
    inputs = [
        word
        for option, file in files.items()
        if file is not None and option in benchmark.takes
        for word in (option, str(file))
    ]
    if "--peer" in benchmark.takes:
        inputs += [word for peer in peers for word in ("--peer", peer)]
    return [sys.executable, "-m", f"benchmarks.{benchmark.module}", *benchmark.options, *outputs, *inputs]


def what_is_missing(name: str, files: Mapping[str, Path | None]) -> str | None:
    """The option or the extra without which the benchmark cannot run, if it is not there."""
    needed, extra = BENCHMARKS[name].needs, BENCHMARKS[name].extra
    if needed is not None and files[needed] is None:
        return needed
    if extra is not None and importlib.util.find_spec(extra[1]) is None:
        return f"pip install '.[{extra[0]}]'"
    return None


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/bench"), show_default=True, metavar="DIR",
              help="Folder for the JSON files and plots; files of the same names are replaced.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), metavar="CSV", help="fer2013.csv.")
@click.option("--ferplus", type=click.Path(path_type=Path), metavar="CSV", help="fer2013new.csv, FER+'s votes.")
@click.option("--people", type=click.Path(path_type=Path), metavar="DIR", help="People: train/CLASS and test/CLASS.")
@click.option("--tiles", type=click.Path(path_type=Path), metavar="DIR", help="Their photographs, of lfw_tiles.py.")
@click.option("--media", type=click.Path(path_type=Path), metavar="DIR", help="Images and clips for the detectors.")
@click.option("--yunet", type=click.Path(path_type=Path), metavar="FILE", help="YuNet's ONNX file, to compare with.")
@click.option("--only", multiple=True, type=click.Choice(list(BENCHMARKS)), help="Run only these.  Repeatable.")
@click.option(
    "--peer", "peers", multiple=True, metavar="NAME[=FILE,…]", help="For accuracy, people and latency.  Repeatable."
)
def main(out: Path, only: tuple[str, ...], peers: tuple[str, ...], **inputs: Path | None) -> None:
    """Run them and log how long each took."""
    files = {f"--{name}": file for name, file in inputs.items()}
    for option, file in files.items():
        if file is not None and not file.exists():
            raise DataError(f"{file} does not exist: {option} names a file or folder")
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in only or BENCHMARKS:
        if (needed := what_is_missing(name, files)) is not None:
            click.echo(f"== {name}: skipped, it needs {needed}\n", err=True)
            continue
        click.echo(f"== {name}", err=True)
        for old in (out / f"{name}.json", out / f"{name}.png"):  # a failure must not leave earlier results
            old.unlink(missing_ok=True)
        started = time.monotonic()
        code = subprocess.run(command(name, out, files, peers), check=False).returncode
        click.echo(f"== {name}: {'done' if code == 0 else f'exit code {code}'}, {time.monotonic() - started:.0f} s\n",
                   err=True)  # fmt: skip
        if code:
            failed.append(name)
    if failed:
        raise GateError(f"{', '.join(failed)} failed; the results of the others are in {out}")


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.run_all")
