"""Make the first convolution of a quantised network fast: let several pixels be the channels of one.

onnxruntime's int8 convolution costs as much for a row of one input channel as for one of eight, and a grey picture
has one: the first layer was by far the slowest of the detector. The picture's memory is read as one of a
fourth of the width and four channels, and the convolution's weights are spread so that each sum is of the same products
as before, in integers: the answers stay the same to the last bit (but for x86 processors without VNNI, whose int8
products saturate, in other pairs then).
"""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from fer_export.graph.onnx_file import copied

PIXELS = 4  # of a row that become one; eight gain little more, and their weights take four times the room
TO_LAST, TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]  # channels


def packed(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` (QuantizeLinear and DequantizeLinear around a first Conv on its input) that computes the same.

    As it is, if the first convolution is not 3x3 with a padding of 1, a stride of 1 or 2 and one channel of input, or
    if the width of the input is fixed and no multiple of PIXELS. A free width must always be one.
    """
    model = copied(model)
    graph = model.graph
    values = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    source = graph.input[0].name
    (read,) = _users(graph, source)
    (conv,) = _users(graph, read.output[0])
    fits = graph.input[0].type.tensor_type.shape.dim[3].dim_value % PIXELS == 0
    if not fits or (read.op_type, conv.op_type) != ("DequantizeLinear", "Conv") or len(conv.input) != 3:
        return model
    weights, biases = (makers[name] for name in conv.input[1:])
    kernel = numpy_helper.to_array(values[weights.input[0]])
    settings = {item.name: helper.get_attribute_value(item) for item in conv.attribute}
    stride = settings["strides"][0]
    if kernel.shape[1:] != (1, 3, 3) or settings["pads"] != [1] * 4 or settings["strides"] not in ([1, 1], [2, 2]):
        return model

    wide = _spread(kernel, stride)
    copies = len(wide) // len(kernel)

    def replaced(node: onnx.NodeProto, place: int, array: npt.NDArray[np.generic]) -> None:
        name = f"{node.input[place]}_packed"
        graph.initializer.append(numpy_helper.from_array(array, name))
        node.input[place] = name

    for node in (weights, biases):
        for place, name in enumerate(node.input):
            stored = numpy_helper.to_array(values[name])
            if node is weights and place == 0:
                replaced(node, place, wide)
            elif stored.ndim:
                replaced(node, place, np.tile(stored, copies))
    cells = wide.shape[3]
    for item in conv.attribute:
        if item.name == "kernel_shape":
            item.ints[:] = [3, cells]
        elif item.name == "strides":
            item.ints[:] = [stride, 1]
        elif item.name == "pads":
            item.ints[:] = [1, 1, int(stride == 1), cells - 2]

    done = _users(graph, conv.output[0])[0]
    while done.op_type != "QuantizeLinear":
        done = _users(graph, done.output[0])[0]
    before = _regrouped(graph, source, PIXELS)
    for node in _users(graph, done.output[0]):
        after_name = f"{done.output[0]}_regrouped"
        node.input[list(node.input).index(done.output[0])] = after_name
    after = _regrouped(graph, done.output[0], len(kernel))
    read.input[0] = before[-1].output[0]
    nodes = list(graph.node)
    place = nodes.index(done) + 1
    del graph.node[:]
    graph.node.extend([*before, *nodes[:place], *after, *nodes[place:]])
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def _users(graph: onnx.GraphProto, name: str) -> list[onnx.NodeProto]:
    return [node for node in graph.node if name in node.input]


def _spread(kernel: npt.NDArray[np.generic], stride: int) -> npt.NDArray[np.generic]:
    """Weights [O, 1, 3, 3] for packed pixels: [PIXELS / stride * O, PIXELS, 3, cells], zero but for the same nine.

    The cells are that of the output, the one left of it and, for a stride of 1, the one right of it.
    """
    outputs, count = len(kernel), PIXELS // stride
    wide = np.zeros((count * outputs, PIXELS, 3, 3 if stride == 1 else 2), kernel.dtype)
    for number in range(count):
        for column in range(3):
            cell, pixel = divmod(number * stride + column - 1, PIXELS)
            wide[number * outputs : (number + 1) * outputs, pixel, :, cell + 1] = kernel[:, 0, :, column]
    return wide


def _regrouped(graph: onnx.GraphProto, name: str, channels: int) -> list[onnx.NodeProto]:
    """Nodes that read the tensor `name` as one of so many channels; the last one's output is `name`_regrouped.

    Channels last, this moves nothing in memory, and onnxruntime runs quantised convolutions channels last.
    """
    shape = f"{name}_shape"
    graph.initializer.append(numpy_helper.from_array(np.array([0, 0, -1, channels], np.int64), shape))
    return [
        helper.make_node("Transpose", [name], [f"{name}_last"], perm=TO_LAST),
        helper.make_node("Reshape", [f"{name}_last", shape], [f"{name}_grouped"]),
        helper.make_node("Transpose", [f"{name}_grouped"], [f"{name}_regrouped"], perm=TO_FIRST),
    ]
