"""Draw clutter into images without faces, some of it face-like: discs, letters, signs, folds."""

from collections.abc import Callable
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
Floats = npt.NDArray[np.float64]
Shape = Callable[[np.random.Generator, Pixels, Point, int, int], None]
"""Draws into uint8 [S, S], in place, at a point (x, y), with a radius in pixels and a gray."""


def draw_clutter(rng: np.random.Generator, image: Pixels, count: int) -> None:
    """Draw `count` random shapes into `image`, uint8 [S, S], in place."""
    for _ in range(count):
        size = image.shape[0]
        at = (int(rng.integers(size)), int(rng.integers(size)))
        radius = int(np.exp(rng.uniform(np.log(4), np.log(size / 2.5))))
        gray = int(rng.integers(256))
        SHAPES[rng.integers(len(SHAPES))](rng, image, at, radius, gray)


def _ellipse(rng: np.random.Generator, image: Pixels, at: Point, radius: int, gray: int) -> None:
    axes = (radius, max(1, int(radius * rng.uniform(0.3, 1.0))))
    thickness = -1 if rng.random() < 0.6 else int(rng.integers(1, 8))
    cv2.ellipse(image, at, axes, float(rng.uniform(0, 180)), 0, 360, gray, thickness, cv2.LINE_AA)


def _ball(rng: np.random.Generator, image: Pixels, at: Point, radius: int, gray: int) -> None:
    """A shaded disc, maybe with rings and a highlight, like a lamp, a lens, a button or a wheel."""
    for ring in range(int(rng.integers(0, 3)), 0, -1):
        outer = int(radius * (1 + ring * rng.uniform(0.1, 0.35)))
        cv2.circle(image, at, outer, int(rng.integers(256)), -1, cv2.LINE_AA)
    disc = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
    axes = (radius, max(1, int(radius * rng.uniform(0.75, 1))))
    cv2.ellipse(disc, (radius, radius), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    _paste(image, disc, (at[0] - radius, at[1] - radius), _gradient(rng, disc.shape, gray))
    if rng.random() < 0.4:
        spot = (int(at[0] + rng.uniform(-0.5, 0.5) * radius), int(at[1] - rng.uniform(0.1, 0.6) * radius))
        bright, spot_radius = int(rng.integers(180, 256)), max(1, int(radius * rng.uniform(0.08, 0.3)))
        cv2.circle(image, spot, spot_radius, bright, -1, cv2.LINE_AA)


def _blob(rng: np.random.Generator, image: Pixels, at: Point, radius: int, gray: int) -> None:
    """An oval lit from one side, without features, like a bottle, a fist, an elbow or an empty head."""
    x, y = _offsets(image, at, 0.0)
    x, y = x / (radius * rng.uniform(0.5, 1.0)), y / (radius * rng.uniform(0.7, 1.3))
    shade = gray + rng.uniform(-60, 60) * x + rng.uniform(-40, 40) * y
    _blend(image, shade, (1 - x**2 - y**2) * rng.uniform(2, 20))


def _folds(rng: np.random.Generator, image: Pixels, at: Point, radius: int, gray: int) -> None:
    """Soft bulges side by side, like sleeves, padded jackets, cushions and blinds."""
    x, y = _offsets(image, at, rng.uniform(0, np.pi))
    x, y = x / radius, y / radius
    bend, ripple = rng.uniform(-0.5, 0.5), rng.uniform(0, 0.15) * np.sin(x * rng.uniform(2, 9))
    bulge = np.abs(np.sin((y + bend * x**2 + ripple) * rng.uniform(2, 9))) ** rng.uniform(0.3, 1.5)
    shade = gray + rng.uniform(20, 110) * (bulge - 0.5) + rng.uniform(-40, 40) * x
    distance = np.maximum(np.abs(x) / rng.uniform(0.4, 1), np.abs(y) / rng.uniform(0.6, 1.5))
    _blend(image, shade, (1 - distance) * rng.uniform(3, 30))


def _box(rng: np.random.Generator, image: Pixels, at: Point, radius: int, gray: int) -> None:
    corners = cv2.boxPoints((at, (radius * 2, radius * float(rng.uniform(0.2, 2))), float(rng.uniform(0, 90))))
    if rng.random() < 0.7:
        cv2.fillConvexPoly(image, corners.astype(np.int32), gray, cv2.LINE_AA)
    else:
        cv2.polylines(image, [corners.astype(np.int32)], True, gray, int(rng.integers(1, 7)), cv2.LINE_AA)


def _line(rng: np.random.Generator, image: Pixels, at: Point, radius: int, gray: int) -> None:
    end = (int(at[0] + rng.uniform(-3, 3) * radius), int(at[1] + rng.uniform(-3, 3) * radius))
    cv2.line(image, at, end, gray, int(rng.integers(1, 12)), cv2.LINE_AA)


def _dots(rng: np.random.Generator, image: Pixels, at: Point, radius: int, gray: int) -> None:
    """Discs in a row, spaced like eyes: buttons, lamps, wheels."""
    count, spacing, turn = int(rng.integers(2, 6)), radius * rng.uniform(0.5, 1.5), rng.uniform(-0.5, 0.5)
    for index in range(count):
        spot = (int(at[0] + index * spacing * np.cos(turn)), int(at[1] + index * spacing * np.sin(turn)))
        cv2.circle(image, spot, max(1, radius // 4), gray, -1, cv2.LINE_AA)


def _words(rng: np.random.Generator, image: Pixels, at: Point, radius: int, gray: int) -> None:
    """Letters, some outlined as in titles and logos."""
    text = "".join(rng.choice(list(_LETTERS), int(rng.integers(1, 10))))
    font = _font(str(rng.choice(_FONTS)), max(8, min(radius * 2, 240)) // 4 * 4)
    width, height = (int(value) for value in font.getbbox(text)[2:])
    outline = int(rng.uniform(0.04, 0.2) * height) if rng.random() < 0.5 else 0
    for stroke in (outline, 0) if outline else (0,):
        mask = Image.new("L", (width + 2 * outline, height + 2 * outline))
        ImageDraw.Draw(mask).text((outline, outline), text, 255, font, stroke_width=stroke)
        alpha = np.asarray(mask)
        grays = np.full(alpha.shape, float(rng.integers(256))) if stroke else _gradient(rng, alpha.shape, gray)
        _paste(image, alpha, at, grays)


def _signs(rng: np.random.Generator, image: Pixels, at: Point, radius: int, gray: int) -> None:
    """A row or a column of signs of many strokes, as in Chinese writing; maybe on a plate."""
    side, thickness = max(8, radius), max(1, int(radius * rng.uniform(0.05, 0.16)))
    count, step = int(rng.integers(1, 7)), int(side * rng.uniform(1.05, 1.4))
    right, down = (step, 0) if rng.random() < 0.6 else (0, step)
    if rng.random() < 0.6:
        margin = side // 5
        end = (at[0] + right * (count - 1) + side + margin, at[1] + down * (count - 1) + side + margin)
        plate = int(rng.integers(256))
        cv2.rectangle(image, (at[0] - margin, at[1] - margin), end, plate, -1, cv2.LINE_AA)
    for place in range(count):
        _sign(rng, image, (at[0] + place * right, at[1] + place * down), side, side, gray, thickness)


_STROKES = (  # start and end of each, as fractions of width and height
    ((0, 0, 1, 0), (1, 0, 1, 1), (1, 1, 0, 1), (0, 1, 0, 0)),  # a box
    ((0, 0, 1, 0), (1, 0, 1, 1), (1, 1, 0, 1), (0, 1, 0, 0), (0, 0.5, 1, 0.5)),  # a box with a bar
    ((0.5, 0, 0.5, 1), (0, 0.3, 1, 0.3), (0.5, 0.3, 0, 0.9), (0.5, 0.3, 1, 0.9)),  # a tree
    ((0, 0, 1, 0), (0, 0.5, 1, 0.5), (0, 1, 1, 1), (0.5, 0, 0.5, 1)),  # bars on a post
)


def _sign(rng: np.random.Generator, image: Pixels, at: Point, width: int, height: int, gray: int, thick: int) -> None:
    """A sign in a rectangle: parts side by side or one over the other, each of a few strokes."""
    x, y = at
    if max(width, height) > 7 * thick and rng.random() < 0.75:
        share, gap = rng.uniform(0.35, 0.65), thick + 1
        if width > height or (width == height and rng.random() < 0.5):
            part = int(width * share)
            _sign(rng, image, at, part - gap, height, gray, thick)
            _sign(rng, image, (x + part, y), width - part, height, gray, thick)
        else:
            part = int(height * share)
            _sign(rng, image, at, width, part - gap, gray, thick)
            _sign(rng, image, (x, y + part), width, height - part, gray, thick)
        return
    kind = int(rng.integers(len(_STROKES) + 1))
    strokes = _STROKES[kind] if kind < len(_STROKES) else rng.random((int(rng.integers(2, 5)), 4)).tolist()
    for x0, y0, x1, y1 in strokes:
        start, end = (int(x + x0 * width), int(y + y0 * height)), (int(x + x1 * width), int(y + y1 * height))
        cv2.line(image, start, end, gray, thick, cv2.LINE_AA)


@cache
def _font(name: str, height: int) -> ImageFont.FreeTypeFont:
    """One of the fonts that come with matplotlib, `height` pixels high."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVu{name}.ttf", height)


def _gradient(rng: np.random.Generator, shape: tuple[int, ...], gray: int) -> Floats:
    """Grays of that shape: one, or two with a soft or a hard transition."""
    other = rng.integers(256) if rng.random() < 0.5 else gray
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    along = (x * np.cos(turn) + y * np.sin(turn)) * rng.choice([0.7, 2, 12]) + rng.uniform(-0.3, 0.3)
    return np.asarray(gray + (other - gray) * (np.clip(along, -1, 1) + 1) / 2)


def _offsets(image: Pixels, at: Point, turn: float) -> tuple[Floats, Floats]:
    """x and y of every pixel from `at`, in axes turned by radians; each float64 of the image's shape."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float64)
    x, y = x - at[0], y - at[1]
    return x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)


def _blend(image: Pixels, grays: Floats, alpha: Floats) -> None:
    """Blend `grays` into the image, in place; alpha is clipped to 0..1."""
    image[:] = np.clip(image + (grays - image) * np.clip(alpha, 0, 1), 0, 255).astype(np.uint8)


def _paste(image: Pixels, alpha: Pixels, at: Point, grays: Floats) -> None:
    """Blend `grays` into the image, in place, with the upper left corner at `at`; alpha is 0 to 255."""
    height, width = image.shape
    left, top = max(at[0], 0), max(at[1], 0)
    right, bottom = min(at[0] + alpha.shape[1], width), min(at[1] + alpha.shape[0], height)
    if right > left and bottom > top:
        cut = np.s_[top - at[1] : bottom - at[1], left - at[0] : right - at[0]]
        _blend(image[top:bottom, left:right], grays[cut], alpha[cut] / 255)


SHAPES: tuple[Shape, ...] = (_ellipse, _ball, _blob, _box, _box, _line, _words, _dots, _signs, _folds)
