"""Which faces calibrate, and what onnxruntime makes of the int8 file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import quantize_static

from fer_edge.errors import DataError, GateError
from fer_export.convert import to_onnx, usable_network
from fer_export.gates import enforce, fusion_gates
from fer_export.graph import save
from fer_export.operators import running_operators
from fer_export.quantise import FaceReader, choose_calibration_faces, quantise
from fer_export.quiet import quiet
from fer_train.checkpoint import Checkpoint
from fer_train.data import FaceData, also_in


def test_calibration_faces_are_balanced_though_disgust_is_rare(faces: FaceData) -> None:
    chosen = choose_calibration_faces(faces, 65, seed=0)
    assert chosen.counts() == {
        "angry": 10, "disgust": 5, "fear": 10, "happy": 10, "sad": 10, "surprise": 10, "neutral": 10,
    }  # fmt: skip


@pytest.mark.parametrize("count", [64, 66, 70, 80])
def test_as_many_are_chosen_as_were_asked_for(faces: FaceData, count: int) -> None:
    counts = choose_calibration_faces(faces, count, seed=0).counts()
    assert sum(counts.values()) == count
    common = [number for label, number in counts.items() if label != "disgust"]
    assert max(common) - min(common) <= 1


def test_all_there_are_are_taken_if_more_are_asked_for(faces: FaceData) -> None:
    assert len(choose_calibration_faces(faces, 512, seed=0)) == 6 * 14 + 5 - 1  # but the one that is a test face


def test_only_training_faces_calibrate_and_none_that_measures(faces: FaceData) -> None:
    chosen = choose_calibration_faces(faces, 512, seed=0)
    assert set(chosen.usage) == {"Training"}
    assert not also_in(chosen.images, faces.split("PublicTest").images).any()
    assert also_in(faces.split("Training").images, faces.split("PublicTest").images).any()


def test_the_choice_follows_from_the_seed(faces: FaceData) -> None:
    first, again, other = (choose_calibration_faces(faces, 64, seed).images for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_too_few_faces_are_refused_with_the_number_needed(faces: FaceData) -> None:
    few = faces.rows((faces.usage == "PublicTest") | (np.cumsum(faces.usage == "Training") <= 20))
    with pytest.raises(DataError, match=r"has 19 training faces .* needs at least 64"):
        choose_calibration_faces(few, 512, seed=0)


def test_every_convolution_runs_in_int8_and_the_dense_tail_in_float(int8: onnx.ModelProto, tmp_path: Path) -> None:
    running = running_operators(save(int8, tmp_path / "m.onnx"))
    assert all(gate.passed for gate in fusion_gates(10, running))
    assert running["QLinearConv"] == 10 and running["QLinearAdd"] == 3
    assert running["Gemm"] == running["Softmax"] == 1
    assert running["DequantizeLinear"] == 1  # before the tail: the uint8 input is fused away


def test_the_baseline_network_fuses_as_well(
    make_checkpoint: Callable[[str], Checkpoint], faces: FaceData, tmp_path: Path
) -> None:
    checkpoint = make_checkpoint("cnn4")
    model = to_onnx(usable_network(checkpoint, "c4.pt"), checkpoint)
    running = running_operators(save(quantise(model, faces.images[:64], tmp_path), tmp_path / "m.onnx"))
    assert all(gate.passed for gate in fusion_gates(4, running))


def test_the_quantisers_defaults_fail_the_fusion_gate(fp32: onnx.ModelProto, faces: FaceData, tmp_path: Path) -> None:
    with quiet():
        quantize_static(save(fp32, tmp_path / "fp32.onnx"), tmp_path / "m.onnx", FaceReader(faces.images[:16]))
    gates = fusion_gates(10, running_operators(tmp_path / "m.onnx"))
    assert [gate.passed for gate in gates] == [False, False]
    with pytest.raises(GateError, match=r"int8_convolutions is 4, must be at least 10 .*float_convolutions is 6"):
        enforce(gates, force=False)


def test_a_float_file_fails_the_fusion_gate(fp32: onnx.ModelProto, tmp_path: Path) -> None:
    gates = fusion_gates(10, running_operators(save(fp32, tmp_path / "m.onnx")))
    assert [gate.passed for gate in gates] == [False, False]


def test_quantising_says_nothing(
    fp32: onnx.ModelProto, faces: FaceData, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    quantise(fp32, faces.images[:8], tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_class_without_faces_is_left_out(faces: FaceData) -> None:
    without = faces.rows(faces.labels != 1)
    assert choose_calibration_faces(replace(without), 72, seed=0).counts()["disgust"] == 0
