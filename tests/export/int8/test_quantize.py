"""Which faces calibrate, and what onnxruntime makes of the int8 file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import quantize_static

from fer_edge.errors import DataError, GateError
from fer_export.checks.gates import enforce, fusion_gates
from fer_export.graph.classifier import classifier_to_onnx
from fer_export.graph.onnx_file import save, to_bytes
from fer_export.graph.operators import running_operators
from fer_export.graph.quiet import quiet
from fer_export.int8.calibration import calibrated_ranges, collect_histograms
from fer_export.int8.faces import choose_faces
from fer_export.int8.quantize import OneBatch, quantize
from fer_train.data import FaceData, also_in
from fer_train.networks.checkpoint import Checkpoint


def quantized(fp32: onnx.ModelProto, images: np.ndarray, calibrator: str = "minmax") -> onnx.ModelProto:
    return quantize(fp32, calibrated_ranges(collect_histograms(fp32, images), calibrator))


USABLE = 6 * 120 + 5 - 1  # training faces but the one that is a test face


def calibrating(faces: FaceData, count: int, seed: int = 0) -> FaceData:
    return choose_faces(faces, count, 0, seed)[0]


def test_calibration_faces_are_balanced_though_disgust_is_rare(faces: FaceData) -> None:
    assert calibrating(faces, 65).counts() == {
        "angry": 10, "disgust": 5, "fear": 10, "happy": 10, "sad": 10, "surprise": 10, "neutral": 10,
    }  # fmt: skip


@pytest.mark.parametrize("count", [64, 66, 70, 512])
def test_as_many_faces_are_chosen_as_requested(faces: FaceData, count: int) -> None:
    counts = calibrating(faces, count).counts()
    assert sum(counts.values()) == count
    common = [number for label, number in counts.items() if label != "disgust"]
    assert max(common) - min(common) <= 1


def test_all_faces_are_taken_if_more_are_requested(faces: FaceData) -> None:
    calibration, tuning, _ = choose_faces(faces, 5000, 100, seed=0)
    assert (len(calibration), len(tuning)) == (USABLE, 0)


def test_the_calibrator_is_chosen_on_balanced_training_faces_that_neither_calibrate_nor_measure(
    faces: FaceData,
) -> None:
    calibration, tuning, _ = choose_faces(faces, 512, 120, seed=0)
    for chosen in (calibration, tuning):
        assert set(chosen.usage) == {"Training"}
        assert not also_in(chosen.images, faces.split("PublicTest").images).any()
    assert also_in(faces.split("Training").images, faces.split("PublicTest").images).any()
    assert not also_in(tuning.images, calibration.images).any()
    assert set(tuning.counts().values()) == {0, 20}  # all disgusted faces calibrate


def test_the_seed_determines_the_choice(faces: FaceData) -> None:
    first, again, other = (choose_faces(faces, 64, 64, seed) for seed in (1, 1, 2))
    for place in (0, 1):
        assert (first[place].images == again[place].images).all()
        assert (first[place].images != other[place].images).any()


def test_few_faces_all_calibrate_with_their_mirror_images(faces: FaceData) -> None:
    few = faces.rows((faces.usage == "PublicTest") | (np.cumsum(faces.usage == "Training") <= 20))
    calibration, tuning, mirrored = choose_faces(few, 512, 10, seed=0)
    assert (len(calibration), len(tuning), mirrored) == (38, 0, True), "one of the 20 is a test face, too"
    np.testing.assert_array_equal(calibration.images[19:], calibration.images[:19, :, ::-1])
    np.testing.assert_array_equal(calibration.labels[19:], calibration.labels[:19])


def test_data_without_a_training_face_can_not_calibrate(faces: FaceData) -> None:
    with pytest.raises(DataError, match="no training faces that are not test faces too"):
        choose_faces(faces.split("PublicTest"), 512, 0, seed=0)


def test_every_convolution_runs_in_int8_and_the_dense_tail_in_float(int8: onnx.ModelProto) -> None:
    running = running_operators(to_bytes(int8))
    assert all(gate.passed for gate in fusion_gates(10, running))
    assert running["QLinearConv"] == 10 and running["QLinearAdd"] == 3
    assert running["Gemm"] == running["Softmax"] == 1
    assert running["DequantizeLinear"] == 1  # before the tail: the uint8 input is fused away


def test_the_baseline_network_fuses_as_well(make_checkpoint: Callable[[str], Checkpoint], faces: FaceData) -> None:
    checkpoint = make_checkpoint("cnn4")
    model = classifier_to_onnx(checkpoint.network(), checkpoint)
    running = running_operators(to_bytes(quantized(model, faces.images[:64])))
    assert all(gate.passed for gate in fusion_gates(4, running))


def test_the_quantizers_defaults_fail_the_fusion_gate(fp32: onnx.ModelProto, faces: FaceData, tmp_path: Path) -> None:
    with quiet():
        quantize_static(
            save(fp32, tmp_path / "fp32.onnx"), tmp_path / "m.onnx", OneBatch("faces", faces.images[:16, None])
        )
    gates = fusion_gates(10, running_operators((tmp_path / "m.onnx").read_bytes()))
    assert [gate.passed for gate in gates] == [False, False]
    with pytest.raises(GateError, match=r"int8_convolutions is 4, must be at least 10 .*float_convolutions is 6"):
        enforce(gates, force=False)


def test_a_float_file_fails_the_fusion_gate(fp32: onnx.ModelProto) -> None:
    gates = fusion_gates(10, running_operators(to_bytes(fp32)))
    assert [gate.passed for gate in gates] == [False, False]


def test_quantizing_prints_nothing(fp32: onnx.ModelProto, faces: FaceData, capfd: pytest.CaptureFixture[str]) -> None:
    quantized(fp32, faces.images[:8])
    assert capfd.readouterr() == ("", "")


def test_a_class_without_faces_is_left_out(faces: FaceData) -> None:
    without = faces.rows(faces.labels != 1)
    assert calibrating(without, 72).counts()["disgust"] == 0
