"""Variants of a shipped network, to measure what a part costs: a float input, or the first head alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from fer_edge.network.classifier import Classifier
from fer_export.graph.onnx_file import drop_unused_nodes, to_bytes, with_contract

INPUT = "normalized_face"


def without_front(path: Path) -> tuple[bytes, float, float]:
    """The network of `path` as ONNX bytes, and the scale and zero point of its front.

    Its input INPUT is (x - zero point) * scale as float32 [N, C, H, W]; its output is the same as before.
    ValueError if the file does not begin with a DequantizeLinear.
    """
    model = onnx.load(str(path))
    front = model.graph.node[0]
    if front.op_type != "DequantizeLinear" or front.input[0] != model.graph.input[0].name:
        raise ValueError(f"{path.name} does not begin with a DequantizeLinear of its input")
    constants = {item.name: item for item in model.graph.initializer}
    scale, zero = (numpy_helper.to_array(constants[name]).item() for name in front.input[1:3])
    sides = [dim.dim_value or "batch" for dim in model.graph.input[0].type.tensor_type.shape.dim]
    for node in model.graph.node[1:]:
        for place, name in enumerate(node.input):
            if name == front.output[0]:
                node.input[place] = INPUT
    for name in front.input[1:3]:
        if not any(name in node.input for node in model.graph.node[1:]):
            model.graph.initializer.remove(constants[name])
    del model.graph.node[0]
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, sides))
    return model.SerializeToString(), float(scale), float(zero)


def normalized(faces: npt.NDArray[np.uint8], scale: float, zero: float) -> npt.NDArray[np.float32]:
    """The float input of such a network for uint8 faces."""
    return (faces.astype(np.float32) - np.float32(zero)) * np.float32(scale)


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
