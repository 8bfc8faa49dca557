"""One training run over several processes: `torchrun ... -m fer_train.cli ...`, on one machine or many.

Each process holds all faces, draws the whole batch's random numbers and works on its share of the batch, so that the
number of processes changes nothing but rounding: batch normalisation and dropout see the whole batch, too.
"""

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fer_edge.console import skip_interpreter_shutdown


@dataclass
class Shard:
    """This process's place among `world`; `total` is the number of faces in the batch at work, over all processes."""

    rank: int = 0
    world: int = 1
    total: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's rows of a whole batch [N, ...]."""
        return batch[self.rank :: self.world] if self.world > 1 else batch

    def add_up(self, value: Tensor) -> Tensor:
        """The sum of `value` over all processes, in place."""
        if self.world > 1:
            dist.all_reduce(value)
        return value

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.world > 1:
            dist.barrier()


def join(device: str) -> Shard:
    """Join the processes that torchrun started; a lone process when it didn't."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Shard()
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    skip_interpreter_shutdown()  # Gloo's threads may hold tensors and abort the process as Python ends
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    return Shard(dist.get_rank(), dist.get_world_size())


def leave(shard: Shard) -> None:
    """Undo `join`."""
    if shard.world > 1:
        dist.destroy_process_group()


def spread(module: nn.Module, shard: Shard, batch_norm: bool = True) -> nn.Module:
    """`module` as it trains in step with the other processes: gradients averaged, normalised over the whole batch.

    batch_norm: whether its layers look at the batch at all, rather than use the statistics they have.
    """
    if shard.world == 1:
        return module
    on_gpu = next(module.parameters()).is_cuda
    if on_gpu and batch_norm:
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
    _replace_layers(module, shard, batch_norm and not on_gpu)
    devices = [torch.cuda.current_device()] if on_gpu else None
    return DistributedDataParallel(module, device_ids=devices)


def _replace_layers(module: nn.Module, shard: Shard, batch_norm: bool) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout):
            setattr(module, name, WholeBatchDropout(child.p, shard))
        elif batch_norm and isinstance(child, nn.BatchNorm2d):
            setattr(module, name, WholeBatchNorm.of(child))
        else:
            _replace_layers(child, shard, batch_norm)


class _SumOverProcesses(torch.autograd.Function):
    """The sum over all processes, which passes every process the sum of the gradients."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class WholeBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over all processes on CPUs, for which torch's SyncBatchNorm is not made."""

    @classmethod
    def of(cls, layer: nn.BatchNorm2d) -> "WholeBatchNorm":
        """One that shares `layer`'s parameters and statistics."""
        new = cls(layer.num_features, layer.eps, layer.momentum)
        new.weight, new.bias = layer.weight, layer.bias
        new.running_mean, new.running_var = layer.running_mean, layer.running_var
        new.num_batches_tracked = layer.num_batches_tracked
        return new

    def forward(self, maps: Tensor) -> Tensor:
        if not self.training:
            return super().forward(maps)
        values = maps.float()
        count = values.new_tensor([values.numel() / values.shape[1]])
        local = torch.cat([count, values.sum(dim=(0, 2, 3)), values.square().sum(dim=(0, 2, 3))])
        sums: Tensor = _SumOverProcesses.apply(local)  # type: ignore[no-untyped-call]
        count, total, squares = torch.split(sums, [1, self.num_features, self.num_features])
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        self._remember(mean.detach(), variance.detach() * count.detach() / (count.detach() - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        normalized: Tensor = values * scale.view(1, -1, 1, 1) + (self.bias - mean * scale).view(1, -1, 1, 1)
        return normalized.to(maps.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked.add_(1)


class WholeBatchDropout(nn.Module):
    """Dropout that draws the whole batch's mask in every process and uses its own share of the rows."""

    def __init__(self, p: float, shard: Shard) -> None:
        super().__init__()
        self.p, self.shard = p, shard

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or not self.p:
            return values
        whole = torch.empty((self.shard.total, *values.shape[1:]), device=values.device)
        return values * self.shard.share(whole.bernoulli_(1 - self.p)) / (1 - self.p)
