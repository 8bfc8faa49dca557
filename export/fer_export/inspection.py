"""Describe an ONNX file: its contract, its operators, and how onnxruntime runs them."""

import hashlib
import json
from pathlib import Path

import onnx

from fer_edge.network.contract import METADATA_KEY
from fer_edge.network.session import open_session
from fer_export.graph.operators import running_operators, stored_operators

MAX_GARBLED_SHOWN = 60


def describe(path: Path) -> str:
    """Plain text about the ONNX file `path`, with or without a contract; ModelError if it can't be run."""
    session = open_session(path)
    data = path.read_bytes()
    model = onnx.load_from_string(data)
    contract = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    facts = [
        ("size", f"{len(data) / 1e6:.2f} MB"),
        ("sha256", hashlib.sha256(data).hexdigest()),
        ("opset", ", ".join(f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import)),
        *(("input", f"{item.name} {item.type} {item.shape}") for item in session.get_inputs()),
        *(("output", f"{item.name} {item.type} {item.shape}") for item in session.get_outputs()),
        ("stored", _listed(stored_operators(model))),
        ("running", _listed(running_operators(data))),
    ]
    lines = [str(path), *(f"{name:10}{value}" for name, value in facts)]
    return "\n".join([*lines, *_contract_lines(contract)])


def _listed(operators: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in operators.items())


def _contract_lines(text: str | None) -> list[str]:
    if text is None:
        return [f"contract  none (no metadata {METADATA_KEY}): fer-edge will refuse the file"]
    try:
        values = json.loads(text)
    except ValueError:
        return [f"contract  not JSON: {text[:MAX_GARBLED_SHOWN]}"]
    failed = values.get("failed_gates") if isinstance(values, dict) else None
    marked = [f"FAILED    {', '.join(map(str, failed))} (exported with --force)"] if failed else []
    return [*marked, f"contract  {json.dumps(values, indent=2, sort_keys=True)}"]
