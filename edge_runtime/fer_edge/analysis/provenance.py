"""Where results come from: the run's report (`--report`), with its settings, its network and that network's errors."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.analysis.files import REPORT_ENDINGS, series_of
from fer_edge.errors import DataError

MAX_REPORT_BYTES = 64_000_000
SCHEMA = 1


@dataclass(frozen=True)
class RunReport:
    """The report of a run.

    path: the file, or what to call it. values: as docs/formats.md describes them.
    """

    path: str
    values: Mapping[str, Any]

    @property
    def model(self) -> Mapping[str, Any]:
        """The network: file, sha256, precision, head, accuracy, confusion."""
        return dict(self.values["model"])

    @property
    def labels(self) -> tuple[str, ...]:
        """The network's labels."""
        return tuple(self.values["summary"]["emotions"])

    @property
    def is_aggregate(self) -> bool:
        """Whether it is of a run with --aggregate, which says nothing about faces."""
        return self.values["summary"] is None

    def confusion(self, labels: Sequence[str]) -> list[list[int]] | None:
        """How often each true label (row) got each label (column), in the order of `labels`; None if unknown."""
        found, own = self.model.get("confusion"), self.labels
        if found is None or set(own) != set(labels):
            return None
        try:
            places = [own.index(label) for label in labels]
            counts = [[int(found[row][column]) for column in places] for row in places]
        except (TypeError, ValueError, IndexError):
            return None
        return counts if all(min(row) >= 0 and sum(row) > 0 for row in counts) else None


def find_run_report(files: Sequence[Path], given: Path | None, labels: Sequence[str]) -> tuple[RunReport | None, str]:
    """The report of the run that wrote `files`, and a sentence about it if there is none.

    given: of --run-report. Without it, a report is looked for beside the results under their name: for faces.jsonl it
    is faces.report.json, faces-report.json, faces_report.json or faces.json.

    Raises DataError if `given` is no report or is of a network with other labels.
    """
    if given is not None:
        report = _read(given)
        if report is None:
            raise DataError(f"--run-report {given} is not what fer-edge --report wrote: name that file")
        if report.is_aggregate:
            raise DataError(
                f"--run-report {given} is of a run with --aggregate, which wrote no results of single faces: name the "
                "report of the run that wrote these"
            )
        if labels and set(report.labels) != set(labels):
            raise DataError(
                f"--run-report {given} is of a network with the labels {', '.join(report.labels)}, but the results "
                f"have {', '.join(labels)}: name the report of the run that wrote them"
            )
        return report, ""
    searched = set()
    for file in files:
        folder, stem, _ = series_of(file)
        for ending in (*REPORT_ENDINGS, ".json"):
            path = folder / (stem + ending)
            if path in searched or path in files or not path.is_file():
                continue
            searched.add(path)
            report = _read(path)
            if report is not None and not report.is_aggregate and (not labels or set(report.labels) == set(labels)):
                return report, ""
    return None, "The run's report was not found: --run-report names the file that --report wrote."


def _read(path: Path) -> RunReport | None:
    """The report in a file; None if it is something else. Raises DataError if it can't be read."""
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder: name the file that --report wrote")
        if path.stat().st_size > MAX_REPORT_BYTES:
            return None
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        return None
    model, summary = values.get("model"), values.get("summary")
    aggregates = "summary" in values and summary is None
    if not isinstance(model, dict) or not (aggregates or _has_emotions(summary)):
        return None
    return RunReport(str(path), values)


def _has_emotions(summary: Any) -> bool:
    return isinstance(summary, dict) and isinstance(summary.get("emotions"), dict)
