"""The graph of a third-party network, edited: uint8 faces in, an output of probabilities per head."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fer_edge.errors import ModelError
from fer_export.adoption.heads import AdoptedHead
from fer_export.adoption.options import Adoption, as_float32
from fer_export.graph.classifier import INPUT
from fer_export.graph.onnx_file import drop_unused_nodes

PREFIX = "adopted_"  # of all names in the third-party graph, so that they can't clash with ours
BATCH = "batch"


def keep_one_input(model: onnx.ModelProto, source: Path, adoption: Adoption, has_contract: bool = False) -> None:
    """Make the face the graph's only input; ModelError if its shape is not what `adoption` says.

    has_contract: whether `source` has one, and so needs no adoption.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ModelError(
            f"{source} has {len(inputs)} inputs, but only a network that takes one image of a face can be adopted"
        )
    kind, sides = inputs[0].type.tensor_type, _sides(inputs[0])
    if kind.elem_type != TensorProto.FLOAT:
        name = TensorProto.DataType.Name(kind.elem_type).lower()
        if has_contract:
            raise ModelError(f"{source} takes {name} faces and has a contract already: fer-edge runs it as it is")
        raise ModelError(f"{source} takes {name} values, but only float networks can be adopted: convert it to float32")
    fits = len(sides) == 4 and all(side in (0, wanted) for side, wanted in zip(sides[1:], adoption.shape, strict=True))
    if not fits:
        wanted = ", ".join(map(str, adoption.shape))
        shown = _shown(inputs[0])
        raise ModelError(f"{source} takes [{shown}], not [N, {wanted}]: check --input-size, --color and --layout")
    del model.graph.input[:]
    model.graph.input.append(inputs[0])
    model.ir_version = max(model.ir_version, 4)  # before 4, initializers had to be inputs


def keep_outputs(model: onnx.ModelProto, source: Path, adoption: Adoption) -> tuple[str, ...]:
    """Keep the output of each head, as [N, labels] and in the heads' order, and only nodes that these need.

    Returns the names of the others. Raises ModelError if there is no such output, or none with a value per label.
    """
    given = {value.name.removeprefix(PREFIX): value for value in model.graph.output}
    chosen = [_output_for(head, given, source) for head in adoption.heads]
    del model.graph.output[:]
    for head, name in zip(adoption.heads, chosen, strict=True):
        output = adoption.output_of(head)
        model.graph.node.append(
            helper.make_node("Flatten", [PREFIX + name], [output], axis=1, name=f"flatten.{output}")
        )
        model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, [BATCH, len(head.labels)]))
    drop_unused_nodes(model.graph)
    return tuple(name for name in given if name not in chosen)


def _output_for(head: AdoptedHead, given: Mapping[str, onnx.ValueInfoProto], source: Path) -> str:
    """The name of the output that `head` reads."""
    count = len(head.labels)
    if head.output and head.output not in given:
        raise ModelError(
            f"{source} has no output {head.output!r} for the head {head.name}: choose one of {', '.join(given)}"
        )
    possible = {head.output: given[head.output]} if head.output else given
    unknown = [name for name, value in possible.items() if not value.type.tensor_type.HasField("shape")]
    fitting = [name for name, value in possible.items() if name not in unknown and _holds(value, count)]
    if not fitting and not unknown:
        raise misfit(source, head, "; ".join(map(_shown, possible.values())))
    name = [*fitting, *unknown][0]
    kind = given[name].type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        held = TensorProto.DataType.Name(kind).lower()
        raise ModelError(f"{source} gives {held} values in {name}, but only float outputs can be adopted")
    return name


def _holds(value: onnx.ValueInfoProto, count: int) -> bool:
    """Whether the tensor has `count` values per face, or may have."""
    return math.prod(side or count for side in _sides(value)[1:]) == count


def _shown(value: onnx.ValueInfoProto) -> str:
    return ", ".join(str(side) if side else "?" for side in _sides(value))


def misfit(source: Path, head: AdoptedHead, sizes: str) -> ModelError:
    """What to say where outputs of `sizes` don't have a value per label of the head."""
    asked = f" in {head.output}, but the head {head.name}" if head.output else ", but --labels"
    return ModelError(f"{source} gives [{sizes}]{asked} names {len(head.labels)} emotions: name one per value")


def free_batch(model: onnx.ModelProto) -> bool:
    """Let the graph take any number of faces, in place; False if it already did. `probe` checks that it does."""
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    was_fixed = bool(batch.dim_value > 0)
    batch.dim_param = BATCH
    del model.graph.value_info[:]  # shapes with the old batch size
    shapes = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for tensor in _constants(model):
        if was_fixed and tensor.name in shapes:
            values = numpy_helper.to_array(tensor).copy()
            if values.size > 1 and values[0] == 1:
                values[0] = 0  # ONNX reads it as the size of the input
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return was_fixed


def _constants(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """The graph's constant tensors; those of Constant nodes have the name of their output."""
    found = list(model.graph.initializer)
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                attribute.t.name = node.output[0]
                found.append(attribute.t)
    return found


def accept_faces(model: onnx.ModelProto, adoption: Adoption) -> None:
    """Put nodes before the graph that turn uint8 faces [N, C, H, W], RGB or gray, into what the network takes."""
    graph, channels = model.graph, adoption.channels
    constants = {
        "face.mean": np.broadcast_to(as_float32(adoption.mean), channels).reshape(1, channels, 1, 1),
        "face.std": np.broadcast_to(as_float32(adoption.std), channels).reshape(1, channels, 1, 1),
    }
    steps: list[tuple[str, list[str], dict[str, Any]]] = [("Cast", [], {"to": TensorProto.FLOAT})]
    if adoption.color == "bgr":
        constants["face.channels"] = np.array([2, 1, 0], dtype=np.int64)
        steps.append(("Gather", ["face.channels"], {"axis": 1}))
    steps += [("Sub", ["face.mean"], {}), ("Div", ["face.std"], {})]
    if adoption.layout == "nhwc":
        steps.append(("Transpose", [], {"perm": [0, 2, 3, 1]}))
    name, nodes = INPUT, []
    for place, (operator, others, attributes) in enumerate(steps):
        output = graph.input[0].name if place == len(steps) - 1 else f"face.{operator.lower()}"
        nodes.append(helper.make_node(operator, [name, *others], [output], name=f"front_{operator}", **attributes))
        name = output
    inner = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *inner])
    graph.initializer.extend(numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in constants.items())
    faces = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [BATCH, channels, *adoption.input_size])
    graph.input[0].CopyFrom(faces)


def add_softmax(model: onnx.ModelProto, output: str) -> None:
    """Turn the logits of `output` into probabilities."""
    logits = _replaced(model, output)
    model.graph.node.append(helper.make_node("Softmax", [logits], [output], axis=1, name=f"softmax.{output}"))


def divide_by_sum(model: onnx.ModelProto, output: str, count: int) -> None:
    """Turn the `count` shares per face of `output`, which are at least 0, into probabilities."""
    shares, ones, total = _replaced(model, output), f"{output}.ones", f"{output}.sum"
    model.graph.initializer.append(numpy_helper.from_array(np.ones((count, 1), np.float32), ones))
    # A product, since ReduceSum takes its axes in another way before opset 13.
    model.graph.node.append(helper.make_node("MatMul", [shares, ones], [total], name=f"sum.{output}"))
    model.graph.node.append(helper.make_node("Div", [shares, total], [output], name=f"divide.{output}"))


def _replaced(model: onnx.ModelProto, output: str) -> str:
    """The new name of what was the tensor `output`, for a node that makes the new one of it."""
    before = f"{output}.before"
    next(node for node in model.graph.node if output in node.output).output[0] = before
    return before


def _sides(value: onnx.ValueInfoProto) -> list[int]:
    """The sides of a tensor, 0 for a free one."""
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]
