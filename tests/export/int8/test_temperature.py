"""The temperature of an int8 file."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fer_export.checks.parity import logits_of
from fer_export.graph.onnx_file import to_bytes
from fer_export.graph.operators import running_operators
from fer_export.int8.temperature import refit_temperature, with_temperature
from fer_train.data import FaceData
from fer_train.evaluation.metrics import fit_temperature


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_logits_are_divided_by_the_new_temperature_instead_of_the_old(
    precision: str, request: pytest.FixtureRequest, faces: FaceData
) -> None:
    model = request.getfixturevalue(precision)
    changed = with_temperature(model, 2.5)
    old, new = (logits_of(each, faces.images[:9]) for each in (model, changed))
    np.testing.assert_allclose(new * 2.5, old * 1.25, rtol=1e-5)
    onnx.checker.check_model(changed, full_check=True)
    assert len(changed.graph.initializer) == len(model.graph.initializer)  # nothing unused is left
    running = running_operators(to_bytes(changed))
    assert running["Div"] == running["Softmax"] == 1  # both in float


def test_a_graph_that_divides_by_nothing_gets_a_division(fp32: onnx.ModelProto, faces: FaceData) -> None:
    undivided = with_temperature(fp32, 1.0)
    *_, division, softmax = undivided.graph.node
    softmax.input[0] = division.input[0]
    undivided.graph.node.remove(division)
    old, new = (logits_of(each, faces.images[:9]) for each in (undivided, with_temperature(undivided, 2.0)))
    np.testing.assert_allclose(new * 2, old, rtol=1e-6)


def test_the_fit_finds_the_temperature_that_calibrates_the_probabilities(
    int8: onnx.ModelProto, faces: FaceData
) -> None:
    test = faces.split("PublicTest")
    wrong = np.random.default_rng(0).random(42) < 0.3
    noisy = replace(test, labels=np.where(wrong, (test.labels + 1) % 7, test.labels))
    fitted = refit_temperature(int8, 1.25, noisy, "PublicTest")
    assert fitted.after == pytest.approx(
        fit_temperature(logits_of(int8, noisy.images) * np.float32(1.25), noisy.labels), abs=1e-3
    )
    assert (fitted.before, fitted.images) == (1.25, 42)
    overconfident = refit_temperature(with_temperature(int8, 0.05), 0.05, noisy, "PublicTest")
    assert overconfident.after == pytest.approx(fitted.after, rel=0.01)
    assert overconfident.ece_after < overconfident.ece_before


def test_the_temperature_is_stored_in_float(int8: onnx.ModelProto) -> None:
    stored = {tensor.name: tensor for tensor in with_temperature(int8, 0.8).graph.initializer}["temperature"]
    assert numpy_helper.to_array(stored) == np.float32(0.8)
