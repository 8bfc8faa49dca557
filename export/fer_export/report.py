"""The result of an export: the fields of export.json, and the table a person reads."""

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer_edge.system import dot_product_flag, machine_info
from fer_export.checks.gates import Gate, finite
from fer_export.checks.measure import Latency
from fer_export.checks.parity import Parity, Runs
from fer_export.int8.calibrator_search import Candidate
from fer_export.int8.temperature import Refit
from fer_train.evaluation.scoring import Accuracy
from fer_train.tables import aligned

SCHEMA = 1
EXPECTED_RATIO = 2.5  # fp32 time / int8 time on a CPU with 8-bit dot products; no gate, since it is the machine's, too
_PACKAGES = ("fer-edge", "torch", "onnx", "onnxruntime", "onnxsim", "onnxscript", "numpy")


@dataclass(frozen=True)
class Calibration:
    """How int8 was made.

    images, per_class, seed: the faces that its ranges were measured on. tuning_images: others, on which the
    `candidates` were measured. chosen: the candidate in the file.
    """

    images: int
    per_class: dict[str, int]
    seed: int
    tuning_images: int
    chosen: Candidate
    candidates: Sequence[Candidate]

    def __str__(self) -> str:
        if self.chosen.agreement is None:
            return f"calibrator {self.chosen.calibrator}, by {self.images} training faces"
        others = ", ".join(str(candidate) for candidate in self.candidates if candidate != self.chosen)
        return (
            f"calibrator {self.chosen} agreement on {self.tuning_images} other training faces"
            f"{f' ({others})' if others else ''}"
        )


@dataclass(frozen=True)
class WrittenFile:
    """One model file: its name (no folder), size in bytes and SHA-256."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Report:
    """All that an export measured. Dictionaries are by precision, "fp32" and, if quantised, "int8"."""

    checkpoint: dict[str, str]
    files: Mapping[str, WrittenFile]
    parity: Parity
    operators: Mapping[str, dict[str, int]]
    convolutions: int
    latency: Latency
    gates: Sequence[Gate]
    accuracy: Mapping[str, Accuracy]
    agreement: float | None = None
    calibration: Calibration | None = None
    consistency: Runs | None = None
    temperature: Refit | None = None
    notes: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """The content of export.json; fractions 0 to 1, times in ms, null for what was not measured."""
        return {
            "schema": SCHEMA,
            "checkpoint": self.checkpoint,
            "files": {name: asdict(file) for name, file in self.files.items()},
            "parity": self._parity(),
            "agreement": self.agreement,
            "accuracy": self._accuracy(),
            "calibration": None if self.calibration is None else asdict(self.calibration),
            "int8_consistency": None if self.consistency is None else self._consistency(self.consistency),
            "temperature": None if self.temperature is None else asdict(self.temperature),
            "latency_ms": {name: asdict(spread) for name, spread in self.latency.milliseconds.items()},
            "latency_ratio": None if self.latency.ratio is None else asdict(self.latency.ratio),
            "fused_operators": {"convolutions": self.convolutions, **self.operators},
            "gates": [gate.to_json() for gate in self.gates],
            "notes": list(self.notes),
            "versions": versions(),
            "machine": machine_info() | {"dot_product_flag": dot_product_flag()},
        }

    def _parity(self) -> dict[str, Any]:
        values = asdict(self.parity)
        return {name: finite(value) if isinstance(value, float) else value for name, value in values.items()}

    @staticmethod
    def _consistency(runs: Runs) -> dict[str, Any]:
        return {
            "batch_delta": finite(runs.batch_delta),
            "sum_error": finite(runs.sum_error),
            "batches": list(runs.logits),
            "faces": len(runs.logits[1]),
        }

    def _accuracy(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name in ("fp32", "int8"):
            measured = self.accuracy.get(name)
            values[name] = measured and measured.metrics["accuracy"]
            values[f"{name}_deduplicated"] = measured and measured.deduplicated
            values[f"{name}_macro_f1"] = measured and measured.metrics["macro_f1"]
            values[f"{name}_ece"] = measured and measured.metrics["ece"]
        fp32 = self.accuracy.get("fp32")
        values["images"] = fp32 and fp32.metrics["images"]
        values["images_deduplicated"] = fp32 and fp32.images_deduplicated
        values["split"] = fp32 and fp32.split
        return values

    @property
    def advice(self) -> str | None:
        """Which file to use on a machine like this one; None if there is only one."""
        ratio = self.latency.ratio
        if ratio is None:
            return None
        setting = f"{machine_info()['cpu']}, one thread, one face"
        measured = f"(90 % of rounds: {ratio.low:.2f} to {ratio.high:.2f}; {setting})"
        if ratio.median > 1:
            flag = dot_product_flag()
            slow = flag is not None and ratio.median < EXPECTED_RATIO
            doubt = f", below the {EXPECTED_RATIO:g} usual with {flag} instructions" if slow else ""
            return f"int8 runs {ratio.median:.2f} times as fast as fp32 here{doubt} {measured}"
        return f"use fp32 here: int8 runs only {ratio.median:.2f} times as fast {measured}"


def table(report: Report, written: Sequence[Path]) -> str:
    """The report as aligned plain text."""
    rows = [("", "size", "accuracy", "de-duplicated", "macro-F1", "agreement", "latency")]
    for name, file in report.files.items():
        accuracy = report.accuracy.get(name)
        rows.append(
            (
                name,
                f"{file.bytes / 1e6:.2f} MB",
                "-" if accuracy is None else f"{accuracy.metrics['accuracy']:.2%}",
                "-" if accuracy is None or accuracy.deduplicated is None else f"{accuracy.deduplicated:.2%}",
                "-" if accuracy is None else f"{accuracy.metrics['macro_f1']:.3f}",
                "-" if name == "fp32" or report.agreement is None else f"{report.agreement:.2%}",
                f"{report.latency.milliseconds[name].median:.2f} ms",
            )
        )
    lines = aligned(rows)
    made = [str(part) for part in (report.calibration, report.temperature) if part is not None]
    lines += [line for line in (*made, report.advice, *report.notes) if line]
    gates = [("gate", "value", "bound", "")]
    gates += [(gate.name, f"{gate.value:.4g}", f"{gate.limit} {gate.bound:g}", _verdict(gate)) for gate in report.gates]
    lines += ["", *aligned(gates), ""]
    lines.append(f"wrote {', '.join(map(str, written))}")
    return "\n".join(lines)


def _verdict(gate: Gate) -> str:
    return "passed" if gate.passed else "FAILED"


def versions() -> dict[str, str]:
    """The releases that made the files."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _PACKAGES}
