"""Whole batches of images and their faces as tensors: views, light, and which faces a view cuts off.

Faces are float32 [N, F, 5]: x, y, width and height in pixels, then a flag: above 0 (its certainty),
`scenes.IGNORED`, or 0 for an empty row. Random numbers come from a generator on the CPU, so that a seed gives the same
batches on any device, up to rounding.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_train.detection.synthesis.scenes import IGNORED, MIN_FACE_PX

MIN_SHOWN, MIN_SHOWN_PX = 0.05, 4  # a face is dropped if less of it is in the view, or if it is lower


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    """Random numbers from `low` to `high`, float32 of that shape."""
    return torch.rand(*shape, generator=generator) * (high - low) + low


def random_sign(generator: torch.Generator, *shape: int) -> Tensor:
    """-1 or 1, float32 of that shape."""
    return torch.where(torch.rand(*shape, generator=generator) < 0.5, -1.0, 1.0)


class Views(NamedTuple):
    """How images are shown, one view per row; all [K], `center` [K, 2].

    turn: radians, clockwise. mirror: -1 or 1. zoom: above 1 shows less of the image. center: what the middle of the
    view shows, -1 to 1 across the image.
    """

    turn: Tensor
    mirror: Tensor
    zoom: Tensor
    center: Tensor

    def take(self, rows: Tensor) -> "Views":
        """The views `rows`, an index or a mask."""
        return Views(*(value[rows] for value in self))

    def matrix(self) -> Tensor:
        """Affine maps float32 [K, 2, 3] from the views to their images, in grid_sample's coordinates (-1 to 1)."""
        cos, sin, (x, y) = self.turn.cos() / self.zoom, self.turn.sin() / self.zoom, self.center.unbind(1)
        return torch.stack([cos * self.mirror, sin, x, -sin * self.mirror, cos, y], dim=1).view(-1, 2, 3)

    def move(self, boxes: Tensor, side: Tensor) -> Tensor:
        """Boxes float32 [K, F, 4], as fractions of the image's side, in pixels of the views; they stay upright.

        side: pixels of each view [K].
        """
        x, y = (boxes[..., :2] * 2 + boxes[..., 2:] - 1 - self.center[:, None]).unbind(2)
        cos, sin = (self.turn.cos() * self.zoom)[:, None], (self.turn.sin() * self.zoom)[:, None]
        middle = torch.stack([(cos * x - sin * y) * self.mirror[:, None], sin * x + cos * y], dim=2)
        sides = boxes[..., 2:] * (self.zoom * side).view(-1, 1, 1)
        return torch.cat([(middle + 1) * side.view(-1, 1, 1) / 2 - sides / 2, sides], dim=2)

    def render(self, levels: Sequence[Tensor], rows: Tensor, side: Tensor, blur: Tensor, padding: str) -> Tensor:
        """What the views show of the images `rows` [K]: float32 [K, R, R], each in its first `side` rows and columns.

        levels: the same images at several sides, uint8 [N, S, S], the largest first; each view reads the level that
        suits its size, or a coarser one by the factor `blur`. side: pixels [K]; R is the largest. padding:
        grid_sample's padding_mode.
        """
        largest = int(side.max())
        scale = (largest / side).view(-1, 1, 1)  # from the coordinates of R pixels to those of `side` pixels
        theta = self.matrix()
        linear, shift = theta[..., :2], theta[..., 2:]
        theta = torch.cat([linear * scale, shift + linear.sum(2, keepdim=True) * (scale - 1)], dim=2)
        grid = affine_grid(theta, largest)
        sides = torch.tensor([images.shape[-1] for images in levels])
        wanted = (side * self.zoom).clamp(max=sides[0]) / blur
        level = (wanted.log()[:, None] - sides.log()).abs().argmin(dim=1)
        pixels = torch.empty(grid.shape[:3])
        for number, images in enumerate(levels):
            (chosen,) = (level == number).nonzero(as_tuple=True)
            if len(chosen):
                batch = images[rows[chosen]][:, None].float()
                pixels[chosen] = F.grid_sample(batch, grid[chosen], padding_mode=padding, align_corners=False)[:, 0]
        return pixels


def affine_grid(theta: Tensor, size: int) -> Tensor:
    """F.affine_grid of float32 [N, 2, 3] for squares of `size`: [N, size, size, 2]. On a CPU this is faster."""
    centers = (torch.arange(size, device=theta.device) * 2 + 1) / size - 1
    rows = [
        by_x * centers + (by_y * centers[:, None] + shift)
        for by_x, by_y, shift in (row[..., None, None].unbind(1) for row in theta.unbind(1))
    ]
    return torch.stack(rows, dim=3)


def downscaled(images: Tensor, side: int) -> Tensor:
    """uint8 [N, S, S] as uint8 [N, side, side]; in parts, since floats take four times the memory."""
    parts = (
        F.interpolate(images[start : start + 512, None].float(), size=side, mode="area")
        for start in range(0, len(images), 512)
    )
    return torch.cat([part[:, 0].round().to(torch.uint8) for part in parts])


def shown_share(faces: Tensor, size: int) -> Tensor:
    """The share of each face [..., 4 or 5] that lies in an image of `size` pixels a side, 0 to 1, [...]."""
    low, sides = faces[..., :2], faces[..., 2:4]
    inside = ((low + sides).clamp(max=size) - low.clamp(min=0)).clamp(min=0)
    return inside.prod(-1) / sides.prod(-1).clamp(min=1e-6)


def flag_cut_faces(faces: Tensor, size: int, min_shown: float) -> Tensor:
    """The faces [N, F, 5] of a square of `size`: those that are small or cut off are ignored, those outside dropped.

    min_shown: the share of a face that must be inside. An ignored face is clipped to the square, since another photo
    may lie beside it.
    """
    low, sides, flag = faces[..., :2], faces[..., 2:4], faces[..., 4]
    share, height = shown_share(faces, size), sides[..., 1]
    flag = flag.where((flag <= 0) | ((share >= min_shown) & (height >= MIN_FACE_PX)), IGNORED)
    flag = flag.where((share > MIN_SHOWN) & (height >= MIN_SHOWN_PX), 0.0)
    clipped_low = low.clamp(0, size)
    clipped = torch.cat([clipped_low, (low + sides).clamp(0, size) - clipped_low], dim=2)
    return torch.cat([torch.where(flag[..., None] < 0, clipped, faces[..., :4]), flag[..., None]], dim=2)


def change_light(
    images: Tensor, generator: torch.Generator, log_gain: float, offset: float, dark: tuple[float, float, float]
) -> Tensor:
    """Images float32 [N, ...] with another contrast and brightness, some dark; unclipped.

    Gains are up to exp(±log_gain), offsets up to ±offset; dark: the share that is darkened, its lowest and its highest
    factor.
    """

    def draw(low: float, high: float) -> Tensor:
        return uniform(generator, low, high, len(images)).to(images.device).view(-1, *[1] * (images.ndim - 1))

    gain, shift, share, factor = draw(-log_gain, log_gain).exp(), draw(-offset, offset), draw(0, 1), draw(*dark[1:])
    return ((images - 127) * gain + 127 + shift) * torch.where(share < dark[0], factor, 1.0)


def relight(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images float32 [N, 1, H, W] in other light, some of them dark or noisy; rounded, 0 to 255."""
    lit = change_light(images, generator, 0.35, 30, (0.08, 0.15, 0.6))
    noise = uniform(generator, 0, 1, len(images), 1, 1, 1) ** 4 * 12
    # One grain for the batch, scaled per image: drawing it costs more than everything else here
    grain = torch.randn(1, 1, *images.shape[2:], generator=generator)
    return (lit + grain.to(images.device) * noise.to(images.device)).clamp(0, 255).round()
