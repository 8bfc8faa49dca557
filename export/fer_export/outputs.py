"""The files of an export: their names, whether they can be written, and writing all of them or none."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.console import hold_output
from fer_edge.files import atomic_write, check_writable, write_json


@dataclass(frozen=True)
class Outputs:
    """Where an export writes. models: by precision, "fp32" first. report: the JSON file."""

    models: Mapping[str, Path]
    report: Path

    @classmethod
    def named_after(cls, out: Path, quantize: bool) -> "Outputs":
        """For m.onnx: m.onnx, m.int8.onnx if quantized, and m.export.json, in one folder."""
        models = {"fp32": out} | ({"int8": out.with_suffix(".int8.onnx")} if quantize else {})
        return cls(models, out.with_suffix(".export.json"))

    @property
    def paths(self) -> list[Path]:
        """Every file, models first."""
        return [*self.models.values(), self.report]

    def check(self, overwrite: bool) -> None:
        """OutputError if one of them can't or must not be written."""
        for path in self.paths:
            check_writable(path, overwrite)
            hold_output(path)

    def write(self, files: Mapping[str, bytes], report: Mapping[str, Any]) -> None:
        """Write `files` (the models' content by precision) and `report`.

        All are written beside their names before the first one is renamed, so that a full disk or an interruption
        leaves what was there before. OutputError if that fails.
        """
        with contextlib.ExitStack() as renames:
            for name, path in self.models.items():
                renames.enter_context(atomic_write(path)).write_bytes(files[name])
            write_json(self.report, report)
