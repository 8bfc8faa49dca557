"""Batches: mixup, sampling, targets, and the shares of several processes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fer_edge.errors import FerError
from fer_train.data import FaceData
from fer_train.networks import Recipe
from fer_train.networks.normalization import normalize
from fer_train.training.augment import NO_AUGMENTATION, parse_augmentation
from fer_train.training.batches import Batch, Batches
from fer_train.training.distributed import Rank
from fer_train.training.options import TrainOptions
from fer_train.training.targets import training_set

from ..conftest import face_data

OPTIONS = TrainOptions("edgeresnet", 1, Recipe(batch_size=8), seed=3, augmentation=NO_AUGMENTATION)


def _training(train: int = 4, votes: bool = False) -> FaceData:
    return face_data(train=train, test=1, votes=votes)


def _epoch(data: FaceData, extra: Any = None, rank: Rank | None = None, number: int = 0, **changes: Any) -> list[Batch]:
    return list(Batches(training_set(data), extra, replace(OPTIONS, **changes), rank or Rank()).epoch(number))


def test_mixup_mixes_faces_and_targets_alike() -> None:
    data = _training(votes=True)
    plain, mixed = _epoch(data), _epoch(data, mixup=1.0)
    kept = []
    for before, after in zip(plain, mixed, strict=True):
        partner = before.faces.roll(1, 0)
        apart = (before.faces - partner).flatten(1)
        ratio = ((after.faces - partner).flatten(1) * apart).sum(1) / apart.square().sum(1)
        kept += ratio.tolist()
        weight = ratio.unsqueeze(1)
        targets = before.soft_targets
        assert torch.allclose(after.soft_targets, weight * targets + (1 - weight) * targets.roll(1, 0), atol=1e-4)
        taught = before.taught
        assert torch.allclose(after.taught, weight * taught + (1 - weight) * taught.roll(1, 0), atol=1e-4)
    assert len({round(ratio, 4) for ratio in kept}) > 20, "each face has a different ratio"
    assert 0.3 < np.mean(kept) < 0.7


@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_two_processes_share_the_faces_of_each_batch_and_augment_differently(mixup: float) -> None:
    data, extra = _training(votes=True), np.full((8, 48, 48), 9, np.uint8)
    whole = _epoch(data, extra)
    halves = [_epoch(data, extra, Rank(index, 2)) for index in (0, 1)]
    assert len(whole) == len(halves[0]) == len(halves[1]) == 5
    for index, batch in enumerate(whole):
        for rank in (0, 1):
            half = halves[rank][index]
            assert torch.equal(half.faces, batch.faces[rank::2])
            assert torch.equal(half.soft_targets, batch.soft_targets[rank::2])
            assert torch.equal(half.taught, batch.taught[rank::2])
    changes: dict[str, Any] = {"mixup": mixup, "augmentation": parse_augmentation("none,shift=0.3")}
    alike = data.rows(np.array([0] * 16 + [28]))
    first, again, second = (_epoch(alike, rank=Rank(index, 2), **changes)[0].faces for index in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.isclose(first, second).flatten(1).all(1).any(), "the same face, moved differently"


def test_a_batch_has_two_faces_per_process() -> None:
    with pytest.raises(FerError, match="4 processes need 8 faces per batch: give a larger --batch-size"):
        Batches(training_set(_training()), None, replace(OPTIONS, recipe=Recipe(batch_size=7)), Rank(0, 4))
    assert Batches(training_set(_training().rows(np.arange(35) != 3)), None, OPTIONS, Rank(0, 2)).per_epoch == 3, (
        "3 faces are left out"
    )


def test_unlabeled_faces_come_once_per_epoch_and_have_no_target() -> None:
    data, extra = _training(), np.full((6, 48, 48), 201, np.uint8)
    batches = Batches(training_set(data), extra, OPTIONS, Rank())
    assert batches.labeled == 28 / 34
    seen = list(batches.epoch(0))
    is_extra = torch.cat([(batch.faces == normalize(torch.tensor([[[201]]]))).flatten(1).all(1) for batch in seen])
    targets = torch.cat([batch.soft_targets for batch in seen])
    assert int(is_extra.sum()) == 6
    assert not targets[is_extra].any()
    assert torch.equal(targets[~is_extra].sum(0), torch.full((7,), 4.0))


def test_balanced_sampling_draws_all_classes_equally_often() -> None:
    data = _training(train=40)
    rare = data.rows((data.labels != 1) | (np.arange(len(data)) < 14))  # two faces of class 1
    drawn = torch.cat([batch.soft_targets for batch in _epoch(rare, balanced_sampling=True)]).sum(0)
    plain = torch.cat([batch.soft_targets for batch in _epoch(rare)]).sum(0)
    assert plain[1] == 2
    count = len(rare.split("Training"))
    assert drawn.sum() == count
    assert 0.6 * count / 7 < drawn.min()
    assert drawn.max() < 1.4 * count / 7


@pytest.mark.parametrize("changes", [{"mixup": 0.5}, {"balanced_sampling": True}, {}])
def test_an_epoch_is_repeatable_and_another_one_differs(changes: dict[str, Any]) -> None:
    first, again, other = (_epoch(_training(), number=number, **changes) for number in (2, 2, 3))
    assert all(torch.equal(one.faces, two.faces) for one, two in zip(first, again, strict=True))
    assert not any(torch.equal(one.faces, two.faces) for one, two in zip(first, other, strict=True))
