"""What is minimised. Every function sums over faces, so that shares of a batch can be added up over processes.

Targets are shares of classes, float [N, classes]: a row sums to 1, or to 0 for a face without a label, which then
teaches nothing here. They may be mixed and weighted, since all of this is linear in them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def shares_of(labels: Tensor, num_classes: int) -> Tensor:
    """Float [N, classes] of int64 labels [N]; -1 stands for no label."""
    return F.one_hot(labels.clamp_min(0), num_classes).float() * (labels >= 0).unsqueeze(1)


def smoothed(shares: Tensor, smoothing: float) -> Tensor:
    """Spread the part `smoothing` of each row over all classes (Szegedy et al. 2016)."""
    return (1 - smoothing) * shares + smoothing / shares.shape[1] * shares.sum(dim=1, keepdim=True)


def cross_entropy_sum(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy of logits [N, classes] against shares, summed."""
    return -(shares * F.log_softmax(logits, dim=1)).sum()


def distillation_sum(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence of the student, at `temperature`, from the teachers' probabilities [N, classes], summed.

    Multiplied by the temperature squared, which keeps the gradient's size (Hinton et al. 2015).
    """
    student = F.log_softmax(logits / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="sum") * temperature**2


def class_weights(labels: Tensor, num_classes: int, kind: str) -> Tensor:
    """Float [classes] by which a face's loss is multiplied; the mean over the faces `labels` (int64 [N]) is 1.

    kind: "none"; "balanced", which gives every class the same sum; "sqrt", half way there.
    """
    if kind == "none":
        return torch.ones(num_classes)
    counts = torch.bincount(labels, minlength=num_classes).float()
    power = {"sqrt": 0.5, "balanced": 1.0}[kind]
    weights = torch.where(counts > 0, counts.clamp_min(1) ** -power, 0)
    return weights * len(labels) / (weights * counts).sum()
