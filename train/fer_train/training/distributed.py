"""One training run on several processes: `torchrun --nproc-per-node 2 -m fer_train.cli ...`, on one machine or many.

This uses torch's DistributedDataParallel unchanged. Every process holds all faces, augments and trains on its own share
of each batch, and the gradients are averaged. Batch normalization and dropout see the process's own share only, and
the running statistics are the first process's. The number of processes therefore changes the result a little.
Two runs with the same seed and number of processes give the same result, resumed or not.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fer_edge.console import skip_interpreter_shutdown


@dataclass(frozen=True)
class Rank:
    """This process's place among the `world_size` processes of a run; by default it is alone."""

    index: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.index == 0

    def share(self, batch: Tensor) -> Tensor:
        """A view of this process's rows of the whole batch [N, ...]."""
        return batch[self.index :: self.world_size] if self.world_size > 1 else batch

    def all_reduce(self, value: Tensor, operation: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Tensor:
        """Replace `value` by its sum (or another `operation`) over all processes, and return it."""
        if self.world_size > 1:
            dist.all_reduce(value, operation)
        return value

    def broadcast(self, values: Iterable[Tensor]) -> None:
        """Replace `values` by those of the first process."""
        if self.world_size > 1:
            for value in values:
                dist.broadcast(value, src=0)

    def barrier(self) -> None:
        """Wait until all processes have reached this point."""
        if self.world_size > 1:
            dist.barrier()


def init(device: str) -> Rank:
    """Connect the processes that torchrun started ("cuda": one GPU each); without torchrun, a process alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Rank()
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    skip_interpreter_shutdown()  # Gloo's threads may hold tensors and abort the process as Python ends
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    return Rank(dist.get_rank(), dist.get_world_size())


def close(rank: Rank) -> None:
    """Disconnect what `init` connected."""
    if rank.world_size > 1:
        dist.destroy_process_group()


def wrap_ddp(module: nn.Module, rank: Rank) -> nn.Module:
    """`module` with its gradients averaged over all processes; the module itself if this process is alone."""
    if rank.world_size == 1:
        return module
    devices = [torch.cuda.current_device()] if next(module.parameters()).is_cuda else None
    return DistributedDataParallel(module, device_ids=devices)
