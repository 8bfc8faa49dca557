"""The job of `fer-edge analyze`: read results, then write the report, the table or the summary."""

import csv
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fer_edge.analysis.comparison import compare, comparison_sentences
from fer_edge.analysis.findings import Findings, findings
from fer_edge.analysis.provenance import RunReport
from fer_edge.analysis.results import Results, load_results
from fer_edge.analysis.words import lines
from fer_edge.errors import DataError
from fer_edge.files import atomic_write, json_text, write_json
from fer_edge.guards.text import printable, text_cell

log = logging.getLogger(__name__)
STDOUT = "-"


@dataclass(frozen=True)
class AnalysisOutputs:
    """Where an analysis goes. csv, json: a path or "-"."""

    page: Path | None = None
    parquet: Path | None = None
    csv: str | None = None
    json: str | None = None


def analyze(
    paths: Sequence[Path], outputs: AnalysisOutputs, run_report: Path | None = None, resample: str | None = None
) -> None:
    """Analyze results of one run or of several that belong together.

    Without any output the summary goes to stdout. Raises DataError, also at the end for lines that could not be read.
    """
    results = load_results(paths, resample)
    found = findings(results, run_report)
    write_findings(found, outputs)
    _end([results])


def analyze_run(results: Path, report: Mapping[str, Any], page: Path) -> None:
    """Write the page about a run that has just ended, whose JSON lines are in `results`."""
    from fer_edge.analysis.report.page import report_page

    loaded = load_results(results)
    source = str(report["source"])
    name = Path(source).name if "://" not in source else source
    write_page(page, report_page(findings(loaded, RunReport("this run", report), name)))


def write_findings(found: Findings, outputs: AnalysisOutputs) -> None:
    """Write what `outputs` names, or the summary to stdout."""
    for note in found.results.notes:
        log.warning("%s", printable(note))
    if outputs.page is not None:
        from fer_edge.analysis.report.page import report_page  # matplotlib takes most of a second

        write_page(outputs.page, report_page(found))
    _write_table(found.results.faces, outputs)
    _write_json(found.to_dict(), outputs.json)
    if outputs == AnalysisOutputs():
        print_lines(lines(found.summary))


def analyze_pair(first: Path, second: Path, outputs: AnalysisOutputs, resample: str | None = None) -> None:
    """Compare two runs, each a file or a folder."""
    loaded = load_results([first], resample), load_results([second], resample)
    comparison = compare(*loaded, (first.name, second.name))
    for results in loaded:
        for note in results.notes:
            log.warning("%s", printable(note))
    if outputs.page is not None:
        from fer_edge.analysis.report.page import comparison_page

        write_page(outputs.page, comparison_page(comparison, (findings(loaded[0]), findings(loaded[1]))))
    _write_json(comparison.to_dict(), outputs.json)
    if outputs == AnalysisOutputs():
        for letter, name, summary in zip("AB", comparison.names, (comparison.a, comparison.b), strict=True):
            print_lines([f"{letter}: {printable(name)}", *(f"  {line}" for line in lines(summary)), ""])
        print_lines(comparison_sentences(comparison))
    _end(loaded)


def _end(loaded: Sequence[Results]) -> None:
    if any(results.damaged for results in loaded):
        raise DataError("lines of the results could not be read, see above: the rest is analyzed")


def write_page(path: Path, page: str) -> None:
    """Write an HTML page, which is its owner's alone."""
    with atomic_write(path, private=True) as part:
        part.write_text(page, encoding="utf-8", errors="backslashreplace")


def print_lines(text: Sequence[str]) -> None:
    """Print to stdout, whatever its encoding."""
    encoding = (sys.stdout.encoding if sys.stdout else None) or "utf-8"
    for line in text:
        print(line.encode(encoding, errors="backslashreplace").decode(encoding))  # noqa: T201 - it is the result


def _write_json(value: dict[str, Any], target: str | None) -> None:
    if target == STDOUT:
        print_lines(json_text(value).splitlines())
    elif target is not None:
        write_json(Path(target), value, private=True)


def _write_table(faces: pd.DataFrame, outputs: AnalysisOutputs) -> None:
    if outputs.parquet is not None:
        with atomic_write(outputs.parquet, private=True) as part:
            faces.assign(file=faces["file"].astype(object).map(_plain, na_action="ignore")).to_parquet(
                part, index=False
            )
    if outputs.csv is None:
        return
    safe = faces.copy(deep=False)
    safe["unsure"] = faces["unsure"].astype(int)
    safe[["t", "seconds"]] = faces[["t", "seconds"]].round(6)
    for name in ("emotion", "file"):
        categories = faces[name].astype("category")
        safe[name] = categories.astype(object).map({text: text_cell(str(text)) for text in categories.cat.categories})
    safe["time"] = faces["time"].dt.strftime("%Y-%m-%dT%H:%M:%S.%f").str.slice(0, 23) + "Z"
    safe.columns = pd.Index([text_cell(name) for name in faces.columns])
    settings: dict[str, Any] = {"index": False, "quoting": csv.QUOTE_MINIMAL, "lineterminator": "\n"}
    if outputs.csv == STDOUT:
        safe.to_csv(sys.stdout, **settings)
        return
    with atomic_write(Path(outputs.csv), private=True) as part:
        safe.to_csv(part, **settings)


def _plain(name: str) -> str:
    """A file name that every reader of Parquet takes: bytes that are not UTF-8 as escapes."""
    return name.encode("utf-8", errors="backslashreplace").decode("utf-8")
