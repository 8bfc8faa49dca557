"""The first convolution on pack_first_conv pixels gives the same answers to the last bit."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_export.graph.onnx_file import to_bytes
from fer_export.graph.operators import running_operators
from fer_export.int8.pack_first_conv import PIXELS, pack_first_conv


def network(
    stride: int = 1, relu: bool = False, kernel: int = 3, width: int | str = "4*w", bias: bool = True, users: int = 1
) -> onnx.ModelProto:
    """A quantized convolution, maybe a ReLU, quantized again, then dequantized to `users` outputs."""
    rng = np.random.default_rng(stride)
    values = {
        "in_scale": np.float32(1 / 64), "in_zero": np.uint8(128),
        "weights": rng.integers(-127, 128, (6, 1, kernel, kernel), dtype=np.int8),
        "weight_scale": rng.uniform(0.001, 0.02, 6).astype(np.float32), "weight_zero": np.zeros(6, np.int8),
        "bias": rng.integers(-500, 500, 6, dtype=np.int32), "bias_zero": np.zeros(6, np.int32),
        "out_scale": np.float32(0.03), "out_zero": np.uint8(0 if relu else 120),
    }  # fmt: skip
    values["bias_scale"] = values["weight_scale"] / np.float32(64)
    pads = [kernel // 2] * 4
    inputs = ["x", "w", "b"] if bias else ["x", "w"]
    nodes = [
        helper.make_node("DequantizeLinear", ["picture", "in_scale", "in_zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weights", "weight_scale", "weight_zero"], ["w"], axis=0),
        helper.make_node("Conv", inputs, ["y"], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads),
        helper.make_node("QuantizeLinear", ["r" if relu else "y", "out_scale", "out_zero"], ["q"]),
    ]
    if bias:
        dequantized = helper.make_node("DequantizeLinear", ["bias", "bias_scale", "bias_zero"], ["b"], axis=0)
        nodes.insert(2, dequantized)
    if relu:
        nodes.insert(-1, helper.make_node("Relu", ["y"], ["r"]))
    outputs = [f"answer{number}" for number in range(users)]
    nodes += [helper.make_node("DequantizeLinear", ["q", "out_scale", "out_zero"], [name]) for name in outputs]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("picture", TensorProto.UINT8, ["n", 1, "h", width])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 6, "a", "b"]) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in values.items() if name in used],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def answers(model: onnx.ModelProto, images: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, {"picture": images})]


@pytest.mark.parametrize("users", [1, 2])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1, 8, PIXELS), (2, 1, 12, 7 * PIXELS)])
def test_packing_does_not_change_the_outputs(shape: tuple[int, ...], stride: int, relu: bool, users: int) -> None:
    before = network(stride, relu, users=users)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected, found = answers(before, images), answers(pack_first_conv(before), images)
    assert len(expected) == len(found) == users
    for one, other in zip(expected, found, strict=True):
        assert one.shape == (shape[0], 6, shape[2] // stride, shape[3] // stride)
        assert len(np.unique(one)) > 20
        assert np.array_equal(one, other)


@pytest.mark.parametrize("options", [{"kernel": 5}, {"width": 50}, {"bias": False}, {"stride": 3}])
def test_other_convolutions_stay_as_they_are(options: dict[str, int]) -> None:
    model = network(**options)  # type: ignore[arg-type]
    assert pack_first_conv(model).SerializeToString() == model.SerializeToString()


def test_a_network_like_the_shipped_one_is_packed(int8: onnx.ModelProto) -> None:
    new = pack_first_conv(int8)
    faces = np.random.default_rng(0).integers(0, 256, (3, 1, 48, 48), dtype=np.uint8)
    (first,), (second,) = (
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {int8.graph.input[0].name: faces}
        )
        for model in (int8, new)
    )
    assert np.array_equal(first, second)
    running = running_operators(to_bytes(new))
    assert running["QLinearConv"] == 10
    assert "Conv" not in running
    widths = [numpy_helper.to_array(tensor).shape for tensor in new.graph.initializer]
    assert (PIXELS * 16, PIXELS, 3, 3) in widths
