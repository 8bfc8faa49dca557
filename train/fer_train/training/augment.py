"""Augment whole batches of faces on their device: one affine resampling, light, blur, noise and erased patches."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_edge.errors import FerError
from fer_train.networks.normalization import MEAN, STD, normalize

BLUR_SIGMA = (0.5, 1.2)  # pixels
BLUR_RADIUS = 2  # pixels: 5 x 5 taps


@dataclass(frozen=True)
class Augmentation:
    """How far a face may be changed. Each face's values are drawn uniformly from these ranges.

    rotation_deg: up to this many degrees, both ways.
    scale: relative, 0.12 is 88 to 112 %.
    shift: in x and in y, both ways, as a fraction of the image's side.
    flip: mirror about half of the faces, left to right.
    brightness: added to the normalized face, in which 1 is STD gray levels.
    contrast: relative, around the face's mean.
    erase: probability that a random rectangle (2 to 25 % of the area) is filled with noise.
    aspect: relative, 0.1 is up to 10 % wider and less high, or the reverse.
    shear_deg: vertical edges lean by up to this many degrees, both ways.
    blur: probability of a Gaussian blur, sigma 0.5 to 1.2 pixels.
    noise: largest standard deviation of Gaussian noise, in units of the normalized face.
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
# Ranges with which networks of 11 to 30 M parameters reach 73 % on FER2013.
STRONG_AUGMENTATION = Augmentation(
    rotation_deg=20, scale=0.2, shift=0.12, brightness=0.5, contrast=0.5, aspect=0.1, shear_deg=8, blur=0.15, noise=0.1
)
AUGMENTATIONS = {"none": NO_AUGMENTATION, "standard": Augmentation(), "strong": STRONG_AUGMENTATION}
# The largest value that --augment takes, 1 for the others
LIMITS = {"rotation_deg": 180, "shear_deg": 60, "brightness": 4, "noise": 4, "scale": 0.9, "aspect": 0.9}


def parse_augmentation(text: str) -> Augmentation:
    """The value of --augment: a name of AUGMENTATIONS, then changes, as in "standard,shift=0.1,flip=0".

    Raises FerError for an unknown name, and for a value that is not a number in its range.
    """
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
        if not 0 <= number <= LIMITS.get(key, 1):
            raise FerError(f"--augment {text}: {key} goes from 0 to {LIMITS.get(key, 1)}")
        changed: dict[str, Any] = {key: bool(number) if key == "flip" else number}
        options = replace(options, **changed)
    return options


def augment(images: Tensor, options: Augmentation, generator: torch.Generator) -> Tensor:
    """Change each face in a different way: uint8 [N, H, W] to normalized float32 [N, 1, H, W].

    The result follows from the state of `generator`, which lies on the images' device. It keeps to the range of
    `normalize`, except for noise and patches, and equals `normalize(images)` with NO_AUGMENTATION.

        faces = augment(images, parse_augmentation("strong"), torch.Generator().manual_seed(0))
    """
    count, height, width = images.shape
    faces = normalize(images)
    if any((options.rotation_deg, options.scale, options.shift, options.flip, options.aspect, options.shear_deg)):
        grid = _sampling_grid(_draw_matrices(count, options, generator), height, width)
        faces = F.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if options.brightness or options.contrast:
        faces = _relight(faces, options, generator)
    if options.blur:
        sigma = _uniform(count, *BLUR_SIGMA, generator)
        is_blurred = _uniform(count, 0, 1, generator) < options.blur
        faces = _blur(faces, torch.where(is_blurred, sigma, 0.01))  # 0.01: leaves the face as it is
    if options.noise:
        strength = _uniform(count, 0, options.noise, generator)
        faces = faces + _normal(faces.shape, generator) * strength.view(-1, 1, 1, 1)
    if options.erase:
        patches = _draw_patches(count, height, width, options.erase, generator)
        faces = torch.where(_in_patch(faces, patches), _normal(faces.shape, generator), faces)
    return faces


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.empty(count, device=generator.device).uniform_(low, high, generator=generator)


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, device=generator.device, generator=generator)


def _draw_matrices(count: int, options: Augmentation, generator: torch.Generator) -> Tensor:
    """Affine matrices float32 [N, 2, 3] from a position in the result to one in the face: hence 1 / scale."""
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


def _relight(faces: Tensor, options: Augmentation, generator: torch.Generator) -> Tensor:
    """Change contrast around each face's mean, and brightness; clipped at black and white."""
    gain = 1 + _uniform(len(faces), -options.contrast, options.contrast, generator)
    offset = _uniform(len(faces), -options.brightness, options.brightness, generator)
    mean = faces.mean(dim=(1, 2, 3))
    # gain * (faces - mean) + mean + offset, in one pass over the pixels
    faces = torch.addcmul((mean * (1 - gain) + offset).view(-1, 1, 1, 1), faces, gain.view(-1, 1, 1, 1))
    return faces.clamp_((0 - MEAN) / STD, (255 - MEAN) / STD)


def _draw_patches(count: int, height: int, width: int, probability: float, generator: torch.Generator) -> Tensor:
    """Patches for random erasing (Zhong et al. 2017): top, left, bottom, right in pixels [N, 4]; some are empty.

    Aspect ratios are the paper's, 0.3 to 3.3. The noise that fills a patch has a standard deviation of 1, as
    normalized faces have, and is not clipped at black and white.
    """
    area = _uniform(count, 0.02, 0.25, generator)
    aspect = _uniform(count, -1, 1, generator).mul(1.2).exp()  # exp(+-1.2) = 0.30 to 3.3
    patch_height = (area * aspect).sqrt() * height  # at most sqrt(0.25 * 3.3) = 0.91 of the side
    patch_width = (area / aspect).sqrt() * width
    top = _uniform(count, 0, 1, generator) * (height - patch_height)
    left = _uniform(count, 0, 1, generator) * (width - patch_width)
    chosen = (_uniform(count, 0, 1, generator) < probability).float()
    return torch.stack([top, left, top + chosen * patch_height, left + chosen * patch_width], dim=1)


def _sampling_grid(matrix: Tensor, height: int, width: int) -> Tensor:
    """The position in the face of each pixel of the result, [N, H, W, 2]: F.affine_grid, but faster on a CPU."""
    y, x = (
        torch.linspace(1 / side - 1, 1 - 1 / side, side, device=matrix.device, dtype=matrix.dtype)
        for side in (height, width)
    )
    from_x, from_y, shift = matrix.unsqueeze(2).unbind(3)  # each [N, 2, 1]
    along_x = (from_x * x).transpose(1, 2).unsqueeze(1)  # [N, 1, W, 2]
    along_y = (from_y * y + shift).transpose(1, 2).unsqueeze(2)  # [N, H, 1, 2]
    return along_x + along_y


def _in_patch(faces: Tensor, patches: Tensor) -> Tensor:
    """Whether each pixel of the faces [N, 1, H, W] lies in the face's patch, bool [N, 1, H, W]."""
    top, left, bottom, right = (side.view(-1, 1) for side in patches.unbind(1))
    y = torch.arange(faces.shape[2], device=faces.device)
    x = torch.arange(faces.shape[3], device=faces.device)
    in_rows, in_columns = (y >= top) & (y < bottom), (x >= left) & (x < right)  # [N, H], [N, W]
    return (in_rows.unsqueeze(2) & in_columns.unsqueeze(1)).unsqueeze(1)


def _blur(faces: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of each face [N, 1, H, W] with its sigma [N] in pixels, vertically, then horizontally."""
    offsets = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=faces.device)
    taps = torch.exp(-0.5 * (offsets / sigma.view(-1, 1)) ** 2)
    taps = (taps / taps.sum(dim=1, keepdim=True)).T.reshape(-1, len(faces), 1, 1, 1)  # [taps, N, 1, 1, 1]
    height, width = faces.shape[2:]
    padded = F.pad(faces, (BLUR_RADIUS,) * 4, mode="replicate")
    rows = sum(tap * padded[..., index : index + height, :] for index, tap in enumerate(taps))
    assert isinstance(rows, Tensor)
    columns = sum(tap * rows[..., index : index + width] for index, tap in enumerate(taps))
    assert isinstance(columns, Tensor)
    return columns
