"""The losses. Every function sums over faces.

Soft targets are float32 [N, classes]: a row sums to the face's weight, 0 for a face that adds nothing to the loss. They
may be mixed and weighted, because the cross-entropy is linear in them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def smooth_labels(soft_targets: Tensor, smoothing: float) -> Tensor:
    """Spread the fraction `smoothing` of each row over all classes (Szegedy et al. 2016)."""
    spread = smoothing / soft_targets.shape[1] * soft_targets.sum(dim=1, keepdim=True)
    return (1 - smoothing) * soft_targets + spread


def cross_entropy_sum(logits: Tensor, soft_targets: Tensor) -> Tensor:
    """Cross-entropy of logits [N, classes] against soft targets [N, classes], a scalar."""
    return -(soft_targets * F.log_softmax(logits, dim=1)).sum()


def distillation_sum(
    logits: Tensor, teacher_probabilities: Tensor, temperature: float, weights: Tensor | None = None
) -> Tensor:
    """KL divergence of the student's softmax(logits / temperature) from the teachers' [N, classes], a scalar.

    weights: of the faces, float32 [N]; 1 by default.
    It is multiplied by the temperature squared, which keeps the size of the gradient (Hinton et al. 2015).
    """
    student = F.log_softmax(logits / temperature, dim=1)
    divergence = F.kl_div(student, teacher_probabilities, reduction="none")
    return (divergence if weights is None else divergence * weights.unsqueeze(1)).sum() * temperature**2


def class_weights(labels: Tensor, num_classes: int, kind: str) -> Tensor:
    """The factor of each class's faces in the loss, float32 [classes]; its mean over the labels (int64 [N]) is 1.

    kind: "none"; "balanced", which gives every class the same sum; "sqrt", the square root of balanced weights.
    """
    if kind == "none":
        return torch.ones(num_classes)
    counts = torch.bincount(labels, minlength=num_classes).float()
    power = {"sqrt": 0.5, "balanced": 1.0}[kind]
    weights = torch.where(counts > 0, counts.clamp_min(1) ** -power, 0)
    return weights * len(labels) / (weights * counts).sum()
