"""Augment whole batches of scenes on the device: zoom, rotate, mirror and sharpen."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_train.detection.synthesis.batches import Views, affine_grid, flag_cut_faces, random_sign, uniform

ZOOM = (0.65, 1.4)
TURN_DEGREES = 15.0
MAX_SHARPENING = 3.0  # factor of the added detail; a quarter of the images is not sharpened
MIN_SHOWN = 0.5  # a face of which a smaller part is in the image is ignored


def augment(scenes: Tensor, faces: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images float32 [N, 1, size, size] and their faces [N, F, 5], from scenes uint8 [N, S, S].

    generator: on the CPU, so that a seed gives the same images on any device, up to rounding.
    """
    count, old, device = len(scenes), scenes.shape[1], scenes.device

    def draw(low: float, high: float) -> Tensor:
        return uniform(generator, low, high, count)

    scale = draw(math.log(ZOOM[0]), math.log(ZOOM[1])).exp()
    turn = draw(-1, 1)
    turn = turn * turn.abs() * math.radians(TURN_DEGREES)  # small turns are more frequent
    zoom = scale * old / size
    room = (1 - 1 / zoom).abs()  # how far the view's center may be from the scene's
    center = torch.stack([draw(-1, 1) * room, draw(-1, 1) * room], dim=1)
    views = Views(*(value.to(device) for value in (turn, random_sign(generator, count), zoom, center)))
    grid = affine_grid(views.matrix(), size)
    images = F.grid_sample(scenes[:, None].float(), grid, padding_mode="reflection", align_corners=False)
    boxes = views.move(faces[..., :4] / old, torch.full((count,), float(size), device=device))
    return images, flag_cut_faces(torch.cat([boxes, faces[..., 4:]], dim=2), size, MIN_SHOWN)


def sharpen(images: Tensor, generator: torch.Generator) -> Tensor:
    """Sharpen most of the images by an unsharp mask, as photos on the web are."""
    amount = uniform(generator, -1, MAX_SHARPENING, len(images)).clamp(min=0)
    wide = F.pad(images, (1, 1, 1, 1), mode="reflect")
    # Sums of shifted views: on a CPU, a convolution of one channel takes ten times as long
    rows = (wide[..., :-2, :] + wide[..., 2:, :]).add_(wide[..., 1:-1, :], alpha=2)
    soft = (rows[..., :-2] + rows[..., 2:]).add_(rows[..., 1:-1], alpha=2).mul_(1 / 16)
    return images + (images - soft) * amount.to(images.device).view(-1, 1, 1, 1)
