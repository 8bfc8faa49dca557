"""What photographs of public people seldom show, made of them or found behind them.

Heads are turned, bent down or shown in profile (solid.py), get other faces, fringes and caps, or are hidden in part,
and bystanders are enlarged.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from fer_edge.detectors.luma import PADDING_GRAY
from fer_edge.errors import DataError
from fer_edge.files import atomic_write
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.solid import CLEARED, Head, Look, Pose, face_at, posed
from fer_train.detection.synthesis.teacher import Teacher
from fer_train.detection.synthesis.tiles import Boxes, FaceTiles, Pixels, how_turned

Place = tuple[float, float, float, float]
Way = Callable[[np.random.Generator, Pixels, Boxes, int, Pixels | None], tuple[Pixels, Boxes]]
"""Alters a photograph uint8 [H, W], whose face is in the box [4]; takes which attempt it is, and FER2013's faces.

Gives the new one, and about where its face is.
"""

# Of YuNet's box, which ends at forehead and chin: half the sides of the head with hair and ears, and its middle.
HEAD_WIDTH, HEAD_HEIGHT, HEAD_MIDDLE = 0.67, 0.67, 0.44
# Heads turned somewhat, in profile or further, and bent down: how far to either side and down, and how many are tried
# so; half as far if the teacher sees no face there
POSES = (((15.0, 60.0), (-20.0, 30.0), 0.35), ((60.0, 110.0), (-15.0, 25.0), 0.4), ((0.0, 45.0), (20.0, 60.0), 0.25))
ROLL_DEGREES = 15.0
RECEDES, HAIR_ENDS = (-0.2, 0.3), (0.3, 1.0)  # of a turned head's hair (solid.Look)
OTHER_HAIR, HAIR_GRAYS = 0.35, (15.0, 70.0)  # share that is dark instead of as in the picture
LIGHT = (0.4, 0.2)  # brighter or darker at most towards a side, and below
SURE = 0.5  # the teacher's score of a turned face that is kept
NEAR = 0.3  # squared distance, in sides of a face's box, within which another box's middle is the same face's
FAINT = 0.3  # less sure faces in altered photographs are nobody
# Where YuNet sees a face of FER2013, in sides of its picture, as benchmarks/framing.py measures it: middle and sides
FER_BOX: Place = (0.505, 0.512, 0.82, 1.06)
FER_OVAL = (0.45, 0.52)  # half the sides of what is taken of it
HIDDEN_SHARE = 0.35  # of the heads with another face, and not turned: something hides a part of it
FRINGE_SHARE = 0.5  # of the photographs are shown with hair or a cap over the forehead, or hair over a cheek, too
BYSTANDER_PX = 9.0  # high at least, in a photograph's 128 pixels
BYSTANDER_VIEWS, BYSTANDER_VIEW = 3, (1.4, 3.2)  # how many of each, and how much they show, in heights of the face
BYSTANDER_SURE = 0.4  # the teacher's score, enlarged
# FER2013's faces
FER_PX, FER_MARGIN_PX = 96, 32  # the teacher sees them so large, with so much of their edge around them
FER_SURE = 0.35  # its score there
# Those that look aside or down, on the shoulders of the photographs' people
TURNED, COPIES = 0.75, 5  # as `how_turned` says, one each for so much, but no more of one face
SHOWN = (0.5, 0.5)  # half the sides of what is taken of their pictures: hair and all
# How much of what is drawn are altered heads, bystanders, FER2013's turned heads and mined pieces; the rest are the
# photographs as they are
SHARES = (0.34, 0.2, 0.19, 0.12)
FORM = 2  # of the file that holds them; 1 had heads that were no solids
BAD_FILE = (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error)  # what np.load raises
TRIES = 2  # turned otherwise and less, before a photograph is left out


def altered_tiles(tiles: FaceTiles, fer_faces: Pixels | None, teacher: Teacher, seed: int) -> FaceTiles:
    """`tiles` with their surest head turned, twice, and with another face of FER2013 (if given), turned or part hidden.

    Some get a fringe or a cap as well. Boxes and scores are the teacher's; what it sees no face in any more is left
    out. fer_faces: uint8 [N, 48, 48].
    """
    rng = np.random.default_rng(seed)
    images: list[Pixels] = []
    boxes: list[Boxes] = []
    for image, faces in zip(tiles.images, tiles.boxes, strict=True):
        if not len(faces):
            continue
        box = faces[np.argmax(faces[:, 4]), :4]
        ways: list[Way] = [_turned_by_chance, _turned_by_chance]
        if fer_faces is not None:
            ways.append(_with_another_face)
        if rng.random() < FRINGE_SHARE:
            ways.append(_with_fringe)
        for way in ways:
            for attempt in range(1, TRIES + 1):
                shown, place = way(rng, image, box, attempt, fer_faces)
                seen = teacher.faces(shown)
                if _surely(seen, place, SURE) and not _another(seen, place, box):
                    images.append(shown)
                    boxes.append(seen)
                    break
    return _of(images, boxes, tiles)


def bystanders(tiles: FaceTiles, teacher: Teacher, seed: int) -> FaceTiles:
    """The people beside and behind those whom the photographs of `tiles` are of, each enlarged to some tiles.

    Nobody posed them: they look aside and down, are half hidden, out of focus. Boxes and scores are the teacher's.
    """
    rng = np.random.default_rng(seed)
    images: list[Pixels] = []
    boxes: list[Boxes] = []
    side = tiles.images.shape[1]
    for image in tiles.images:
        faces = teacher.faces(image)
        if len(faces) < 2:
            continue
        for box in np.delete(faces, np.argmax(faces[:, 2] * faces[:, 3]), axis=0):
            if box[3] < BYSTANDER_PX:
                continue
            for _ in range(BYSTANDER_VIEWS):
                shown = float(np.clip(box[3] * rng.uniform(*BYSTANDER_VIEW), 20, side))
                off = rng.uniform(-0.15, 0.15, 2) * shown
                low = np.clip(box[:2] + box[2:4] / 2 - shown / 2 + off, 0, side - shown)
                to_tile = np.array([[shown / side, 0, low[0]], [0, shown / side, low[1]]])
                how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
                view = cv2.warpAffine(image, to_tile, (side, side), flags=how, borderMode=cv2.BORDER_REPLICATE)
                seen = teacher.faces(np.asarray(view, np.uint8))
                if _surely(seen, np.append(box[:2] - low, box[2:4]) * (side / shown), BYSTANDER_SURE):
                    images.append(np.asarray(view, np.uint8))
                    boxes.append(seen)
    return _of(images, boxes, tiles)


def fer_heads(tiles: FaceTiles, fer_faces: Pixels, teacher: Teacher, seed: int) -> FaceTiles:
    """Those of `fer_faces` (uint8 [N, 48, 48]) that look aside or down, on shoulders of `tiles`.

    Photographs of public people show hardly any profile; FER2013 has some hundreds, with their hair, but close up.
    Boxes and scores are the teacher's; what it sees no face in any more is left out.
    """
    rng = np.random.default_rng(seed)
    images: list[Pixels] = []
    boxes: list[Boxes] = []
    bodies = [row for row, faces in enumerate(tiles.boxes) if len(faces)]
    for face in fer_faces:
        if not bodies or (found_there := seen_enlarged(face, teacher)) is None:
            continue
        where, seen = found_there
        if seen[14] < FER_SURE:
            continue
        turn = float(how_turned(*seen[[4, 5, 6, 7, 8, 9, 11, 13]].astype(np.float64)))
        x, y, width, height = where.tolist()
        for _ in range(min(int(turn / TURNED), COPIES)):
            body = int(rng.choice(bodies))
            box = tiles.boxes[body][np.argmax(tiles.boxes[body][:, 4]), :4]
            place, picture = (x + width / 2, y + height / 2, width, height), face
            if rng.random() < 0.5:
                place, picture = (1 - place[0], *place[1:]), face[:, ::-1]
            shown = swapped(tiles.images[body], box, picture, rng.uniform(0.9, 1.2), place, SHOWN)
            found = teacher.faces(shown)
            if _surely(found, box, BYSTANDER_SURE):
                images.append(shown)
                boxes.append(found)
    return _of(images, boxes, tiles)


def seen_enlarged(
    face: Pixels, teacher: Teacher, around: int = cv2.BORDER_REPLICATE
) -> tuple[npt.NDArray[np.float64], Boxes] | None:
    """Where in `face`, uint8 [48, 48], the teacher sees its surest face, and Teacher.surest's row of it; or None.

    The place is x, y, width, height in sides of the picture, [4]; the row's pixels are of the enlarged picture with its
    margin. around: what OpenCV puts there, its edge or the network's own grey.
    """
    enlarged = cv2.resize(face, (FER_PX, FER_PX), interpolation=cv2.INTER_CUBIC)
    framed = cv2.copyMakeBorder(enlarged, *(FER_MARGIN_PX,) * 4, around, value=PADDING_GRAY)
    seen = teacher.surest(np.asarray(framed, np.uint8))
    if seen is None:
        return None
    return (seen[:4] - np.array([FER_MARGIN_PX, FER_MARGIN_PX, 0, 0])) / FER_PX, seen


def _of(images: list[Pixels], boxes: list[Boxes], like: FaceTiles) -> FaceTiles:
    pixels = np.array(images, np.uint8).reshape(-1, *like.images.shape[1:])
    seen = tuple(faces[faces[:, 4] >= FAINT] for faces in boxes)
    return FaceTiles(pixels, seen, np.full(len(images), 1 / max(1, len(images))))


def _surely(seen: Boxes, box: npt.NDArray[np.float64] | Boxes, score: float) -> bool:
    """Whether a face of `seen` with at least that score lies about where `box` does."""
    off = (seen[:, :2] + seen[:, 2:4] / 2 - box[:2] - box[2:4] / 2) / box[2:4]
    return bool((seen[(off**2).sum(1) < NEAR, 4] >= score).any())


def _another(seen: Boxes, place: Boxes, box: Boxes) -> bool:
    """Whether something but the face at `place` passes for one on the head whose face was `box`, or behind it."""
    middles = seen[:, :2] + seen[:, 2:4] / 2
    off = (middles - place[:2] - place[2:4] / 2) / place[2:4]
    head = head_of(box)
    away = (middles - (head.x, head.y)) / (head.half_width * CLEARED, head.half_height * CLEARED)
    return bool((((off**2).sum(1) >= NEAR) & ((away**2).sum(1) < 1) & (seen[:, 4] >= FAINT)).any())


def head_of(box: Boxes) -> Head:
    """The head whose face a detector's box [4] (x, y, width, height, in pixels) shows."""
    x, y, width, height = box.tolist()
    return Head(x + width / 2, y + height * HEAD_MIDDLE, width * HEAD_WIDTH, height * HEAD_HEIGHT)


def _turned_by_chance(
    rng: np.random.Generator, image: Pixels, box: Boxes, attempt: int, _: Pixels | None
) -> tuple[Pixels, Boxes]:
    head = head_of(box)
    aside, down, _share = POSES[rng.choice(len(POSES), p=[share for *_, share in POSES])]
    yaw = rng.uniform(*aside) * rng.choice((-1, 1))
    angles = (yaw, rng.uniform(*down), rng.uniform(-ROLL_DEGREES, ROLL_DEGREES))
    pose = Pose(*(float(np.radians(angle)) / attempt for angle in angles))
    look = Look(
        float(rng.uniform(*RECEDES)),
        float(rng.uniform(*HAIR_ENDS)),
        float(rng.uniform(*HAIR_GRAYS)) if rng.random() < OTHER_HAIR else None,
        (float(rng.uniform(-LIGHT[0], LIGHT[0])), float(rng.uniform(-LIGHT[1], LIGHT[1]))),
    )
    place = np.append(np.subtract(face_at(head, pose), box[2:4] / 2), box[2:4])
    return posed(image, head, pose, look, rng), place.astype(np.float32)


def _with_another_face(
    rng: np.random.Generator, image: Pixels, box: Boxes, attempt: int, fer_faces: Pixels | None
) -> tuple[Pixels, Boxes]:
    """Another face; half of them turned, some others hidden in part."""
    assert fer_faces is not None
    face = fer_faces[rng.integers(len(fer_faces))]
    shown = swapped(image, box, face[:, ::-1] if rng.random() < 0.5 else face, rng.uniform(1.0, 1.2))
    if rng.random() < 0.5:
        return _turned_by_chance(rng, shown, box, attempt, None)
    if rng.random() < HIDDEN_SHARE / attempt:
        _hide_part(rng, shown, box)
    return shown, box


def _with_fringe(
    rng: np.random.Generator, image: Pixels, box: Boxes, attempt: int, _: Pixels | None
) -> tuple[Pixels, Boxes]:
    """Hair or a cap down to the brows, and sometimes hair over a side; now and then on a turned head."""
    gray = float(rng.uniform(10, 200)) if rng.random() < 0.35 else None
    shown = fringed(rng, image, box, float(rng.uniform(0.12, 0.36)) / attempt, gray)
    if rng.random() < 0.3:  # the same from the side: the picture lies on it for that
        lying = fringed(rng, shown.T, box[[1, 0, 3, 2]], float(rng.uniform(0.1, 0.3)) / attempt, None)
        shown = np.ascontiguousarray(lying.T)
    if rng.random() < 0.5:
        return _turned_by_chance(rng, shown, box, attempt + 1, None)
    return shown, box


def fringed(rng: np.random.Generator, image: Pixels, box: Boxes, share: float, gray: float | None) -> Pixels:
    """uint8 [H, W] with what is above the face in `box` drawn down over the upper `share` of it, with a ragged edge.

    grey: of a cap that is there instead, or None.
    """
    left, top, wide, high = box.tolist()
    x, y = np.meshgrid(np.arange(image.shape[1], dtype=np.float32), np.arange(image.shape[0], dtype=np.float32))
    ragged = rng.normal(0, 0.03 if gray is None else 0.004, 14).astype(np.float32)
    edge = top + high * (share + cv2.resize(ragged[None], (image.shape[1], 1), interpolation=cv2.INTER_LINEAR))
    start, roots = top - 0.3 * high, top - 0.02 * high  # what lies between is drawn down
    source = start + (y - start) * (roots - start) / np.maximum(edge - start, 1)
    drawn = cv2.remap(image, x, source.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    over = drawn.astype(np.float32)
    if gray is not None:
        cloth = cv2.GaussianBlur(rng.normal(0, 25, image.shape).astype(np.float32), (0, 0), 2)
        over = gray + cloth + (over - over.mean()) * 0.2
    across = (x - left - wide / 2) / (wide * HEAD_WIDTH)
    on_head = across**2 + ((y - top - high * HEAD_MIDDLE) / (high * HEAD_HEIGHT * 1.1)) ** 2 < 1
    cover = (on_head & (y < edge)).astype(np.float32)
    cover = cv2.GaussianBlur(cover, (0, 0), max(0.5, 0.012 * high))
    shadow = np.clip((edge + 0.15 * high - y) / (0.15 * high), 0, 1) * (on_head & (y >= edge))
    shaded = image * (1 - float(rng.uniform(0, 0.5)) * shadow)
    return np.asarray(np.clip(shaded + (over - shaded) * cover, 0, 255), dtype=np.uint8)


def swapped(
    image: Pixels, box: Boxes, face: Pixels, scale: float, place: Place = FER_BOX, oval: tuple[float, float] = FER_OVAL
) -> Pixels:
    """uint8 [H, W] with `face`, a FER2013 picture, where the face in `box` (x, y, width, height) is.

    Its light is brought near to that of the face it replaces; `scale` makes it larger. place: where its face is,
    middle and sides; oval: half the sides of what is taken of it; both in sides of the picture.
    """
    x, y, width, height = box.tolist()
    side = scale * (width / place[2] + height / place[3]) / 2
    to_image = np.array([[side / 48, 0, x + width / 2 - place[0] * side],
                         [0, side / 48, y + height / 2 - place[1] * side]])  # fmt: skip
    size = (image.shape[1], image.shape[0])
    taken = np.zeros(face.shape, np.float32)
    middle, axes = (24, 24), tuple(round(48 * share) for share in oval)
    cv2.ellipse(taken, middle, axes, 0, 0, 360, 1.0, -1)
    cover = cv2.warpAffine(cv2.GaussianBlur(taken, (0, 0), 2.5), to_image, size)
    there = cover > 0.5
    spread = float(image[there].std() / max(1.0, face.std())) if there.any() else 1.0
    light = float(image[there].mean()) if there.any() else 128.0
    relit = (face.astype(np.float32) - face.mean()) * np.clip(spread, 0.6, 1.5) + (light + face.mean()) / 2
    shown = cv2.warpAffine(relit, to_image, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(image + (shown - image) * cover, 0, 255).astype(np.uint8)


def _hide_part(rng: np.random.Generator, image: Pixels, box: Boxes) -> None:
    """Hide the lower or a side part of the face in `box`, in place, by a plain oval: a head, a hand, a scarf."""
    x, y, width, height = box.tolist()
    radius = width * rng.uniform(0.6, 1.1)
    way = rng.uniform(-0.3, np.pi + 0.3)  # from the right below to the left
    far = 0.5 * height * abs(np.sin(way)) + 0.5 * width * abs(np.cos(way)) + radius * rng.uniform(0.35, 0.75)
    middle = (int(x + width / 2 + far * np.cos(way)), int(y + height / 2 + far * np.sin(way)))
    axes = (int(radius), int(radius * rng.uniform(0.9, 1.4)))
    gray = rng.choice((rng.uniform(10, 70), rng.uniform(10, 230)))
    oval = np.zeros(image.shape, np.float32)
    cv2.ellipse(oval, middle, axes, float(rng.uniform(-30, 30)), 0, 360, 1.0, -1)
    cover = cv2.GaussianBlur(oval, (0, 0), float(rng.uniform(0.8, 3)))
    texture = cv2.GaussianBlur(rng.normal(0, 30, image.shape).astype(np.float32), (0, 0), 2)
    image[:] = np.clip(image + (gray + texture - image) * cover, 0, 255).astype(np.uint8)


def check_altered(path: Path) -> None:
    """Raise DataError unless `path` looks like save_tiles's; its pixels aren't read."""
    try:
        with np.load(path) as values:
            _kinds(values)
    except BAD_FILE as error:
        raise _unusable(path) from error


def _kinds(values: Mapping[str, npt.NDArray[np.int64]]) -> list[int]:
    kinds: list[int] = values["kinds"].tolist()
    if len(kinds) != len(SHARES) or int(values["form"]) != FORM:
        raise ValueError(f"{len(kinds)} kinds of tiles, or another form")
    return kinds


def _unusable(path: Path) -> DataError:
    return DataError(
        f"{path} is missing, damaged or of an older fer-train: delete its folder's scenes and it, and run "
        "fer-train scenes"
    )


def save_tiles(kinds: Sequence[Sequence[FaceTiles]], path: Path) -> None:
    """Write tiles of four kinds, those of SHARES, to an .npz file, whole or not at all."""
    every = [tiles for kind in kinds for tiles in kind]
    boxes = [faces for tiles in every for faces in tiles.boxes]
    rows = np.concatenate([np.empty((0, 5)), *boxes])
    counts = np.array([len(faces) for faces in boxes])
    images, sizes = np.concatenate([tiles.images for tiles in every]), [sum(map(len, kind)) for kind in kinds]
    with atomic_write(path) as part, part.open("wb") as file:
        np.savez(file, images=images, boxes=rows, counts=counts, kinds=np.array(sizes), form=np.array(FORM))


def with_altered(tiles: FaceTiles, path: Path) -> FaceTiles:
    """`tiles` and those of the file at `path`, of which the SHARES are drawn.

    Raises DataError if the file is none of save_tiles's.
    """
    try:
        with np.load(path) as values:
            images, rows, counts = values["images"], values["boxes"].astype(np.float32), values["counts"]
            kinds = _kinds(values)
        pixels = np.concatenate([tiles.images, images])
    except BAD_FILE as error:
        raise _unusable(path) from error
    boxes = tuple(rows[end - count : end] for end, count in zip(np.cumsum(counts), counts, strict=True))
    parts = [np.full(size, share / max(1, size)) for size, share in zip(kinds, SHARES, strict=True)]
    weights = np.concatenate([tiles.weights * (1 - sum(part.sum() for part in parts)), *parts])
    return FaceTiles(pixels, tiles.boxes + boxes, weights)
