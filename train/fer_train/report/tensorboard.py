"""Epoch metrics for TensorBoard, which is imported only when it is used."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.console import extra_required

if TYPE_CHECKING:
    from fer_train.training.history import EpochRecord


class Board:
    """Writes epochs' records to a SummaryWriter; without one it does nothing."""

    def __init__(self, writer: Any = None) -> None:
        self._writer = writer

    def add(self, record: "EpochRecord") -> None:
        """Write every metric of an epoch, under names such as train/loss and test/accuracy."""
        if self._writer is not None:
            for name, value in asdict(record).items():
                if name != "epoch":
                    self._writer.add_scalar(name.replace("_", "/", 1), value, record.epoch)
            self._writer.flush()


def require_tensorboard() -> None:
    """Raise MissingExtraError without TensorBoard."""
    with extra_required("fer-train", "tensorboard"):
        import torch.utils.tensorboard  # noqa: F401


@contextlib.contextmanager
def opened_board(folder: Path | None, done: int) -> Iterator[Board]:
    """A board that writes to `folder`, or nowhere if it is None; what follows epoch `done` there is replaced."""
    if folder is None:
        yield Board()
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder), purge_step=done + 1)
    try:
        yield Board(writer)
    finally:
        writer.close()
