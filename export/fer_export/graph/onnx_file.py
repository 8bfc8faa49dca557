"""Copy, stamp, serialize and run ONNX models in memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]  # no stubs
from onnx import TensorProto, helper

from fer_edge.network.contract import METADATA_KEY, Contract

PRODUCER = "fer-export"


def strip_metadata(model: onnx.ModelProto) -> None:
    """Remove, in place, every doc string and metadata entry of the model, its nodes, tensors and shapes.

    torch stores stack traces there, with absolute paths of the machine that exported: the bytes would differ from
    folder to folder, and reveal details of the machine.
    """
    _strip(model)
    model.producer_name, model.producer_version = PRODUCER, ""


def _strip(message: Message) -> None:
    for field, value in message.ListFields():
        if field.name in ("doc_string", "metadata_props"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for child in [value] if isinstance(value, Message) else value:
                _strip(child)


def with_contract(model: onnx.ModelProto, contract: Contract) -> onnx.ModelProto:
    """A copy of `model` whose only metadata entry is `contract`."""
    stamped = copied(model)
    onnx.helper.set_model_props(stamped, {METADATA_KEY: contract.to_json()})
    return stamped


def with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A copy of `model` that also outputs the named float tensors."""
    probe = copied(model)
    probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    return probe


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` that may be changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def drop_unused_nodes(graph: onnx.GraphProto) -> None:
    """Remove, in place, the nodes and constants that no output of the graph needs."""
    producers = {name: place for place, node in enumerate(graph.node) for name in node.output}
    kept: set[int] = set()
    waiting = [output.name for output in graph.output]
    while waiting:
        place = producers.get(waiting.pop())
        if place is not None and place not in kept:
            kept.add(place)
            waiting.extend(_read_by(graph.node[place]))
    nodes = [node for place, node in enumerate(graph.node) if place in kept]
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused_initializers(graph)


def drop_unused_initializers(graph: onnx.GraphProto) -> None:
    """Remove, in place, the constants that are not outputs, and that no node reads."""
    used = {name for node in graph.node for name in _read_by(node)} | {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _read_by(node: onnx.NodeProto) -> Iterator[str]:
    """The names of the tensors that a node reads, itself or in its subgraphs."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (output.name for output in graph.output)
            for inner in graph.node:
                yield from _read_by(inner)


def to_bytes(model: onnx.ModelProto) -> bytes:
    """The model as the content of a file; equal models give equal bytes."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write `model` to `path`, equal models as equal bytes; returns the path."""
    path.write_bytes(to_bytes(model))
    return path
