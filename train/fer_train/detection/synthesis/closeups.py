"""Close-ups: FER2013's faces pasted on training images, small. They show fists, hats, hands, profiles and tears.

Photos of public people show few of these. The teacher scores such a face highest when it is enlarged, so the box and
the label come from the enlarged close-up, whatever the size at which it is pasted. The harder a face is for the shipped
detector, the more often it is pasted.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_edge.detectors.luma import PADDING_GRAY, LumaDetector
from fer_edge.errors import DataError
from fer_edge.files import atomic_write
from fer_edge.framing import iou_matrix
from fer_edge.opencv import cv2
from fer_train.detection.synthesis import batches
from fer_train.detection.synthesis.altered_heads import BAD_FILE, detect_enlarged
from fer_train.detection.synthesis.mosaic import MIN_SHOWN
from fer_train.detection.synthesis.scenes import IGNORED
from fer_train.detection.synthesis.teacher import SCORE, Teacher
from fer_train.detection.synthesis.tiles import Boxes, Pixels

# Labels and weights
MIN_TEACHER_SCORE = 0.4  # of an enlarged close-up; below, many show no face
JUDGED_PX, JUDGED_COLUMNS = 32, 10  # the detector searches sheets of close-ups of this side
JUDGED_MIN_SCORE, MATCH_IOU = 0.02, 0.35  # of its boxes; overlap with the teacher's box
EASY_WEIGHT = 0.1  # weight of a face that the detector scores 1; one that it misses weighs 1 more
# Pasting
SHARE = 0.3  # of the images get close-ups
MAX_PER_IMAGE = 12
SIDE_PX, SIDE_SPREAD = (15.0, 64.0), 0.25  # an image's typical side; each differs by up to exp(SIDE_SPREAD)
COVERING = (0.02, 0.35)  # share of the image that close-ups cover, as far as MAX_PER_IMAGE allows
LEVELS_PX = (48, 34, 24, 17, 12)  # sides at which close-ups are kept, for small and for unfocused ones
UNFOCUSED, COARSER = 0.3, 2.5  # share that is blurred, by up to this factor
TURN_DEGREES = 9.0  # standard deviation
# Paste edges must not give the label away: some close-ups show an enlarged part, some are upside down (background)
PARTS, PART_ZOOM, UPSIDE_DOWN = 0.25, (2.5, 4.0), 0.06
SOFT_EDGE = (0.02, 0.2)  # share of the radius (round ones) or of the side (square ones) over which the edge fades
LIGHT = (0.4, 35.0, (0.15, 0.3, 1.0))  # of the close-ups, as change_light takes it
MAX_LOST, MAX_LOST_CERTAIN = 0.7, 0.4  # share of a face that is covered or outside: above, it is dropped or ignored
MEAN_ALPHA = 0.78  # of a close-up's square


class CloseUps:
    """Close-ups with one face each.

    images: uint8 [N, 48, 48]. boxes: float32 [N, 4], x, y, width, height of the face as fractions of the image's side.
    weights: float64 [N], how often each is pasted, in proportion.
    """

    def __init__(self, images: Pixels, boxes: Boxes, weights: npt.NDArray[np.float64]) -> None:
        self.images, self.boxes, self.weights = images, boxes, weights

    @cached_property
    def _levels(self) -> list[Tensor]:
        """The images at LEVELS_PX; made on first use, since close-ups travel between processes."""
        pixels = torch.from_numpy(self.images)
        return [pixels, *(batches.downscaled(pixels, side) for side in LEVELS_PX[1:])]

    @cached_property
    def _boxes(self) -> Tensor:
        return torch.from_numpy(self.boxes)

    @cached_property
    def _cumulated(self) -> Tensor:
        return torch.from_numpy(self.weights.cumsum() / self.weights.sum())

    def __len__(self) -> int:
        return len(self.images)

    def paste(self, images: Tensor, faces: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Paste close-ups on some of the images float32 [N, 1, size, size]; also returns all faces [N, F, 5]."""
        count, size, device = len(images), images.shape[-1], images.device
        total = count * MAX_PER_IMAGE  # places; most of them stay empty

        def draw(low: float, high: float) -> Tensor:
            return batches.uniform(generator, low, high, total)

        def per_image(low: float, high: float) -> Tensor:
            return batches.uniform(generator, low, high, count, 1)

        typical = per_image(math.log(SIDE_PX[0]), math.log(SIDE_PX[1])).exp()
        number = (per_image(*COVERING) * (size / typical) ** 2).clamp(1, MAX_PER_IMAGE).round()
        used = (torch.arange(MAX_PER_IMAGE) < number * (per_image(0, 1) < SHARE)).flatten()
        side = typical.expand(-1, MAX_PER_IMAGE).flatten() * draw(-SIDE_SPREAD, SIDE_SPREAD).exp()
        side = side.round().clamp(max=size)
        low = torch.stack([draw(0, 1), draw(0, 1)], dim=1) * (size - side[:, None] / 2) - side[:, None] / 4
        low = low.round()
        rows = torch.searchsorted(self._cumulated, draw(0, 1).double()).clamp(max=len(self) - 1)
        kind = draw(0, 1)
        is_part, upside_down = kind < PARTS, (kind >= PARTS) & (kind < PARTS + UPSIDE_DOWN)
        turn = torch.randn(total, generator=generator) * math.radians(TURN_DEGREES) + upside_down * math.pi
        zoom = torch.where(is_part, draw(*PART_ZOOM), 1.0)
        corner = torch.stack([draw(-0.85, 0.85), draw(0.6, 0.85) * batches.random_sign(generator, total)], dim=1)
        views = batches.Views(turn, batches.random_sign(generator, total), zoom, corner * is_part[:, None])
        if used.any():
            pixels, alphas = self._render(rows[used], views.take(used), side[used], generator)
            images = images.clone()
            at = used.nonzero()[:, 0] // MAX_PER_IMAGE
            _paste(images, at, low[used], side[used], pixels.to(device), alphas.to(device))
        boxes = views.move(self._boxes[rows][:, None], side)[:, 0] + torch.cat([low, torch.zeros_like(low)], dim=1)
        is_face = (used & ~is_part & ~upside_down)[:, None]
        new = torch.cat([boxes, is_face], dim=1).view(count, MAX_PER_IMAGE, 5)
        squares = torch.cat([low, (side * used)[:, None].expand(-1, 2)], dim=1).view(count, MAX_PER_IMAGE, 4)
        later = torch.ones(MAX_PER_IMAGE, MAX_PER_IMAGE).triu(1)  # a close-up is covered by those pasted after it
        new = _flag_covered(new, _covered_shares(new, squares, size) * later, size)
        old = _flag_covered(faces, _covered_shares(faces, squares.to(device), size), size)
        return images, torch.cat([old, batches.flag_cut_faces(new, size, MIN_SHOWN).to(device)], dim=1)

    def _render(
        self, rows: Tensor, views: batches.Views, side: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Pixels and alpha masks of close-ups, float32 [K, R, R], each in its first `side` [K] rows and columns."""

        def draw(low: float, high: float) -> Tensor:
            return batches.uniform(generator, low, high, len(rows))

        blur = torch.where(draw(0, 1) < UNFOCUSED, COARSER ** draw(0, 1), 1.0)
        pixels = views.render(self._levels, rows, side, blur, "reflection")
        pixels = batches.change_light(pixels, generator, *LIGHT).clamp(0, 255)
        return pixels, _alphas(side, draw(*SOFT_EDGE), draw(0, 1) < 0.5)


def _alphas(side: Tensor, soft: Tensor, is_round: Tensor) -> Tensor:
    """Alpha masks float32 [K, room, room] for the largest side: round or square, soft at the edges."""
    along = ((torch.arange(int(side.max())) * 2 + 1) / side[:, None] - 1).abs()  # [K, room], 1 at the edge
    soft = soft.view(-1, 1, 1)
    disc = ((1 - (along[:, :, None] ** 2 + along[:, None] ** 2).sqrt() / 1.05) / soft).clamp(0, 1)
    ramp = ((1 - along)[:, None] / (2 * soft)).clamp(0, 1)[:, 0]
    square = ramp[:, :, None] * ramp[:, None]
    inside = (along < 1).float()
    return torch.where(is_round.view(-1, 1, 1), disc, square) * inside[:, :, None] * inside[:, None]


def _paste(images: Tensor, rows: Tensor, low: Tensor, side: Tensor, pixels: Tensor, alphas: Tensor) -> None:
    """Blend `pixels` [K, R, R] into the images `rows` at the corners `low`, in place, one after the other."""
    size, places = images.shape[-1], torch.cat([rows[:, None], low.long(), side.long()[:, None]], dim=1).tolist()
    for index, (row, x, y, n) in enumerate(places):
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + n, size), min(y + n, size)
        cut = np.s_[index, top - y : bottom - y, left - x : right - x]
        images[row, 0, top:bottom, left:right].lerp_(pixels[cut], alphas[cut])


def _covered_shares(faces: Tensor, squares: Tensor, size: int) -> Tensor:
    """The share of each face [N, F, 5] under each square [N, K, 4] within the image, 0 to 1, [N, F, K]."""
    (low, high), (left, right) = (
        (boxes[..., :2].clamp(0, size), (boxes[..., :2] + boxes[..., 2:4]).clamp(0, size))
        for boxes in (faces[:, :, None], squares[:, None])
    )
    shared = (torch.minimum(high, right) - torch.maximum(low, left)).clamp(min=0).prod(3)
    return MEAN_ALPHA * shared / faces[:, :, None, 2:4].prod(3).clamp(min=1e-6)


def _flag_covered(faces: Tensor, shares: Tensor, size: int) -> Tensor:
    """The faces [N, F, 5] where shares [N, F, K] of them are covered: hardly visible ones are ignored or dropped."""
    covered, flag = shares.sum(2), faces[..., 4]
    lost = (1 - batches.shown_share(faces, size) + covered) * (covered > 0)
    flag = torch.where((lost > MAX_LOST_CERTAIN) & (flag > 0), IGNORED, flag)
    return torch.cat([faces[..., :4], torch.where(lost > MAX_LOST, 0.0, flag)[..., None]], dim=2)


def make_close_ups(images: Pixels, teacher: Teacher, detector: LumaDetector) -> CloseUps | None:
    """The `images`, uint8 [N, 48, 48], in which the teacher detects a face; None if there are none.

    Faces with a low score of `detector` get a higher weight.
    """
    found = [(image, box) for image in images if (box := _teacher_box(image, teacher)) is not None]
    if not found:
        return None
    kept, boxes = np.array([image for image, _ in found], np.uint8), np.array([box for _, box in found], np.float32)
    sheets = [slice(start, start + JUDGED_COLUMNS**2) for start in range(0, len(found), JUDGED_COLUMNS**2)]
    scores = [_detector_scores(kept[sheet], boxes[sheet], detector) for sheet in sheets]
    return CloseUps(kept, boxes, EASY_WEIGHT + 1 - np.concatenate(scores))


def _teacher_box(image: Pixels, teacher: Teacher) -> Boxes | None:
    """The teacher's best box, if its score is high enough: float32 [4], as fractions of the image's side."""
    views = [detect_enlarged(image, teacher, border) for border in (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT)]
    found = [view for view in views if view and view[1][SCORE] >= MIN_TEACHER_SCORE]
    return max(found, key=lambda view: float(view[1][SCORE]))[0].astype(np.float32) if found else None


def _detector_scores(images: Pixels, boxes: Boxes, detector: LumaDetector) -> npt.NDArray[np.float64]:
    """The detector's scores, 0 to 1, of the faces of one sheet of close-ups, at most JUDGED_COLUMNS squared."""
    sheet = np.full((JUDGED_COLUMNS * JUDGED_PX, JUDGED_COLUMNS * JUDGED_PX), PADDING_GRAY, np.uint8)
    wanted = boxes * np.float32(JUDGED_PX)
    for place, image in enumerate(images):
        y, x = (JUDGED_PX * at for at in divmod(place, JUDGED_COLUMNS))
        small = cv2.resize(image, (JUDGED_PX, JUDGED_PX), interpolation=cv2.INTER_AREA)
        sheet[y : y + JUDGED_PX, x : x + JUDGED_PX] = small
        wanted[place, :2] += (x, y)
    corners, scores = detector.search(sheet, JUDGED_MIN_SCORE)
    found = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    matched = iou_matrix(wanted, found) >= MATCH_IOU
    return np.asarray(np.where(matched, scores, 0).max(axis=1, initial=0), np.float64)


def save_close_ups(parts: Sequence[CloseUps | None], path: Path) -> None:
    """Write all `parts` to an .npz file, atomically."""
    some = [part for part in parts if part is not None]
    images = np.concatenate([np.empty((0, 48, 48), np.uint8), *(part.images for part in some)])
    boxes = np.concatenate([np.empty((0, 4), np.float32), *(part.boxes for part in some)])
    weights = np.concatenate([np.empty(0), *(part.weights for part in some)])
    with atomic_write(path) as target, target.open("wb") as file:
        np.savez_compressed(file, images=images, boxes=boxes, chances=weights)


def load_close_ups(path: Path) -> CloseUps:
    """What save_close_ups wrote; DataError if `path` is something else, damaged, or empty."""
    try:
        with np.load(path) as values:
            images, boxes, weights = values["images"], values["boxes"], values["chances"]
        count = len(images)
        if images.shape != (count, 48, 48) or boxes.shape != (count, 4) or weights.shape != (count,) or not count:
            raise ValueError(f"{count} close-ups")
        if not (np.isfinite(weights).all() and (weights > 0).all() and np.isfinite(boxes).all()):
            raise ValueError("weights that are not positive numbers")
        return CloseUps(images.astype(np.uint8), boxes.astype(np.float32), weights.astype(np.float64))
    except (*BAD_FILE, TypeError) as error:
        raise DataError(f"{path} holds no close-ups, or is damaged: delete it, and run fer-train scenes") from error
