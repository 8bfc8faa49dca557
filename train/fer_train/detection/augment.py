"""Show pool scenes in other ways, a whole batch at once on the device.

Zoomed, turned and mirrored; sharpened, relit and compressed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_train.detection.synthesis.scenes import IGNORED, MIN_FACE_PX

ZOOM = (0.65, 1.4)
TURN_DEGREES = 15.0
MOST_SHARPENED = 3.0  # the details are added so often at most; a quarter of the pictures is left as it is
COMPRESSED = 0.5  # share of the pictures
QUALITY = (20.0, 90.0)  # of their JPEG, as libjpeg scales its tables
# JPEG's table K.1 for luminance (ITU-T T.81, annex K)
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
MIN_INSIDE = 0.35  # a face of which less is in the picture is ignored


def augment(scenes: Tensor, faces: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures float32 [N, 1, size, size] and their faces [N, F, 5], of scenes uint8 [N, S, S].

    generator: on the CPU, so that a run is the same on any device up to rounding.
    """
    count, device = len(scenes), scenes.device

    def draw(low: float, high: float) -> Tensor:
        return (torch.rand(count, generator=generator) * (high - low) + low).to(device)

    zoom = (draw(0, 1) * torch.log(torch.tensor(ZOOM[1] / ZOOM[0])).item()).exp() * ZOOM[0]
    turn = draw(-1, 1)
    turn = turn * turn.abs() * (TURN_DEGREES * torch.pi / 180)
    mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    old = scenes.shape[1]
    room = (old - size / zoom).abs() / 2  # half of what can be shifted
    center = old / 2 + torch.stack([draw(-1, 1) * room, draw(-1, 1) * room], dim=1)
    pictures = _seen(scenes, zoom, turn, mirror, center, size)
    moved = _moved(faces, zoom, turn, mirror, center, size)
    return pictures, moved


def _seen(scenes: Tensor, zoom: Tensor, turn: Tensor, mirror: Tensor, center: Tensor, size: int) -> Tensor:
    """The view, from `centre` (scene pixels), of `size` pixels a side, float32 [N, 1, size, size]."""
    old = scenes.shape[1]
    cos, sin = turn.cos() * size / old / zoom, turn.sin() * size / old / zoom
    shift = center * 2 / old - 1
    theta = torch.stack([cos * mirror, sin, shift[:, 0], -sin * mirror, cos, shift[:, 1]], dim=1).view(-1, 2, 3)
    grid = affine_grid(theta, size)
    return F.grid_sample(scenes[:, None].float(), grid, padding_mode="reflection", align_corners=False)


def affine_grid(theta: Tensor, size: int) -> Tensor:
    """What F.affine_grid gives for float32 [N, 2, 3] and squares of `size`, [N, size, size, 2]; faster on a CPU."""
    middles = (torch.arange(size, device=theta.device) * 2 + 1) / size - 1
    rows = [
        along * middles + (down * middles[:, None] + shift)
        for along, down, shift in (row[..., None, None].unbind(1) for row in theta.unbind(1))
    ]
    return torch.stack(rows, dim=3)


def _moved(faces: Tensor, zoom: Tensor, turn: Tensor, mirror: Tensor, center: Tensor, size: int) -> Tensor:
    """The faces where the view shows them; boxes stay upright, small and cut ones become ignored."""
    middle = faces[..., :2] + faces[..., 2:4] / 2 - center[:, None]
    cos, sin = (turn.cos() * zoom)[:, None], (turn.sin() * zoom)[:, None]
    x = (cos * middle[..., 0] - sin * middle[..., 1]) * mirror[:, None] + size / 2
    y = sin * middle[..., 0] + cos * middle[..., 1] + size / 2
    sides = faces[..., 2:4] * zoom[:, None, None]
    low = torch.stack([x, y], dim=2) - sides / 2
    inside = ((low + sides).clamp(max=size) - low.clamp(min=0)).clamp(min=0).prod(2)
    share = inside / sides.prod(2).clamp(min=1e-6)
    flag = faces[..., 4]
    neither = (share < MIN_INSIDE) | (sides[..., 1] < MIN_FACE_PX)
    flag = torch.where((flag > 0) & neither, torch.full_like(flag, IGNORED), flag)
    flag = torch.where((share < 0.05) | (sides[..., 1] < 4), torch.zeros_like(flag), flag)
    return torch.cat([low, sides, flag[..., None]], dim=2)


def sharpened(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Most of the pictures sharpened by an unsharp mask, as photographs on the web are."""
    amount = (torch.rand(len(pictures), generator=generator) * (MOST_SHARPENED + 1) - 1).clamp(min=0)
    wide = F.pad(pictures, (1, 1, 1, 1), mode="reflect")
    # Sums of shifted views: on a CPU a convolution of one channel takes ten times as long
    rows = (wide[..., :-2, :] + wide[..., 2:, :]).add_(wide[..., 1:-1, :], alpha=2)
    soft = (rows[..., :-2] + rows[..., 2:]).add_(rows[..., 1:-1], alpha=2).mul_(1 / 16)
    return pictures + (pictures - soft) * amount.to(pictures.device).view(-1, 1, 1, 1)


def relight(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Contrast and brightness changed, some darkened, some grained; rounded as a camera's pixels are."""
    device = pictures.device

    def draw(low: float, high: float) -> Tensor:
        values = torch.rand(len(pictures), generator=generator) * (high - low) + low
        return values.to(device).view(-1, 1, 1, 1)

    gain, offset, noise = draw(-0.25, 0.25).exp(), draw(-20, 20), draw(0, 1) ** 4 * 8
    dark = torch.where(draw(0, 1) < 0.05, draw(0.3, 0.7), torch.ones_like(gain))
    lit = ((pictures - 127) * gain + 127 + offset) * dark
    # One grain for all, as drawing it costs more than all else here; how strong it is differs.
    grain = torch.randn(1, 1, *pictures.shape[2:], generator=generator).to(device)
    return (lit + grain * noise).clamp(0, 255).round()


def compressed(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures float32 [N, 1, H, W], H and W multiples of 8, some as JPEG leaves them: webcams and the web send such.

    They are the first of the batch, which are as good as any and need not be gathered.
    """
    device = pictures.device
    count = int((torch.rand(len(pictures), generator=generator) < COMPRESSED).sum())
    quality = torch.rand(count, generator=generator) * (QUALITY[1] - QUALITY[0]) + QUALITY[0]
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    steps = (torch.tensor(LUMINANCE).flatten() * scale[:, None]).round().clamp(1, 255).to(device)[:, None]  # [K, 1, 64]
    height, width = pictures.shape[2:]
    blocks = pictures[:count].reshape(count, height // 8, 8, width // 8, 8).transpose(2, 3)  # [K, rows, columns, 8, 8]
    waves = _waves().to(device)
    kept = ((blocks.reshape(count, height * width // 64, 64) - 128) @ waves.T).div_(steps).round_().mul_(steps)
    back = (kept @ waves).add_(128).clamp_(0, 255).round_()
    back = back.view(blocks.shape).transpose(2, 3).reshape(count, 1, height, width)
    return torch.cat([back, pictures[count:]])


def _waves() -> Tensor:
    """The discrete cosine transform of blocks of 8 by 8 values, orthonormal, float32 [64, 64]."""
    frequency, place = torch.arange(8.0)[:, None], torch.arange(8.0)
    waves = torch.cos((place + 0.5) * frequency * torch.pi / 8) / 2
    waves[0] /= 2**0.5
    return torch.kron(waves, waves)
