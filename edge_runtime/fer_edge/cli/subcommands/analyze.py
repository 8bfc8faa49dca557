"""`fer-edge analyze`: from results to a report, a table or a summary."""

import gc
import logging
import os
from pathlib import Path
from typing import Any

import click

from fer_edge.console import extra_required
from fer_edge.errors import MissingExtraError
from fer_edge.files import check_writable

FILE = click.Path(path_type=Path)
EXTRA = "analysis"
STDOUT = "-"


@click.command()
@click.argument("results", nargs=-1, type=FILE, metavar="[RESULTS]...")
@click.option("--out", "page", type=FILE, metavar="FILE.html", help="Write the report: one file, for any browser.")
@click.option("--parquet", type=FILE, metavar="FILE", help="Write the table, a row per face per frame.")
@click.option("--csv", metavar="FILE", help="The same as CSV; - for stdout.")
@click.option("--json", metavar="FILE", help="Write the summary; - for stdout.")
@click.option("--compare", type=FILE, nargs=2, metavar="A B", help="Compare two runs, each a file or a folder.")
@click.option(
    "--run-report", type=FILE, metavar="FILE",
    help="The file of --report of the run.  [default: one beside the results with their name]",
)  # fmt: skip
@click.option(
    "--resample", metavar="INTERVAL",
    help="Merge the rows of every face per interval, such as 10s or 1min: for results of weeks.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace existing output files.")
@click.pass_context
def analyze(
    ctx: click.Context, /, results: tuple[Path, ...], compare: tuple[Path, Path] | None, run_report: Path | None,
    resample: str | None, overwrite: bool, **outputs: Any,
) -> None:  # fmt: skip
    """Say what happened over time: who was seen when, and how long each emotion lasted.

    RESULTS are files of --json or --csv, or folders of them; pieces of rotated files and .gz are fine. Without an
    output, the summary goes to stdout.

    \b
    A report to hand over:  fer-edge analyze faces.jsonl --out report.html
    Before and after:       fer-edge analyze --compare before.jsonl after.jsonl --out both.html
    """
    gc.enable()  # __main__ disables it for the imports
    logging.basicConfig(level=logging.INFO, format="fer-edge analyze: %(message)s")
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it reports its font cache
    _check_usage(ctx, results, compare, run_report, outputs)
    for name, path in outputs.items():
        if path is not None and str(path) != STDOUT:
            _check_output(ctx, f"--{'out' if name == 'page' else name}", Path(path), (*results, *(compare or ())))
            check_writable(Path(path), overwrite)
    check_extra("fer-edge analyze", parquet=outputs["parquet"] is not None)
    with extra_required("fer-edge analyze", EXTRA):
        from fer_edge.analysis.job import AnalysisOutputs, analyze_pair
        from fer_edge.analysis.job import analyze as run
    if compare is not None:
        analyze_pair(*compare, AnalysisOutputs(**outputs), resample)
    else:
        run(results, AnalysisOutputs(**outputs), run_report, resample)


def check_extra(command: str, parquet: bool = False) -> None:
    """Raise MissingExtraError, which names the extra, if a package is missing."""
    from importlib.util import find_spec

    for module in ("pandas", "matplotlib", *(["pyarrow"] if parquet else [])):
        if find_spec(module) is None:
            raise MissingExtraError(command, EXTRA, module)


def _check_usage(
    ctx: click.Context, results: tuple[Path, ...], compare: object, run_report: Path | None, outputs: dict[str, Any]
) -> None:
    if compare is None and not results:
        raise click.UsageError("name the results: files that --json or --csv wrote, or --compare A B", ctx)
    if compare is not None and results:
        raise click.UsageError("--compare takes the two runs itself: give no other results", ctx)
    for option in ("parquet", "csv"):
        if compare is not None and outputs[option] is not None:
            raise click.UsageError(f"--{option} is the table of one run: leave it out with --compare", ctx)
    if compare is not None and run_report is not None:
        raise click.UsageError("--run-report is of one run: with --compare, reports beside the results are used", ctx)
    if outputs["csv"] == outputs["json"] == STDOUT:
        raise click.UsageError("--csv and --json can't share stdout: name a file", ctx)
    for option in ("page", "parquet"):
        if str(outputs[option]) == STDOUT:
            raise click.UsageError(f"--{'out' if option == 'page' else option} can't go to stdout: name a file", ctx)
    named = [os.path.realpath(path) for path in outputs.values() if path is not None and str(path) != STDOUT]
    if len(set(named)) < len(named):
        raise click.UsageError("two outputs name the same file: name two", ctx)


def _check_output(ctx: click.Context, option: str, path: Path, inputs: tuple[Path, ...]) -> None:
    for given in inputs:
        if path.exists() and given.exists() and path.samefile(given):
            raise click.UsageError(f"{option} {path} is one of the results: name another file", ctx)
