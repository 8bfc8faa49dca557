"""Augment whole batches of faces where they lie: one affine resampling, light, and erased patches."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Networks see (value - MEAN) / STD. Powers of two, so that the exported DequantizeLinear(1/64, 128)
# gives bit-identical numbers.
MEAN = 128.0
STD = 64.0


@dataclass(frozen=True)
class Augmentation:
    """How far a face may be changed; every value is drawn uniformly for each face.

    rotation_deg: up to this many degrees, both ways.
    scale: relative, 0.12 = 88 to 112 %.
    shift: of the picture's side, both ways, in x and y.
    flip: mirror every second face, left to right.
    brightness: added to the normalised face, so 1 is STD grey values; contrast: relative, around the face's mean.
    erase: probability that a random rectangle (2 to 25 % of the area) is filled with noise.
    """

    rotation_deg: float = 15.0
    scale: float = 0.12
    shift: float = 0.06
    flip: bool = True
    brightness: float = 0.3
    contrast: float = 0.3
    erase: float = 0.5


NO_AUGMENTATION = Augmentation(rotation_deg=0, scale=0, shift=0, flip=False, brightness=0, contrast=0, erase=0)


def normalise(images: Tensor) -> Tensor:
    """uint8 [N, H, W] to the float32 [N, 1, H, W] that networks take."""
    return ((images.float() - MEAN) / STD).unsqueeze(1)


def augment(images: Tensor, options: Augmentation, generator: torch.Generator) -> Tensor:
    """uint8 [N, H, W] to float32 [N, 1, H, W], each face changed in its own way.

    Deterministic for a given state of `generator`, which lies on the images' device. The result keeps to the
    range of `normalise`, but for the noise in erased rectangles, and equals it where nothing is to be changed.
    """
    faces = normalise(images)
    if options.rotation_deg or options.scale or options.shift or options.flip:
        faces = _resample(faces, options, generator)
    if options.brightness or options.contrast:
        faces = _relight(faces, options, generator)
    return _erase(faces, options.erase, generator) if options.erase else faces


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.empty(count, device=generator.device).uniform_(low, high, generator=generator)


def _resample(faces: Tensor, options: Augmentation, generator: torch.Generator) -> Tensor:
    """One bilinear resampling. The matrix leads from a place in the result to one in the face: hence 1 / scale."""
    count = len(faces)
    radians = options.rotation_deg * torch.pi / 180
    angle = _uniform(count, -radians, radians, generator)
    scale = 1 / (1 + _uniform(count, -options.scale, options.scale, generator))
    mirror = 1 - 2 * (_uniform(count, 0, 1, generator) < 0.5).float() if options.flip else torch.ones_like(angle)
    # grid_sample's coordinates run from -1 to 1, so a side is 2 units long
    shift_x = _uniform(count, -2 * options.shift, 2 * options.shift, generator)
    shift_y = _uniform(count, -2 * options.shift, 2 * options.shift, generator)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack(
        [torch.stack([cos * mirror, -sin, shift_x], dim=1), torch.stack([sin * mirror, cos, shift_y], dim=1)], dim=1
    )  # [N, 2, 3]
    grid = F.affine_grid(matrix, list(faces.shape), align_corners=False)
    return F.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _relight(faces: Tensor, options: Augmentation, generator: torch.Generator) -> Tensor:
    count = len(faces)
    gain = 1 + _uniform(count, -options.contrast, options.contrast, generator)
    offset = _uniform(count, -options.brightness, options.brightness, generator)
    mean = faces.mean(dim=(1, 2, 3))
    changed = (faces - mean.view(-1, 1, 1, 1)) * gain.view(-1, 1, 1, 1) + (mean + offset).view(-1, 1, 1, 1)
    return changed.clamp((0 - MEAN) / STD, (255 - MEAN) / STD)


def _erase(faces: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Random erasing (Zhong et al. 2017) with its paper's aspect ratios, 0.3 to 3.3.

    The noise is Gaussian with the spread of normalised faces, so some of it is blacker than black.
    """
    count, _, height, width = faces.shape
    area = _uniform(count, 0.02, 0.25, generator)
    aspect = _uniform(count, -1, 1, generator).mul(1.2).exp()  # exp(+-1.2) = 0.30 to 3.3
    erased_h = (area * aspect).sqrt() * height  # at most sqrt(0.25 * 3.3) = 0.91 of the side
    erased_w = (area / aspect).sqrt() * width
    top = _uniform(count, 0, 1, generator) * (height - erased_h)
    left = _uniform(count, 0, 1, generator) * (width - erased_w)
    chosen = _uniform(count, 0, 1, generator) < probability
    y = torch.arange(height, device=faces.device).view(1, -1)
    x = torch.arange(width, device=faces.device).view(1, -1)
    in_rows = (y >= top.view(-1, 1)) & (y < (top + erased_h).view(-1, 1))  # [N, H]
    in_columns = (x >= left.view(-1, 1)) & (x < (left + erased_w).view(-1, 1))  # [N, W]
    patch = (in_rows.unsqueeze(2) & in_columns.unsqueeze(1) & chosen.view(-1, 1, 1)).unsqueeze(1)  # [N, 1, H, W]
    noise = torch.randn(faces.shape, device=faces.device, generator=generator)
    return torch.where(patch, noise, faces)
