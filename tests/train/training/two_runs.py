"""For test_distributed, started by torchrun: an uninterrupted run in OUT/whole and a resumed one in OUT/resumed.

    torchrun --nproc-per-node 2 two_runs.py OUT FER-TRAIN'S OPTIONS...

Both runs share a pair of processes, since starting these takes most of the time. Each process leaves its weights in
OUT/whole/rank-N.pt.
"""

import functools
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from fer_edge.console import run_main
from fer_train import plots
from fer_train.cli import train
from fer_train.training import distributed
from fer_train.training import trainer as training

save_state, run = training.save_state, training.Trainer.run


def save_state_and_copy(trainer: Any, path: Path) -> None:
    """Also keep the results as they are after the first epoch."""
    save_state(trainer, path)
    if len(trainer.history) == 1:
        shutil.copytree(path.parent, path.parent.with_name("resumed"))


def run_and_save_weights(trainer: training.Trainer, *callbacks: Any) -> None:
    """Also write this process's weights."""
    run(trainer, *callbacks)
    weights = {"average": trainer.average.state_dict(), "parameters": list(trainer.student.parameters())}
    torch.save(weights, trainer.out / f"rank-{os.environ['RANK']}.pt")


def main() -> None:
    """Train without interruption, then resume a copy of the first epoch's results."""
    out, *options = sys.argv[1:]
    training.save_state, training.Trainer.run = save_state_and_copy, run_and_save_weights  # type: ignore[method-assign]
    for name in ("plot_classes", "plot_curves", "plot_evaluation", "plot_samples"):
        setattr(plots, name, lambda *_: None)  # they take longer than the training
    distributed.init, close = functools.cache(distributed.init), distributed.close  # both runs use one connection
    distributed.close = lambda _rank: None
    train.main([*options, "--out", f"{out}/whole"], standalone_mode=False)
    distributed.close = close
    run_main(train, "fer-train", [*options, "--out", f"{out}/resumed", "--resume"])


if __name__ == "__main__":
    main()
