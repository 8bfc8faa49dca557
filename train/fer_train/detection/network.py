"""The network of the detector `luma`: grey picture in, for each cell of four grids a score and a box out.

Dense 3x3 convolutions, ReLU, sums and nearest-neighbour enlarging only: what onnxruntime runs in int8. Channels are
multiples of 16, and most of the work is done at stride 8, since the first layers, at full resolution, would dominate.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (8, 16, 32, 64)
SIDE_IN_STRIDES = 4.0  # the side of a box for which the network gives 0
PRIOR = 0.01  # the score that every cell starts with (Lin et al. 2017, "Focal loss", 4.1)


class ConvBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU; added to its input if `residual`."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, residual: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return F.relu(x + y) if self.residual else F.relu(y)


class Luma(nn.Module):
    """Normalised grey pictures [N, 1, H, W], H and W multiples of 32, to raw answers float32 [N, 5, cells].

    The cells of stride 8 come first, row by row, then those of 16, 32 and 64 (whose grid is rounded up). The five:
    score as a logit; the box's centre, right of and below the cell's centre, in strides; width and height as
    logarithms, 0 for SIDE_IN_STRIDES strides.
    """

    def __init__(self) -> None:
        super().__init__()
        self.to_8 = nn.Sequential(
            ConvBlock(1, 16, 2), ConvBlock(16, 32, 2), ConvBlock(32, 48, 2),
            ConvBlock(48, 48, residual=True), ConvBlock(48, 48, residual=True),
        )  # fmt: skip
        self.to_16 = nn.Sequential(ConvBlock(48, 64, 2), ConvBlock(64, 64, residual=True))
        # Used twice, to stride 32 and on to 64, and likewise `head` at four strides: hence without batch norm,
        # whose statistics differ between the uses.
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
        answers = []
        for features in (sum_8, sum_16, sum_32, self.lateral_32(at_64)):
            seen = F.relu(self.head(features))
            answers.append(torch.cat([self.score(seen), self.box(seen)], dim=1).flatten(2))
        return torch.cat(answers, dim=2)

    def num_parameters(self) -> int:
        """How many numbers training fits."""
        return sum(parameter.numel() for parameter in self.parameters())


def cells(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Centre x, centre y and stride, in pixels, of every cell of a picture, float32 [cells, 3], as the answers lie."""
    grids = []
    for stride in STRIDES:
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centers = (torch.stack([x, y], dim=2).reshape(-1, 2) + 0.5) * stride
        grids.append(torch.cat([centers, torch.full((len(centers), 1), float(stride))], dim=1))
    return torch.cat(grids).to(device)


def decode(answers: Tensor, grid: Tensor) -> Tensor:
    """Boxes float32 [N, cells, 4] (left, top, right, bottom in pixels) of answers [N, 5, cells]; grid: `cells`."""
    x, y, width, height = answers[:, 1:].float().unbind(1)
    stride = grid[:, 2]
    x, y = grid[:, 0] + x * stride, grid[:, 1] + y * stride
    half_w = width.clamp(-4, 4).exp() * (stride * SIDE_IN_STRIDES / 2)
    half_h = height.clamp(-4, 4).exp() * (stride * SIDE_IN_STRIDES / 2)
    return torch.stack([x - half_w, y - half_h, x + half_w, y + half_h], dim=2)
