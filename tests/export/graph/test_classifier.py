"""From a checkpoint to an fp32 graph."""

import math
import re

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from fer_edge.errors import GateError, ModelError, Terminated
from fer_export.checks.gates import folding_gate
from fer_export.graph.classifier import check_normalization, trace_classifier
from fer_export.graph.onnx_file import copied, strip_metadata, to_bytes
from fer_export.graph.operators import running_operators, stored_operators
from fer_export.graph.trace import check_opset, simplify
from fer_train.networks import Network
from fer_train.networks.checkpoint import Checkpoint
from fer_train.networks.normalization import normalize


def shape(value: onnx.ValueInfoProto) -> list[object]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_tracing_gives_opset_18_and_a_free_batch_size(traced: onnx.ModelProto) -> None:
    assert [(entry.domain, entry.version) for entry in traced.opset_import] == [("", 18)]
    assert shape(traced.graph.input[0]) == ["batch", 1, 48, 48]
    assert shape(traced.graph.output[0]) == ["batch", 7]


def test_tracing_keeps_every_weight_in_the_one_file(traced: onnx.ModelProto) -> None:
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in traced.graph.initializer)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, Terminated])
def test_an_interruption_that_torch_wraps_is_still_one(
    network: Network, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        try:
            raise interruption
        except BaseException as error:
            raise torch.onnx.OnnxExporterError("Failed to export the model") from error

    monkeypatch.setattr(torch.onnx, "export", interrupted)
    with pytest.raises(interruption):
        trace_classifier(network, checkpoint)


def test_the_graph_starts_with_the_normalization_of_uint8_faces(fp32: onnx.ModelProto) -> None:
    first = fp32.graph.node[0]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in fp32.graph.initializer}
    assert first.op_type == "DequantizeLinear" and first.input[0] == "faces"
    assert constants[first.input[1]] == np.float32(1 / 64)
    assert constants[first.input[2]] == 128 and constants[first.input[2]].dtype == np.uint8
    assert fp32.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert shape(fp32.graph.input[0]) == ["batch", 1, 48, 48]


@pytest.mark.parametrize(
    ("mean", "std"),
    [(127.5, 64), (-1, 64), (256, 64), (math.nan, 64), (128, 60), (128, 0), (128, -64), (128, math.inf)],
)
def test_a_mean_or_std_that_uint8_can_not_express_is_refused(mean: float, std: float) -> None:
    with pytest.raises(ModelError, match=re.escape(f"{mean if std == 64 else std} is not")):
        check_normalization(mean, std)


def test_all_batch_norms_are_folded(network: Network, fp32: onnx.ModelProto) -> None:
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    assert folding_gate(stored_operators(fp32)).passed
    assert not folding_gate({"Conv": 10, "BatchNormalization": 1}).passed


def test_uint8_faces_get_the_probabilities_that_pytorch_gives(
    network: Network, checkpoint: Checkpoint, fp32: onnx.ModelProto
) -> None:
    batch = np.random.default_rng(5).integers(0, 256, (7, 1, 48, 48), dtype=np.uint8)
    with torch.no_grad():
        logits = network(normalize(torch.from_numpy(batch[:, 0])))
        expected = torch.softmax(logits / checkpoint.temperature, 1).numpy()
    session = onnxruntime.InferenceSession(fp32.SerializeToString())
    np.testing.assert_allclose(session.run(None, {"faces": batch})[0], expected, atol=1e-5)


def test_simplifying_removes_what_does_nothing(fp32: onnx.ModelProto) -> None:
    padded = copied(fp32)
    last = padded.graph.node[-1]
    last.output[0] = "before"
    padded.graph.node.append(onnx.helper.make_node("Identity", ["before"], ["probabilities"]))
    assert "Identity" not in stored_operators(simplify(padded))


def test_no_metadata_is_left(traced: onnx.ModelProto, fp32: onnx.ModelProto) -> None:
    assert b"edgeresnet.py" in traced.SerializeToString()  # the stack traces that must go
    frame = copied(fp32)
    del frame.graph.initializer[:]  # their bytes may spell anything
    assert re.findall(rb"[ -~]*(?:[.]py|/\w+|pkg[.]torch|onnxsim)[ -~]*", frame.SerializeToString()) == []


def test_stripping_reaches_nodes_and_tensors(fp32: onnx.ModelProto) -> None:
    model = copied(fp32)
    model.doc_string = model.graph.doc_string = model.graph.node[3].doc_string = "leak"
    for holder in (model, model.graph, model.graph.node[0], model.graph.initializer[0], model.graph.input[0]):
        holder.metadata_props.add(key="where", value="leak")
    assert model.SerializeToString().count(b"leak") == 8
    strip_metadata(model)
    assert b"leak" not in model.SerializeToString()


@pytest.mark.parametrize(("domain", "version"), [("", 17), ("", 20), ("com.microsoft", 1)])
def test_another_opset_than_18_is_refused(fp32: onnx.ModelProto, domain: str, version: int) -> None:
    model = copied(fp32)
    check_opset(model)
    if domain:
        model.opset_import.add(domain=domain, version=version)
    else:
        model.opset_import[0].version = version
    with pytest.raises(GateError, match=f"{domain or 'ai.onnx'} {version}"):
        check_opset(model)


def test_onnxruntime_fuses_the_fp32_network_too(fp32: onnx.ModelProto) -> None:
    running = running_operators(to_bytes(fp32))
    assert "Relu" not in running and "Add" not in running and sum("Conv" in name for name in running) == 1
