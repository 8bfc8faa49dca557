"""Correct the biases of an int8 model, so that rounding and clipping shift no channel's mean."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from tqdm import tqdm

from fer_edge.network.session import iter_batches, open_session
from fer_export.graph.onnx_file import copied, to_bytes, with_outputs

BATCH = 32
Images = npt.NDArray[np.uint8]
Means = npt.NDArray[np.float64]


def correct_biases(int8: onnx.ModelProto, fp32: onnx.ModelProto, images: Images) -> onnx.ModelProto:
    """A copy of `int8` whose convolutions have the same mean per channel as those of `fp32`.

    images: uint8 [N, H, W] to measure the means on. The empirical bias correction of Nagel et al. 2019, "Data-Free
    Quantization Through Weight Equalization and Bias Correction", section 4.2: one convolution after the other, each
    behind the corrected ones, before its activation function.
    """
    corrected = copied(int8)
    means = channel_means(fp32, [node.output[0] for node in _convolutions(fp32)], images)
    expected = {node.name: means[node.output[0]] for node in _convolutions(fp32)}
    producers = {name: node for node in corrected.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in corrected.graph.initializer}
    for node in tqdm(_convolutions(corrected), desc="correcting", unit="layer", leave=False, disable=None):
        output = node.output[0]
        shift = expected[node.name] - channel_means(corrected, [output], images)[output]
        stored, scale = (constants[name] for name in producers[node.input[2]].input[:2])
        _add(stored, shift / numpy_helper.to_array(scale))
    return corrected


def channel_means(model: onnx.ModelProto, names: list[str], images: Images) -> Mapping[str, Means]:
    """Mean over images and positions of each channel of the named tensors [N, C, H, W]: float64 [C] by name."""
    sums: dict[str, list[Means]] = {name: [] for name in names}
    session = open_session(to_bytes(up_to(model, names)))
    for batch in iter_batches(session, images[:, None], BATCH, names):
        for name, values in zip(names, batch, strict=True):
            sums[name].append(values.mean(axis=(2, 3), dtype=np.float64).sum(axis=0))
    return {name: np.sum(parts, axis=0) / len(images) for name, parts in sums.items()}


def up_to(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """A copy of `model` that outputs only the named float tensors and ends with the last of them."""
    probe = copied(model)
    del probe.graph.output[:]
    probe = with_outputs(probe, names)
    last = max(place for place, node in enumerate(probe.graph.node) if set(names) & set(node.output))
    del probe.graph.node[last + 1 :]
    return probe


def _convolutions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == "Conv"]


def _add(stored: onnx.TensorProto, steps: Means) -> None:
    """Add `steps`, rounded, to an int32 bias."""
    values = numpy_helper.to_array(stored) + np.rint(steps).astype(np.int32)
    stored.CopyFrom(numpy_helper.from_array(values.astype(np.int32), stored.name))
