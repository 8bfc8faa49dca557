"""Describe an ONNX file: its contract, its operators, and how onnxruntime runs them."""

import hashlib
import json
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs

from fer_edge.errors import ContractError, ModelError
from fer_edge.guards.text import printable
from fer_edge.network.classifier import check_outputs
from fer_edge.network.contract import METADATA_KEY, parse_contract
from fer_edge.network.session import open_session
from fer_export.graph.operators import running_operators, stored_operators
from fer_train.tables import aligned

MAX_GARBLED_SHOWN = 60


def describe(path: Path) -> str:
    """Plain text about the ONNX file `path`, with or without a contract; ModelError if it can't be run."""
    session = open_session(path)
    data = path.read_bytes()
    try:
        model = onnx.load_from_string(data)
        contract = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        ends = (session.get_inputs(), session.get_outputs())
        inputs, outputs = ([f"{item.name} {item.type} {item.shape}" for item in items] for items in ends)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} holds text that is not UTF-8: export it again") from error
    facts = [
        ("size", f"{len(data) / 1e6:.2f} MB"),
        ("sha256", hashlib.sha256(data).hexdigest()),
        ("opset", ", ".join(f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import)),
        *(("input", text) for text in inputs),
        *(("output", text) for text in outputs),
        ("stored", _listed(stored_operators(model))),
        ("running", _listed(running_operators(data))),
    ]
    lines = map(printable, [str(path), *(f"{name:10}{value}" for name, value in facts)])
    outputs = [item.name for item in session.get_outputs()]
    return "\n".join([*lines, *_head_lines(contract, path, outputs), *_contract_lines(contract)])


def _head_lines(text: str | None, path: Path, outputs: list[str]) -> list[str]:
    """A table of the heads; nothing for a file without; the reason if fer-edge can't use the contract."""
    if text is None:
        return []
    try:
        contract = parse_contract(text, str(path))
        check_outputs(contract, outputs, str(path))
    except ContractError as error:
        return [printable(f"REFUSED   {error}")]
    if not contract.heads:
        return []
    rows: list[tuple[str, ...]] = [("head", "classes", "temperature", "unsure below", "accuracy", "against")]
    for head in contract.heads:
        measured = head.accuracy or {}
        accuracy = f"{measured['accuracy']:.2%} of {measured.get('images', '?')}" if "accuracy" in measured else "-"
        numbers = (f"{head.temperature:g}", f"{head.min_confidence:g}")
        rows.append((head.name, str(len(head.labels)), *numbers, accuracy, str(measured.get("truth", "-"))))
    return ["", *aligned(rows), ""]


def _listed(operators: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in operators.items())


def _contract_lines(text: str | None) -> list[str]:
    if text is None:
        return [f"contract  none (no metadata {METADATA_KEY}): fer-edge will refuse the file"]
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return [printable(f"contract  not JSON: {text[:MAX_GARBLED_SHOWN]}")]
    failed = values.get("failed_gates") if isinstance(values, dict) else None
    marked = [printable(f"FAILED    {', '.join(map(str, failed))} (exported with --force)")] if failed else []
    return [*marked, f"contract  {json.dumps(values, indent=2, sort_keys=True)}"]
