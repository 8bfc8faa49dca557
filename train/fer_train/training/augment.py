"""Augment whole batches of faces where they lie: one affine resampling, light, blur, noise, and erased patches.

What is drawn and what is done with it are apart: every process of a distributed run draws for the whole batch, and
changes its own share of the faces.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_edge.errors import FerError
from fer_train.networks.normalization import MEAN, STD, normalize

BLUR_SIGMA = (0.5, 1.2)  # pixels
BLUR_REACH = 2  # pixels either way: 5 x 5 taps


@dataclass(frozen=True)
class Augmentation:
    """How far a face may be changed; every value is drawn uniformly for each face.

    rotation_deg: up to this many degrees, both ways.
    scale: relative, 0.12 = 88 to 112 %.
    shift: of the picture's side, both ways, in x and y.
    flip: mirror every second face, left to right.
    brightness: added to the normalised face, so 1 is STD grey values; contrast: relative, around the face's mean.
    erase: probability that a random rectangle (2 to 25 % of the area) is filled with noise.
    aspect: relative, 0.1 = 10 % wider and less high, or the other way.
    shear_deg: the upright lean by up to this many degrees, both ways.
    blur: probability of a Gaussian blur, sigma 0.5 to 1.2 pixels.
    noise: largest standard deviation of Gaussian noise, in units of the normalised face.
    """

    rotation_deg: float = 15.0
    scale: float = 0.12
    shift: float = 0.06
    flip: bool = True
    brightness: float = 0.3
    contrast: float = 0.3
    erase: float = 0.5
    aspect: float = 0.0
    shear_deg: float = 0.0
    blur: float = 0.0
    noise: float = 0.0


NO_AUGMENTATION = Augmentation(rotation_deg=0, scale=0, shift=0, flip=False, brightness=0, contrast=0, erase=0)
# The ranges that networks of 11 to 30 M parameters were trained with to 73 % on FER2013.
STRONG_AUGMENTATION = Augmentation(
    rotation_deg=20, scale=0.2, shift=0.12, brightness=0.5, contrast=0.5, aspect=0.1, shear_deg=8, blur=0.15, noise=0.1
)
AUGMENTATIONS = {"none": NO_AUGMENTATION, "standard": Augmentation(), "strong": STRONG_AUGMENTATION}

Draws = Mapping[str, Tensor]
"""What `draw` drew: tensors whose first axis is the faces."""


def parse_augmentation(text: str) -> Augmentation:
    """Read "strong" or "standard,shift=0.1,flip=0": a name of AUGMENTATIONS, then changes; FerError if it is not."""
    name, *changes = (part.strip() for part in text.split(","))
    if name not in AUGMENTATIONS:
        raise FerError(f"--augment {text}: {name!r} is none of {', '.join(AUGMENTATIONS)}")
    options = AUGMENTATIONS[name]
    known = [field.name for field in fields(options)]
    for change in changes:
        key, _, value = change.partition("=")
        if key not in known:
            raise FerError(f"--augment {text}: {key!r} is none of {', '.join(known)}")
        try:
            number = float(value)
        except ValueError:
            raise FerError(f"--augment {text}: {value!r} is not a number, as in {key}=0.1") from None
        largest = {"rotation_deg": 180, "shear_deg": 60, "brightness": 4, "noise": 4, "scale": 0.9, "aspect": 0.9}
        if not 0 <= number <= largest.get(key, 1):
            raise FerError(f"--augment {text}: {key} goes from 0 to {largest.get(key, 1)}")
        changed: dict[str, Any] = {key: bool(number) if key == "flip" else number}
        options = replace(options, **changed)
    return options


def augment(images: Tensor, options: Augmentation, generator: torch.Generator) -> Tensor:
    """uint8 [N, H, W] to float32 [N, 1, H, W], each face changed in its own way.

    Deterministic for a given state of `generator`, which lies on the images' device. The result keeps to the
    range of `normalise`, but for noise, and equals it where nothing is to be changed.
    """
    return apply(images, draw(images.shape, options, generator))


def draw(shape: tuple[int, ...], options: Augmentation, generator: torch.Generator) -> Draws:
    """Draw how each of the faces uint8 [N, H, W] = `shape` is to be changed."""
    count, height, width = shape
    draws: dict[str, Tensor] = {}
    if any((options.rotation_deg, options.scale, options.shift, options.flip, options.aspect, options.shear_deg)):
        draws["matrix"] = _draw_matrix(count, options, generator)
    if options.brightness or options.contrast:
        draws["gain"] = 1 + _uniform(count, -options.contrast, options.contrast, generator)
        draws["offset"] = _uniform(count, -options.brightness, options.brightness, generator)
    if options.blur:
        sigma = _uniform(count, *BLUR_SIGMA, generator)
        draws["sigma"] = torch.where(_uniform(count, 0, 1, generator) < options.blur, sigma, 0.01)  # 0.01: none
    if options.noise:
        strength = _uniform(count, 0, options.noise, generator)
        draws["noise"] = _normal((count, 1, height, width), generator) * strength.view(-1, 1, 1, 1)
    if options.erase:
        draws["patch"] = _draw_patch(count, height, width, options.erase, generator)
        draws["filling"] = _normal((count, 1, height, width), generator)
    return draws


def apply(images: Tensor, draws: Draws) -> Tensor:
    """Change faces uint8 [N, H, W] as drawn for them: float32 [N, 1, H, W]. Nothing here is random."""
    faces = normalize(images)
    if "matrix" in draws:
        faces = F.grid_sample(
            faces, _grid(draws["matrix"], *faces.shape[2:]), mode="bilinear", padding_mode="border", align_corners=False
        )
    if "gain" in draws:
        gain, offset, mean = draws["gain"], draws["offset"], faces.mean(dim=(1, 2, 3))
        # gain * (faces - mean) + mean + offset, in one pass over the pixels
        faces = torch.addcmul((mean * (1 - gain) + offset).view(-1, 1, 1, 1), faces, gain.view(-1, 1, 1, 1))
        faces = faces.clamp_((0 - MEAN) / STD, (255 - MEAN) / STD)
    if "sigma" in draws:
        faces = _blurred(faces, draws["sigma"])
    if "noise" in draws:
        faces = faces + draws["noise"]
    return torch.where(_in_patch(faces, draws["patch"]), draws["filling"], faces) if "patch" in draws else faces


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.empty(count, device=generator.device).uniform_(low, high, generator=generator)


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, device=generator.device, generator=generator)


def _draw_matrix(count: int, options: Augmentation, generator: torch.Generator) -> Tensor:
    """Float32 [N, 2, 3]. A matrix leads from a place in the result to one in the face: hence 1 / scale."""
    radians = torch.pi / 180
    angle = _uniform(count, -options.rotation_deg * radians, options.rotation_deg * radians, generator)
    scale = 1 / (1 + _uniform(count, -options.scale, options.scale, generator))
    mirror = 1 - 2 * (_uniform(count, 0, 1, generator) < 0.5).float() if options.flip else torch.ones_like(angle)
    # grid_sample's coordinates run from -1 to 1, so a side is 2 units long
    shift_x = _uniform(count, -2 * options.shift, 2 * options.shift, generator)
    shift_y = _uniform(count, -2 * options.shift, 2 * options.shift, generator)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    x_from_x, x_from_y, y_from_x, y_from_y = cos * mirror, -sin, sin * mirror, cos
    if options.aspect:
        wider = (1 + _uniform(count, -options.aspect, options.aspect, generator)).sqrt()
        x_from_x, x_from_y, y_from_x, y_from_y = x_from_x / wider, x_from_y / wider, y_from_x * wider, y_from_y * wider
    if options.shear_deg:
        lean = _uniform(count, -options.shear_deg * radians, options.shear_deg * radians, generator).tan()
        x_from_x, x_from_y = x_from_x + lean * y_from_x, x_from_y + lean * y_from_y
    rows = [torch.stack([x_from_x, x_from_y, shift_x], dim=1), torch.stack([y_from_x, y_from_y, shift_y], dim=1)]
    return torch.stack(rows, dim=1)


def _draw_patch(count: int, height: int, width: int, probability: float, generator: torch.Generator) -> Tensor:
    """Top, left, bottom, right [N, 4] in pixels for random erasing (Zhong et al. 2017), empty where nothing is erased.

    Aspect ratios are its paper's, 0.3 to 3.3; what fills the patch is Gaussian noise with the spread of normalised
    faces, so some of it is blacker than black.
    """
    area = _uniform(count, 0.02, 0.25, generator)
    aspect = _uniform(count, -1, 1, generator).mul(1.2).exp()  # exp(+-1.2) = 0.30 to 3.3
    erased_h = (area * aspect).sqrt() * height  # at most sqrt(0.25 * 3.3) = 0.91 of the side
    erased_w = (area / aspect).sqrt() * width
    top = _uniform(count, 0, 1, generator) * (height - erased_h)
    left = _uniform(count, 0, 1, generator) * (width - erased_w)
    chosen = (_uniform(count, 0, 1, generator) < probability).float()
    return torch.stack([top, left, top + chosen * erased_h, left + chosen * erased_w], dim=1)


def _grid(matrix: Tensor, height: int, width: int) -> Tensor:
    """Where in the face each pixel comes from, [N, H, W, 2]: as F.affine_grid, but cheap on a CPU."""
    y, x = (
        torch.linspace(1 / side - 1, 1 - 1 / side, side, device=matrix.device, dtype=matrix.dtype)
        for side in (height, width)
    )
    from_x, from_y, shift = matrix.unsqueeze(2).unbind(3)  # each [N, 2, 1]
    along_x = (from_x * x).transpose(1, 2).unsqueeze(1)  # [N, 1, W, 2]
    along_y = (from_y * y + shift).transpose(1, 2).unsqueeze(2)  # [N, H, 1, 2]
    return along_x + along_y


def _in_patch(faces: Tensor, patch: Tensor) -> Tensor:
    """Which pixels of [N, 1, H, W] lie in their face's patch, bool [N, 1, H, W]."""
    top, left, bottom, right = (side.view(-1, 1) for side in patch.unbind(1))
    y = torch.arange(faces.shape[2], device=faces.device)
    x = torch.arange(faces.shape[3], device=faces.device)
    in_rows, in_columns = (y >= top) & (y < bottom), (x >= left) & (x < right)  # [N, H], [N, W]
    return (in_rows.unsqueeze(2) & in_columns.unsqueeze(1)).unsqueeze(1)


def _blurred(faces: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of each face [N, 1, H, W] with its own sigma [N], rows first, then columns."""
    reach = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=faces.device)
    taps = torch.exp(-0.5 * (reach / sigma.view(-1, 1)) ** 2)
    taps = (taps / taps.sum(dim=1, keepdim=True)).T.reshape(-1, len(faces), 1, 1, 1)  # [taps, N, 1, 1, 1]
    height, width = faces.shape[2:]
    padded = F.pad(faces, (BLUR_REACH,) * 4, mode="replicate")
    rows = sum(tap * padded[..., index : index + height, :] for index, tap in enumerate(taps))
    assert isinstance(rows, Tensor)
    columns = sum(tap * rows[..., index : index + width] for index, tap in enumerate(taps))
    assert isinstance(columns, Tensor)
    return columns
