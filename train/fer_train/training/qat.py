"""Quantization-aware training (QAT): int8's rounding in the forward pass, as fer-export's files compute.

This imitates what onnxruntime runs in int8. Convolutions, with batch normalization folded into them, have signed 8-bit
weights with a scale per output channel. Values after each ReLU are unsigned 8-bit with one scale per tensor. The uint8
input is exact, the classifier stays float. Gradients pass the rounding unchanged and are zero where values are clipped
(Jacob et al. 2018). Names and shapes of the weights stay: the checkpoint is an ordinary one.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_edge.errors import FerError

WEIGHT_LEVELS, ACTIVATION_LEVELS = 127, 255  # largest quantized value
MIN_SCALE = 1e-12  # instead of 0, where all values are 0
RANGE_MOMENTUM = 0.01  # of the running mean of each batch's largest value


class ActivationRanges(nn.Module):
    """The largest value after each ReLU, `tops` float32 [ReLUs], in the network's order of modules."""

    tops: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("tops", torch.zeros(count))

    @torch.no_grad()
    def observe(self, index: int, values: Tensor) -> None:
        """Update the range of the ReLU `index` with its `values`. Never synchronizes with the GPU."""
        top, largest = self.tops[index], values.detach().max().float()
        top.copy_(torch.where(top == 0, largest, torch.lerp(top, largest, RANGE_MOMENTUM)))


def fake_quantize(network: nn.Module, ranges: ActivationRanges | None = None) -> ActivationRanges:
    """Make `network` compute with int8's rounding, in place; returns the ranges that it observes in training mode.

    ranges: those of another copy of the network, to share them. Batch-norm statistics are frozen.
    Raises FerError if the network has a convolution without batch normalization, or no ReLU modules.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    pairs = list(zip(layers[::2], layers[1::2], strict=False))
    relus = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    folds = all(isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) for conv, norm in pairs)
    if len(layers) % 2 or not pairs or not folds or not relus:
        raise FerError("--qat needs a network in which batch normalization follows every convolution")
    shared = ActivationRanges(len(relus)) if ranges is None else ranges
    for conv, norm in pairs:
        _fold_batch_norm(cast(nn.Conv2d, conv), cast(nn.BatchNorm2d, norm))
    for index, relu in enumerate(relus):
        _quantize_relu(relu, shared, index)
    return shared


def _fold_batch_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Make `conv` compute what `conv` and `norm` did, with quantized weights, and `norm` the identity."""

    def forward(maps: Tensor) -> Tensor:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain = norm.weight * (norm.running_var + norm.eps).rsqrt()
        bias = norm.bias - norm.running_mean * gain
        if conv.bias is not None:
            bias = bias + conv.bias * gain
        weight = fake_quantize_weights(conv.weight * gain.view(-1, 1, 1, 1))
        return F.conv2d(maps, weight, bias, conv.stride, conv.padding)

    conv.forward = forward  # type: ignore[method-assign,assignment]
    norm.forward = lambda input: input  # type: ignore[method-assign]


def _quantize_relu(relu: nn.ReLU, ranges: ActivationRanges, index: int) -> None:
    """Make `relu` round its output, and observe its range in training mode."""

    def forward(maps: Tensor) -> Tensor:
        values = F.relu(maps)
        if relu.training:
            ranges.observe(index, values)
        return fake_quantize_activations(values, ranges.tops[index])

    relu.forward = forward  # type: ignore[method-assign,assignment]


def fake_quantize_weights(weights: Tensor) -> Tensor:
    """Round weights [O, I, H, W] to signed 8-bit levels, with a scale per output channel from its largest weight."""
    scale = (weights.detach().abs().amax(dim=(1, 2, 3)) / WEIGHT_LEVELS).clamp_min(MIN_SCALE)
    zero = torch.zeros(len(weights), dtype=torch.int32, device=weights.device)
    rounded: Tensor = torch.fake_quantize_per_channel_affine(weights, scale, zero, 0, -WEIGHT_LEVELS, WEIGHT_LEVELS)
    return rounded


def fake_quantize_activations(values: Tensor, top: Tensor) -> Tensor:
    """Round values >= 0 to unsigned 8-bit levels, of which the highest stands for `top` (a scalar)."""
    scale = (top / ACTIVATION_LEVELS).clamp_min(MIN_SCALE)
    zero = torch.zeros((), dtype=torch.int32, device=values.device)
    rounded: Tensor = torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, ACTIVATION_LEVELS)
    return rounded
