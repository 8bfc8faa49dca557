"""Things to draw into pictures without faces, some much like one: rounds, letters, signs, folds."""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from fer_edge.opencv import cv2
from fer_train.detection.synthesis.tiles import Pixels

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789&%?!:.-()"
_FONTS = ("Sans", "Sans-Bold", "Sans-Bold", "Sans-BoldOblique", "SansMono-Bold", "Serif", "Serif-Bold", "Serif-Italic")
Point = tuple[int, int]
Grays = npt.NDArray[np.float64]


def draw_things(rng: np.random.Generator, picture: Pixels, count: int) -> None:
    """Draw `count` random things into `picture`, in place: discs, rings, balls, blobs, boxes, lines, words, signs."""
    for _ in range(count):
        size = picture.shape[0]
        at = (int(rng.integers(size)), int(rng.integers(size)))
        radius = int(np.exp(rng.uniform(np.log(4), np.log(size / 2.5))))
        gray = int(rng.integers(256))
        _THINGS[rng.integers(len(_THINGS))](rng, picture, at, radius, gray)


def _ellipse(rng: np.random.Generator, picture: Pixels, at: Point, radius: int, gray: int) -> None:
    axes = (radius, max(1, int(radius * rng.uniform(0.3, 1.0))))
    thick = -1 if rng.random() < 0.6 else int(rng.integers(1, 8))
    cv2.ellipse(picture, at, axes, float(rng.uniform(0, 180)), 0, 360, gray, thick, cv2.LINE_AA)


def _blob(rng: np.random.Generator, picture: Pixels, at: Point, radius: int, gray: int) -> None:
    """A shaded oval as a bottle, a fist, an elbow or an empty head has: lit from one side, no features."""
    size = picture.shape[0]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    wide, high = radius * rng.uniform(0.5, 1.0), radius * rng.uniform(0.7, 1.3)
    far = ((x - at[0]) / wide) ** 2 + ((y - at[1]) / high) ** 2
    shade = gray + rng.uniform(-60, 60) * (x - at[0]) / wide + rng.uniform(-40, 40) * (y - at[1]) / high
    cover = np.clip((1 - far) * rng.uniform(2, 20), 0, 1)
    picture[:] = np.clip(picture * (1 - cover) + shade * cover, 0, 255).astype(np.uint8)


def _box(rng: np.random.Generator, picture: Pixels, at: Point, radius: int, gray: int) -> None:
    corners = cv2.boxPoints((at, (radius * 2, radius * float(rng.uniform(0.2, 2))), float(rng.uniform(0, 90))))
    if rng.random() < 0.7:
        cv2.fillConvexPoly(picture, corners.astype(np.int32), gray, cv2.LINE_AA)
    else:
        cv2.polylines(picture, [corners.astype(np.int32)], True, gray, int(rng.integers(1, 7)), cv2.LINE_AA)


def _line(rng: np.random.Generator, picture: Pixels, at: Point, radius: int, gray: int) -> None:
    there = (int(at[0] + rng.uniform(-3, 3) * radius), int(at[1] + rng.uniform(-3, 3) * radius))
    cv2.line(picture, at, there, gray, int(rng.integers(1, 12)), cv2.LINE_AA)


def _words(rng: np.random.Generator, picture: Pixels, at: Point, radius: int, gray: int) -> None:
    text = "".join(rng.choice(list(_LETTERS), int(rng.integers(1, 10))))
    font = _font(str(rng.choice(_FONTS)), max(8, min(radius * 2, 240)) // 4 * 4)
    wide, high = (int(value) for value in font.getbbox(text)[2:])
    outline = int(rng.uniform(0.04, 0.2) * high) if rng.random() < 0.5 else 0  # as in titles and logos
    letters, around = (Image.new("L", (wide + 2 * outline, high + 2 * outline)) for _ in range(2))
    spot = (outline, outline)
    ImageDraw.Draw(letters).text(spot, text, 255, font)
    ImageDraw.Draw(around).text(spot, text, 255, font, stroke_width=outline)
    if outline:
        _paint(picture, np.asarray(around), at, np.full(around.size[::-1], rng.integers(256)))
    _paint(picture, np.asarray(letters), at, _shade(rng, letters.size[1], letters.size[0], gray))


@cache
def _font(name: str, high: int) -> ImageFont.FreeTypeFont:
    """A font of matplotlib's, `high` pixels high."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVu{name}.ttf", high)


def _shade(rng: np.random.Generator, high: int, wide: int, gray: int) -> Grays:
    """One grey, or going over into another, softly or at an edge: [high, wide]."""
    other = rng.integers(256) if rng.random() < 0.5 else gray
    y, x = np.mgrid[-1 : 1 : high * 1j, -1 : 1 : wide * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    along = (x * np.cos(turn) + y * np.sin(turn)) * rng.choice([0.7, 2, 12]) + rng.uniform(-0.3, 0.3)
    return np.asarray(gray + (other - gray) * (np.clip(along, -1, 1) + 1) / 2)


def _paint(picture: Pixels, cover: Pixels, at: Point, grays: Grays) -> None:
    """Lay `greys` over the picture, its upper left corner at `at`, where `cover` (0 to 255) says so."""
    high, wide = picture.shape
    left, top = max(at[0], 0), max(at[1], 0)
    right, bottom = min(at[0] + cover.shape[1], wide), min(at[1] + cover.shape[0], high)
    if right > left and bottom > top:
        cut = np.s_[top - at[1] : bottom - at[1], left - at[0] : right - at[0]]
        part = picture[top:bottom, left:right]
        part[:] = np.clip(part + (grays[cut] - part) * (cover[cut] / 255), 0, 255).astype(np.uint8)


def _ball(rng: np.random.Generator, picture: Pixels, at: Point, radius: int, gray: int) -> None:
    """A shaded disc, in rings maybe: a lamp, a lens, a button, the dot on an i, a wheel."""
    for ring in range(int(rng.integers(0, 3)), 0, -1):
        around = int(radius * (1 + ring * rng.uniform(0.1, 0.35)))
        cv2.circle(picture, at, around, int(rng.integers(256)), -1, cv2.LINE_AA)
    disc = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
    axes = (radius, max(1, int(radius * rng.uniform(0.75, 1))))
    cv2.ellipse(disc, (radius, radius), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    _paint(picture, disc, (at[0] - radius, at[1] - radius), _shade(rng, *disc.shape, gray))
    if rng.random() < 0.4:  # where a light is mirrored
        spot = (int(at[0] + rng.uniform(-0.5, 0.5) * radius), int(at[1] - rng.uniform(0.1, 0.6) * radius))
        bright, small = int(rng.integers(180, 256)), max(1, int(radius * rng.uniform(0.08, 0.3)))
        cv2.circle(picture, spot, small, bright, -1, cv2.LINE_AA)


def _dots(rng: np.random.Generator, picture: Pixels, at: Point, radius: int, gray: int) -> None:
    """Round things side by side, as eyes are, but alone: buttons, lamps, wheels."""
    count, apart = int(rng.integers(2, 6)), radius * rng.uniform(0.5, 1.5)
    turn = rng.uniform(-0.5, 0.5)
    for index in range(count):
        spot = (int(at[0] + index * apart * np.cos(turn)), int(at[1] + index * apart * np.sin(turn)))
        cv2.circle(picture, spot, max(1, radius // 4), gray, -1, cv2.LINE_AA)


def _signs(rng: np.random.Generator, picture: Pixels, at: Point, radius: int, gray: int) -> None:
    """A row or a column of signs of many strokes, as Chinese ones are; on a plate maybe."""
    side, thick = max(8, radius), max(1, int(radius * rng.uniform(0.05, 0.16)))
    count, step = int(rng.integers(1, 7)), int(max(8, radius) * rng.uniform(1.05, 1.4))
    right, down = (step, 0) if rng.random() < 0.6 else (0, step)
    if rng.random() < 0.6:
        end = (at[0] + right * (count - 1) + side, at[1] + down * (count - 1) + side)
        edge = side // 5
        plate = int(rng.integers(256))
        cv2.rectangle(picture, (at[0] - edge, at[1] - edge), (end[0] + edge, end[1] + edge), plate, -1, cv2.LINE_AA)
    for place in range(count):
        _sign(rng, picture, (at[0] + place * right, at[1] + place * down), side, side, gray, thick)


def _sign(rng: np.random.Generator, picture: Pixels, at: Point, wide: int, high: int, gray: int, thick: int) -> None:
    """A sign in a rectangle, of parts side by side or one over the other, each of a few strokes."""
    (x, y), least = at, 7 * thick
    if max(wide, high) > least and rng.random() < 0.75:
        share = rng.uniform(0.35, 0.65)
        gap = thick + 1
        if wide > high or (wide == high and rng.random() < 0.5):
            part = int(wide * share)
            _sign(rng, picture, at, part - gap, high, gray, thick)
            _sign(rng, picture, (x + part, y), wide - part, high, gray, thick)
        else:
            part = int(high * share)
            _sign(rng, picture, at, wide, part - gap, gray, thick)
            _sign(rng, picture, (x, y + part), wide, high - part, gray, thick)
        return

    def stroke(x0: float, y0: float, x1: float, y1: float) -> None:
        start, end = (int(x + x0 * wide), int(y + y0 * high)), (int(x + x1 * wide), int(y + y1 * high))
        cv2.line(picture, start, end, gray, thick, cv2.LINE_AA)

    kind = rng.integers(4)
    if kind == 0:  # a box, with bars maybe
        for ends in ((0, 0, 1, 0), (1, 0, 1, 1), (1, 1, 0, 1), (0, 1, 0, 0)):
            stroke(*ends)
        bars = int(rng.integers(0, 3))
        for bar in range(bars):
            stroke(0, (bar + 1) / (bars + 1), 1, (bar + 1) / (bars + 1))
    elif kind == 1:  # a tree
        stroke(0.5, 0, 0.5, 1)
        stroke(0, 0.3, 1, 0.3)
        stroke(0.5, 0.3, 0, 0.9)
        stroke(0.5, 0.3, 1, 0.9)
    elif kind == 2:  # bars and what holds them
        bars = int(rng.integers(2, 5))
        for bar in range(bars):
            stroke(0, bar / (bars - 1), 1, bar / (bars - 1))
        stroke(0.5, 0, 0.5, 1)
    else:
        for _ in range(int(rng.integers(2, 5))):
            stroke(*rng.random(4))


def _folds(rng: np.random.Generator, picture: Pixels, at: Point, radius: int, gray: int) -> None:
    """Something soft with bulges side by side, as sleeves, padded jackets, cushions and blinds have."""
    size = picture.shape[0]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    turn = rng.uniform(0, np.pi)
    along = ((x - at[0]) * np.cos(turn) + (y - at[1]) * np.sin(turn)) / radius
    across = ((y - at[1]) * np.cos(turn) - (x - at[0]) * np.sin(turn)) / radius
    bend, ripple = rng.uniform(-0.5, 0.5), rng.uniform(0, 0.15) * np.sin(along * rng.uniform(2, 9))
    phase = (across + bend * along**2 + ripple) * rng.uniform(2, 9)
    bulge = np.abs(np.sin(phase)) ** rng.uniform(0.3, 1.5)
    shade = gray + rng.uniform(20, 110) * (bulge - 0.5) + rng.uniform(-40, 40) * along
    far = np.maximum(np.abs(along) / rng.uniform(0.4, 1), np.abs(across) / rng.uniform(0.6, 1.5))
    cover = np.clip((1 - far) * rng.uniform(3, 30), 0, 1)
    picture[:] = np.clip(picture * (1 - cover) + shade * cover, 0, 255).astype(np.uint8)


_THINGS = (_ellipse, _ball, _blob, _box, _box, _line, _words, _dots, _signs, _folds)
