"""Run every benchmark at a small size, one after the other, and leave JSON and plots in a folder for the report.

Scripts that are absent are left out. One that fails doesn't stop the others, but the exit code is 1 then. Without
--data the parts that need FER2013 are left out or drawn, and say so.

    python benchmarks/run_all.py --out build/bench --data fer2013.csv
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from fer_edge.console import run_main
from fer_edge.errors import DataError, GateError

HERE = Path(__file__).parent
# What makes each of them small; all of these together take less than ten minutes on two cores.
SMALL = {
    "accuracy": ("--faces", "600"),
    "latency": ("--rounds", "7"),
    "pipeline": ("--rounds", "5", "--frames", "75"),
    "detector": (),
    "runtime": ("--rounds", "4", "--seconds", "15"),
    "footprint": ("--quick",),
    "training": ("--faces", "1024", "--rounds", "3"),
    "soak": ("--minutes", "1"),
}
PEERS = ("accuracy", "latency")  # these take --peer
NEEDED = {"detector": "--media"}  # without which one can't run


def command(name: str, out: Path, files: Mapping[str, Path | None], peers: Sequence[str]) -> list[str]:
    """The command line of one benchmark; --quick and `files` (by option) only where the script has such an option."""
    script = HERE / f"{name}.py"
    known = script.read_text(encoding="utf-8")
    options = [*SMALL[name], "--json", str(out / f"{name}.json"), "--plot", str(out / f"{name}.png")]
    if '"--quick"' in known and "--quick" not in options:
        options.append("--quick")
    for option, file in files.items():
        if file is not None and f'"{option}"' in known:
            options += [option, str(file)]
    if name in PEERS:
        options += [word for peer in peers for word in ("--peer", peer)]
    return [sys.executable, str(script), *options]


def left_out(name: str, files: Mapping[str, Path | None]) -> str | None:
    """Why a benchmark can't run, or None."""
    if not (HERE / f"{name}.py").is_file():
        return "there is no such script"
    needed = NEEDED.get(name)
    return f"it needs {needed}" if needed is not None and files[needed] is None else None


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/bench"), show_default=True, metavar="DIR",
              help="Where the JSON files and plots go; files of the same names are replaced.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), metavar="CSV", help="fer2013.csv.")
@click.option("--media", type=click.Path(path_type=Path), metavar="DIR", help="Pictures and clips for detector.py.")
@click.option("--yunet", type=click.Path(path_type=Path), metavar="FILE", help="YuNet's ONNX file, to compare with.")
@click.option("--only", multiple=True, type=click.Choice(list(SMALL)), help="Only these.  Repeatable.")
@click.option("--peer", "peers", multiple=True, metavar="NAME[=FILE,…]", help="For accuracy and latency.  Repeatable.")
def main(
    out: Path, data: Path | None, media: Path | None, yunet: Path | None, only: tuple[str, ...], peers: tuple[str, ...]
) -> None:
    """Run them and say how long each took."""
    files = {"--data": data, "--media": media, "--yunet": yunet}
    for option, file in files.items():
        if file is not None and not file.exists():
            raise DataError(f"{file} does not exist: {option} names a file or folder")
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in only or SMALL:
        if reason := left_out(name, files):
            click.echo(f"== {name}: left out, {reason}\n", err=True)
            continue
        words = command(name, out, files, peers)
        click.echo(f"== {name}", err=True)
        for old in (out / f"{name}.json", out / f"{name}.png"):  # so that a failure leaves nothing of before
            old.unlink(missing_ok=True)
        started = time.monotonic()
        code = subprocess.run(words, check=False).returncode
        click.echo(f"== {name}: {'done' if code == 0 else f'exit code {code}'}, {time.monotonic() - started:.0f} s\n",
                   err=True)  # fmt: skip
        if code:
            failed.append(name)
    if failed:
        raise GateError(f"{', '.join(failed)} failed; the others are in {out}")


if __name__ == "__main__":
    run_main(main, "run_all.py")
