"""FER2013's faces laid on training pictures, small: with fists, hats and hands, in profile, crying.

Photographs of public people show few of these, and the teacher is surest of such a face when it is enlarged. So what
it sees in a close-up counts for the face at any size. The harder a face is for a detector that is trained already, the
more often it is laid.
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
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.altered_heads import BAD_FILE, seen_enlarged
from fer_train.detection.synthesis.mosaic import coarser, flagged, sampled
from fer_train.detection.synthesis.scenes import IGNORED
from fer_train.detection.synthesis.teacher import Teacher, overlaps
from fer_train.detection.synthesis.tiles import Boxes, Pixels

# To be labelled and judged
SURE = 0.4  # the teacher's score of a close-up, enlarged; of the rest many show no face
JUDGED_PX, ALONG = 32, 10  # the detector seeks it so small, among others on a sheet with so many along a side
SAME = 0.35  # overlap of its box with the teacher's
EASY = 0.1  # how often a face is laid of which the detector is sure; 1 more if it does not see it
# To be laid
SHARE = 0.3  # of the pictures get some
MOST = 12  # on a picture
SIDE_PX = (15.0, 64.0)  # the usual side on a picture, from which each differs by up to a quarter, as a logarithm
COVERING = (0.02, 0.35)  # share of the picture, if MOST allows
SIDES = (48, 34, 24, 17, 12)  # they are read at one of these sides: coarse enough for small ones, or out of focus
UNFOCUSED, COARSER = 0.3, 2.5  # share that is coarser than need be, and up to how much
TURN_DEGREES = 9.0  # standard deviation
# Edges of what is laid shall tell nothing: parts of close-ups, enlarged, and some that stand on their heads
PARTS, PART_ZOOM, UPSIDE_DOWN = 0.25, (2.5, 4.0), 0.06
SOFT = (0.02, 0.2)  # share of half a side (of round ones, of a whole side of square ones) in which the edge fades
GAIN, OFFSET, DARKENED, DARKEST = 0.25, 20.0, 0.15, 0.3
HIDES, HIDES_IN_PART = 0.7, 0.4  # share of a face that is under close-ups or beyond the picture
FULL = 0.78  # of its square that a close-up covers, in the mean


class CloseUps:
    """Close-ups with one face each.

    images: uint8 [N, 48, 48]. boxes: float32 [N, 4], x, y, width and height of the face, in sides of the picture.
    weights: float64 [N], how often each is to be laid, in proportion.
    """

    def __init__(self, images: Pixels, boxes: Boxes, weights: npt.NDArray[np.float64]) -> None:
        self.images, self.boxes, self.weights = images, boxes, weights

    @cached_property
    def _levels(self) -> list[Tensor]:
        """The pictures at SIDES; not before they are needed, as workers hand close-ups over."""
        pixels = torch.from_numpy(self.images)
        return [pixels, *(coarser(pixels, side) for side in SIDES[1:])]

    @cached_property
    def _cumulated(self) -> Tensor:
        return torch.from_numpy(self.weights.cumsum() / self.weights.sum())

    def __len__(self) -> int:
        return len(self.images)

    def lay(self, pictures: Tensor, faces: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Some of the pictures float32 [N, 1, size, size] with close-ups on them, and all their faces [N, F, 5].

        generator: on the CPU, so that a run is the same on any device up to rounding.
        """
        count, size, device = len(pictures), pictures.shape[-1], pictures.device

        def draw(low: float, high: float, *shape: int) -> Tensor:
            return torch.rand(*(shape or (count, MOST)), generator=generator) * (high - low) + low

        usual = draw(math.log(SIDE_PX[0]), math.log(SIDE_PX[1]), count, 1).exp()
        number = (draw(*COVERING, count, 1) * (size / usual) ** 2).clamp(1, MOST) * (draw(0, 1, count, 1) < SHARE)
        side = (usual * draw(-0.25, 0.25).exp()).round().clamp(max=size)
        laid = torch.arange(MOST) < number.round()  # [N, MOST], as all that follows
        low = torch.stack([draw(0, 1), draw(0, 1)], dim=2) * (size - side[..., None] / 2) - side[..., None] / 4
        low = low.round()
        rows = torch.searchsorted(self._cumulated, draw(0, 1).double()).clamp(max=len(self) - 1)
        kind = draw(0, 1)
        part, upside_down = kind < PARTS, (kind >= PARTS) & (kind < PARTS + UPSIDE_DOWN)
        turn = torch.randn(count, MOST, generator=generator) * math.radians(TURN_DEGREES) + upside_down * math.pi
        mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
        zoom = torch.where(part, draw(*PART_ZOOM), 1.0)
        corner = torch.stack([draw(-0.85, 0.85), draw(0.6, 0.85) * torch.where(draw(0, 1) < 0.5, -1, 1)], dim=2)
        corner = corner * part[..., None]
        blur = torch.where(draw(0, 1) < UNFOCUSED, COARSER ** draw(0, 1), 1.0)
        gain = (torch.randn(count, MOST, generator=generator) * GAIN).exp()
        offset = torch.randn(count, MOST, generator=generator) * OFFSET
        dark = torch.where(draw(0, 1) < DARKENED, draw(DARKEST, 1), 1.0)
        soft, is_round = draw(*SOFT), draw(0, 1) < 0.5

        if laid.any():
            at = laid.nonzero(as_tuple=True)
            room = int(side[at].max())
            seen = self._seen(rows[at], side[at], zoom[at], turn[at], mirror[at], corner[at], blur[at], room)
            seen = ((seen - 127) * gain[at].view(-1, 1, 1) + 127 + offset[at].view(-1, 1, 1)) * dark[at].view(-1, 1, 1)
            seen = seen.clamp(0, 255)
            covers = _covers(side[at], soft[at], is_round[at], room)
            pictures = pictures.clone()
            _blend(pictures, at[0], low[at].long(), side[at].long(), seen.to(device), covers.to(device))
        new = self._moved(rows, side, turn, mirror, low)
        new[..., 4] = (laid & ~part & ~upside_down).float()
        squares = torch.cat([low, (side * laid)[..., None].expand(-1, -1, 2)], dim=2)
        later = torch.ones(MOST, MOST).triu(1)
        new = _hidden(new, _shares(new, squares, size) * later, size)
        under = _hidden(faces, _shares(faces, squares.to(device), size), size)
        return pictures, torch.cat([under, flagged(new, size).to(device)], dim=1)

    def _seen(
        self, rows: Tensor, side: Tensor, zoom: Tensor, turn: Tensor, mirror: Tensor, corner: Tensor, blur: Tensor,
        room: int,
    ) -> Tensor:  # fmt: skip
        """The close-ups `rows`, float32 [K, room, room], each in the first `side` rows and columns."""
        cos, sin = turn.cos() / zoom, turn.sin() / zoom
        linear = torch.stack([cos * mirror, sin, -sin * mirror, cos], dim=1).view(-1, 2, 2)
        scale = room / side  # of the whole room's coordinates, -1 to 1, to those of the side
        shift = (linear @ (scale - 1).view(-1, 1, 1).expand(-1, 2, 1))[..., 0] + corner
        middles = (torch.arange(room) * 2 + 1) / room - 1
        y, x = torch.meshgrid(middles, middles, indexing="ij")
        grid = torch.einsum("kij,hwj->khwi", linear * scale.view(-1, 1, 1), torch.stack([x, y], dim=2))
        grid = grid + shift.view(-1, 1, 1, 2)
        wanted = (side * zoom).clamp(max=SIDES[0]) / blur
        return sampled(self._levels, rows, wanted, grid, "reflection")

    def _moved(self, rows: Tensor, side: Tensor, turn: Tensor, mirror: Tensor, low: Tensor) -> Tensor:
        """The faces of the close-ups `rows` [N, K] where they are laid, float32 [N, K, 5]; boxes stay upright."""
        boxes = torch.from_numpy(self.boxes)[rows]
        x, y = ((boxes[..., :2] + boxes[..., 2:] / 2) * 2 - 1).unbind(2)
        cos, sin = turn.cos(), turn.sin()
        middle = torch.stack([(cos * x - sin * y) * mirror, sin * x + cos * y], dim=2)
        sides = boxes[..., 2:] * side[..., None]
        corner = low + (middle + 1) / 2 * side[..., None] - sides / 2
        return torch.cat([corner, sides, torch.ones_like(side)[..., None]], dim=2)


def _covers(side: Tensor, soft: Tensor, is_round: Tensor, room: int) -> Tensor:
    """How much of each pixel is covered, float32 [K, room, room]: round or square, soft at the edges."""
    along = ((torch.arange(room) * 2 + 1) / side[:, None] - 1).abs()  # [K, room], 1 at the edge
    soft = soft.view(-1, 1, 1)
    disc = ((1 - (along[:, :, None] ** 2 + along[:, None] ** 2).sqrt() / 1.05) / soft).clamp(0, 1)
    ramp = ((1 - along)[:, None] / (2 * soft)).clamp(0, 1)[:, 0]
    square = ramp[:, :, None] * ramp[:, None]
    inside = (along < 1).float()
    return torch.where(is_round.view(-1, 1, 1), disc, square) * inside[:, :, None] * inside[:, None]


def _blend(pictures: Tensor, places: Tensor, low: Tensor, side: Tensor, seen: Tensor, covers: Tensor) -> None:
    """Lay `seen` [K, room, room] on the pictures `places`, in place, in turn: later ones may hide others."""
    size = pictures.shape[-1]
    for index, (place, (x, y), n) in enumerate(zip(places.tolist(), low.tolist(), side.tolist(), strict=True)):
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + n, size), min(y + n, size)
        cut = np.s_[index, top - y : bottom - y, left - x : right - x]
        part = pictures[place, 0, top:bottom, left:right]
        part.lerp_(seen[cut], covers[cut])


def _inside(boxes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The corners [..., 2] of boxes [..., 4 or 5] (x, y, width, height) cut to a picture of `size`: low, high."""
    return boxes[..., :2].clamp(0, size), (boxes[..., :2] + boxes[..., 2:4]).clamp(0, size)


def _shares(faces: Tensor, squares: Tensor, size: int) -> Tensor:
    """How much of each face [N, F, 5] is under each square [N, K, 4] in the picture, 0 to 1, [N, F, K]."""
    (low, high), (left, right) = _inside(faces[:, :, None], size), _inside(squares[:, None], size)
    shared = (torch.minimum(high, right) - torch.maximum(low, left)).clamp(min=0).prod(3)
    return FULL * shared / faces[:, :, None, 2:4].prod(3).clamp(min=1e-6)


def _hidden(faces: Tensor, shares: Tensor, size: int) -> Tensor:
    """The faces [N, F, 5]; of those of which shares [N, F, K] are covered, hardly seen ones are ignored or gone."""
    low, high = _inside(faces, size)
    covered, flag = shares.sum(2), faces[..., 4]
    lost = 1 - (high - low).clamp(min=0).prod(2) / faces[..., 2:4].prod(2).clamp(min=1e-6) + covered
    lost = lost * (covered > 0)
    flag = torch.where((lost > HIDES_IN_PART) & (flag > 0), IGNORED, flag)
    return torch.cat([faces[..., :4], torch.where(lost > HIDES, 0.0, flag)[..., None]], dim=2)


def close_ups(pictures: Pixels, teacher: Teacher, detector: LumaDetector) -> CloseUps | None:
    """Those of `pictures`, uint8 [N, 48, 48], in which the teacher sees a face; None if there are none.

    detector: by which they are judged, harder ones to be laid more often.
    """
    seen = [(picture, box) for picture in pictures if (box := _box(picture, teacher)) is not None]
    if not seen:
        return None
    images, boxes = np.array([picture for picture, _ in seen], np.uint8), np.array([box for _, box in seen], np.float32)
    sheets = range(0, len(seen), ALONG**2)
    scores = [_scores(images[at : at + ALONG**2], boxes[at : at + ALONG**2], detector) for at in sheets]
    return CloseUps(images, boxes, EASY + 1 - np.concatenate(scores))


def _box(picture: Pixels, teacher: Teacher) -> Boxes | None:
    """Where the teacher sees its surest face, if it is sure enough: float32 [4], in sides of the picture."""
    ways = [seen_enlarged(picture, teacher, around) for around in (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT)]
    seen = [way for way in ways if way and way[1][14] >= SURE]
    return max(seen, key=lambda way: float(way[1][14]))[0].astype(np.float32) if seen else None


def _scores(images: Pixels, boxes: Boxes, detector: LumaDetector) -> npt.NDArray[np.float64]:
    """The detector's scores, 0 to 1, of the faces of one sheet of close-ups, at most ALONG squared."""
    sheet = np.full((ALONG * JUDGED_PX, ALONG * JUDGED_PX), PADDING_GRAY, np.uint8)
    wanted = boxes * np.float32(JUDGED_PX)
    for place, image in enumerate(images):
        y, x = (JUDGED_PX * at for at in divmod(place, ALONG))
        small = cv2.resize(image, (JUDGED_PX, JUDGED_PX), interpolation=cv2.INTER_AREA)
        sheet[y : y + JUDGED_PX, x : x + JUDGED_PX] = small
        wanted[place, :2] += (x, y)
    corners, scores = detector.search(sheet, 0.02)
    found = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    there = overlaps(wanted, found) >= SAME
    return np.asarray(np.where(there, scores, 0).max(axis=1, initial=0), np.float64)


def save_close_ups(parts: Sequence[CloseUps | None], path: Path) -> None:
    """Write all `parts` to an .npz file, whole or not at all."""
    some = [part for part in parts if part is not None]
    images = np.concatenate([np.empty((0, 48, 48), np.uint8), *(part.images for part in some)])
    boxes = np.concatenate([np.empty((0, 4), np.float32), *(part.boxes for part in some)])
    weights = np.concatenate([np.empty(0), *(part.weights for part in some)])
    with atomic_write(path) as target, target.open("wb") as file:
        np.savez_compressed(file, images=images, boxes=boxes, chances=weights)


def load_close_ups(path: Path) -> CloseUps:
    """What save_close_ups wrote; DataError if `path` is something else, damaged, or holds none."""
    try:
        with np.load(path) as values:
            images, boxes, weights = values["images"], values["boxes"], values["chances"]
        count = len(images)
        if images.shape != (count, 48, 48) or boxes.shape != (count, 4) or weights.shape != (count,) or not count:
            raise ValueError(f"{count} close-ups")
        if not (np.isfinite(weights).all() and (weights > 0).all() and np.isfinite(boxes).all()):
            raise ValueError("chances that are none")
        return CloseUps(images.astype(np.uint8), boxes.astype(np.float32), weights.astype(np.float64))
    except (*BAD_FILE, TypeError) as error:
        raise DataError(f"{path} holds no close-ups, or is damaged: delete it, and run fer-train scenes") from error
