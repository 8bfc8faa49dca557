"""A head as a solid: in profile, bent down or tipped back it shows nose, brow and chin against what is behind it.

What tells a profile is its outline, which no turning of a flat picture gives. So the head is a surface here: at each
height a curve around its axis, whose front carries the picture and whose back is hair; under the chin is the neck. Its
measures are a mean adult head's (after Farkas 1994, "Anthropometry of the Head and Face"), rounded; at the size of the
faces that a detector seeks, that passes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge.opencv import cv2
from fer_train.detection.synthesis.tiles import Pixels

Floats = npt.NDArray[np.float32]
Line = tuple[tuple[float, ...], tuple[float, ...]]  # places and the values there

# By height, in half heights of the head, from its top (-1) to under the chin (1): half its width, in half widths; how
# far face (without nose) and back lie before and behind its axis and how far the nose stands out, in half heights.
WIDTH: Line = (
    (-1, -0.9, -0.75, -0.5, -0.25, 0, 0.2, 0.4, 0.6, 0.75, 0.85, 1),
    (0, 0.44, 0.66, 0.86, 0.95, 0.96, 0.93, 0.86, 0.75, 0.6, 0.47, 0.4),
)
FRONT: Line = (
    (-1, -0.9, -0.75, -0.5, -0.3, -0.18, -0.08, 0.1, 0.25, 0.34, 0.4, 0.45, 0.55, 0.7, 0.8, 0.9, 1),
    (0, 0.38, 0.6, 0.76, 0.82, 0.85, 0.79, 0.8, 0.8, 0.85, 0.82, 0.84, 0.78, 0.82, 0.75, 0.5, 0.25),
)
BACK: Line = ((-1, -0.9, -0.6, -0.2, 0.1, 0.35, 0.6, 0.84, 1), (0, 0.42, 0.75, 0.88, 0.85, 0.68, 0.5, 0.42, 0.42))
NOSE: Line = ((-0.12, -0.05, 0.19, 0.22, 0.27, 0.3), (0, 0.02, 0.24, 0.22, 0.04, 0))
NOSE_WIDTH: Line = ((-0.1, 0.22), (0.07, 0.13))  # half of it
SOCKET = (0.26, -0.06, 0.13, 0.07, 0.06)  # of an eye: beside the axis, height, half sides, depth
# Where hair begins, by height: angle from the middle of the face, in radians. Temple, sideburn, behind the ear, nape
HAIRLINE: Line = ((-0.72, -0.6, -0.5, -0.25, 0.1, 0.12, 0.3, 0.6), (-0.3, 0.4, 0.7, 1.15, 1.35, 1.8, 1.9, 2.2))
HAIR_FROM = (0.5, -0.82, 0.1)  # where the picture has hair, in half sides of the head: how wide, how high, how tall
THICK = 0.06  # of hair, in half heights
STRANDS = 1.2  # of a noise of 0.06: by so much hair is lighter and darker in strands
EAR = (1.62, 0.08, 0.2, 0.19)  # angle, height and half sides
CHEEK = 0.95  # from this angle on the picture shows no skin, as it was taken from the front
JOINT = (0.55, -0.12)  # height and depth of where the neck carries the head
NECK = (0.35, 1.15, 0.5, 0.34, -0.17)  # from and to which height; half width, in half widths; depth; where its axis is
NECK_SHADE = 0.65  # under the chin
AROUND, DOWN = 220, 180  # points around the head and from its top to the chin
FINER = 2  # pixels of the drawing along one of the picture
SPREAD, BEHIND = 5, 0.1  # points lie apart: what is so far (half heights) behind others in so many pixels is hidden
CLEARED, CLEARED_TO = 1.14, 0.8  # an oval so much larger than the head is cleared of it, down to that height


@dataclass(frozen=True)
class Head:
    """A head in a picture: its middle and half its sides, in pixels, with hair and ears."""

    x: float
    y: float
    half_width: float
    half_height: float


@dataclass(frozen=True)
class Pose:
    """Angles in radians: yaw to the right of the picture, pitch downwards, roll clockwise."""

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class Look:
    """How a turned head looks.

    recedes: how much farther back its hair begins, in radians; hair_ends: down to which height it goes, -1 to 1;
    hair_grey: 0 to 255, None if it is as in the picture; light: by which share what faces right, and down, is brighter.
    """

    recedes: float = 0.0
    hair_ends: float = 0.6
    hair_gray: float | None = None
    light: tuple[float, float] = (0.0, 0.0)


def posed(image: Pixels, head: Head, pose: Pose, look: Look, rng: np.random.Generator) -> Pixels:
    """uint8 [H, W] with the head, which faces the camera, in another pose; what it hid is made up of what is beside.

    Parts of it beyond the picture are cut off. chance: of the strands of its hair.
    """
    points, grays = _surface(image, head, look, rng)
    neck, neck_grays = _neck(image, head)
    drawn, cover, depth = _drawn(
        np.concatenate([_turned(points, pose), neck]), np.concatenate([grays, neck_grays]), head, image.shape
    )
    smooth = cv2.GaussianBlur(depth, (0, 0), 1.5) / np.maximum(cv2.GaussianBlur(cover, (0, 0), 1.5), 1e-3)
    down, across = np.gradient(-smooth)
    lit = 1 + (look.light[0] * across + look.light[1] * down) / np.sqrt(across**2 + down**2 + 1)
    size = (image.shape[1], image.shape[0])
    shown = cv2.resize(np.clip(drawn * lit, 0, 255).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(cover, size, interpolation=cv2.INTER_AREA)
    behind = without_head(image, head)
    # Nothing is drawn outside the head, so at its edge `shown` is its share already
    return np.asarray(np.clip(behind * (1 - share) + shown, 0, 255), dtype=np.uint8)


def face_at(head: Head, pose: Pose) -> tuple[float, float]:
    """Where the middle of the face is in that pose, x and y in pixels: a little behind its skin, as boxes have it."""
    height = 0.15  # between eyes and mouth
    ((x, y, _),) = _turned(np.array([[0, height, 0.8 * np.interp(height, *FRONT)]], np.float32), pose).tolist()
    return head.x + x * head.half_height, head.y + y * head.half_height


def without_head(image: Pixels, head: Head) -> Floats:
    """float32 [H, W]: the picture with what is beside the head mirrored over it."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    v = (y - head.y) / (head.half_height * CLEARED)
    reach = np.sqrt(np.clip(1 - v * v, 0, None)) * head.half_width * CLEARED
    mirrored = [_sampled(image, 2 * edge - x, y) for edge in (head.x - reach, head.x + reach)]
    share = (x - head.x + reach) / np.maximum(2 * reach, 1)
    filled = mirrored[0] + (mirrored[1] - mirrored[0]) * np.clip((share - 0.35) / 0.3, 0, 1)
    above = np.clip((head.y + CLEARED_TO * head.half_height - y) / 3, 0, 1)
    inside = cv2.GaussianBlur((np.clip((reach - np.abs(x - head.x)) / 2, 0, 1) * above), (0, 0), 1)
    return np.asarray(image + (filled - image) * inside, np.float32)


def _sampled(image: Pixels, x: Floats, y: Floats) -> Floats:
    """float32 like `x` and `y`: the picture there, its edge repeated beyond it."""
    x, y = np.broadcast_arrays(x, y)
    map_x, map_y = x.astype(np.float32), y.astype(np.float32)
    seen = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)


def _at(place: Floats, line: Line) -> Floats:
    return np.interp(place, *line).astype(np.float32)


def _surface(image: Pixels, head: Head, look: Look, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Points [K, 3] (right, down, to the eye, in half heights) of the head as it is in the picture, and greys [K]."""
    angle = np.linspace(-np.pi, np.pi, AROUND, endpoint=False, dtype=np.float32)[None]
    v: Floats = np.sin(np.linspace(-np.pi / 2, np.pi / 2, DOWN, dtype=np.float32))[:, None].astype(np.float32)
    away, front = np.abs(angle), np.cos(angle) > 0
    u = _at(v, WIDTH) * np.sin(angle)  # in half widths
    x = u * (head.half_width / head.half_height)
    z = np.where(front, _at(v, FRONT), -_at(v, BACK)) * np.abs(np.cos(angle)) ** 0.8
    z += front * _at(v, NOSE) * np.exp(-((x / _at(v, NOSE_WIDTH)) ** 2))
    beside, at, half_x, half_y, deep = SOCKET
    z -= front * deep * np.exp(-(((np.abs(x) - beside) / half_x) ** 2) - ((v - at) / half_y) ** 2)

    skin = _sampled(image, head.x + u * head.half_width, head.y + v * head.half_height)
    cheek = float(np.median(skin[np.abs(v[:, 0]) < 0.4][:, away[0] < 0.8]))
    skin += (0.85 * cheek - skin) * np.clip((away - CHEEK) / 0.3, 0, 1)
    ear = ((away - EAR[0]) / EAR[2]) ** 2 + ((v - EAR[1]) / EAR[3]) ** 2
    skin *= np.where(ear < 1, 0.7 + 0.4 * ear, 1)
    wide, high, tall = HAIR_FROM
    hair = _sampled(image, head.x + wide * u * head.half_width, head.y + (high + tall * v) * head.half_height)
    if look.hair_gray is not None:
        hair = look.hair_gray + (hair - hair.mean()) * 0.3
    comb = rng.normal(0, 1, hair.shape).astype(np.float32)
    hair = hair * (1 + STRANDS * cv2.GaussianBlur(comb, (0, 0), sigmaX=2, sigmaY=12))
    over = np.clip((away - _at(v, HAIRLINE) - look.recedes) / 0.12, 0, 1) * np.clip((look.hair_ends - v) / 0.08, 0, 1)
    points = np.stack(np.broadcast_arrays(x, v, z + THICK * over), axis=2)
    return points.reshape(-1, 3).astype(np.float32), (skin + (hair - skin) * over).reshape(-1).astype(np.float32)


def _neck(image: Pixels, head: Head) -> tuple[Floats, Floats]:
    """Points [K, 3] and greys [K] of the neck, which stays as it is, as `_surface` gives them."""
    first, last, half, deep, axis = NECK
    angle = np.linspace(-np.pi / 2, np.pi / 2, AROUND // 2, dtype=np.float32)[None]
    v = np.linspace(first, last, DOWN // 2, dtype=np.float32)[:, None]
    u = np.float32(half) * np.sin(angle)
    skin = np.maximum(v, 0.95).astype(np.float32)  # of what is below the chin
    grays = _sampled(image, head.x + u * head.half_width, head.y + skin * head.half_height)
    grays = grays * _at(v, ((0.5, 1.1), (NECK_SHADE, 1)))
    points = np.stack(
        np.broadcast_arrays(u * (head.half_width / head.half_height), v, axis + deep * np.cos(angle)), axis=2
    )
    return points.reshape(-1, 3).astype(np.float32), grays.reshape(-1).astype(np.float32)


def _turned(points: Floats, pose: Pose) -> Floats:
    """Points [K, 3] turned about the neck's joint."""
    x, y, z = points[:, 0], points[:, 1] - JOINT[0], points[:, 2] - JOINT[1]
    cos, sin = np.cos(pose.yaw), np.sin(pose.yaw)
    x, z = cos * x + sin * z, -sin * x + cos * z
    cos, sin = np.cos(pose.pitch), np.sin(pose.pitch)
    y, z = cos * y + sin * z, -sin * y + cos * z
    cos, sin = np.cos(pose.roll), np.sin(pose.roll)
    x, y = cos * x - sin * y, sin * x + cos * y
    return np.stack([x, y + JOINT[0], z + JOINT[1]], axis=1).astype(np.float32)


def _drawn(points: Floats, grays: Floats, head: Head, shape: tuple[int, ...]) -> tuple[Floats, Floats, Floats]:
    """The nearest points' greys, cover (0 to 1) and depth in pixels, float32, of FINER times the picture's sides."""
    height, width = shape[0] * FINER, shape[1] * FINER
    scale = head.half_height * FINER
    column = np.round((head.x + 0.5) * FINER - 0.5 + points[:, 0] * scale).astype(int)
    row = np.round((head.y + 0.5) * FINER - 0.5 + points[:, 1] * scale).astype(int)
    depths = points[:, 2] * scale
    order = np.argsort(depths, kind="stable")  # of those in one pixel the last, nearest, stays
    order = order[((column >= 0) & (column < width) & (row >= 0) & (row < height))[order]]
    nearest = np.full((height, width), depths.min(), np.float32)
    nearest[row[order], column[order]] = depths[order]
    in_front = cv2.dilate(nearest, np.ones((SPREAD, SPREAD), np.uint8))
    order = order[depths[order] > in_front[row[order], column[order]] - BEHIND * scale]
    drawn, depth, there = (np.zeros((height, width), np.float32) for _ in range(3))
    at = row[order], column[order]
    drawn[at], depth[at], there[at] = grays[order], depths[order], 1
    cover = cv2.morphologyEx(there, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    hole, weight = (cover > 0) & (there == 0), cv2.GaussianBlur(there, (0, 0), 1.5) + 1e-6
    for values in (drawn, depth):
        values[hole] = (cv2.GaussianBlur(values, (0, 0), 1.5) / weight)[hole]
    return drawn, np.asarray(cover, np.float32), depth
