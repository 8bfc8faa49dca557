"""Accuracy, agreement, time, and the gates on them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fer_edge.errors import DataError, GateError
from fer_edge.network.classifier import Classifier
from fer_export.checks.gates import Gate, accuracy_gates, agreement_gate, enforce
from fer_export.checks.measure import agreement, measure_latency, predict
from fer_train.data import FaceData
from fer_train.evaluation.scoring import Accuracy, measure_accuracy


@pytest.fixture
def classifier(finished) -> Classifier:
    return Classifier(finished.folder / "m.onnx")


def accuracy(share: float, images: int) -> Accuracy:
    return Accuracy("PublicTest", {"accuracy": share, "images": images}, share, images)


def test_faces_reach_the_network_unchanged(classifier: Classifier, faces: FaceData) -> None:
    some = faces.rows(np.arange(len(faces)) < 9)
    dark = replace(some, images=some.images // 9)  # which fer-edge would brighten
    for shown in (some, dark):
        np.testing.assert_array_equal(predict(classifier, shown, "test"), classifier.predict(shown.images[:, None]))


def test_columns_follow_the_datas_classes(classifier: Classifier, faces: FaceData) -> None:
    few = faces.rows(np.arange(len(faces)) < 5)
    turned = replace(few, classes=few.classes[::-1])
    np.testing.assert_array_equal(predict(classifier, turned, "test"), predict(classifier, few, "test")[:, ::-1])


def test_data_with_other_classes_is_refused(classifier: Classifier, faces: FaceData) -> None:
    with pytest.raises(DataError, match="happy, sad"):
        predict(classifier, replace(faces, classes=("happy", "sad")), "test")


def test_the_deduplicated_score_leaves_out_faces_known_from_training(faces: FaceData) -> None:
    test = faces.split("PublicTest")
    probabilities = np.eye(7, dtype=np.float32)[test.labels]
    probabilities[1] = np.roll(probabilities[1], 1)  # a wrong answer for a face that is new
    measured = measure_accuracy(probabilities, faces, "PublicTest")
    assert (measured.metrics["images"], measured.images_deduplicated) == (42, 41)
    assert measured.metrics["accuracy"] == pytest.approx(41 / 42)
    assert measured.deduplicated == pytest.approx(40 / 41)


def test_training_faces_have_no_deduplicated_score(faces: FaceData) -> None:
    training = faces.split("Training")
    assert measure_accuracy(np.eye(7, dtype=np.float32)[training.labels], faces, "Training").deduplicated is None


def test_agreement_counts_equal_predictions() -> None:
    first = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.1, 0.9]], dtype=np.float32)
    second = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]], dtype=np.float32)
    assert agreement(first, second) == 0.75


def test_a_file_timed_against_itself_has_a_ratio_near_one(finished, faces: FaceData) -> None:
    classifier = Classifier(finished.folder / "m.int8.onnx")
    latency = measure_latency({"fp32": classifier, "int8": classifier}, faces.images[0])
    assert latency.ratio is not None and 0.6 < latency.ratio.median < 1.6
    assert latency.ratio.low <= latency.ratio.median <= latency.ratio.high
    assert all(spread.low > 0 for spread in latency.milliseconds.values())


def test_without_int8_there_is_no_ratio(finished, faces: FaceData) -> None:
    latency = measure_latency({"fp32": Classifier(finished.folder / "m.onnx")}, faces.images[0])
    assert latency.ratio is None and list(latency.milliseconds) == ["fp32"]


@pytest.mark.parametrize(("share", "images", "passes"), [
    (0.9851, 3589, True), (0.9849, 3589, False), (float("nan"), 3589, False),
    (0.8, 10, True), (0.7, 10, False), (0.5, 4, True), (0.0, 1, True), (float("nan"), 10, False),
])  # fmt: skip
def test_the_agreement_gate_bounds_the_disagreement(share: float, images: int, passes: bool) -> None:
    assert agreement_gate(share, images).passed is passes


@pytest.mark.parametrize(("int8", "passes"), [(0.6981, True), (0.6965, False), (0.71, True)])
def test_the_accuracy_gate_bounds_the_drop(int8: float, passes: bool) -> None:
    (gate,) = accuracy_gates(accuracy(0.70, 3589), accuracy(int8, 3589))
    assert gate.passed is passes


def test_a_drop_on_few_faces_is_not_checked() -> None:
    assert accuracy_gates(accuracy(0.70, 999), accuracy(0.1, 999)) == []


def test_a_failed_gate_reports_value_bound_and_advice() -> None:
    failing, passing = Gate("agreement", 0.9, "at least", 0.985, "calibrate better"), Gate("x", 1, "at most", 2, "")
    with pytest.raises(GateError, match=r"agreement is 0\.9, must be at least 0\.985: calibrate better"):
        enforce([passing, failing], force=False)
    enforce([passing, failing], force=True)
    enforce([passing], force=False)


def test_a_value_that_is_not_a_number_is_null_in_json() -> None:
    stored = Gate("x", float("nan"), "at most", 2, "").to_json()
    assert json.loads(json.dumps(stored, allow_nan=False)) == {
        "name": "x", "value": None, "limit": "at most", "bound": 2, "passed": False, "precision": "fp32",
    }  # fmt: skip


def test_measuring_reads_the_file_it_names(finished, faces: FaceData) -> None:
    shares = [
        predict(Classifier(finished.folder / name), faces.split("PublicTest"), name)
        for name in ("m.onnx", "m.int8.onnx")
    ]
    assert (shares[0] != shares[1]).any()
    assert agreement(*shares) == finished.report["agreement"]
