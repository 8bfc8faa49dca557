"""A file with several heads cut down to one, to measure what the others cost."""

from dataclasses import replace
from pathlib import Path

import onnx

from fer_edge.network.classifier import Classifier
from fer_export.graph.onnx_file import drop_unused_nodes, to_bytes, with_contract


def default_head_alone(path: Path) -> bytes | None:
    """The network of `path` with its default head's output only, as ONNX bytes; None if it has no further heads.

    Both have the same trunk, to the bit. The rows of the other heads stay in the last layer, where they take the
    share of their classes in the multiply-adds of one dense layer; what they lose is all that follows.
    """
    contract = Classifier(path).contract
    if len(contract.heads) < 2:
        return None
    model = onnx.load(path)
    del model.graph.output[1:]
    drop_unused_nodes(model.graph)
    return to_bytes(with_contract(model, replace(contract, heads=())))
