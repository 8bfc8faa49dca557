"""Trace a PyTorch network into an ONNX graph that takes uint8 images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxsim
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from fer_edge.errors import GateError, ModelError
from fer_export.graph.onnx_file import strip_metadata
from fer_export.graph.quiet import quiet

OPSET = 18  # has DequantizeLinear and all else that these networks need, and old runtimes read it
NORMALIZED = "normalised_faces"  # stored in every file: exports must keep their bytes
SCALE, ZERO_POINT = "input_scale", "input_zero_point"
OUTER, INNER = "output.{}", "{}.inner"  # no head's name has a dot


def trace(
    module: nn.Module, example: Tensor, names: tuple[str, ...], dynamic_shapes: dict[int, Any]
) -> onnx.ModelProto:
    """Export `module` with torch's dynamo exporter: one float32 input like `example`, float32 outputs.

    names: of the input and of each output. dynamic_shapes: the free sides of the input, by dimension.
    Raises ModelError if torch can't export the module; Ctrl-C and SIGTERM pass through as they are.
    """
    try:
        with quiet():
            program = torch.onnx.export(
                module.eval(),
                (example,),
                input_names=[names[0]],
                output_names=[OUTER.format(place) for place in range(len(names) - 1)],
                dynamic_shapes=(dynamic_shapes,),
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
    assert program is not None  # only the old exporter returns None
    model = program.model_proto  # a copy, each time
    rename_outputs(model, names[1:])
    return model


def rename_outputs(model: onnx.ModelProto, names: Sequence[str]) -> None:
    """Give the graph's outputs these names, in place; a tensor inside of it that has one of them gets another.

    torch calls tensors by their operators, such as "linear" and "mean", which are good names for a head, too.
    """
    graph = model.graph
    renamed = {name: INNER.format(name) for name in names}
    renamed |= {OUTER.format(place): name for place, name in enumerate(names)}
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for value in (*graph.output, *graph.value_info, *graph.initializer):
        value.name = renamed.get(value.name, value.name)


def _interruption(error: BaseException) -> BaseException | None:
    """The exception of a signal among the causes of `error`: torch wraps it as if the export had failed."""
    cause: BaseException | None = error
    while isinstance(cause, Exception):
        cause = cause.__cause__ or cause.__context__
    return cause


def finish(model: onnx.ModelProto, mean: float, std: float) -> onnx.ModelProto:
    """Turn a traced graph into one with uint8 input, simplified and without metadata.

    mean, std: the normalization of pixels 0 to 255. Raises GateError if torch did not keep to the requested opset.
    """
    accept_uint8(model, mean, std)
    model = simplify(model)
    strip_metadata(model)
    check_opset(model)
    return model


def accept_uint8(model: onnx.ModelProto, mean: float, std: float) -> None:
    """Put DequantizeLinear(input, 1/std, mean) before the graph, in place, so that its input is uint8.

    (x - 128) / 64 is then computed exactly as in training. onnxruntime fuses the node with the first int8
    convolution, so that fp32 and int8 share one interface at no cost.
    """
    graph, inputs = model.graph, [model.graph.input[0].name, SCALE, ZERO_POINT]
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
    """The graph as onnxsim simplifies it.

    onnxsim's own random check is off: it feeds values below 1, which are all 0 as uint8.
    """
    with quiet():
        simplified: onnx.ModelProto = onnxsim.simplify(model, check_n=0)[0]
    return simplified


def check_opset(model: onnx.ModelProto) -> None:
    """GateError unless the model's only operator set is ONNX 18: torch can silently write another."""
    found = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if found != {"ai.onnx": OPSET}:
        listed = ", ".join(f"{domain} {version}" for domain, version in sorted(found.items()))
        raise GateError(f"the exported graph uses {listed} instead of ai.onnx {OPSET} alone: install the pinned torch")
