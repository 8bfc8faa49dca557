"""Add what photos of public people seldom show: turned heads, other faces, fringes, caps, hidden parts, bystanders.

A head is modeled as half an ellipsoid with the photo as its texture. A turned head shows that texture from another
side, and hair (the texture above the forehead) where the photo shows nothing. That is good enough for small faces.
"""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from fer_edge.detectors.luma import PADDING_GRAY
from fer_edge.errors import DataError
from fer_edge.files import atomic_write
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.teacher import SCORE, Teacher
from fer_train.detection.synthesis.tiles import Boxes, FaceTiles, Pixels, how_turned, mix_tiles, uniform_tiles

Place = tuple[float, float, float, float]
Alteration = Callable[[np.random.Generator, Pixels, Boxes, int, Pixels | None], Pixels]
"""Alters a photo uint8 [H, W] whose face is in the box [4]; also gets the attempt (from 1) and FER2013's faces."""

# The head with hair and ears, from YuNet's box, which ends at forehead and chin: half its sides, and its center
HEAD_WIDTH, HEAD_HEIGHT, HEAD_CENTER = 0.67, 0.67, 0.44
YAW_DEGREES, PITCH_DEGREES, ROLL_DEGREES = (20.0, 65.0), (-25.0, 45.0), 15.0
HAIR = (0.5, -0.82, 0.1)  # where the image has hair, in half sides of the head: half width, height, half height
SOFT_EDGE = 0.08  # share of the head's radius over which it blends into the photo
MIN_TEACHER_SCORE = 0.5  # of an altered face
MAX_OFFSET_SQUARED = 0.3  # of a detection from the face that it must show, in sides of the face
MIN_SCORE = 0.3  # fainter detections in altered photos count as background
# Where YuNet sees a face of FER2013 (benchmarks/accuracy/framing.py): center and sides, in image sides
FER_BOX: Place = (0.505, 0.512, 0.82, 1.06)
FER_OVAL, WHOLE_OVAL = (0.45, 0.52), (0.5, 0.5)  # half the sides of what is pasted of it: the face; with its hair
HIDDEN_SHARE = 0.35  # of the exchanged faces: an object hides a part of it
FRINGE_SHARE = 0.5  # of the photos are also shown with hair or a cap over the forehead, or hair over a cheek
MIN_BYSTANDER_PX = 9.0  # height in a photo of 128 px
BYSTANDER_VIEWS, BYSTANDER_VIEW = 3, (1.4, 3.2)  # how many of each; their side, in heights of the face
MIN_BYSTANDER_SCORE = 0.4  # the teacher's, when enlarged
FER_PX, FER_MARGIN_PX = 96, 32  # the teacher sees FER2013's faces at this side, with this margin
MIN_FER_SCORE = 0.35  # the teacher's, there
TURN_PER_COPY, MAX_COPIES = 0.75, 5  # `how_turned` per copy of a turned FER2013 face
KIND_SHARES = (0.27, 0.22, 0.22, 0.12)  # weight of altered heads, bystanders, FER2013's turned heads, hard negatives
FILE_FORMAT = 3
BAD_FILE = (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error)  # what np.load raises
TRIES = 2  # each milder than the one before


class _Kept:
    """Images whose face the teacher still detects, with the teacher's boxes."""

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self._images: list[Pixels] = []
        self._boxes: list[Boxes] = []

    def add(self, image: Pixels, box: npt.NDArray[np.float64] | Boxes, min_score: float) -> bool:
        """Keep `image` if the teacher detects a face near `box` [4], scored at least that; returns whether it did."""
        found = self._teacher.detect(image)
        offset = (found[:, :2] + found[:, 2:4] / 2 - box[:2] - box[2:4] / 2) / box[2:4]
        if not (found[(offset**2).sum(1) < MAX_OFFSET_SQUARED, 4] >= min_score).any():
            return False
        self._images.append(image)
        self._boxes.append(found[found[:, 4] >= MIN_SCORE])
        return True

    def tiles(self) -> FaceTiles:
        return uniform_tiles(self._images, self._boxes)


def altered_tiles(tiles: FaceTiles, fer_faces: Pixels | None, teacher: Teacher, seed: int) -> FaceTiles:
    """`tiles` with their main head turned, and again with another face of FER2013, if given; some with a fringe.

    Boxes and scores are the teacher's; images in which it no longer detects the face are left out. fer_faces: uint8
    [N, 48, 48].
    """
    rng, kept = np.random.default_rng(seed), _Kept(teacher)
    for image, faces in zip(tiles.images, tiles.boxes, strict=True):
        if not len(faces):
            continue
        box = _best_box(faces)
        alterations: list[Alteration] = [_turned_at_random]
        if fer_faces is not None:
            alterations.append(_with_another_face)
        if rng.random() < FRINGE_SHARE:
            alterations.append(_with_fringe)
        for alter in alterations:
            any(kept.add(alter(rng, image, box, attempt, fer_faces), box, MIN_TEACHER_SCORE)
                for attempt in range(1, TRIES + 1))  # fmt: skip
    return kept.tiles()


def bystanders(tiles: FaceTiles, teacher: Teacher, seed: int) -> FaceTiles:
    """The people beside and behind the main person of each photo, enlarged to tiles.

    They did not pose: they look aside and down, are half hidden, out of focus. Boxes and scores are the teacher's.
    """
    rng, kept = np.random.default_rng(seed), _Kept(teacher)
    side = tiles.images.shape[1]
    for image in tiles.images:
        faces = teacher.detect(image)
        if not len(faces):
            continue
        others = np.delete(faces, np.argmax(faces[:, 2] * faces[:, 3]), axis=0)
        for box in others[others[:, 3] >= MIN_BYSTANDER_PX]:
            for _ in range(BYSTANDER_VIEWS):
                shown = float(np.clip(box[3] * rng.uniform(*BYSTANDER_VIEW), 20, side))
                offset = rng.uniform(-0.15, 0.15, 2) * shown
                low = np.clip(box[:2] + box[2:4] / 2 - shown / 2 + offset, 0, side - shown)
                to_tile = np.array([[shown / side, 0, low[0]], [0, shown / side, low[1]]])
                flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
                view = cv2.warpAffine(image, to_tile, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
                place = np.append(box[:2] - low, box[2:4]) * (side / shown)
                kept.add(np.asarray(view, np.uint8), place, MIN_BYSTANDER_SCORE)
    return kept.tiles()


def fer_heads(tiles: FaceTiles, fer_faces: Pixels, teacher: Teacher, seed: int) -> FaceTiles:
    """The `fer_faces` (uint8 [N, 48, 48]) that look aside or down, on shoulders of `tiles`.

    Photos of public people show hardly any profile; FER2013 has some hundreds, with their hair, but close up. Boxes and
    scores are the teacher's; images in which it no longer detects the face are left out.
    """
    rng, kept = np.random.default_rng(seed), _Kept(teacher)
    bodies = [row for row, faces in enumerate(tiles.boxes) if len(faces)]
    for face in fer_faces if bodies else ():
        found = detect_enlarged(face, teacher)
        if found is None or found[1][SCORE] < MIN_FER_SCORE:
            continue
        (x, y, width, height), row = found[0].tolist(), found[1]
        turn = float(how_turned(*row[[4, 5, 6, 7, 8, 9, 11, 13]].astype(np.float64)))
        for _ in range(min(int(turn / TURN_PER_COPY), MAX_COPIES)):
            body = int(rng.choice(bodies))
            box = _best_box(tiles.boxes[body])
            place, image = (x + width / 2, y + height / 2, width, height), face
            if rng.random() < 0.5:
                place, image = (1 - place[0], *place[1:]), face[:, ::-1]
            shown = with_face(tiles.images[body], box, image, rng.uniform(0.9, 1.2), place, WHOLE_OVAL)
            kept.add(shown, box, MIN_BYSTANDER_SCORE)
    return kept.tiles()


def detect_enlarged(
    face: Pixels, teacher: Teacher, border: int = cv2.BORDER_REPLICATE
) -> tuple[npt.NDArray[np.float64], Boxes] | None:
    """Where in `face`, uint8 [48, 48], the teacher's best face is, and Teacher.detect_best's row; or None.

    The place is x, y, width, height as fractions of the image's side, [4]; the row's pixels are those of the enlarged
    image with its margin. border: cv2's border type of the margin; a constant one has the runtime's padding gray.
    """
    enlarged = cv2.resize(face, (FER_PX, FER_PX), interpolation=cv2.INTER_CUBIC)
    framed = cv2.copyMakeBorder(enlarged, *(FER_MARGIN_PX,) * 4, border, value=PADDING_GRAY)
    row = teacher.detect_best(np.asarray(framed, np.uint8))
    return None if row is None else ((row[:4] - np.array([FER_MARGIN_PX, FER_MARGIN_PX, 0, 0])) / FER_PX, row)


def _best_box(faces: Boxes) -> Boxes:
    """The box [4] of the face with the highest score."""
    return np.asarray(faces[np.argmax(faces[:, 4]), :4])


def _turned_at_random(rng: np.random.Generator, image: Pixels, box: Boxes, attempt: int, _: Pixels | None) -> Pixels:
    x, y, width, height = box.tolist()
    head = (x + width / 2, y + height * HEAD_CENTER, width * HEAD_WIDTH, height * HEAD_HEIGHT)
    yaw = rng.uniform(*YAW_DEGREES) * rng.choice((-1, 1)) * rng.choice((0.3, 1), p=(0.2, 0.8))
    pitch, roll = rng.uniform(*PITCH_DEGREES), rng.uniform(-ROLL_DEGREES, ROLL_DEGREES)
    return turned(image, head, *(float(np.radians(angle)) / attempt for angle in (yaw, pitch, roll)))


def _with_another_face(
    rng: np.random.Generator, image: Pixels, box: Boxes, attempt: int, fer_faces: Pixels | None
) -> Pixels:
    assert fer_faces is not None
    face = fer_faces[rng.integers(len(fer_faces))]
    shown = with_face(image, box, face[:, ::-1] if rng.random() < 0.5 else face, rng.uniform(1.0, 1.2))
    if rng.random() < HIDDEN_SHARE / attempt:
        _hide_part(rng, shown, box)
    return shown


def _with_fringe(rng: np.random.Generator, image: Pixels, box: Boxes, attempt: int, _: Pixels | None) -> Pixels:
    """Hair or a cap down to the brows, sometimes also hair over a cheek; half of these heads are turned."""
    gray = float(rng.uniform(10, 200)) if rng.random() < 0.35 else None
    shown = fringed(rng, image, box, float(rng.uniform(0.12, 0.36)) / attempt, gray)
    if rng.random() < 0.3:  # the same from the side: on the transposed image
        transposed = fringed(rng, shown.T, box[[1, 0, 3, 2]], float(rng.uniform(0.1, 0.3)) / attempt, None)
        shown = np.ascontiguousarray(transposed.T)
    if rng.random() < 0.5:
        shown = _turned_at_random(rng, shown, box, attempt + 1, None)
    return shown


def fringed(rng: np.random.Generator, image: Pixels, box: Boxes, share: float, gray: float | None) -> Pixels:
    """uint8 [H, W] in which what is above the face in `box` is stretched over its upper `share`, with a ragged edge.

    gray: of a cap that is there instead, or None.
    """
    left, top, width, height = box.tolist()
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    ragged = rng.normal(0, 0.03 if gray is None else 0.004, 14).astype(np.float32)
    edge = top + height * (share + cv2.resize(ragged[None], (image.shape[1], 1), interpolation=cv2.INTER_LINEAR))
    start, roots = top - 0.3 * height, top - 0.02 * height  # what lies between is stretched
    source = start + (y - start) * (roots - start) / np.maximum(edge - start, 1)
    over = cv2.remap(image, x, source.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    over = over.astype(np.float32)
    if gray is not None:
        cloth = cv2.GaussianBlur(rng.normal(0, 25, image.shape).astype(np.float32), (0, 0), 2)
        over = gray + cloth + (over - over.mean()) * 0.2
    across = (x - left - width / 2) / (width * HEAD_WIDTH)
    on_head = across**2 + ((y - top - height * HEAD_CENTER) / (height * HEAD_HEIGHT * 1.1)) ** 2 < 1
    alpha = cv2.GaussianBlur((on_head & (y < edge)).astype(np.float32), (0, 0), max(0.5, 0.012 * height))
    shadow = np.clip((edge + 0.15 * height - y) / (0.15 * height), 0, 1) * (on_head & (y >= edge))
    return _blended(image * (1 - float(rng.uniform(0, 0.5)) * shadow), over, alpha)


def with_face(
    image: Pixels, box: Boxes, face: Pixels, scale: float, place: Place = FER_BOX, oval: tuple[float, float] = FER_OVAL
) -> Pixels:
    """uint8 [H, W] with `face`, a FER2013 image, in place of the face in `box` (x, y, width, height).

    Its light is brought near to that of the face it replaces; `scale` makes it larger. place: where its face is,
    center and sides; oval: half the sides of what is pasted of it; both as fractions of its side.
    """
    x, y, width, height = box.tolist()
    side = scale * (width / place[2] + height / place[3]) / 2
    to_image = np.array([[side / 48, 0, x + width / 2 - place[0] * side],
                         [0, side / 48, y + height / 2 - place[1] * side]])  # fmt: skip
    size = (image.shape[1], image.shape[0])
    mask = np.zeros(face.shape, np.float32)
    cv2.ellipse(mask, (24, 24), tuple(round(48 * share) for share in oval), 0, 0, 360, 1.0, -1)
    alpha = cv2.warpAffine(cv2.GaussianBlur(mask, (0, 0), 2.5), to_image, size)
    replaced = image[alpha > 0.5]
    contrast = float(replaced.std() / max(1.0, face.std())) if replaced.size else 1.0
    mean = float(replaced.mean()) if replaced.size else 128.0
    lit = (face.astype(np.float32) - face.mean()) * np.clip(contrast, 0.6, 1.5) + (mean + face.mean()) / 2
    shown = cv2.warpAffine(lit, to_image, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _blended(image, shown, alpha)


def _hide_part(rng: np.random.Generator, image: Pixels, box: Boxes) -> None:
    """Hide the lower or a side part of the face in `box`, in place, by an oval, as a head, a hand or a scarf does."""
    x, y, width, height = box.tolist()
    radius = width * rng.uniform(0.6, 1.1)
    angle = rng.uniform(-0.3, np.pi + 0.3)  # from the lower right to the left
    sin, cos = np.sin(angle), np.cos(angle)
    distance = 0.5 * height * abs(sin) + 0.5 * width * abs(cos) + radius * rng.uniform(0.35, 0.75)
    center = (int(x + width / 2 + distance * cos), int(y + height / 2 + distance * sin))
    axes = (int(radius), int(radius * rng.uniform(0.9, 1.4)))
    gray = rng.choice((rng.uniform(10, 70), rng.uniform(10, 230)))
    oval = np.zeros(image.shape, np.float32)
    cv2.ellipse(oval, center, axes, float(rng.uniform(-30, 30)), 0, 360, 1.0, -1)
    alpha = cv2.GaussianBlur(oval, (0, 0), float(rng.uniform(0.8, 3)))
    texture = cv2.GaussianBlur(rng.normal(0, 30, image.shape).astype(np.float32), (0, 0), 2)
    image[:] = _blended(image, gray + texture, alpha)


def turned(image: Pixels, head: Place, yaw: float, pitch: float, roll: float) -> Pixels:
    """uint8 [H, W] with the head (center x and y, half width and height, in pixels) turned by angles in radians.

    yaw: to the right of the image; pitch: downward; roll: clockwise.
    """
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    u, v = (x - head[0]) / head[2], (y - head[1]) / head[3]
    radius = np.sqrt(u * u + v * v)
    w = np.sqrt(np.clip(1 - radius * radius, 0, None))
    # From each pixel back to where it was in the photo: the rotations undone, last first
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
    return _blended(image, shown, np.clip((1 - radius) / SOFT_EDGE, 0, 1))


def _blended(image: npt.NDArray[Any], over: npt.NDArray[Any], alpha: npt.NDArray[Any]) -> Pixels:
    """`over` blended into `image`, uint8; alpha is 0 to 1."""
    return np.asarray(np.clip(image + (over.astype(np.float32) - image) * alpha, 0, 255), dtype=np.uint8)


def save_kinds(parts: Sequence[Sequence[FaceTiles]], path: Path) -> None:
    """Write the four kinds of tiles of KIND_SHARES to an .npz file, atomically; `parts` hold all four each."""
    kinds = list(zip(*parts, strict=True))
    tiles = [part for kind in kinds for part in kind]
    boxes = [faces for part in tiles for faces in part.boxes]
    images = np.concatenate([part.images for part in tiles])
    rows = np.concatenate([np.empty((0, 5), np.float32), *boxes])
    counts, sizes = np.array([len(faces) for faces in boxes], np.int64), [sum(map(len, kind)) for kind in kinds]
    with atomic_write(path) as target, target.open("wb") as file:
        np.savez(file, images=images, boxes=rows, counts=counts, kinds=np.array(sizes), form=np.array(FILE_FORMAT))


def load_kinds(path: Path) -> list[FaceTiles]:
    """The four kinds of tiles that `save_kinds` wrote; DataError if `path` is missing, damaged or of another format."""
    try:
        with np.load(path) as values:
            if len(values["kinds"]) != len(KIND_SHARES) or int(values["form"]) != FILE_FORMAT:
                raise ValueError("another format")
            images, ends = values["images"], np.cumsum(values["kinds"])[:-1]
            boxes = np.split(values["boxes"].astype(np.float32), np.cumsum(values["counts"])[:-1])
        spans = zip([0, *ends], [*ends, len(images)], strict=True)
        return [uniform_tiles(images[start:end], boxes[start:end]) for start, end in spans]
    except BAD_FILE as error:
        raise DataError(
            f"{path} is missing, damaged or from an older fer-train: delete it and the scenes beside it, then run "
            "fer-train scenes"
        ) from error


def with_kinds(tiles: FaceTiles, path: Path) -> FaceTiles:
    """`tiles` and those of the file at `path`, with the KIND_SHARES of the weight; raises DataError as `load_kinds`."""
    return mix_tiles(tiles, load_kinds(path), KIND_SHARES)
