"""Options that several benchmarks have, and the decorator that prints, writes and draws their results."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks.harness.plots import save_plot
from benchmarks.harness.results import Results
from benchmarks.peers import PEERS
from fer_edge.console import extra_required
from fer_edge.files import check_writable

FILE = click.Path(path_type=Path)
Command = Callable[..., Any]

data_option = click.option("--data", type=FILE, required=True, metavar="CSV", help="fer2013.csv")
media_option = click.option(
    "--media", type=FILE, required=True, metavar="DIR",
    help="Folder of videos/, stills/ and detection/ (facemask853, wider_val10, dlib_*.xml).",
)  # fmt: skip
model_option = click.option(
    "--model", type=FILE, metavar="FILE", help="Emotion network.  [default: the shipped int8 one]"
)
ferplus_option = click.option("--ferplus", type=FILE, metavar="CSV", help="fer2013new.csv, FER+'s votes.")
luma_option = click.option("--luma", type=FILE, metavar="FILE", help="Luma's network.  [default: the shipped one]")
peers_option = click.option(
    "--peer", "peers", multiple=True, metavar="NAME[=FILE,…]", help=f"Also {', '.join(PEERS)}.  Repeatable."
)


def yunet_option(required: bool = False) -> Callable[[Command], Command]:
    """--yunet, or the environment variable FER_YUNET, names YuNet's file."""
    without = "" if required else " Without it, yunet is left out."
    return click.option(
        "--yunet", type=FILE, required=required, metavar="FILE", envvar="FER_YUNET", show_envvar=True,
        help=f"YuNet's ONNX file.{without}",
    )  # fmt: skip


def people_option(required: bool = False) -> Callable[[Command], Command]:
    """--people, the folder of people's faces that were trained on and kept aside."""
    return click.option(
        "--people", type=FILE, required=required, metavar="DIR",
        help="Folder of people's faces: train/CLASS, and test/CLASS for those kept aside.",
    )  # fmt: skip


def tiles_option(required: bool = False) -> Callable[[Command], Command]:
    """--tiles, the folder of photographs of people."""
    return click.option(
        "--tiles", type=FILE, required=required, metavar="DIR", help="Folder that train/recipes/lfw_tiles.py made."
    )


def labels_option(required: bool = False) -> Callable[[Command], Command]:
    """--labels, the emotions of the tiles."""
    return click.option(
        "--labels", type=FILE, required=required, metavar="CSV",
        help="Labels of the tiles, with the columns tile, name and emotion.",
    )  # fmt: skip


def rounds_option(default: int, minimum: int = 1) -> Callable[[Command], Command]:
    """--rounds, of contestants that take turns."""
    return click.option(
        "--rounds", type=click.IntRange(minimum), default=default, show_default=True, help="Turns of each contestant."
    )


def results_command(plot: Callable[[Results], Any] | None = None) -> Callable[[Callable[..., Results]], Command]:
    """Make a command of a function that returns Results: add --json and --plot, print, write and draw the results.

    plot: gives a matplotlib figure; without it there is no --plot. Outputs that cannot be written are refused before
    anything is measured (OutputError, MissingExtraError).
    """

    def decorate(measure: Callable[..., Results]) -> Command:
        @functools.wraps(measure)
        def command(json_file: Path | None, plot_file: Path | None = None, **options: Any) -> None:
            check_outputs(json_file, plot_file)
            results = measure(**options)
            results.show()
            results.write(json_file)
            if plot_file is not None and plot is not None:
                save_plot(plot(results), plot_file)

        if plot is not None:
            command = click.option("--plot", "plot_file", type=FILE, metavar="FILE", help="Draw a plot (.png).")(
                command
            )
        return click.option("--json", "json_file", type=FILE, metavar="FILE", help="Write the results file.")(command)

    return decorate


def check_outputs(json_file: Path | None, plot_file: Path | None) -> None:
    """Refuse what cannot be written: OutputError, or MissingExtraError without matplotlib."""
    for path in filter(None, (json_file, plot_file)):
        check_writable(path, overwrite=True)
    if plot_file is not None:
        with extra_required("--plot", "train"):
            import matplotlib  # noqa: F401 - only whether it is there
