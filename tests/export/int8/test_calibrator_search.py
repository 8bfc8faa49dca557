"""Choosing a calibrator by measured agreement, and correcting biases."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fer_export.checks.gates import fusion_gates
from fer_export.graph.onnx_file import copied, to_bytes
from fer_export.graph.operators import running_operators
from fer_export.int8 import calibrator_search
from fer_export.int8.bias_correction import channel_means, correct_biases
from fer_export.int8.calibrator_search import compare_probabilities, probabilities, search_for_classifier
from fer_export.int8.settings import AUTO, CALIBRATORS
from fer_train.data import FaceData

FIRST = "network.features.0.weight_bias_quantized"


@pytest.fixture(autouse=True)
def few_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrator_search, "MIN_TUNING_IMAGES", 40)


def shifted(int8: onnx.ModelProto, steps: int) -> onnx.ModelProto:
    """Every bias of the first convolution off by `steps` quantization steps."""
    model = copied(int8)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == FIRST)
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.int32(steps), FIRST))
    return model


def bias(model: onnx.ModelProto) -> np.ndarray:
    return next(numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == FIRST)


def test_corrected_biases_restore_every_channels_mean(
    int8: onnx.ModelProto, fp32: onnx.ModelProto, faces: FaceData
) -> None:
    some = faces.images[:40]
    corrected = correct_biases(int8, fp32, some)
    for node in (node for node in corrected.graph.node if node.op_type == "Conv"):
        wanted = next(other.output[0] for other in fp32.graph.node if other.name == node.name)
        expected = channel_means(fp32, [wanted], some)[wanted]
        before, after = (
            np.abs(channel_means(model, [node.output[0]], some)[node.output[0]] - expected).max()
            for model in (int8, corrected)
        )
        assert after <= before and after < 5e-4


def test_correcting_undoes_a_shift_and_changes_nothing_but_biases(
    int8: onnx.ModelProto, fp32: onnx.ModelProto, faces: FaceData
) -> None:
    some = faces.images[:16]
    corrected = correct_biases(shifted(int8, 500), fp32, some)
    assert np.abs(bias(corrected) - bias(correct_biases(int8, fp32, some))).max() <= 1
    for ours, theirs in zip(corrected.graph.initializer, int8.graph.initializer, strict=True):
        assert ours.name == theirs.name and (ours == theirs or ours.name.endswith("bias_quantized"))
    running = running_operators(to_bytes(corrected))
    assert all(gate.passed for gate in fusion_gates(10, running))


def test_probabilities_are_compared_by_equal_predictions_and_distance() -> None:
    first = np.array([[0.6, 0.4], [0.6, 0.4]], dtype=np.float32)
    second = np.array([[0.8, 0.2], [0.4, 0.6]], dtype=np.float32)
    assert compare_probabilities(first, second) == (0.5, pytest.approx(0.2))


def test_all_calibrators_are_tried_and_the_one_that_agrees_best_is_kept(
    fp32: onnx.ModelProto, int8: onnx.ModelProto, faces: FaceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second calibrator gives a good model; the others, and the correction, give models with a wrong bias.
    answers = iter([shifted(int8, 20_000), int8, *[shifted(int8, 20_000)] * 3])
    monkeypatch.setattr(calibrator_search, "quantize", lambda *_: next(answers))
    monkeypatch.setattr(calibrator_search, "correct_biases", lambda *_: next(answers))
    lines: list[str] = []
    found = search_for_classifier(fp32, faces.images[:20], faces.images[100:160], AUTO, lines.append)
    names = list(CALIBRATORS)
    assert [candidate.calibrator for candidate in found.candidates] == [*names, names[1]]
    assert [candidate.corrected for candidate in found.candidates] == [False] * 4 + [True]
    assert found.model is int8 and found.chosen is found.candidates[1] and len(lines) == 5
    expected = compare_probabilities(*(probabilities(model, faces.images[100:160]) for model in (fp32, int8)))
    assert (found.chosen.agreement, found.chosen.distance) == expected


def test_a_correction_that_helps_is_kept(
    fp32: onnx.ModelProto, int8: onnx.ModelProto, faces: FaceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrator_search, "quantize", lambda *_: shifted(int8, 20_000))
    found = search_for_classifier(fp32, faces.images[:20], faces.images[100:160], "minmax", lambda _: None)
    assert found.chosen.corrected and str(found.chosen).startswith("minmax + bias correction")
    assert [candidate.calibrator for candidate in found.candidates] == ["minmax", "minmax"]


def test_too_few_tuning_faces_leave_the_calibrator_that_clips_nothing(fp32: onnx.ModelProto, faces: FaceData) -> None:
    found = search_for_classifier(fp32, faces.images[:20], faces.images[100:139], AUTO, lambda _: None)
    (only,) = found.candidates
    assert (only.calibrator, only.corrected, only.agreement) == ("minmax", False, None)
