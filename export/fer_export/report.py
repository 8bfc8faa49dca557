"""The result of an export: the content of export.json, and the table that a person reads."""

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer_edge.guards.text import printable
from fer_edge.sentences import counted
from fer_edge.system import dot_product_flag, machine_info
from fer_export.checks.gates import Gate
from fer_export.checks.measure import Latency
from fer_export.int8.calibrator_search import Candidate
from fer_train.evaluation.scoring import Accuracy
from fer_train.tables import aligned

SCHEMA = 1
EXPECTED_RATIO = 2.5  # fp32's time / int8's on a CPU with 8-bit dot products; not a gate: it depends on the machine
_PACKAGES = ("fer-edge", "torch", "onnx", "onnxruntime", "onnxsim", "onnxscript", "numpy")


@dataclass(frozen=True)
class WrittenFile:
    """One model file: its name (without folder), size in bytes and SHA-256."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Report:
    """What an export measured.

    checkpoint: its file and what it holds. files: by precision, "fp32" and, if quantized, "int8". gates: all that
    were checked. measured: what this kind of export adds to export.json. rows: of the first table, head first. lines:
    sentences under it.
    """

    checkpoint: Mapping[str, Any]
    files: Mapping[str, WrittenFile]
    gates: Sequence[Gate]
    measured: Mapping[str, Any]
    rows: Sequence[tuple[str, ...]]
    lines: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """The content of export.json; fractions 0 to 1, times in ms, null for what was not measured."""
        return {
            "schema": SCHEMA,
            "checkpoint": self.checkpoint,
            "files": {name: asdict(file) for name, file in self.files.items()},
            **self.measured,
            "gates": [gate.to_json() for gate in self.gates],
            "versions": {"python": platform.python_version()}
            | {name: importlib.metadata.version(name) for name in _PACKAGES},
            "machine": machine_info() | {"dot_product_flag": dot_product_flag()},
        }

    def table(self, written: Sequence[Path]) -> str:
        """The report as aligned plain text; `written`: the paths of its last line."""
        gates = [("gate", "value", "bound", "")]
        for gate in self.gates:
            verdict = "passed" if gate.passed else "FAILED"
            gates.append((gate.name, f"{gate.value:.4g}", f"{gate.limit} {gate.bound:g}", verdict))
        wrote = f"wrote {', '.join(printable(str(path)) for path in written)}"
        return "\n".join([*aligned(list(self.rows)), *self.lines, "", *aligned(gates), "", wrote])


@dataclass(frozen=True)
class Calibration:
    """How int8 was made.

    images, per_class, seed: the faces that its ranges were measured on. tuning_images: other faces, on which the
    `candidates` were measured. chosen: the candidate that was written.
    """

    images: int
    per_class: dict[str, int]
    seed: int
    tuning_images: int
    chosen: Candidate
    candidates: Sequence[Candidate]

    def __str__(self) -> str:
        if self.chosen.agreement is None:
            return f"calibrator {self.chosen.calibrator}, on {counted(self.images, 'training face')}"
        others = ", ".join(str(candidate) for candidate in self.candidates if candidate != self.chosen)
        return (
            f"calibrator {self.chosen} agreement on {self.tuning_images} other training faces"
            f"{f' ({others})' if others else ''}"
        )


def accuracy_fields(accuracy: Mapping[str, Accuracy]) -> dict[str, Any]:
    """The field "accuracy" of a classifier's export.json: the scores of each precision, null if not measured."""
    values: dict[str, Any] = {}
    for name in ("fp32", "int8"):
        measured = accuracy.get(name)
        values[name] = measured and measured.metrics["accuracy"]
        values[f"{name}_deduplicated"] = measured and measured.deduplicated
        values[f"{name}_macro_f1"] = measured and measured.metrics["macro_f1"]
        values[f"{name}_ece"] = measured and measured.metrics["ece"]
    fp32 = accuracy.get("fp32")
    values["images"] = fp32 and fp32.metrics["images"]
    values["images_deduplicated"] = fp32 and fp32.images_deduplicated
    values["split"] = fp32 and fp32.split
    return values


def classifier_rows(
    files: Mapping[str, WrittenFile],
    heads: Mapping[str, tuple[Mapping[str, Accuracy], float | None]],
    latency: Latency,
) -> list[tuple[str, ...]]:
    """Size, scores and time per file of a classifier's export; if it has several heads, the scores of each.

    heads: by name, the accuracy by precision, and the agreement of int8.
    """
    titles = ("size", "accuracy", "de-duplicated", "macro-F1", "agreement", "latency")
    rows: list[tuple[str, ...]] = [("", *titles) if len(heads) == 1 else ("", "head", *titles)]
    for name, file in files.items():
        size, time = f"{file.bytes / 1e6:.2f} MB", f"{latency.milliseconds[name].median:.2f} ms"
        scores = [(head, _scores(name, *figures)) for head, figures in heads.items()]
        if len(scores) == 1:
            rows.append((name, size, *scores[0][1], time))
            continue
        for place, (head, cells) in enumerate(scores):
            rows.append((name, head, size, *cells, time) if place == 0 else ("", head, "", *cells, ""))
    return rows


def _scores(precision: str, accuracy: Mapping[str, Accuracy], agreement: float | None) -> tuple[str, ...]:
    """The cells accuracy, de-duplicated, macro-F1 and agreement."""
    measured = accuracy.get(precision)
    return (
        "-" if measured is None else f"{measured.metrics['accuracy']:.2%}",
        "-" if measured is None or measured.deduplicated is None else f"{measured.deduplicated:.2%}",
        "-" if measured is None else f"{measured.metrics['macro_f1']:.3f}",
        "-" if precision == "fp32" or agreement is None else f"{agreement:.2%}",
    )


def latency_advice(latency: Latency) -> str:
    """Which of two files to use on a machine like this one, "" if there is only one."""
    ratio = latency.ratio
    if ratio is None:
        return ""
    measured = f"(90 % of rounds: {ratio.low:.2f} to {ratio.high:.2f}; {machine_info()['cpu']}, one thread, one face)"
    if ratio.median <= 1:
        return f"use fp32 here: int8 runs only {ratio.median:.2f} times as fast {measured}"
    flag = dot_product_flag()
    slow = flag is not None and ratio.median < EXPECTED_RATIO
    doubt = f", below the {EXPECTED_RATIO:g} usual with {flag} instructions" if slow else ""
    return f"int8 runs {ratio.median:.2f} times as fast as fp32 here{doubt} {measured}"
