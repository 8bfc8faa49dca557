"""Two processes on a CPU train together, agree with each other, resume, and write once."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from fer_train.networks.checkpoint import load_checkpoint
from fer_train.training.distributed import Rank, init, wrap_ddp

from ..conftest import CsvWriter, face_rows

# An epoch has 42 faces: two batches of 16 and one of 10. Every kind of randomness is on.
OPTIONS = ["--epochs", "2", "--batch-size", "16", "--lr", "0.02", "--no-amp", "--threads", "1",
           "--augment", "strong,blur=0.5", "--mixup", "1", "--model", "edgeresnet-small"]  # fmt: skip
VOTES = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def test_two_processes_train_agree_resume_and_write_once(write_csv: CsvWriter, tmp_path: Path) -> None:
    rows = face_rows(train=6, test=3)
    data = write_csv(rows)
    votes = write_csv(
        [(usage, "", *(5 * (label == column) for column in range(10))) for label, _, usage in rows], VOTES, "votes.csv"
    )
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = Path(__file__).with_name("two_runs.py")
    ran = subprocess.run(
        [sys.executable, *launcher, script, tmp_path, "--data", data, "--ferplus", votes, *OPTIONS],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"

    first, second = (torch.load(whole / f"rank-{index}.pt") for index in (0, 1))
    assert all(map(torch.equal, first["parameters"], second["parameters"]))
    assert all(torch.equal(first["average"][name], value) for name, value in second["average"].items())

    histories = [pd.read_csv(folder / "history.csv").drop(columns="seconds") for folder in (whole, resumed)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    assert len(set(histories[0]["train_loss"])) == 2
    best, again = (load_checkpoint(folder / "best.pt") for folder in (whole, resumed))
    assert all(torch.equal(best.state_dict[name], value) for name, value in again.state_dict.items())

    assert ran.stderr.count("2 processes") == 2, "only the first process prints, once per run"
    assert ran.stderr.count("epoch   2/2") == 2
    assert "after epoch 1\n" in ran.stderr


def test_a_process_that_torchrun_did_not_start_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    rank = init("cpu")
    network = nn.Linear(2, 2)
    assert rank == Rank(index=0, world_size=1)
    assert rank.is_first
    assert wrap_ddp(network, rank) is network
    assert torch.equal(rank.share(torch.arange(5)), torch.arange(5))


@pytest.mark.parametrize("faces", [4, 5])
def test_shares_are_disjoint_and_complete(faces: int) -> None:
    parts = [Rank(index, 2).share(torch.arange(faces)) for index in (0, 1)]
    assert sorted(torch.cat(parts).tolist()) == list(range(faces))
