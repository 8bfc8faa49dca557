"""What a run records: means while an epoch trains, and the rows of history.csv."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from fer_train.tables import save_csv
from fer_train.training.distributed import Rank


@dataclass(frozen=True)
class EpochRecord:
    """A row of history.csv. Losses are means over faces; accuracies are fractions; seconds are wall time.

    train_loss: of all heads. train_accuracy: the first head's. test_loss: the mean over the heads, each against its
    first truth. test_accuracy: what the best epoch is chosen by, the mean over the heads of their scores against their
    own truths (fer_train.evaluation.truths); of one head on labels it is the accuracy on PublicTest.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float


def write_history(history: Sequence[EpochRecord], path: Path) -> None:
    """Write a row per epoch to the CSV `path`, atomically; OutputError if that can't be done."""
    import pandas as pd

    save_csv(pd.DataFrame(map(asdict, history), columns=[field.name for field in fields(EpochRecord)]), path)


class RunningMeans:
    """Loss and accuracy of the epoch so far. The sums stay on the device: only reading them synchronizes with a GPU.

    With several processes each sums over its own faces until `all_reduce`.
    """

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(4, dtype=torch.float64, device=device)  # loss, faces, hits, labeled faces
        self._first_bad = torch.zeros((), device=device)

    def add(self, step: int, loss_sum: Tensor, logits: Tensor, soft_targets: Tensor) -> None:
        """Add a batch: its losses' sum, logits [N, classes] and soft targets [N, classes]. `step` counts from 1."""
        loss_sum, faces = loss_sum.detach(), torch.full_like(loss_sum, len(soft_targets), requires_grad=False)
        hits = soft_targets.gather(1, logits.argmax(1, keepdim=True)).sum()  # a mixed face counts as part of a hit
        self._sums += torch.stack([loss_sum, faces, hits, soft_targets.sum()])
        bad = (self._first_bad == 0) & ~loss_sum.isfinite()
        self._first_bad = torch.where(bad, float(step), self._first_bad)

    def all_reduce(self, rank: Rank) -> None:
        """Sum over all processes."""
        rank.all_reduce(self._sums)

    def read(self) -> tuple[float, float]:
        """Mean loss and accuracy over the faces so far."""
        loss, faces, hits, labeled = self._sums.tolist()
        return loss / max(faces, 1), hits / max(labeled, 1)

    def first_bad_step(self, rank: Rank) -> int | None:
        """The first step whose loss was not finite in any process."""
        steps = torch.where(self._first_bad > 0, -self._first_bad, -math.inf)
        rank.all_reduce(steps, torch.distributed.ReduceOp.MAX)
        return None if math.isinf(float(steps)) else int(-steps)
