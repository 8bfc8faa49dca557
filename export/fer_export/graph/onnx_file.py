"""What fer-export does to an ONNX model's frame: metadata, contract, bytes."""

from collections.abc import Iterable
from pathlib import Path

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]  # no stubs
from onnx import TensorProto, helper

from fer_edge.network.contract import METADATA_KEY, Contract
from fer_train.networks.checkpoint import Checkpoint

PRODUCER = "fer-export"


def strip_metadata(model: onnx.ModelProto) -> None:
    """Remove, in place, every doc string and metadata entry of the model, its nodes, tensors and shapes.

    torch stores stack traces there, with absolute paths of the machine that exported; they would
    make the bytes differ by folder, and tell strangers about it.
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


def contract_of(checkpoint: Checkpoint, checkpoint_sha256: str) -> Contract:
    """The contract of a model made from `checkpoint`, its accuracy not yet measured."""
    return Contract(
        kind="classifier",
        labels=checkpoint.classes,
        input_size=(checkpoint.input_size, checkpoint.input_size),
        color="grey",
        temperature=checkpoint.temperature,
        dataset=checkpoint.dataset,
        checkpoint_sha256=checkpoint_sha256,
        class_mapping=dict(checkpoint.class_mapping),
    )


def with_contract(model: onnx.ModelProto, contract: Contract) -> onnx.ModelProto:
    """A copy of `model` whose one metadata entry is `contract`."""
    stamped = copied(model)
    onnx.helper.set_model_props(stamped, {METADATA_KEY: contract.to_json()})
    return stamped


def with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A copy of `model` that gives the named float tensors as well."""
    probe = copied(model)
    probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    return probe


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model`, to be changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write `model` to `path`, equal models as equal bytes, and return the path."""
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path
