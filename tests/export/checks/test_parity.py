"""Parity of the ONNX file with PyTorch."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fer_edge.errors import GateError, ModelError
from fer_export.checks.gates import consistency_gates, enforce, parity_gates
from fer_export.checks.parity import (
    BATCH_SIZES,
    Consistency,
    Parity,
    measure_consistency,
    measure_parity,
    probe_faces,
    with_logits_output,
)
from fer_export.int8.temperature import with_temperature
from fer_train.data import FaceData
from fer_train.networks import Network
from fer_train.networks.checkpoint import Checkpoint

HEALTHY = Parity(1e-6, 9.0, 0.0, 1e-7, BATCH_SIZES, 64)


def failed(parity: Parity) -> list[str]:
    return [gate.name for gate in parity_gates(parity) if not gate.passed]


def test_a_converted_network_keeps_every_bound(
    fp32: onnx.ModelProto, network: Network, checkpoint: Checkpoint, faces: FaceData
) -> None:
    probe = probe_faces(0, 48, faces.images)
    parity = measure_parity(fp32, network, checkpoint.temperature, probe)
    assert failed(parity) == []
    assert 0 < parity.max_abs_delta < 2e-5 and parity.largest_logit > 1
    assert parity.batches == (1, 2, 5, 64) and parity.faces == 128


@pytest.mark.parametrize("name", ["network.features.0.weight", "network.classifier.weight"])
def test_one_corrupted_weight_fails_the_gate(
    fp32: onnx.ModelProto, network: Network, checkpoint: Checkpoint, name: str
) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(fp32)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] += 0.01
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    parity = measure_parity(model, network, checkpoint.temperature, probe_faces(0, 48))
    assert "parity_max_abs_delta" in failed(parity)
    with pytest.raises(GateError, match=r"parity_max_abs_delta is .*must be at most .*Nothing is written"):
        enforce(parity_gates(parity), force=False)


def test_faces_that_influence_each_other_in_a_batch_fail_the_gate(
    fp32: onnx.ModelProto, network: Network, checkpoint: Checkpoint
) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(fp32)
    softmax = model.graph.node[-1]
    alone = softmax.input[0]
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "batch_axis"))
    mean = onnx.helper.make_node("ReduceMean", [alone, "batch_axis"], ["batch_mean"])
    softmax.input[0] = "coupled"
    for node in (mean, onnx.helper.make_node("Sub", [alone, "batch_mean"], ["coupled"])):
        model.graph.node.insert(len(model.graph.node) - 1, node)
    parity = measure_parity(model, network, checkpoint.temperature, probe_faces(0, 48))
    assert "parity_batch_delta" in failed(parity)


def test_a_wrong_temperature_fails_the_gate(fp32: onnx.ModelProto, network: Network, checkpoint: Checkpoint) -> None:
    parity = measure_parity(fp32, network, checkpoint.temperature * 1.01, probe_faces(0, 48))
    assert "parity_max_abs_delta" in failed(parity)


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"max_abs_delta": 3e-5}, "parity_max_abs_delta"),
        ({"max_abs_delta": float("nan")}, "parity_max_abs_delta"),
        ({"batch_delta": 1e-9}, "parity_batch_delta"),
        ({"sum_error": 2e-5}, "probability_sum_error"),
    ],
)
def test_each_figure_has_its_own_gate(change: dict[str, float], gate: str) -> None:
    assert failed(HEALTHY) == []
    assert failed(replace(HEALTHY, **change)) == [gate]


@pytest.mark.parametrize(
    ("largest_logit", "bound"), [(0.01, 2e-5), (10, 2e-5), (300, 6e-4), (float("inf"), 2e-5), (float("nan"), 2e-5)]
)
def test_the_bound_grows_with_large_logits(largest_logit: float, bound: float) -> None:
    parity = replace(HEALTHY, largest_logit=largest_logit)
    assert failed(replace(parity, max_abs_delta=0.99 * bound)) == []
    assert failed(replace(parity, max_abs_delta=1.01 * bound)) == ["parity_max_abs_delta"]


@pytest.mark.parametrize("temperature", [0.01, 100.0])
def test_a_network_with_large_or_small_logits_passes_and_fails_as_any_other(
    fp32: onnx.ModelProto, network: Network, temperature: float
) -> None:
    model, probe = with_temperature(fp32, temperature), probe_faces(0, 48)
    parity = measure_parity(model, network, temperature, probe)
    assert failed(parity) == []
    assert (parity.largest_logit > 300) == (temperature < 1)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "network.features.0.weight")
    values = numpy_helper.to_array(weights).copy()
    values.flat[0] += 0.05
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    assert failed(measure_parity(model, network, temperature, probe)) == ["parity_max_abs_delta"]


def test_a_face_gets_the_same_output_to_the_last_bit_alone_and_in_a_batch(
    fp32: onnx.ModelProto, int8: onnx.ModelProto, faces: FaceData
) -> None:
    for model in (fp32, int8):
        measured = measure_consistency(model, probe_faces(0, 48, faces.images))
        assert sorted(measured.logits) == [1, 2, 5, 64]
        assert measured.batch_delta == 0 and measured.sum_error < 1e-6
    assert all(gate.passed for gate in consistency_gates(measured))


def test_int8_has_gates_on_batches_and_sums_too() -> None:
    logits = np.zeros((2, 7), dtype=np.float32)
    measured = Consistency({1: logits, 2: logits + np.float32(1e-7)}, sum_error=2e-5)
    assert [gate.name for gate in consistency_gates(measured) if not gate.passed] == [
        "int8_batch_delta", "int8_probability_sum_error",
    ]  # fmt: skip


def test_a_graph_without_a_softmax_at_its_end_is_refused(fp32: onnx.ModelProto) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(fp32)
    model.graph.node[-1].op_type = "Relu"
    with pytest.raises(ModelError, match="does not end in a Softmax"):
        with_logits_output(model)


def test_the_seed_determines_the_probe_faces(faces: FaceData) -> None:
    first, again, other = probe_faces(1, 48), probe_faces(1, 48), probe_faces(2, 48)
    assert first.dtype == np.uint8 and first.shape == (64, 48, 48)
    assert (first == again).all() and (first != other).any()
    with_real = probe_faces(1, 48, faces.images)
    known = {image.tobytes() for image in faces.images}
    assert len(with_real) == 128 and all(image.tobytes() in known for image in with_real[64:])
