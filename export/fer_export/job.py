"""One export, of any kind: trace, check, quantize, check, measure, and write every file or none."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from fer_edge.network.contract import Contract
from fer_export.checks.gates import Gate, enforce, failed_names, folding_gate, fusion_gates
from fer_export.graph.onnx_file import to_bytes, with_contract
from fer_export.graph.operators import running_operators, stored_operators
from fer_export.outputs import Outputs
from fer_export.report import Report, WrittenFile

Log = Callable[[str], None]
"""Takes a line of progress for the user."""


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """The settings of every export.

    checkpoint: what to export. out: the fp32 file, which names the others. overwrite: replace outputs that exist.
    force: write even if a gate fails, and mark the files as failed.
    """

    checkpoint: Path
    out: Path
    overwrite: bool = False
    force: bool = False


class ExportJob(ABC):
    """One export. A subclass says what it traces, calibrates on, measures and reports.

    models: graphs by precision, without contract. contracts: by precision; their failed gates come at the end.
    operators: by precision, as onnxruntime runs them. convolutions: of the network. gates: all that were checked.

    Making one checks the outputs and reads checkpoint and data: OutputError, ModelError, DataError.
    """

    def __init__(self, options: JobOptions, log: Log, quantize: bool) -> None:
        self.outputs = Outputs.named_after(options.out, quantize)
        self.outputs.check(options.overwrite)
        self._options, self.log = options, log
        self.models: dict[str, onnx.ModelProto] = {}
        self.contracts: dict[str, Contract] = {}
        self.operators: dict[str, dict[str, int]] = {}
        self.convolutions = 0
        self.gates: list[Gate] = []

    def run(self) -> tuple[Report, list[Path]]:
        """Export and write; returns the report and the paths of the files.

        Raises ModelError if the network can't be exported and GateError if a bound is not kept, unless forced; then
        nothing is written.
        """
        self.log(f"Converting {self._options.checkpoint} to ONNX ...")
        fp32 = self.models["fp32"] = self.trace()
        stored = stored_operators(fp32)
        self.operators["fp32"] = running_operators(to_bytes(fp32))
        self.convolutions = stored.get("Conv", 0)
        self.check(folding_gate(stored), *self.fp32_gates())
        if "int8" in self.outputs.models:
            int8 = self.models["int8"] = self.quantize()
            self.operators["int8"] = running_operators(to_bytes(int8))
            self.check(*fusion_gates(self.convolutions, self.operators["int8"]))
        self.measure()
        return self._write(), self.outputs.paths

    def _write(self) -> Report:
        for name, contract in self.contracts.items():
            self.contracts[name] = replace(contract, failed_gates=failed_names(self.gates, name))
        files = {name: to_bytes(model) for name, model in self.stamped().items()}
        written = {
            name: WrittenFile(self.outputs.models[name].name, len(data), hashlib.sha256(data).hexdigest())
            for name, data in files.items()
        }
        report = self.report(written)
        self.outputs.write(files, report.to_json())
        return report

    def check(self, *gates: Gate) -> None:
        """Record the gates; GateError if one failed, unless forced."""
        self.gates += gates
        enforce(gates, self._options.force)
        for gate in gates:
            if not gate.passed:
                self.log(f"gate failed, but --force was given: {gate}")

    def stamped(self) -> dict[str, onnx.ModelProto]:
        """Every model with its contract, by precision."""
        return {name: with_contract(model, self.contracts[name]) for name, model in self.models.items()}

    @abstractmethod
    def trace(self) -> onnx.ModelProto:
        """Make the fp32 graph."""

    @abstractmethod
    def fp32_gates(self) -> list[Gate]:
        """Compare the fp32 graph with PyTorch."""

    @abstractmethod
    def quantize(self) -> onnx.ModelProto:
        """Make the int8 graph."""

    @abstractmethod
    def measure(self) -> None:
        """Measure the graphs, and `check` the gates that remain."""

    @abstractmethod
    def report(self, written: Mapping[str, WrittenFile]) -> Report:
        """Report on the files `written`, by precision."""
