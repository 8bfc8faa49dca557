"""Turn a third-party emotion network into a file that fer-edge runs: uint8 faces in, probabilities out, a contract."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from fer_edge.console import hold_output
from fer_edge.files import atomic_write, check_writable
from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import METADATA_KEY
from fer_edge.network.session import load_model
from fer_export.adoption.heads import AdoptedHead
from fer_export.adoption.network import (
    PREFIX,
    accept_faces,
    add_softmax,
    divide_by_sum,
    free_batch,
    keep_one_input,
    keep_outputs,
)
from fer_export.adoption.options import Adoption, Changes
from fer_export.adoption.probe import Kind, kind_of, named, probe
from fer_export.graph.onnx_file import strip_metadata, to_bytes, with_contract
from fer_export.graph.third_party import read_third_party


def adopt(source: Path, adoption: Adoption, out: Path, overwrite: bool = False) -> Changes:
    """Write `source` to `out` with uint8 input, probabilities as outputs, and a contract.

    Raises OutputError if `out` can't be written, and ModelError, with nothing written, if the network is not what
    `adoption` says, or can't take more than one face at a time.
    """
    check_writable(out, overwrite)
    hold_output(out)
    model, read = read_third_party(source)
    with named(source):
        load_model(to_bytes(model))  # its error says what is wrong with a file that is not a usable model
    changes = [*read, "uint8 input with normalization"]
    has_contract = METADATA_KEY in {entry.key for entry in model.metadata_props}
    strip_metadata(model)
    model = onnx.compose.add_prefix(model, PREFIX)
    keep_one_input(model, source, adoption, has_contract)
    left_out = keep_outputs(model, source, adoption)
    if free_batch(model):
        changes.append("free batch size")
    accept_faces(model, adoption)
    changes += give_probabilities(model, source, adoption)
    probe(model, source, adoption)
    data = to_bytes(with_contract(model, adoption.contract))
    with named(source, "can't be adopted: "):
        for head in adoption.heads:
            Classifier(data, head=head.name or None)
    with atomic_write(out) as part:
        part.write_bytes(data)
    return Changes(tuple(changes), left_out)


def give_probabilities(model: onnx.ModelProto, source: Path, adoption: Adoption) -> list[str]:
    """Let every head's output be probabilities, in place; returns what was added, in words."""
    if adoption.softmax is None:
        kinds = [kind_of(rows) for rows in probe(model, source, adoption)]
    else:
        kinds = [Kind.LOGITS if adoption.softmax else Kind.PROBABILITIES] * len(adoption.heads)
    logits, shares = ([head for head, its in zip(adoption.heads, kinds, strict=True) if its is kind]
                      for kind in (Kind.LOGITS, Kind.SHARES))  # fmt: skip
    for head in logits:
        add_softmax(model, adoption.output_of(head))
    for head in shares:
        divide_by_sum(model, adoption.output_of(head), len(head.labels))
    made = [f"softmax{_of(logits, adoption)}"] if logits else []
    return made + [f"division{_of(shares, adoption)} by the sum (shares, as of a sigmoid or in percent)"] * bool(shares)


def _of(heads: Sequence[AdoptedHead], adoption: Adoption) -> str:
    """Which heads are meant; "" if all are."""
    return f" of {', '.join(head.name for head in heads)}" if len(heads) < len(adoption.heads) else ""
