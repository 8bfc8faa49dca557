"""Turn heads on photographs sideways, up and down, which photographs of public people show too seldom.

The head is taken for half an ellipsoid that carries the picture; turned, it shows the same from another side, and hair
(what the picture has above the forehead) where the picture shows nothing. At the size of the faces that a detector
looks for, that passes for a head.
"""

from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np

from fer_edge.errors import DataError
from fer_edge.files import written_beside
from fer_train.detection.teacher import Teacher
from fer_train.detection.tiles import Boxes, FaceTiles, Pixels

# Of YuNet's box, which ends at forehead and chin: half the sides of the head with hair and ears, and its middle.
HEAD_WIDTH, HEAD_HEIGHT, HEAD_MIDDLE = 0.67, 0.67, 0.44
YAW_DEGREES, PITCH_DEGREES, ROLL_DEGREES = (20.0, 65.0), (-25.0, 35.0), 15.0
HAIR = (0.5, -0.82, 0.1)  # where hair is, in half sides of the head: how wide, how high, how tall
SOFT = 0.08  # share of the head's radius over which it passes into what is around it
SURE = 0.65  # the teacher's score of a turned face that is kept
TURNED_SHARE = 0.4
TRIES = 2  # turned otherwise and less, before a photograph is left out


def turned_tiles(tiles: FaceTiles, teacher: Teacher, seed: int) -> FaceTiles:
    """`tiles` with their surest head turned, boxes and scores by the teacher; those it sees no face in are left out."""
    chance = np.random.default_rng(seed)
    images: list[Pixels] = []
    boxes: list[Boxes] = []
    for image, faces in zip(tiles.images, tiles.boxes, strict=True):
        for attempt in range(TRIES if len(faces) else 0):
            x, y, width, height = faces[np.argmax(faces[:, 4]), :4].tolist()
            yaw = chance.uniform(*YAW_DEGREES) * chance.choice((-1, 1)) * chance.choice((0.3, 1), p=(0.2, 0.8))
            pitch, roll = chance.uniform(*PITCH_DEGREES), chance.uniform(-ROLL_DEGREES, ROLL_DEGREES)
            head = (x + width / 2, y + height * HEAD_MIDDLE, width * HEAD_WIDTH, height * HEAD_HEIGHT)
            shown = turned(image, head, *(np.radians(angle) / (attempt + 1) for angle in (yaw, pitch, roll)))
            seen = teacher.faces(shown)
            middle = (seen[:, :2] + seen[:, 2:4] / 2 - head[:2]) / head[2:]
            if len(seen) and (seen[(middle**2).sum(1) < 0.5, 4] >= SURE).any():
                images.append(shown)
                boxes.append(seen)
                break
    pixels = np.array(images, np.uint8).reshape(-1, *tiles.images.shape[1:])
    return FaceTiles(pixels, tuple(boxes), np.full(len(images), 1 / max(1, len(images))))


def turned(image: Pixels, head: tuple[float, float, float, float], yaw: float, pitch: float, roll: float) -> Pixels:
    """uint8 [H, W] with the head (centre x and y, half width and height, in pixels) turned by angles in radians.

    yaw: to the right of the picture; pitch: downwards; roll: clockwise.
    """
    x, y = np.meshgrid(np.arange(image.shape[1], dtype=np.float32), np.arange(image.shape[0], dtype=np.float32))
    u, v = (x - head[0]) / head[2], (y - head[1]) / head[3]
    radius = np.sqrt(u * u + v * v)
    w = np.sqrt(np.clip(1 - radius * radius, 0, None))
    # From what is seen back to where it was when the picture was taken: rotations undone in turn
    cos, sin = np.cos(roll), np.sin(roll)
    u, v = cos * u + sin * v, -sin * u + cos * v
    cos, sin = np.cos(pitch), np.sin(pitch)
    v, w = cos * v - sin * w, sin * v + cos * w
    cos, sin = np.cos(yaw), np.sin(yaw)
    u, w = cos * u - sin * w, sin * u + cos * w
    behind = (w < 0) & (radius < 1)
    u, v = np.where(behind, HAIR[0] * u, u), np.where(behind, HAIR[1] + HAIR[2] * v, v)
    map_x, map_y = (head[0] + u * head[2]).astype(np.float32), (head[1] + v * head[3]).astype(np.float32)
    shown = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = np.clip((1 - radius) / SOFT, 0, 1).astype(np.float32)
    return np.asarray(image + (shown.astype(np.float32) - image) * cover, dtype=np.uint8)


def save_turned(tiles: FaceTiles, path: Path) -> None:
    """Write turned tiles to an .npz file, whole or not at all."""
    counts = np.array([len(faces) for faces in tiles.boxes])
    with written_beside(path) as part, part.open("wb") as file:
        np.savez(file, images=tiles.images, boxes=np.concatenate([np.empty((0, 5)), *tiles.boxes]), counts=counts)


def with_turned(tiles: FaceTiles, path: Path) -> FaceTiles:
    """`tiles` and the turned ones of the file at `path`, TURNED_SHARE of what is drawn.

    Raises DataError if the file is none of save_turned's.
    """
    try:
        with np.load(path) as values:
            images, rows, counts = values["images"], values["boxes"].astype(np.float32), values["counts"]
        pixels = np.concatenate([tiles.images, images])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{path} is missing or damaged: delete it, if it is there, and run fer-train scenes") from error
    boxes = tuple(rows[end - count : end] for end, count in zip(np.cumsum(counts), counts, strict=True))
    share = TURNED_SHARE if boxes else 0.0
    chances = np.concatenate([tiles.chances * (1 - share), np.full(len(boxes), share / max(1, len(boxes)))])
    return FaceTiles(pixels, tiles.boxes + boxes, chances)
