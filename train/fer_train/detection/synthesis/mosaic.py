"""Mosaics of face photographs, made in whole batches: real pixels and faces everywhere.

Composed scenes (scenes.py) are rich, but much of them is drawn clutter. Each cell shows a photograph turned, zoomed,
mirrored, relit and more or less in focus, or a corner of one without its face, enlarged.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fer_train.detection.augment import affine_grid
from fer_train.detection.synthesis.scenes import IGNORED, MIN_FACE_PX
from fer_train.detection.synthesis.tiles import TILE_PX, FaceTiles

CELLS_A_SIDE = (1.0, 10.0)  # how many cells fit along a picture
GROUPS = 4  # of a batch, each with its own size of cells
CORNERS = 0.22  # share of the cells that show an enlarged corner
FACES_A_TILE = 3
TURN_DEGREES = 30.0  # at most; the mean of two draws, so that upright heads stay the rule
# Tiles are read at one of these sides: coarse enough for small cells, and coarser for faces out of focus
SIDES = (128, 90, 64, 45, 32, 24)
FOCUSED = 0.75  # share of the cells that is as sharp as can be; the rest up to UNFOCUSED times coarser
UNFOCUSED = 3.0
UPSIDE_DOWN = 0.06  # share of the cells; nobody to be found, though all of a face is there
DARKENED = 0.1  # share of the cells; to DARKEST or less dark
DARKEST = 0.25
SURE = 0.6  # score of the boxes that are to be found; fainter ones are ignored
VISIBLE, HIDDEN = 0.6, 0.05


class MosaicMaker:
    """Makes mosaics of `tiles`."""

    def __init__(self, tiles: FaceTiles) -> None:
        images = torch.from_numpy(tiles.images)  # uint8 [N, 128, 128]
        self._levels = [images, *(coarser(images, side) for side in SIDES[1:])]
        self._weights = torch.from_numpy(tiles.weights).float()
        boxes = np.zeros((len(tiles), FACES_A_TILE, 5), np.float32)
        for row, faces in zip(boxes, tiles.boxes, strict=True):
            surest = faces[np.argsort(-faces[:, 4])][:FACES_A_TILE]
            row[: len(surest)] = surest
        flags = np.where(boxes[..., 4] >= SURE, 1.0, np.where(boxes[..., 4] > 0, IGNORED, 0.0))
        boxes[..., 4] = flags
        self._boxes = torch.from_numpy(boxes)  # float32 [N, 3, 5]

    def make(self, count: int, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures float32 [count, 1, size, size], 0 to 255, and their faces float32 [count, F, 5]."""
        parts = [self._group(size, len(part), generator) for part in torch.arange(count).chunk(GROUPS)]
        most = max(faces.shape[1] for _, faces in parts)
        pictures = torch.cat([pictures for pictures, _ in parts])
        faces = torch.cat([F.pad(faces, (0, 0, 0, most - faces.shape[1])) for _, faces in parts])
        return pictures.clamp(0, 255).round(), faces

    def _group(self, size: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mosaics with cells of one size."""
        low, high = (torch.tensor(value).log() for value in CELLS_A_SIDE)
        share = torch.rand(1, generator=generator).item()
        cell = max(24, int(size / float(torch.exp(low + share * (high - low)))))
        along = -(-size // cell) + 1  # one more, of which the cut takes a part away
        pixels, faces = self._cells(count * along * along, cell, generator)
        whole = pixels.view(count, along, along, cell, cell).transpose(2, 3).reshape(count, along * cell, along * cell)
        corner = torch.arange(along) * float(cell)
        corners = torch.stack(torch.meshgrid(corner, corner, indexing="xy"), dim=2).view(1, -1, 1, 2)
        faces = faces.view(count, along * along, FACES_A_TILE, 5)
        left, top = torch.randint(along * cell - size + 1, (2,), generator=generator).tolist()
        shift = torch.tensor([left, top])
        faces = torch.cat([faces[..., :2] + corners - shift, faces[..., 2:]], dim=3).view(count, -1, 5)
        return whole[:, None, top : top + size, left : left + size], flagged(faces, size)

    def _cells(self, count: int, cell: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Photographs as cells: float32 [count, cell, cell], and their faces in pixels of the cell [count, 3, 5]."""

        def draw(low: float, high: float) -> Tensor:
            return torch.rand(count, generator=generator) * (high - low) + low

        corner = draw(0, 1) < CORNERS
        zoom = torch.where(corner, draw(2.5, 6), (draw(0, 1) * 0.6).exp())
        side = torch.where(torch.rand(2, count, generator=generator) < 0.5, -1.0, 1.0)
        center = torch.where(corner, side * torch.stack([draw(0.55, 0.85), draw(0.2, 0.85)]), 0.0)
        roam = (1 - 1 / zoom) + 0.12
        center = torch.where(corner, center, torch.stack([draw(-1, 1), draw(-1, 1)]) * roam)
        turn = (draw(-1, 1) + draw(-1, 1)) * (math.radians(TURN_DEGREES) / 2)
        upside_down = draw(0, 1) < UPSIDE_DOWN
        turn = turn + upside_down * math.pi
        mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
        gain, offset = draw(-0.7, 0.5).exp(), draw(-30, 30)
        dark = torch.where(draw(0, 1) < DARKENED, draw(DARKEST, 1), 1.0)
        wanted = (zoom * cell).clamp(max=TILE_PX) / torch.where(draw(0, 1) < FOCUSED, 1.0, UNFOCUSED ** draw(0, 1))
        rows = torch.multinomial(self._weights, count, replacement=True, generator=generator)
        cos, sin = turn.cos(), turn.sin()
        theta = torch.stack([cos * mirror, sin, center[0] * zoom, -sin * mirror, cos, center[1] * zoom], dim=1)
        theta = (theta / zoom[:, None]).view(-1, 2, 3)
        pixels = sampled(self._levels, rows, wanted, affine_grid(theta, cell), "border")
        pixels = ((pixels - 127) * gain[:, None, None] + 127 + offset[:, None, None]) * dark[:, None, None]
        faces = self._moved(rows, zoom, cos, sin, mirror, center, cell)
        faces[..., 4] = faces[..., 4].where(~upside_down[:, None], 0.0)
        return pixels, faces

    def _moved(
        self, rows: Tensor, zoom: Tensor, cos: Tensor, sin: Tensor, mirror: Tensor, center: Tensor, cell: int
    ) -> Tensor:
        """The faces of the photographs `rows` in pixels of their cells; what leaves its cell is ignored or gone."""
        faces = self._boxes[rows]
        middle = (faces[..., :2] + faces[..., 2:4] / 2) / (TILE_PX / 2) - 1 - center.T[:, None]
        x = (cos[:, None] * middle[..., 0] - sin[:, None] * middle[..., 1]) * (mirror * zoom)[:, None]
        y = (sin[:, None] * middle[..., 0] + cos[:, None] * middle[..., 1]) * zoom[:, None]
        sides = faces[..., 2:4] * (zoom * cell / TILE_PX)[:, None, None]
        low = (torch.stack([x, y], dim=2) + 1) * cell / 2 - sides / 2
        return flagged(torch.cat([low, sides, faces[..., 4:]], dim=2), cell)


def coarser(images: Tensor, side: int) -> Tensor:
    """uint8 [N, S, S] as uint8 [N, side, side], some at a time, as floats take four times the room."""
    parts = (
        F.interpolate(images[start : start + 512, None].float(), size=side, mode="area")
        for start in range(0, len(images), 512)
    )
    return torch.cat([part[:, 0].round().to(torch.uint8) for part in parts])


def sampled(levels: Sequence[Tensor], rows: Tensor, wanted: Tensor, grid: Tensor, beyond: str) -> Tensor:
    """What `grid` [K, H, W, 2] shows of the pictures `rows` [K], float32 [K, H, W].

    levels: the same pictures at several sides, uint8 [N, S, S]; each is read from the one nearest to the side `wanted`
    [K]. beyond: grid_sample's padding_mode.
    """
    sides = torch.tensor([images.shape[-1] for images in levels])
    level = (wanted.log()[:, None] - sides.log()).abs().argmin(dim=1)
    pixels = torch.empty(grid.shape[:3])
    for number, images in enumerate(levels):
        (chosen,) = (level == number).nonzero(as_tuple=True)
        if len(chosen):
            seen = images[rows[chosen]][:, None].float()
            pixels[chosen] = F.grid_sample(seen, grid[chosen], padding_mode=beyond, align_corners=False)[:, 0]
    return pixels


def flagged(faces: Tensor, size: int) -> Tensor:
    """The faces [N, F, 5] with those ignored that are small or half outside a square of `size`, gone if wholly so.

    An ignored face is what is seen of it: beyond its cell lies another photograph.
    """
    low, sides, flag = faces[..., :2], faces[..., 2:4], faces[..., 4]
    inside = ((low + sides).clamp(max=size) - low.clamp(min=0)).clamp(min=0).prod(2) / sides.prod(2).clamp(min=1e-6)
    flag = flag.where((flag <= 0) | ((inside >= VISIBLE) & (sides[..., 1] >= MIN_FACE_PX)), IGNORED)
    flag = flag.where((inside > HIDDEN) & (sides[..., 1] >= 4), 0.0)
    seen_low, seen_high = low.clamp(0, size), (low + sides).clamp(0, size)
    seen = torch.cat([seen_low, seen_high - seen_low], dim=2)
    return torch.cat([torch.where(flag[..., None] < 0, seen, faces[..., :4]), flag[..., None]], dim=2)
