"""From a checkpoint to an fp32 ONNX graph: uint8 faces in, calibrated probabilities out."""

import math

import onnx
import torch
from torch import Tensor, nn

from fer_edge.errors import ModelError
from fer_edge.network.contract import Contract
from fer_export.graph.trace import finish, trace
from fer_train.networks import Network
from fer_train.networks.checkpoint import Checkpoint

INPUT, OUTPUT = "faces", "probabilities"
EXAMPLE_BATCH = 2  # torch.export would treat a batch of 1 as a constant


class CalibratedNetwork(nn.Module):
    """A network with its fitted temperature: normalized faces [N, 1, H, W] to probabilities [N, classes]."""

    def __init__(self, network: Network, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, faces: Tensor) -> Tensor:
        """Probabilities float32 [N, classes]."""
        return torch.softmax(self.network(faces) / self.temperature, dim=1)


def usable_network(checkpoint: Checkpoint, file: str) -> Network:
    """The checkpoint's network.

    Raises ModelError, which names `file`, if a weight or the temperature is not a usable number.
    """
    if not (math.isfinite(checkpoint.temperature) and checkpoint.temperature > 0):
        raise ModelError(f"{file} has the temperature {checkpoint.temperature}, which must be above 0: train again")
    network = checkpoint.network()
    for name, value in network.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            raise ModelError(f"{file} has weights that are not finite numbers ({name}): train again with a lower --lr")
    return network


def classifier_contract(checkpoint: Checkpoint, checkpoint_sha256: str, min_confidence: float = 0.0) -> Contract:
    """The contract of a file made from `checkpoint`, without its accuracy, which is not measured yet."""
    return Contract(
        kind="classifier",
        labels=checkpoint.classes,
        input_size=(checkpoint.input_size, checkpoint.input_size),
        color="grey",
        temperature=checkpoint.temperature,
        min_confidence=min_confidence,
        dataset=checkpoint.dataset,
        checkpoint_sha256=checkpoint_sha256,
        class_mapping=dict(checkpoint.class_mapping),
    )


def classifier_to_onnx(network: Network, checkpoint: Checkpoint) -> onnx.ModelProto:
    """The fp32 graph, without a contract: "faces" uint8 [batch, 1, H, W] to "probabilities" float32 [batch, classes].

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
    return trace(CalibratedNetwork(network, checkpoint.temperature), example, (INPUT, OUTPUT), {0: "batch"})


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
