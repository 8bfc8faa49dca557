"""Make the first convolution of a quantized network fast: pack several pixels into the channels of one.

onnxruntime's int8 convolution takes as long for one input channel as for eight, and a gray image has one: the first
layer was by far the slowest of the detector. The image's memory is read as an image of a fourth of the width with four
channels, and the convolution's weights are spread so that each sum has the same products as before, in integers: the
outputs stay the same to the last bit. (Except on x86 processors without VNNI, whose int8 products saturate: they
saturate in other pairs then.)
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from fer_export.graph.onnx_file import copied, drop_unused_initializers

PIXELS = 4  # of a row, packed into one; eight gain little more, and their weights are four times as many
TO_LAST, TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]  # permutations that move the channels
Weights = npt.NDArray[np.generic]


@dataclass(frozen=True)
class _FirstConv:
    """The first convolution: the node that dequantizes the image, the Conv, and those of its weights and biases.

    kernel: int8 [O, 1, 3, 3]. stride: 1 or 2.
    """

    image: onnx.NodeProto
    conv: onnx.NodeProto
    weights: onnx.NodeProto
    biases: onnx.NodeProto
    kernel: Weights
    stride: int


def pack_first_conv(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` (QuantizeLinear and DequantizeLinear around a first Conv on its input) that computes the same.

    Unchanged unless the first convolution is 3x3 with a padding of 1, a stride of 1 or 2 and one input channel. A
    fixed width must be a multiple of PIXELS, too; a free width must always be one.
    """
    model = copied(model)
    graph = model.graph
    first = _first_conv(graph)
    if first is None:
        return model
    cells = _pack_constants(graph, first)
    for item in first.conv.attribute:
        if item.name == "kernel_shape":
            item.ints[:] = [3, cells]
        elif item.name == "strides":
            item.ints[:] = [first.stride, 1]
        elif item.name == "pads":
            item.ints[:] = [1, 1, int(first.stride == 1), cells - 2]
    _regroup_around(graph, first)
    drop_unused_initializers(graph)
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def _first_conv(graph: onnx.GraphProto) -> _FirstConv | None:
    """The convolution on the graph's input, if it can be packed."""
    (image,) = _users(graph, graph.input[0].name)
    (conv,) = _users(graph, image.output[0])
    fits = graph.input[0].type.tensor_type.shape.dim[3].dim_value % PIXELS == 0
    if not fits or (image.op_type, conv.op_type) != ("DequantizeLinear", "Conv") or len(conv.input) != 3:
        return None
    makers = {name: node for node in graph.node for name in node.output}
    weights, biases = (makers[name] for name in conv.input[1:])
    kernel = numpy_helper.to_array(_constants(graph)[weights.input[0]])
    settings = {item.name: helper.get_attribute_value(item) for item in conv.attribute}
    if kernel.shape[1:] != (1, 3, 3) or settings["pads"] != [1] * 4 or settings["strides"] not in ([1, 1], [2, 2]):
        return None
    return _FirstConv(image, conv, weights, biases, kernel, settings["strides"][0])


def _pack_constants(graph: onnx.GraphProto, first: _FirstConv) -> int:
    """Give the convolution weights and biases for packed pixels, in place; returns the width of its new kernel."""
    constants = _constants(graph)
    wide = _spread(first.kernel, first.stride)
    copies = len(wide) // len(first.kernel)

    def replace(node: onnx.NodeProto, place: int, array: Weights) -> None:
        name = f"{node.input[place]}_packed"
        graph.initializer.append(numpy_helper.from_array(array, name))
        node.input[place] = name

    for node in (first.weights, first.biases):
        for place, name in enumerate(node.input):
            stored = numpy_helper.to_array(constants[name])
            if node is first.weights and place == 0:
                replace(node, place, wide)
            elif stored.ndim:
                replace(node, place, np.tile(stored, copies))
    return int(wide.shape[3])


def _spread(kernel: Weights, stride: int) -> Weights:
    """Weights [O, 1, 3, 3] for packed pixels: [PIXELS / stride * O, PIXELS, 3, cells], zero except for the same nine.

    The cells are the one of the output, the one left of it and, for a stride of 1, the one right of it.
    """
    outputs, count = len(kernel), PIXELS // stride
    wide = np.zeros((count * outputs, PIXELS, 3, 3 if stride == 1 else 2), kernel.dtype)
    for number in range(count):
        for column in range(3):
            cell, pixel = divmod(number * stride + column - 1, PIXELS)
            wide[number * outputs : (number + 1) * outputs, pixel, :, cell + 1] = kernel[:, 0, :, column]
    return wide


def _regroup_around(graph: onnx.GraphProto, first: _FirstConv) -> None:
    """Put nodes that pack the image before the convolution, and nodes that unpack its quantized output behind it."""
    last = _users(graph, first.conv.output[0])[0]
    while last.op_type != "QuantizeLinear":
        last = _users(graph, last.output[0])[0]
    result = last.output[0]
    before = _regroup(graph, graph.input[0].name, PIXELS)
    readers = _users(graph, result)
    after = _regroup(graph, result, len(first.kernel))
    for node in readers:
        node.input[list(node.input).index(result)] = after[-1].output[0]
    first.image.input[0] = before[-1].output[0]
    nodes = list(graph.node)
    place = nodes.index(last) + 1
    del graph.node[:]
    graph.node.extend([*before, *nodes[:place], *after, *nodes[place:]])


def _regroup(graph: onnx.GraphProto, name: str, channels: int) -> list[onnx.NodeProto]:
    """Nodes that read the tensor `name` as one with `channels` channels; the last one's output is the result.

    With the channels last this moves nothing in memory, and onnxruntime runs quantized convolutions channels last.
    """
    shape = f"{name}_shape"
    graph.initializer.append(numpy_helper.from_array(np.array([0, 0, -1, channels], np.int64), shape))
    return [
        helper.make_node("Transpose", [name], [f"{name}_last"], perm=TO_LAST),
        helper.make_node("Reshape", [f"{name}_last", shape], [f"{name}_grouped"]),
        helper.make_node("Transpose", [f"{name}_grouped"], [f"{name}_regrouped"], perm=TO_FIRST),
    ]


def _users(graph: onnx.GraphProto, name: str) -> list[onnx.NodeProto]:
    return [node for node in graph.node if name in node.input]


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in graph.initializer}
