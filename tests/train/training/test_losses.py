"""Losses against torch's own, and against values computed by hand."""

import pytest
import torch
import torch.nn.functional as F

from fer_train.training.losses import class_weights, cross_entropy_sum, distillation_sum, smooth_labels

LOGITS = torch.randn(6, 7, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 3, 6, 3, 1, 2])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_equals_torchs(smoothing: float) -> None:
    ours = cross_entropy_sum(LOGITS, smooth_labels(F.one_hot(LABELS, 7).float(), smoothing))
    assert float(ours) == pytest.approx(
        float(F.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing, reduction="sum"))
    )


def test_a_face_without_a_label_has_no_gradient() -> None:
    has_label = torch.tensor([True, False, True, True, False, True])
    logits = LOGITS.clone().requires_grad_()
    targets = F.one_hot(LABELS, 7) * has_label.unsqueeze(1)
    cross_entropy_sum(logits, smooth_labels(targets.float(), 0.1)).backward()
    assert logits.grad is not None
    assert not logits.grad[~has_label].any()
    assert logits.grad[has_label].any(dim=1).all()


def test_a_student_that_agrees_with_the_teacher_has_no_loss() -> None:
    teacher = (LOGITS / 3).softmax(1)
    assert float(distillation_sum(LOGITS, teacher, 3.0)) == pytest.approx(0, abs=1e-5)
    assert float(distillation_sum(LOGITS.flip(0), teacher, 3.0)) > 1


def test_distillation_weighs_faces() -> None:
    teacher, weights = LOGITS.flip(0).softmax(1), torch.tensor([0, 1, 0.5, 0, 2, 1])
    each = [float(distillation_sum(LOGITS[row : row + 1], teacher[row : row + 1], 2.0)) for row in range(6)]
    expected = sum(float(weight) * loss for weight, loss in zip(weights, each, strict=True))
    assert float(distillation_sum(LOGITS, teacher, 2.0, weights)) == pytest.approx(expected, rel=1e-5)


def test_distillation_is_the_divergence_computed_by_hand() -> None:
    # At T = 2 logits (0, 2 ln 3) are probabilities 1/4 and 3/4; the teacher says 1/2 and 1/2.
    logits = torch.tensor([[0.0, 2 * torch.log(torch.tensor(3.0))]])
    divergence = 0.5 * torch.log(torch.tensor(0.5 / 0.25)) + 0.5 * torch.log(torch.tensor(0.5 / 0.75))
    assert float(distillation_sum(logits, torch.tensor([[0.5, 0.5]]), 2.0)) == pytest.approx(4 * float(divergence))


def test_class_weights_balance_the_classes_and_have_a_mean_of_1() -> None:
    labels = torch.tensor([0] * 16 + [1] * 4 + [2])  # of four classes, one without faces
    counts = torch.tensor([16.0, 4, 1, 0])
    assert class_weights(labels, 4, "none").tolist() == [1, 1, 1, 1]
    balanced, sqrt = class_weights(labels, 4, "balanced"), class_weights(labels, 4, "sqrt")
    assert (balanced * counts).tolist() == pytest.approx([7, 7, 7, 0])
    assert float(sqrt[2] / sqrt[0]) == pytest.approx(4)
    for weights in (balanced, sqrt):
        assert float((weights * counts).sum()) == pytest.approx(21)
        assert float(weights[3]) == 0
