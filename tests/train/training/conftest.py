"""A short run that many tests look at, and a way to make more of them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fer_train.data import FaceData
from fer_train.networks import Recipe
from fer_train.training.history import EpochRecord, RunningMeans
from fer_train.training.options import TrainOptions
from fer_train.training.targets import training_set
from fer_train.training.trainer import Trainer

from ..conftest import face_data

OPTIONS = TrainOptions("edgeresnet-small", epochs=4, recipe=Recipe("adamw", learning_rate=5e-3, batch_size=16), seed=1)


class StoppedError(Exception):
    """Interrupts a run, as a signal would."""


def run(
    data: FaceData, options: TrainOptions, out: Path, stop_at: int | None = None, resume: bool = False, **more: Any
) -> Trainer:
    """Train in `out`; `stop_at` interrupts the run after that many steps."""
    out.mkdir(exist_ok=True)
    trainer = Trainer(training_set(data, options.heads), options, out, **more)
    if resume:
        trainer.resume()
    steps = 0

    def on_step(_step: int, _means: RunningMeans) -> None:
        nonlocal steps
        steps += 1
        if steps == stop_at:
            raise StoppedError

    trainer.run(on_step, lambda _record, _is_best: None)
    return trainer


def same_tensors(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """Whether two state dicts have the same names and bits."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def without_times(history: list[EpochRecord]) -> list[EpochRecord]:
    """The records of a run with all seconds 0, to compare them with another run's."""
    return [replace(record, seconds=0) for record in history]


@pytest.fixture(scope="session")
def data() -> FaceData:
    """84 training and 21 test faces that a network can classify."""
    return face_data(train=12, test=3)


@pytest.fixture(scope="session")
def uninterrupted(data: FaceData, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A finished run with OPTIONS: 4 epochs of 6 steps."""
    return run(data, OPTIONS, tmp_path_factory.mktemp("uninterrupted"))
