"""Faces on the device, and the augmented batches of an epoch.

All randomness of an epoch follows from (seed, epoch), whatever the number of processes: that makes a resumed run
equal to an unbroken one. Nothing here makes a GPU wait.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_train.data import FaceData
from fer_train.training.augment import Draws, apply, draw
from fer_train.training.distributed import Shard
from fer_train.training.losses import shares_of
from fer_train.training.options import TrainOptions


@dataclass(frozen=True)
class Batch:
    """This process's share of a batch of augmented faces; `total` counts the faces of all processes.

    faces: float32 [N, 1, 48, 48], channels last. shares: float32 [N, classes], the targets, all 0 without a label.
    votes: float32 [N, 10], shares of the FER+ votes, or None.
    """

    faces: Tensor
    shares: Tensor
    votes: Tensor | None
    total: int


class Batches:
    """Training faces as uint8 on a device; `labelled` is the share of them that has a label."""

    def __init__(
        self, training: FaceData, unlabeled: npt.NDArray[np.uint8] | None, options: TrainOptions, shard: Shard
    ) -> None:
        device = torch.device(options.device)
        extra = np.empty((0, *training.images.shape[1:]), np.uint8) if unlabeled is None else unlabeled
        labels = np.concatenate([training.labels, np.full(len(extra), -1)])
        self._options, self._shard = options, shard
        self._images = torch.from_numpy(np.concatenate([training.images, extra])).to(device)
        self._labels = torch.from_numpy(labels).to(device)
        self._shares = shares_of(self._labels, len(training.classes))
        self._votes = (
            None if training.votes is None else torch.from_numpy(_vote_shares(training.votes, extra)).to(device)
        )
        self.labeled = len(training) / len(labels)
        self.faces = len(labels)
        full, rest = divmod(len(labels), options.recipe.batch_size)
        # A face alone in the last batch gives batch normalisation nothing to compare: it sits the epoch out.
        self.per_epoch = max(full + (rest > 1 and rest >= shard.world), 1)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 0; also seeds torch's own generators, for dropout."""
        seed = self._options.seed * 100_003 + number
        torch.manual_seed(seed)
        generator = torch.Generator(self._images.device).manual_seed(seed)
        order = torch.split(self._order(generator), self._options.recipe.batch_size)[: self.per_epoch]
        ratios = torch.split(self._ratios(seed), self._options.recipe.batch_size)
        for rows, ratio in zip(order, ratios, strict=False):
            yield self._batch(rows, ratio, generator)

    def _order(self, generator: torch.Generator) -> Tensor:
        device = self._images.device
        if not self._options.balanced_sampling:
            return torch.randperm(self.faces, device=device, generator=generator)
        counts = self._shares.sum(dim=0)
        balanced = self._shares @ (
            counts.sum() / (counts.clamp_min(1) * (counts > 0).sum())
        )  # mean 1 over the labelled
        weights = torch.where(self._labels < 0, 1.0, balanced)
        return torch.multinomial(weights, self.faces, replacement=True, generator=generator)

    def _ratios(self, seed: int) -> Tensor:
        """How much of itself each face keeps in mixup, float32 [faces]; drawn on the CPU and sent over once."""
        alpha = self._options.mixup
        kept = np.random.default_rng([seed, 1]).beta(alpha, alpha, self.faces) if alpha else np.ones(self.faces)
        return torch.from_numpy(kept.astype(np.float32)).to(self._images.device, non_blocking=True)

    def _batch(self, rows: Tensor, ratios: Tensor, generator: torch.Generator) -> Batch:
        """The augmented faces `rows` (int64 [N]), each mixed with the face before it if mixup is on."""
        shape = (len(rows), *self._images.shape[1:])
        draws = draw(shape, self._options.augmentation, generator)
        before = torch.arange(len(rows), device=rows.device).roll(1) if self._options.mixup else None
        mine = self._shard.share(rows)
        faces = self._view(mine, {name: self._shard.share(value) for name, value in draws.items()})
        shares, votes = self._targets(mine)
        if before is not None:
            partner = self._shard.share(before)
            kept = self._shard.share(ratios[: len(rows)]).unsqueeze(1)
            # A partner may be another process's face: then its view is made here, too, from the same draws.
            others = faces[partner] if self._shard.world == 1 else self._view(rows[partner], _chosen(draws, partner))
            other_shares, other_votes = self._targets(rows[partner])
            faces = torch.lerp(others, faces, kept.view(-1, 1, 1, 1))
            shares = torch.lerp(other_shares, shares, kept)
            votes = torch.lerp(other_votes, votes, kept) if votes is not None and other_votes is not None else None
        return Batch(faces.contiguous(memory_format=torch.channels_last), shares, votes, len(rows))

    def _view(self, rows: Tensor, draws: Draws) -> Tensor:
        return apply(self._images[rows], draws)

    def _targets(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        return self._shares[rows], None if self._votes is None else self._votes[rows]


def _chosen(draws: Draws, rows: Tensor) -> Draws:
    return {name: value[rows] for name, value in draws.items()}


def _vote_shares(votes: npt.NDArray[np.float32], extra: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Votes [N, 10] as shares that sum to 1; an image nobody voted on, such as one of `extra`, has all 0."""
    shares = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)
    return np.concatenate([shares, np.zeros((len(extra), votes.shape[1]))]).astype(np.float32)
