"""Faces on the device, and the augmented batches of an epoch.

Everything random in an epoch follows from (seed, epoch, rank), so that a resumed run equals an uninterrupted one.
Nothing here synchronizes with the GPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_edge.errors import FerError
from fer_train.training.augment import augment
from fer_train.training.distributed import Rank
from fer_train.training.options import TrainOptions
from fer_train.training.targets import TrainingSet

EPOCH_SEEDS = 100_003  # from one run's seed to the next: their epochs have different seeds
RANK_SEEDS = 1_000_003  # from one process to the next; small, because torch's CPU generator uses 32 bits of a seed


@dataclass(frozen=True)
class Batch:
    """Augmented faces, this process's share of a batch.

    faces: float32 [N, 1, 48, 48], normalized, channels last.
    soft_targets: float32 [N, columns], all heads' targets side by side.
    taught: float32 [N, heads], the weight of each face in what teachers say about a head: 1 for a face that has targets
        for it, and for one without any target.
    """

    faces: Tensor
    soft_targets: Tensor
    taught: Tensor


class Batches:
    """All training faces as uint8 on the device, and the batches that this process trains on.

    faces: how many there are, with those without a label. labeled: fraction of them that has a label.
    per_epoch: batches in an epoch.
    Raises FerError if a batch has fewer than two faces per process.
    """

    def __init__(
        self, training: TrainingSet, unlabeled: npt.NDArray[np.uint8] | None, options: TrainOptions, rank: Rank
    ) -> None:
        device = torch.device(options.device)
        extra = np.empty((0, *training.images.shape[1:]), np.uint8) if unlabeled is None else unlabeled
        labels = np.concatenate([training.labels, np.full(len(extra), -1)])
        self._options, self._rank = options, rank
        self._images = torch.from_numpy(np.concatenate([training.images, extra])).to(device)
        self._labels = torch.from_numpy(labels).to(device)
        self._soft_targets = torch.from_numpy(_padded(training.targets, len(extra), 0)).to(device)
        has_targets = np.stack([head.targets.sum(axis=1) > 0 for head in training.heads], axis=1)
        self._taught = torch.from_numpy(_padded(has_targets, len(extra), 1)).to(device)
        self.labeled = len(training.labels) / len(labels)
        self.faces = len(labels)
        min_faces = 2 * rank.world_size  # batch normalization needs two faces to compare in each process
        if rank.world_size > 1 and min(options.recipe.batch_size, self.faces) < min_faces:
            raise FerError(f"{rank.world_size} processes need {min_faces} faces per batch: give a larger --batch-size")
        full, remainder = divmod(self.faces, options.recipe.batch_size)
        self.per_epoch = max(full + (remainder >= min_faces), 1)  # a last batch that is too small is left out

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 0; also seeds torch's global generators, which dropout uses."""
        options, rank = self._options, self._rank
        seed = options.seed * EPOCH_SEEDS + number
        generator = torch.Generator(self._images.device).manual_seed(seed)
        order = torch.split(self._order(generator), options.recipe.batch_size)[: self.per_epoch]
        ratios = torch.split(self._mixup_ratios(seed), options.recipe.batch_size)
        if not rank.is_first:  # all processes have shuffled alike; each augments its faces in its own way
            seed += rank.index * RANK_SEEDS
            generator.manual_seed(seed)
        torch.manual_seed(seed)
        for rows, ratio in zip(order, ratios, strict=False):
            yield self._batch(rank.share(rows), rank.share(ratio), generator)

    def _order(self, generator: torch.Generator) -> Tensor:
        """The epoch's faces as rows, int64 [faces]: each once, or drawn so that classes come equally often."""
        if not self._options.balanced_sampling:
            return torch.randperm(self.faces, device=self._images.device, generator=generator)
        counts = torch.bincount(self._labels[self._labels >= 0]).float()
        class_weights = counts.sum() / (counts.clamp_min(1) * (counts > 0).sum())  # mean 1 over the labeled faces
        weights = torch.where(self._labels < 0, 1.0, class_weights[self._labels.clamp_min(0)])
        return torch.multinomial(weights, self.faces, replacement=True, generator=generator)

    def _mixup_ratios(self, seed: int) -> Tensor:
        """The weight of each face in its mixed face, float32 [faces]; drawn on the CPU, because torch has no Beta."""
        alpha = self._options.mixup
        ratios = np.random.default_rng([seed, 1]).beta(alpha, alpha, self.faces) if alpha else np.ones(self.faces)
        return torch.from_numpy(ratios.astype(np.float32)).to(self._images.device, non_blocking=True)

    def _batch(self, rows: Tensor, ratios: Tensor, generator: torch.Generator) -> Batch:
        """The augmented faces `rows` (int64 [N]), each mixed with the face before it if mixup is on."""
        faces = augment(self._images[rows], self._options.augmentation, generator)
        soft_targets, taught = self._soft_targets[rows], self._taught[rows]
        if self._options.mixup:
            column = ratios[: len(rows)].unsqueeze(1)
            faces = _mixed(faces, column.view(-1, 1, 1, 1))
            soft_targets, taught = _mixed(soft_targets, column), _mixed(taught, column)
        return Batch(faces.contiguous(memory_format=torch.channels_last), soft_targets, taught)


def _mixed(values: Tensor, ratios: Tensor) -> Tensor:
    """Each row mixed with the row before it: `ratios` of itself, 1 - `ratios` of the other."""
    return torch.lerp(values.roll(1, 0), values, ratios)


def _padded(rows: npt.NDArray[Any], count: int, value: float) -> npt.NDArray[np.float32]:
    """`rows` [N, columns] as float32, then `count` rows of `value`."""
    return np.concatenate([rows, np.full((count, rows.shape[1]), value)]).astype(np.float32)
