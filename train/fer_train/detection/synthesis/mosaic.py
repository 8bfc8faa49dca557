"""Mosaics of face photos, made in whole batches: real pixels and faces everywhere.

Composed scenes (scenes.py) vary more, but much of them is drawn clutter. A mosaic's cell shows a photo turned, zoomed,
mirrored, relit and more or less in focus, or an enlarged corner of one without its face.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fer_train.detection.synthesis import batches
from fer_train.detection.synthesis.scenes import IGNORED
from fer_train.detection.synthesis.tiles import TILE_PX, FaceTiles

CELLS_PER_SIDE = (1.0, 10.0)
MIN_CELL_PX = 24
GROUPS = 4  # of a batch, each with its own cell size
CORNERS = 0.22  # share of the cells that show an enlarged corner
FACES_PER_TILE = 3
TURN_DEGREES = 30.0  # at most; the mean of two draws, so that most heads stay upright
LEVELS_PX = (128, 90, 64, 45, 32, 24)  # sides at which tiles are kept, for small cells and for faces out of focus
FOCUSED, UNFOCUSED = 0.5, 4.0  # share of the cells in focus; the others are up to UNFOCUSED times coarser
UPSIDE_DOWN = 0.06  # share of the cells that are upside down, and so labeled as background
LIGHT = (0.6, 30.0, (0.25, 0.25, 1.0))  # of the cells, as change_light takes it
MIN_SCORE = 0.6  # of the boxes that must be found; fainter ones are ignored
MIN_SHOWN = 0.6  # share of a face inside its cell; with less it is ignored


class MosaicMaker:
    """Makes mosaics of `tiles`."""

    def __init__(self, tiles: FaceTiles) -> None:
        images = torch.from_numpy(tiles.images)  # uint8 [N, 128, 128]
        self._levels = [images, *(batches.downscaled(images, side) for side in LEVELS_PX[1:])]
        self._weights = torch.from_numpy(tiles.weights).float()
        boxes = np.zeros((len(tiles), FACES_PER_TILE, 5), np.float32)
        for row, faces in zip(boxes, tiles.boxes, strict=True):
            best = faces[np.argsort(-faces[:, 4])][:FACES_PER_TILE]
            row[: len(best)] = best
        scores = boxes[..., 4]
        boxes[..., 4] = np.where(scores >= MIN_SCORE, 1.0, np.where(scores > 0, IGNORED, 0.0))
        boxes[..., :4] /= TILE_PX
        self._boxes = torch.from_numpy(boxes)  # float32 [N, 3, 5], as fractions of the tile's side

    def make(self, count: int, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images float32 [count, 1, size, size], 0 to 255, and their faces float32 [count, F, 5]."""
        parts = [self._make_group(size, len(part), generator) for part in torch.arange(count).chunk(GROUPS)]
        columns = max(faces.shape[1] for _, faces in parts)
        images = torch.cat([images for images, _ in parts])
        faces = torch.cat([F.pad(faces, (0, 0, 0, columns - faces.shape[1])) for _, faces in parts])
        return batches.relight(images, generator), faces

    def _make_group(self, size: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mosaics with cells of one size."""
        log_low, log_high = (math.log(value) for value in CELLS_PER_SIDE)
        cell = max(MIN_CELL_PX, int(size / batches.uniform(generator, log_low, log_high, 1).exp().item()))
        columns = -(-size // cell) + 1  # one more than fits: a random crop follows
        side = columns * cell
        pixels, faces = self._make_cells(count * columns**2, cell, generator)
        whole = pixels.view(count, columns, columns, cell, cell).transpose(2, 3).reshape(count, side, side)
        starts = torch.arange(columns) * float(cell)
        corners = torch.stack(torch.meshgrid(starts, starts, indexing="xy"), dim=2).view(1, -1, 1, 2)
        faces = faces.view(count, columns**2, FACES_PER_TILE, 5)
        left, top = torch.randint(side - size + 1, (2,), generator=generator).tolist()
        faces = torch.cat([faces[..., :2] + corners - torch.tensor([left, top]), faces[..., 2:]], dim=3)
        crop = whole[:, None, top : top + size, left : left + size]
        return crop, batches.flag_cut_faces(faces.view(count, -1, 5), size, MIN_SHOWN)

    def _make_cells(self, count: int, cell: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Photos as cells: float32 [count, cell, cell], and their faces in pixels of the cell [count, 3, 5]."""

        def draw(low: float, high: float) -> Tensor:
            return batches.uniform(generator, low, high, count)

        is_corner = draw(0, 1) < CORNERS
        zoom = torch.where(is_corner, draw(2.5, 6), (draw(0, 1) * 0.6).exp())
        corner = batches.random_sign(generator, count, 2) * torch.stack([draw(0.55, 0.85), draw(0.2, 0.85)], dim=1)
        room = 1 - 1 / zoom + 0.12  # how far the view's center may be from the photo's
        center = torch.stack([draw(-1, 1), draw(-1, 1)], dim=1) * room[:, None]
        center = torch.where(is_corner[:, None], corner, center)
        upside_down = draw(0, 1) < UPSIDE_DOWN
        turn = (draw(-1, 1) + draw(-1, 1)) * (math.radians(TURN_DEGREES) / 2) + upside_down * math.pi
        views = batches.Views(turn, batches.random_sign(generator, count), zoom, center)
        blur = torch.where(draw(0, 1) < FOCUSED, 1.0, UNFOCUSED ** draw(0, 1))
        rows = torch.multinomial(self._weights, count, replacement=True, generator=generator)
        side = torch.full((count,), float(cell))
        pixels = views.render(self._levels, rows, side, blur, "border")
        boxes = self._boxes[rows]
        faces = torch.cat(
            [views.move(boxes[..., :4], side), boxes[..., 4:].where(~upside_down[:, None, None], 0.0)], dim=2
        )
        return batches.change_light(pixels, generator, *LIGHT), batches.flag_cut_faces(faces, cell, MIN_SHOWN)
