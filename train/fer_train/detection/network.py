"""The network of the detector `luma`: a gray image in; a score and a box out for each cell of four grids.

It uses only what onnxruntime runs in int8: dense 3x3 convolutions, ReLU, sums and nearest-neighbor upsampling. Channels
are multiples of 16. Most of the work is done at stride 8, because the first layers, at full resolution, would dominate.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (8, 16, 32, 64)
SIDE_IN_STRIDES = 4.0  # side of a box for which the network outputs 0
PRIOR = 0.01  # initial score of every cell (Lin et al. 2017, "Focal loss", 4.1)


class ConvBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU; with a skip connection if `residual`."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, residual: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return F.relu(x + y) if self.residual else F.relu(y)


class Luma(nn.Module):
    """Normalized gray images [N, 1, H, W], H and W multiples of 32, to raw outputs float32 [N, 5, cells].

    The cells of stride 8 come first, row by row, then those of 16, 32 and 64 (whose grid is rounded up). The five
    values: score as a logit; the box's center, right of and below the cell's center, in strides; width and height as
    logarithms, 0 for SIDE_IN_STRIDES strides.

    >>> Luma().eval()(torch.zeros(1, 1, 64, 64)).shape
    torch.Size([1, 5, 85])
    """

    def __init__(self) -> None:
        super().__init__()
        self.to_8 = nn.Sequential(
            ConvBlock(1, 16, 2), ConvBlock(16, 32, 2), ConvBlock(32, 48, 2),
            ConvBlock(48, 48, residual=True), ConvBlock(48, 48, residual=True),
        )  # fmt: skip
        self.to_16 = nn.Sequential(ConvBlock(48, 64, 2), ConvBlock(64, 64, residual=True))
        # Used twice, to stride 32 and on to 64, and `head` at four strides: therefore without batch norm, whose
        # statistics would differ between the uses
        self.to_32 = nn.Conv2d(64, 64, 3, 2, 1)
        self.lateral_8 = nn.Conv2d(48, 32, 1)
        self.lateral_16 = nn.Conv2d(64, 32, 1)
        self.lateral_32 = nn.Conv2d(64, 32, 1)
        self.head = nn.Conv2d(32, 32, 3, padding=1)
        self.score = nn.Conv2d(32, 1, 1)
        self.box = nn.Conv2d(32, 4, 1)
        for conv in (self.to_32, self.head):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.normal_(self.box.weight, std=0.01)
        nn.init.constant_(self.score.bias, -float(torch.log(torch.tensor((1 - PRIOR) / PRIOR))))  # type: ignore[arg-type]
        nn.init.zeros_(self.box.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        at_8 = self.to_8(x)
        at_16 = self.to_16(at_8)
        at_32 = F.relu(self.to_32(at_16))
        at_64 = F.relu(self.to_32(at_32))
        sum_32 = self.lateral_32(at_32)
        sum_16 = self.lateral_16(at_16) + F.interpolate(sum_32, scale_factor=2.0)
        sum_8 = self.lateral_8(at_8) + F.interpolate(sum_16, scale_factor=2.0)
        outputs = []
        for features in (sum_8, sum_16, sum_32, self.lateral_32(at_64)):
            hidden = F.relu(self.head(features))
            outputs.append(torch.cat([self.score(hidden), self.box(hidden)], dim=1).flatten(2))
        return torch.cat(outputs, dim=2)

    def num_parameters(self) -> int:
        """The number of trained parameters."""
        return sum(parameter.numel() for parameter in self.parameters())


def cell_grid(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Center x, center y and stride, in pixels, of every cell of an image, float32 [cells, 3], in output order."""
    grids = []
    for stride in STRIDES:
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centers = (torch.stack([x, y], dim=2).reshape(-1, 2) + 0.5) * stride
        grids.append(torch.cat([centers, torch.full((len(centers), 1), float(stride))], dim=1))
    return torch.cat(grids).to(device)


def decode(outputs: Tensor, grid: Tensor) -> Tensor:
    """Boxes float32 [N, cells, 4] (left, top, right, bottom, pixels) of outputs [N, 5, cells]; grid: `cell_grid`."""
    x, y, width, height = outputs[:, 1:].float().unbind(1)
    stride = grid[:, 2]
    x, y = grid[:, 0] + x * stride, grid[:, 1] + y * stride
    half_w = width.clamp(-4, 4).exp() * (stride * SIDE_IN_STRIDES / 2)
    half_h = height.clamp(-4, 4).exp() * (stride * SIDE_IN_STRIDES / 2)
    return torch.stack([x - half_w, y - half_h, x + half_w, y + half_h], dim=2)
