"""From a checkpoint to an fp32 ONNX graph: uint8 faces in, calibrated probabilities out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from fer_edge.errors import ModelError
from fer_edge.network import contract as contracts
from fer_edge.network.contract import Contract
from fer_export.graph.trace import NORMALIZED, SCALE, ZERO_POINT, finish, trace
from fer_train.networks import Network
from fer_train.networks.checkpoint import Checkpoint
from fer_train.networks.heads import Head, columns

INPUT, OUTPUT = "faces", "probabilities"
RESERVED = (INPUT, NORMALIZED, SCALE, ZERO_POINT)  # names of tensors that every file has
EXAMPLE_BATCH = 2  # torch.export would treat a batch of 1 as a constant


class CalibratedNetwork(nn.Module):
    """A network with its heads' fitted temperatures: normalized faces [N, 1, H, W] to probabilities per head."""

    def __init__(self, network: Network, heads: Sequence[Head]) -> None:
        super().__init__()
        self.network, self.temperatures = network, [head.temperature for head in heads]
        self.columns = list(columns(heads).values())

    def forward(self, faces: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Probabilities float32 [N, classes], of each head if there are several."""
        logits = self.network(faces)
        if len(self.columns) == 1:
            return torch.softmax(logits / self.temperatures[0], dim=1)
        parts = zip(self.columns, self.temperatures, strict=True)
        return tuple(torch.softmax(logits[:, part] / temperature, dim=1) for part, temperature in parts)


def output_names(heads: Sequence[Head]) -> tuple[str, ...]:
    """The name of each head's output: its own, or "probabilities" for a single head."""
    if len(heads) == 1:
        return (OUTPUT,)
    names = [head.name for head in heads]
    return tuple(head_output(name, names) for name in names)


def head_output(name: str, heads: Sequence[str]) -> str:
    """The output of the head called `name` among `heads`: its name, unless `finish` gives that to another tensor.

    >>> head_output("people", ["people", "faces"]), head_output("faces", ["people", "faces"])
    ('people', 'faces_probabilities')
    """
    if name not in RESERVED:
        return name
    output = f"{name}_{OUTPUT}"
    while output in heads:
        output += "_"
    return output


def classifier_contract(
    checkpoint: Checkpoint,
    checkpoint_sha256: str,
    min_confidence: Mapping[str, float] | None = None,
    *,
    names_heads: bool = False,
) -> Contract:
    """The contract of a file made from `checkpoint`, without accuracies that are measured later.

    min_confidence: by head, "" for all others; the checkpoint's for a head that is not named.
    names_heads: whether the contract lists a single head, too, so that fer-edge knows its name.
    """
    given = min_confidence or {}
    thresholds = [given.get(head.name, given.get("", head.min_confidence)) for head in checkpoint.heads]
    contract = Contract(
        kind="classifier",
        labels=checkpoint.classes,
        input_size=(checkpoint.input_size, checkpoint.input_size),
        color="grey",
        temperature=checkpoint.temperature,
        min_confidence=thresholds[0],
        dataset=checkpoint.dataset,
        checkpoint_sha256=checkpoint_sha256,
        class_mapping=dict(checkpoint.class_mapping),
    )
    if len(checkpoint.heads) == 1 and not names_heads:
        return replace(contract, accuracy=_cross_validated(checkpoint.heads[0]))
    heads = [
        contracts.Head(
            name=head.name,
            output=output,
            labels=head.classes,
            temperature=head.temperature,
            min_confidence=threshold,
            dataset=head.dataset,
            accuracy=(measured := _cross_validated(head)) and {"truth": head.truth} | measured,
            class_mapping=dict(head.class_mapping),
        )
        for head, output, threshold in zip(checkpoint.heads, output_names(checkpoint.heads), thresholds, strict=True)
    ]
    return contract.with_heads(heads)


def _cross_validated(head: Head) -> dict[str, Any] | None:
    """The accuracy of a head that has learned from all faces of its data; None for any other: it is measured later."""
    if not head.learned_all:
        return None
    return {name: head.metrics[name] for name in ("split", "images", "accuracy")}


def classifier_to_onnx(network: Network, checkpoint: Checkpoint) -> onnx.ModelProto:
    """The fp32 graph, without a contract: "faces" uint8 [batch, 1, H, W] to "probabilities" float32 [batch, classes],
    or an output per head, if there are several.

    Equal checkpoints give equal bytes. Raises ModelError if the network can't be exported, GateError if torch did
    not keep to the requested opset.
    """
    check_normalization(checkpoint.mean, checkpoint.std)
    model = finish(trace_classifier(network, checkpoint), checkpoint.mean, checkpoint.std)
    onnx.checker.check_model(model, full_check=True)
    return model


def trace_classifier(network: Network, checkpoint: Checkpoint) -> onnx.ModelProto:
    """The graph as torch exports it: normalized float32 faces [batch, 1, H, W] to probabilities."""
    example = torch.zeros(EXAMPLE_BATCH, 1, checkpoint.input_size, checkpoint.input_size)
    names = (INPUT, *output_names(checkpoint.heads))
    return trace(CalibratedNetwork(network, checkpoint.heads), example, names, {0: "batch"})


def check_normalization(mean: float, std: float) -> None:
    """ModelError unless `mean` is a whole number 0 to 255 and `std` a power of two.

    DequantizeLinear only approximates other values, so the file would not compute what was trained.
    """
    if not (math.isfinite(mean) and mean == int(mean) and 0 <= mean <= 255):
        raise ModelError(
            f"the checkpoint's mean {mean} is not a whole number 0 to 255, which uint8 input needs: train again"
        )
    if not (math.isfinite(std) and std > 0 and math.frexp(std)[0] == 0.5):
        raise ModelError(f"the checkpoint's std {std} is not a power of two, which uint8 input needs: train again")
