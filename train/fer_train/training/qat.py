"""Train with int8's rounding in the forward pass (quantisation-aware training), as fer-export's files compute.

What onnxruntime runs in int8 is imitated: convolutions whose weights, with batch normalisation folded in, are signed
8-bit with a scale for each output channel, and unsigned 8-bit values after each ReLU with one scale for the tensor. The
uint8 input is exact, the classifier stays float. Gradients pass the rounding as if it weren't there, and are cut where
values are clipped (Jacob et al. 2018). Names and shapes of the weights stay: the checkpoint is an ordinary one.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_edge.errors import FerError

LARGEST_WEIGHT, LARGEST_VALUE = 127, 255
RANGE_MOMENTUM = 0.01  # of the running mean of each batch's largest value


class Ranges(nn.Module):
    """The largest value after each ReLU, float32 [ReLUs], in the order they stand in the network."""

    tops: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("tops", torch.zeros(count))

    @torch.no_grad()
    def observe(self, index: int, values: Tensor) -> None:
        """Take the largest of `values` into account. Waits for nothing."""
        top, largest = self.tops[index], values.detach().max().float()
        top.copy_(torch.where(top == 0, largest, torch.lerp(top, largest, RANGE_MOMENTUM)))


def quantized(network: nn.Module, ranges: Ranges | None = None) -> Ranges:
    """Make `network` compute as int8 does, in place, and return the ranges it observes while it trains.

    `ranges` are another network's of the same kind, to share. Batch-norm statistics are used as they are and no longer
    change. FerError if the network has convolutions without batch normalisation, or no ReLU modules of its own.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    pairs = list(zip(layers[::2], layers[1::2], strict=False))
    relus = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    folds = all(isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) for conv, norm in pairs)
    if len(layers) % 2 or not pairs or not folds or not relus:
        raise FerError("--qat needs a network in which batch normalisation follows every convolution")
    shared = Ranges(len(relus)) if ranges is None else ranges
    for conv, norm in pairs:
        _fold(cast(nn.Conv2d, conv), cast(nn.BatchNorm2d, norm))
    for index, relu in enumerate(relus):
        _round(relu, shared, index)
    return shared


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Let `conv` compute what `conv` and `norm` did, with rounded weights, and `norm` nothing."""

    def forward(maps: Tensor) -> Tensor:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain = norm.weight * (norm.running_var + norm.eps).rsqrt()
        bias = norm.bias - norm.running_mean * gain
        if conv.bias is not None:
            bias = bias + conv.bias * gain
        weight = rounded_weights(conv.weight * gain.view(-1, 1, 1, 1))
        return F.conv2d(maps, weight, bias, conv.stride, conv.padding)

    conv.forward = forward  # type: ignore[method-assign,assignment]
    norm.forward = lambda input: input  # type: ignore[method-assign]


def _round(relu: nn.ReLU, ranges: Ranges, index: int) -> None:
    def forward(maps: Tensor) -> Tensor:
        values = F.relu(maps)
        if relu.training:
            ranges.observe(index, values)
        return rounded_values(values, ranges.tops[index])

    relu.forward = forward  # type: ignore[method-assign,assignment]


def rounded_weights(weights: Tensor) -> Tensor:
    """Weights [O, ...] as signed 8-bit numbers have them, with a scale for each O from its largest weight."""
    scale = (weights.detach().abs().amax(dim=(1, 2, 3)) / LARGEST_WEIGHT).clamp_min(1e-12)
    zero = torch.zeros(len(weights), dtype=torch.int32, device=weights.device)
    rounded: Tensor = torch.fake_quantize_per_channel_affine(weights, scale, zero, 0, -LARGEST_WEIGHT, LARGEST_WEIGHT)
    return rounded


def rounded_values(values: Tensor, top: Tensor) -> Tensor:
    """Values of 0 and more as unsigned 8-bit numbers have them, `top` (a scalar) being 255."""
    scale = (top / LARGEST_VALUE).clamp_min(1e-12)
    zero = torch.zeros((), dtype=torch.int32, device=values.device)
    rounded: Tensor = torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, LARGEST_VALUE)
    return rounded
