"""Metrics against values worked out by hand."""

import numpy as np
import pytest

from fer_train.evaluation.metrics import (
    cross_fitted_probabilities,
    expected_calibration_error,
    fit_temperature,
    score,
    softmax,
)

CLASSES = ("cat", "dog", "owl")
# truth:       cat cat cat dog dog owl
# predicted:   cat cat dog dog cat cat
LABELS = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [[0.9, 0.1, 0], [0.8, 0.1, 0.1], [0.3, 0.7, 0], [0.2, 0.6, 0.2], [0.5, 0.4, 0.1], [0.4, 0.3, 0.3]]
)


def test_accuracy_f1_and_confusion_are_as_worked_out_by_hand() -> None:
    metrics = score(PROBABILITIES, LABELS, CLASSES)
    assert metrics["images"] == 6
    assert metrics["accuracy"] == pytest.approx(3 / 6)
    assert metrics["confusion"] == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]  # a row is a true class
    assert metrics["per_class"]["cat"] == pytest.approx(
        {"precision": 2 / 4, "recall": 2 / 3, "f1": 4 / 7, "support": 3}
    )
    assert metrics["per_class"]["dog"] == pytest.approx(
        {"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "support": 2}
    )
    assert metrics["per_class"]["owl"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert metrics["macro_f1"] == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)
    assert list(metrics["per_class"]) == list(CLASSES)


def test_a_class_that_never_occurs_gives_zeros_and_no_warning() -> None:
    metrics = score(np.array([[1.0, 0, 0]]), np.array([0]), CLASSES)
    assert metrics["per_class"]["owl"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert metrics["accuracy"] == 1.0


def test_calibration_error_is_as_worked_out_by_hand() -> None:
    # Ten bins: 0.95 and 0.94 share the last one (one of two right), 0.62 has its own (right).
    probabilities = np.array([[0.95, 0.05], [0.94, 0.06], [0.38, 0.62]])
    labels = np.array([0, 1, 1])
    expected = (2 / 3) * abs(1 / 2 - 0.945) + (1 / 3) * abs(1 - 0.62)
    assert expected_calibration_error(probabilities, labels, bins=10) == pytest.approx(expected)
    assert score(probabilities, labels, ("a", "b"))["ece"] == pytest.approx(expected)  # 15 bins part them alike


def test_full_confidence_falls_into_the_last_bin() -> None:
    assert expected_calibration_error(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1])) == 0
    assert expected_calibration_error(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 0])) == 1


def test_nothing_to_score_is_no_error() -> None:
    assert score(np.empty((0, 3)), np.empty(0, dtype=np.int64), CLASSES)["accuracy"] == 0
    assert expected_calibration_error(np.empty((0, 3)), np.empty(0, dtype=np.int64)) == 0


def test_softmax_survives_huge_logits_and_divides_by_the_temperature() -> None:
    assert softmax(np.array([[1000.0, 0.0]])).tolist() == [[1.0, 0.0]]
    assert softmax(np.array([[2.0, 0.0]]), 2.0)[0, 0] == pytest.approx(np.e / (np.e + 1))


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_recovers_the_factor_that_logits_were_sharpened_by(factor: float) -> None:
    generator = np.random.default_rng(0)
    honest = generator.normal(size=(20_000, 4)) * 1.5
    drawn = softmax(honest).cumsum(axis=1) > generator.random((len(honest), 1))
    assert fit_temperature(factor * honest, drawn.argmax(axis=1)) == pytest.approx(factor, rel=0.05)


def test_cross_fitting_uses_the_other_halfs_temperature() -> None:
    logits = np.tile([[2.0, 0.0]], (40, 1))
    labels = np.zeros(40, dtype=np.int64)
    labels[1::2] = np.arange(20) % 2  # the odd rows are right half of the time only
    probabilities = cross_fitted_probabilities(logits, labels)[:, 0]
    assert probabilities[::2] == pytest.approx(softmax(logits[:1], fit_temperature(logits[1::2], labels[1::2]))[0, 0])
    assert probabilities[0] < 0.65 < 0.95 < probabilities[1]
