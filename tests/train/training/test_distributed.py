"""Two processes on a CPU train as one does."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from fer_train.networks.checkpoint import load_checkpoint
from fer_train.training.distributed import Shard, WholeBatchDropout, join, spread

from ..conftest import CsvWriter, face_rows

# The last batch of an epoch (42 faces) has 10; every kind of randomness is on.
OPTIONS = ["--epochs", "3", "--batch-size", "16", "--lr", "0.02", "--no-amp", "--threads", "1",
           "--augment", "strong,blur=0.5", "--mixup", "1", "--model", "edgeresnet-small"]  # fmt: skip
VOTES = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def _train(data: Path, votes: Path, out: Path, *launcher: str) -> str:
    arguments = ["--data", str(data), "--ferplus", str(votes), "--out", str(out), *OPTIONS]
    ran = subprocess.run(
        [sys.executable, *launcher, "-m", "fer_train.cli", *arguments], capture_output=True, text=True, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=180,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


def test_two_processes_give_the_loss_curve_of_one(write_csv: CsvWriter, tmp_path: Path) -> None:
    rows = face_rows(train=6, test=3)
    data = write_csv(rows)
    votes = write_csv([(usage, "", *([1] * 10)) for _, _, usage in rows], VOTES, "votes.csv")
    alone = _train(data, votes, tmp_path / "one")
    together = _train(
        data, votes, tmp_path / "two", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"
    )
    assert "2 processes" in together
    assert "2 processes" not in alone
    assert together.count("epoch   3/3") == 1, "only the first process prints"
    one, two = (
        list(csv.DictReader(io.StringIO((tmp_path / name / "history.csv").read_text()))) for name in ("one", "two")
    )
    assert len(one) == len(two) == 3
    for first, second in zip(one, two, strict=True):
        for name in ("train_loss", "test_loss"):
            assert float(second[name]) == pytest.approx(float(first[name]), rel=1e-3), name
        for name in ("train_accuracy", "test_accuracy"):  # rounding may tip a face that stands on the edge
            assert float(second[name]) == pytest.approx(float(first[name]), abs=2 / 42), name
    assert len({row["train_loss"] for row in one}) == 3
    networks = (load_checkpoint(tmp_path / name / "best.pt").state_dict for name in ("one", "two"))
    for (name, value), other in zip(next(networks).items(), next(networks).values(), strict=True):
        assert torch.allclose(value.float(), other.float(), rtol=1e-2, atol=1e-3), name


def test_a_run_that_torchrun_did_not_start_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    shard = join("cpu")
    network = nn.Linear(2, 2)
    assert shard == Shard(rank=0, world=1)
    assert shard.is_first
    assert spread(network, shard) is network
    assert torch.equal(shard.share(torch.arange(5)), torch.arange(5))


@pytest.mark.parametrize("faces", [4, 5])
def test_shares_are_disjoint_and_whole(faces: int) -> None:
    parts = [Shard(rank, 2).share(torch.arange(faces)) for rank in (0, 1)]
    assert sorted(torch.cat(parts).tolist()) == list(range(faces))


def test_dropout_masks_are_those_of_the_whole_batch() -> None:
    torch.manual_seed(0)
    expected = nn.Dropout(0.3)(torch.ones(6, 50))
    parts = []
    for rank in (0, 1):
        torch.manual_seed(0)
        parts.append(WholeBatchDropout(0.3, Shard(rank, 2, total=6))(torch.ones(3, 50)))
    assert torch.equal(parts[0], expected[::2])
    assert torch.equal(parts[1], expected[1::2])
    assert torch.equal(WholeBatchDropout(0.3, Shard(0, 2, total=6)).eval()(torch.ones(3, 50)), torch.ones(3, 50))
