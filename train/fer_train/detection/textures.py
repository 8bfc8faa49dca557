"""Pictures without faces, drawn at random: what a detector must learn to pass over."""

import cv2
import numpy as np

from fer_train.detection.tiles import TILE_PX, FaceTiles, Pixels

DRAWN_SHARE = 0.12
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789&%?!:.-()"
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)


def draw_texture(chance: np.random.Generator, size: int) -> Pixels:
    """Some texture, uint8 [size, size]: a soft light, stripes, a lattice, clouds, grain or one grey."""
    kind = chance.integers(6)
    if kind == 0:
        return _ramp(chance, size)
    if kind == 1:
        return _stripes(chance, size)
    if kind == 2:
        return np.maximum(_stripes(chance, size), _stripes(chance, size))
    if kind == 3:
        return _clouds(chance, size)
    if kind == 4:
        grain = chance.normal(chance.uniform(40, 215), chance.uniform(4, 45), (size, size))
        return np.clip(grain, 0, 255).astype(np.uint8)
    return np.full((size, size), chance.integers(256), dtype=np.uint8)


def _ramp(chance: np.random.Generator, size: int) -> Pixels:
    corners = chance.uniform(0, 255, (2, 2)).astype(np.float32)
    return np.asarray(cv2.resize(corners, (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _stripes(chance: np.random.Generator, size: int) -> Pixels:
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle, period = chance.uniform(0, np.pi), np.exp(chance.uniform(np.log(4), np.log(90)))
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + chance.uniform(0, 6))
    if chance.random() < 0.5:
        wave = np.sign(wave - chance.uniform(-0.8, 0.8))
    return np.asarray(np.clip(chance.uniform(70, 185) + chance.uniform(20, 90) * wave, 0, 255), dtype=np.uint8)


def _clouds(chance: np.random.Generator, size: int) -> Pixels:
    """Noise of several scales, as foliage, rock or cloth have."""
    total = np.zeros((size, size), np.float32)
    for cells in (3, 6, 12, 25, 50, 100):
        noise = chance.normal(0, chance.uniform(4, 30), (cells, cells)).astype(np.float32)
        total += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(total + chance.uniform(60, 195), 0, 255), dtype=np.uint8)


def draw_things(chance: np.random.Generator, picture: Pixels, count: int) -> None:
    """Draw `count` random things into `picture`, in place: discs, rings, blobs, boxes, lines, words, dots, signs."""
    for _ in range(count):
        size = picture.shape[0]
        at = (int(chance.integers(size)), int(chance.integers(size)))
        radius = int(np.exp(chance.uniform(np.log(4), np.log(size / 2.5))))
        grey = int(chance.integers(256))
        _THINGS[chance.integers(len(_THINGS))](chance, picture, at, radius, grey)


Point = tuple[int, int]


def _ellipse(chance: np.random.Generator, picture: Pixels, at: Point, radius: int, grey: int) -> None:
    axes = (radius, max(1, int(radius * chance.uniform(0.3, 1.0))))
    thick = -1 if chance.random() < 0.6 else int(chance.integers(1, 8))
    cv2.ellipse(picture, at, axes, float(chance.uniform(0, 180)), 0, 360, grey, thick, cv2.LINE_AA)


def _blob(chance: np.random.Generator, picture: Pixels, at: Point, radius: int, grey: int) -> None:
    """A shaded oval as a bottle, a fist, an elbow or an empty head has: lit from one side, no features."""
    size = picture.shape[0]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    wide, high = radius * chance.uniform(0.5, 1.0), radius * chance.uniform(0.7, 1.3)
    far = ((x - at[0]) / wide) ** 2 + ((y - at[1]) / high) ** 2
    shade = grey + chance.uniform(-60, 60) * (x - at[0]) / wide + chance.uniform(-40, 40) * (y - at[1]) / high
    cover = np.clip((1 - far) * chance.uniform(2, 20), 0, 1)
    picture[:] = np.clip(picture * (1 - cover) + shade * cover, 0, 255).astype(np.uint8)


def _box(chance: np.random.Generator, picture: Pixels, at: Point, radius: int, grey: int) -> None:
    corners = cv2.boxPoints((at, (radius * 2, radius * float(chance.uniform(0.2, 2))), float(chance.uniform(0, 90))))
    if chance.random() < 0.7:
        cv2.fillConvexPoly(picture, corners.astype(np.int32), grey, cv2.LINE_AA)
    else:
        cv2.polylines(picture, [corners.astype(np.int32)], True, grey, int(chance.integers(1, 7)), cv2.LINE_AA)


def _line(chance: np.random.Generator, picture: Pixels, at: Point, radius: int, grey: int) -> None:
    there = (int(at[0] + chance.uniform(-3, 3) * radius), int(at[1] + chance.uniform(-3, 3) * radius))
    cv2.line(picture, at, there, grey, int(chance.integers(1, 12)), cv2.LINE_AA)


def _words(chance: np.random.Generator, picture: Pixels, at: Point, radius: int, grey: int) -> None:
    text = "".join(chance.choice(list(_LETTERS), int(chance.integers(1, 10))))
    font, scale = int(chance.choice(_FONTS)), max(0.3, radius / 25)
    thick = max(1, int(scale * chance.uniform(0.8, 4)))
    if chance.random() < 0.5:  # as in titles and logos
        outline = thick + max(2, int(scale * chance.uniform(1, 4)))
        cv2.putText(picture, text, at, font, scale, int(chance.integers(256)), outline, cv2.LINE_AA)
    cv2.putText(picture, text, at, font, scale, grey, thick, cv2.LINE_AA)


def _dots(chance: np.random.Generator, picture: Pixels, at: Point, radius: int, grey: int) -> None:
    """Round things side by side, as eyes are, but alone: buttons, lamps, wheels."""
    count, apart = int(chance.integers(2, 6)), radius * chance.uniform(0.5, 1.5)
    turn = chance.uniform(-0.5, 0.5)
    for index in range(count):
        spot = (int(at[0] + index * apart * np.cos(turn)), int(at[1] + index * apart * np.sin(turn)))
        cv2.circle(picture, spot, max(1, radius // 4), grey, -1, cv2.LINE_AA)


def _glyphs(chance: np.random.Generator, picture: Pixels, at: Point, radius: int, grey: int) -> None:
    """A row of signs of many strokes, as Chinese ones are."""
    side, thick = max(8, radius), max(1, int(radius * chance.uniform(0.05, 0.15)))
    for place in range(int(chance.integers(1, 7))):
        left, top = at[0] + int(place * side * 1.15), at[1]
        for _ in range(int(chance.integers(4, 11))):
            x0, y0, x1, y1 = (int(value) for value in chance.integers(0, side, 4))
            kind = chance.integers(3)
            if kind == 0:
                y1 = y0
            elif kind == 1:
                x1 = x0
            cv2.line(picture, (left + x0, top + y0), (left + x1, top + y1), grey, thick, cv2.LINE_AA)


def _folds(chance: np.random.Generator, picture: Pixels, at: Point, radius: int, grey: int) -> None:
    """Something soft with bulges side by side, as sleeves, padded jackets, cushions and blinds have."""
    size = picture.shape[0]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    turn = chance.uniform(0, np.pi)
    along = ((x - at[0]) * np.cos(turn) + (y - at[1]) * np.sin(turn)) / radius
    across = ((y - at[1]) * np.cos(turn) - (x - at[0]) * np.sin(turn)) / radius
    bend, ripple = chance.uniform(-0.5, 0.5), chance.uniform(0, 0.15) * np.sin(along * chance.uniform(2, 9))
    phase = (across + bend * along**2 + ripple) * chance.uniform(2, 9)
    bulge = np.abs(np.sin(phase)) ** chance.uniform(0.3, 1.5)
    shade = grey + chance.uniform(20, 110) * (bulge - 0.5) + chance.uniform(-40, 40) * along
    far = np.maximum(np.abs(along) / chance.uniform(0.4, 1), np.abs(across) / chance.uniform(0.6, 1.5))
    cover = np.clip((1 - far) * chance.uniform(3, 30), 0, 1)
    picture[:] = np.clip(picture * (1 - cover) + shade * cover, 0, 255).astype(np.uint8)


_THINGS = (_ellipse, _blob, _box, _box, _line, _words, _dots, _glyphs, _folds)


def with_drawn(tiles: FaceTiles, count: int, seed: int) -> FaceTiles:
    """`tiles` and `count` drawn ones that show nobody, DRAWN_SHARE of what is drawn by chance."""
    chance = np.random.default_rng(seed)
    drawn = np.empty((count, TILE_PX, TILE_PX), np.uint8)
    for tile in drawn:
        tile[:] = draw_texture(chance, TILE_PX)
        draw_things(chance, tile, int(chance.integers(1, 9)))
    chances = np.concatenate([tiles.chances * (1 - DRAWN_SHARE), np.full(count, DRAWN_SHARE / count)])
    nobody = (np.empty((0, 5), np.float32),) * count
    return FaceTiles(np.concatenate([tiles.images, drawn]), tiles.boxes + nobody, chances)
