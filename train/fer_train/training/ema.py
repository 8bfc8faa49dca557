"""The exponential moving average (EMA) of a network's weights, which is what is tested and kept."""

import torch
from torch import Tensor, nn


class WeightAverage:
    """Keeps `average` the moving average of `network`, with batch-norm statistics; counters are copied.

    Both must have the same state_dict names and lie on the same device; `average` starts as a copy.

        ema = WeightAverage(average, network, decay=0.999)
        ema.update(step)  # after each step of the optimizer
    """

    def __init__(self, average: nn.Module, network: nn.Module, decay: float) -> None:
        average.load_state_dict(network.state_dict())
        self._decay = decay
        pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average toward the network, which has done `step` steps; faster during the first steps."""
        decay = min(self._decay, (1 + step) / (10 + step))
        averages, currents = _columns(self._floats)
        torch._foreach_lerp_(averages, currents, 1 - decay)  # one kernel launch for all tensors
        if self._counters:
            torch._foreach_copy_(*_columns(self._counters))


def _columns(pairs: list[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
