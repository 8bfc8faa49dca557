"""What a run records: means over faces, and history.csv."""

import csv
import io
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_train.training.distributed import Rank
from fer_train.training.history import EpochRecord, RunningMeans, write_history


def test_running_means_are_over_faces_and_know_the_first_bad_step() -> None:
    means = RunningMeans(torch.device("cpu"))
    means.add(1, torch.tensor(3.0), torch.eye(3), torch.eye(3)[[0, 1, 0]])
    means.add(2, torch.tensor(5.0), torch.eye(3)[:1], torch.eye(3)[:1])
    assert means.read() == (pytest.approx((3 + 5) / 4), pytest.approx(3 / 4))
    assert means.first_bad_step(Rank()) is None
    for step, loss in enumerate([1.0, float("nan"), float("inf")], start=3):
        means.add(step, torch.tensor(loss), torch.eye(3), torch.eye(3))
    assert means.first_bad_step(Rank()) == 4


def test_the_history_is_a_row_per_epoch_with_all_digits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = [0.1 + 0.2, 1e-5, 1e16, 1.0, 0.0, 123456789.125, *(10.0 ** rng.uniform(-12, 6, 60)).tolist()]
    history = [EpochRecord(epoch + 1, *values[epoch * 6 : epoch * 6 + 6]) for epoch in range(11)]
    write_history(history, tmp_path / "history.csv")
    expected = io.StringIO()
    writer = csv.DictWriter(expected, [field.name for field in fields(EpochRecord)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, history))
    assert (tmp_path / "history.csv").read_bytes() == expected.getvalue().encode()
