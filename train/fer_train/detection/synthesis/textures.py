"""Images without faces, drawn at random, so that the detector learns what background looks like."""

import numpy as np

from fer_edge.opencv import cv2
from fer_train.detection.synthesis.clutter import draw_clutter
from fer_train.detection.synthesis.tiles import TILE_PX, FaceTiles, Pixels, mix_tiles, uniform_tiles

DRAWN_SHARE = 0.12  # weight of the drawn tiles among all


def draw_texture(rng: np.random.Generator, size: int) -> Pixels:
    """A texture, uint8 [size, size]: a gradient, stripes, a lattice, clouds, noise or one gray."""
    kind = rng.integers(6)
    if kind == 0:
        corners = rng.uniform(0, 255, (2, 2)).astype(np.float32)
        return np.asarray(cv2.resize(corners, (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    if kind == 1:
        return _stripes(rng, size)
    if kind == 2:
        return np.maximum(_stripes(rng, size), _stripes(rng, size))
    if kind == 3:
        return _clouds(rng, size)
    if kind == 4:
        noise = rng.normal(rng.uniform(40, 215), rng.uniform(4, 45), (size, size))
        return np.clip(noise, 0, 255).astype(np.uint8)
    return np.full((size, size), rng.integers(256), dtype=np.uint8)


def _stripes(rng: np.random.Generator, size: int) -> Pixels:
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(4), np.log(90)))
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + rng.uniform(0, 6))
    if rng.random() < 0.5:
        wave = np.sign(wave - rng.uniform(-0.8, 0.8))
    return np.asarray(np.clip(rng.uniform(70, 185) + rng.uniform(20, 90) * wave, 0, 255), dtype=np.uint8)


def _clouds(rng: np.random.Generator, size: int) -> Pixels:
    """Noise at several scales, like foliage, rock or cloth."""
    total = np.zeros((size, size), np.float32)
    for cells in (3, 6, 12, 25, 50, 100):
        noise = rng.normal(0, rng.uniform(4, 30), (cells, cells)).astype(np.float32)
        total += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(total + rng.uniform(60, 195), 0, 255), dtype=np.uint8)


def with_drawn_tiles(tiles: FaceTiles, count: int, seed: int) -> FaceTiles:
    """`tiles` and `count` drawn background tiles, which share the weight DRAWN_SHARE."""
    rng = np.random.default_rng(seed)
    drawn = np.empty((count, TILE_PX, TILE_PX), np.uint8)
    for tile in drawn:
        tile[:] = draw_texture(rng, TILE_PX)
        draw_clutter(rng, tile, int(rng.integers(1, 9)))
    return mix_tiles(tiles, [uniform_tiles(drawn)], [DRAWN_SHARE])
