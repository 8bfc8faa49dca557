"""Everything that is said about one run: its summary, its report, and its shares corrected for known errors."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.analysis.correction import Correction, corrected_shares, error_rates
from fer_edge.analysis.provenance import RunReport, find_run_report
from fer_edge.analysis.results import Results
from fer_edge.analysis.summaries import group_intervals, summarize

MAX_MISFIT = 0.05  # of a share: counts that no mixture of true emotions explains better speak against the error rates


@dataclass(frozen=True)
class Findings:
    """What is known about one run.

    name: of its files, for people. report: of the run, or None; `report_missing` then says so. confusion: of the
    network, in the order of the labels, or None. correction: None without a confusion matrix or without faces.
    counted: shares by leading label, unsure ones included, which is what the correction starts from.
    """

    name: str
    results: Results
    summary: dict[str, Any]
    report: RunReport | None
    report_missing: str
    confusion: list[list[int]] | None
    correction: Correction | None
    counted: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """As `analyze --json` writes it."""
        found: dict[str, Any] = {
            "files": [str(path) for path in self.results.files],
            **self.summary,
            "correction": None,
        }
        found["model"] = None if self.report is None else self.report.model
        if (correction := self.correction) is not None:
            rows = zip(self.results.labels, correction.shares, correction.low, correction.high, strict=True)
            shares = {label: _rounded(counted=self.counted[label], share=share, low=low, high=high)
                      for label, share, low, high in rows}  # fmt: skip
            found["correction"] = {"shares": shares, "warnings": list(correction.warnings)}
        return found


def findings(results: Results, given_report: Path | RunReport | None = None, name: str | None = None) -> Findings:
    """Sum results up and find the report of their run; DataError as of `find_run_report`.

    name: of the results, if not that of their files.
    """
    report, missing = (
        (given_report, "")
        if isinstance(given_report, RunReport)
        else find_run_report(results.files, given_report, results.labels)
    )
    if report is not None and report.values.get("detector") is None and results.labels:
        results = _as_images(results)  # rows of a CSV of face pixels, whose t says when they were read
    summary = summarize(results)
    confusion = None if report is None else report.confusion(results.labels)
    counted: dict[str, float] = {}
    correction = None
    if confusion is not None and summary["rows"]:
        intervals = group_intervals(results.faces, results.labels, leading=True)
        places = len(results.labels)
        shares = intervals.shares[:places]
        counted = dict(zip(results.labels, map(float, shares), strict=True))
        correction = corrected_shares(intervals.replicates[:, :places], shares, confusion, results.labels)
        correction = _with_warnings(correction, shares, confusion, intervals.is_reliable)
    return Findings(name or _name(results), results, summary, report, missing, confusion, correction, counted)


def _as_images(results: Results) -> Results:
    faces, frames = (table.assign(t=0.0, seconds=0.0) for table in (results.faces, results.frames))
    return replace(results, faces=faces, frames=frames, still=True)


def _with_warnings(
    correction: Correction, shares: "np.ndarray[Any, Any]", confusion: list[list[int]], reliable: bool
) -> Correction:
    lines = list(correction.warnings)
    if float(np.abs(correction.shares @ error_rates(confusion) - shares).max()) > MAX_MISFIT:
        lines.append("No mixture of true emotions explains these counts well: here the network errs in another way.")
    if not reliable:
        lines.append("The material is too short for intervals.")
    return Correction(correction.shares, correction.low, correction.high, tuple(lines))


def _rounded(**values: float) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in values.items()}


def _name(results: Results) -> str:
    first, *others = results.files
    return first.name + (f" and {len(others)} more" if others else "")
