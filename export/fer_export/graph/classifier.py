"""From a checkpoint to an fp32 ONNX graph: uint8 faces in, calibrated probabilities out."""

import math

import numpy as np
import onnx
import onnxsim
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from fer_edge.errors import GateError, ModelError
from fer_export.graph.onnx_file import strip_metadata
from fer_export.graph.quiet import quiet
from fer_train.networks import Network
from fer_train.networks.checkpoint import Checkpoint

OPSET = 18  # DequantizeLinear and everything else these networks need is in it, and old runtimes read it
INPUT, OUTPUT = "faces", "probabilities"
NORMALIZED = "normalised_faces"
EXAMPLE_BATCH = 2  # torch.export would take a batch of 1 for a constant


class CalibratedNetwork(nn.Module):
    """A network with its fitted temperature: normalised faces [N, 1, H, W] to probabilities [N, classes]."""

    def __init__(self, network: Network, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, faces: Tensor) -> Tensor:
        return torch.softmax(self.network(faces) / self.temperature, dim=1)


def usable_network(checkpoint: Checkpoint, file: str) -> Network:
    """The checkpoint's network; ModelError, naming `file`, if a weight or the temperature is no usable number."""
    if not (math.isfinite(checkpoint.temperature) and checkpoint.temperature > 0):
        raise ModelError(f"{file} has the temperature {checkpoint.temperature}, which must be above 0: train again")
    network = checkpoint.network()
    for name, value in network.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            raise ModelError(f"{file} has weights that are not finite numbers ({name}): train again with a lower --lr")
    return network


def to_onnx(network: Network, checkpoint: Checkpoint) -> onnx.ModelProto:
    """The fp32 model of the file fer-edge runs, still without a contract.

    Input "faces" uint8 [batch, 1, H, W], output "probabilities" float32 [batch, classes]. Equal
    checkpoints give equal bytes. Raises ModelError if the network can't be exported, GateError if
    torch did not keep to the asked opset.
    """
    check_normalization(checkpoint.mean, checkpoint.std)
    model = trace(network, checkpoint.temperature, checkpoint.input_size)
    accept_uint8(model, checkpoint.mean, checkpoint.std)
    model = simplify(model)
    strip_metadata(model)
    check_opset(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def trace(network: Network, temperature: float, size: int) -> onnx.ModelProto:
    """Export with torch's dynamo exporter: float32 [batch, 1, size, size] to probabilities."""
    example = torch.zeros(EXAMPLE_BATCH, 1, size, size)
    try:
        with quiet():
            program = torch.onnx.export(
                CalibratedNetwork(network, temperature).eval(),
                (example,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: "batch"},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        if interruption := _interruption(error):
            raise interruption from None
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"torch can't export this network ({reason}): change its layers") from error
    assert program is not None  # only the old exporter returns nothing
    return program.model_proto


def _interruption(error: BaseException) -> BaseException | None:
    """A signal's exception that torch has taken for a failure of its own, somewhere among the causes of `error`."""
    cause: BaseException | None = error
    while isinstance(cause, Exception):
        cause = cause.__cause__ or cause.__context__
    return cause


def check_normalization(mean: float, std: float) -> None:
    """ModelError unless `mean` is a whole number 0 to 255 and `std` a power of two: DequantizeLinear only
    approximates others, so that the file would not compute what was trained.
    """
    if not (math.isfinite(mean) and mean == int(mean) and 0 <= mean <= 255):
        raise ModelError(f"the checkpoint's mean {mean} is no whole number 0 to 255, as uint8 input needs: train again")
    if not (math.isfinite(std) and std > 0 and math.frexp(std)[0] == 0.5):
        raise ModelError(f"the checkpoint's std {std} is no power of two, as uint8 input needs: train again")


def accept_uint8(model: onnx.ModelProto, mean: float, std: float) -> None:
    """Put DequantizeLinear(input, 1/std, mean) before the graph, in place, so that its input is uint8.

    (x - 128) / 64 is then computed exactly as in training. onnxruntime fuses the node with the first
    int8 convolution, so fp32 and int8 share one interface at no cost.
    """
    graph, inputs = model.graph, [model.graph.input[0].name, "input_scale", "input_zero_point"]
    for node in graph.node:
        node.input[:] = [NORMALIZED if name == inputs[0] else name for name in node.input]
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(1 / std, dtype=np.float32), inputs[1]),
            numpy_helper.from_array(np.array(mean, dtype=np.uint8), inputs[2]),
        ]
    )
    graph.node.insert(0, helper.make_node("DequantizeLinear", inputs, [NORMALIZED], name="normalise"))
    graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """onnxsim's result. Its own random check is off: it feeds values below 1, which are all 0 as uint8."""
    with quiet():
        simplified: onnx.ModelProto = onnxsim.simplify(model, check_n=0)[0]
    return simplified


def check_opset(model: onnx.ModelProto) -> None:
    """GateError unless the model's only operator set is ONNX 18: torch can silently write another."""
    found = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if found != {"ai.onnx": OPSET}:
        said = ", ".join(f"{domain} {version}" for domain, version in sorted(found.items()))
        raise GateError(f"the exported graph uses {said} and not ai.onnx {OPSET} alone: install the pinned torch")
