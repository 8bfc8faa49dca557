"""From a detector's face box to the pixels a classifier sees: box, FER2013 square, crop, lighting, overlap."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from fer_edge.opencv import cv2

Image = npt.NDArray[np.uint8]
"""uint8 [H, W] gray or [H, W, 3] BGR."""
Box = tuple[float, float, float, float]
"""x, y of the top left corner, width, height in source pixels."""
MIN_MEAN, MIN_DEVIATION = 100.0, 35.0  # of a face's gray levels; a fifth of FER2013's faces are darker, few are flatter
MAX_GAIN = 20.0
MAX_SQUARE, MIN_BOUND_PX = 2, 1024  # largest side: in longer sides of the image, and in pixels

_Float = TypeVar("_Float", bound=np.floating[Any])


class Square(NamedTuple):
    """A square region by its center and side, in source pixels; it may extend over the image border."""

    x: float
    y: float
    side: float


class Framing(NamedTuple):
    """How a detector's box becomes the square that FER2013 would show of the face.

    The side is `of_width` x box width + `of_height` x box height; the center is the box's, moved by `right` box widths
    and `down` box heights.

    >>> Framing(of_height=1.2, down=-0.1).square((100, 50, 80, 100))  # a box from the eyebrows to the chin
    Square(x=140.0, y=90.0, side=120.0)
    """

    of_width: float = 0.0
    of_height: float = 0.0
    right: float = 0.0
    down: float = 0.0

    def square(self, box: Box) -> Square:
        """The FER2013 square of `box`.

        >>> Framing(of_height=0.95).square((100, 50, 80, 100))
        Square(x=140.0, y=100.0, side=95.0)
        """
        x, y, width, height = box
        return Square(
            x + width * (0.5 + self.right),
            y + height * (0.5 + self.down),
            self.of_width * width + self.of_height * height,
        )


def crop(
    image: Image, square: Square, size: tuple[int, int], out: Image | None = None, padding: int | None = None
) -> Image:
    """The pixels in `square`, resized to `size` (height, width).

    padding: gray level outside the image; None repeats the image border. out: written to if given, uint8 of that size
    and with the channels of `image`.

    Downscaling averages the source pixels, so that large faces don't alias (see _resize); upscaling is linear.
    """
    bound = max(MAX_SQUARE * max(image.shape[0], image.shape[1]), MIN_BOUND_PX)
    if square.side > bound:  # only by a wrong box: it would take memory without bounds
        square = square._replace(side=bound)
    halvings = _halvings(square.side, size[0])
    step = 1 << halvings
    side = max(2, step * round(square.side / step))  # a multiple of `step`, so that it halves without a remainder
    left, top = round(square.x - side / 2), round(square.y - side / 2)
    height, width = image.shape[:2]
    # A square wholly outside the image still gets the nearest pixels.
    x0, y0 = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    x1, y1 = max(min(left + side, width), 1), max(min(top + side, height), 1)
    above, below, before, after = (max(0, gap) for gap in (y0 - top, top + side - y1, x0 - left, left + side - x1))
    inside = image[y0:y1, x0:x1]
    if max(above, below, before, after):
        border = cv2.BORDER_REPLICATE if padding is None else cv2.BORDER_CONSTANT
        level = (padding or 0,) * 3
        inside = cv2.copyMakeBorder(inside, above, below, before, after, border, value=level)  # type: ignore[assignment]
    return _resize(inside, (size[1], size[0]), halvings, out)


def normalize_light(face: Image) -> None:
    """Brighten a dark face and raise the contrast of a flat one, in place: gray levels, uint8, of any shape.

    The levels are scaled around their mean, by at most MAX_GAIN, until mean and standard deviation reach MIN_MEAN and
    MIN_DEVIATION; levels above 255 are clipped. Low light and haze act nearly like such a factor, even after gamma.
    The network learned from well-lit photos, and the lost gray levels cost it little (benchmarks/accuracy/light.py).

    Raises ValueError if `face` is not C-contiguous.
    """
    if not face.flags.c_contiguous:
        raise ValueError("normalize_light needs a C-contiguous array: it works in place")
    pixels = face.reshape(1, -1)
    means, deviations = cv2.meanStdDev(pixels)
    mean, deviation = float(means[0, 0]), float(deviations[0, 0])
    if mean >= MIN_MEAN and deviation >= MIN_DEVIATION:
        return
    gain = min(max(MIN_MEAN / max(mean, 0.01), MIN_DEVIATION / max(deviation, 0.01), 1.0), MAX_GAIN)
    cv2.addWeighted(pixels, gain, pixels, 0.0, max(mean, MIN_MEAN) - mean * gain, pixels)


def _halvings(side: float, target: int) -> int:
    """How many times a side must be halved to be at most four times `target`."""
    return max(0, math.ceil(math.log2(max(side, 1.0) / (4 * target))))


def _resize(square: Image, size: tuple[int, int], halvings: int, out: Image | None) -> Image:
    """`square` resized to `size` (width, height).

    cv2's INTER_AREA is fast for a factor of two and slow for all others. So a large square is halved until it is two to
    four times the size, resized linearly to twice the size (at most two pixels per step, so none is skipped), and
    halved once more: every source pixel counts, with nearly the same weight.
    """
    for _ in range(halvings):
        square = cv2.resize(square, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    if len(square) > 2 * size[0]:
        square = cv2.resize(square, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    interpolation = cv2.INTER_AREA if len(square) > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, size, out, interpolation=interpolation), dtype=np.uint8)


def to_gray(image: Image) -> Image:
    """The luma of a BGR image, uint8 [H, W]; a gray image is returned as it is."""
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def clip(box: Box, width: int, height: int) -> Box:
    """`box` clipped to an image of that size."""
    x0, y0 = min(max(box[0], 0.0), float(width)), min(max(box[1], 0.0), float(height))
    x1, y1 = min(max(box[0] + box[2], 0.0), float(width)), min(max(box[1] + box[3], 0.0), float(height))
    return x0, y0, x1 - x0, y1 - y0


def scaled(box: Box, x: float, y: float) -> Box:
    """`box` in an image `x` times as wide and `y` times as high."""
    return box[0] * x, box[1] * y, box[2] * x, box[3] * y


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes (x, y, width, height), 0 to 1."""
    return float(iou_matrix([a], [b])[0, 0])


def iou_matrix(
    a: Sequence[Box] | npt.NDArray[_Float], b: Sequence[Box] | npt.NDArray[_Float]
) -> npt.NDArray[np.float64]:
    """Intersection over union of boxes (x, y, width, height): float64 [len(a), len(b)], 0 to 1."""
    first, second = (np.reshape(boxes, (-1, 4)).astype(np.float64) for boxes in (a, b))
    for boxes in (first, second):
        boxes[:, 2:] += boxes[:, :2]
    return iou_matrix_xyxy(first, second)


def iou_matrix_xyxy(a: npt.NDArray[_Float], b: npt.NDArray[_Float]) -> npt.NDArray[_Float]:
    """Intersection over union of boxes [N, 4] and [M, 4] (left, top, right, bottom): [N, M], 0 to 1, in their dtype.

    >>> iou_matrix_xyxy(np.float32([[0, 0, 2, 2]]), np.float32([[1, 0, 3, 2]]))
    array([[0.33333334]], dtype=float32)
    """
    rows, columns = a[:, None], b[None]
    sides = np.minimum(rows[..., 2:], columns[..., 2:]) - np.maximum(rows[..., :2], columns[..., :2])
    common = np.prod(np.maximum(sides, 0), axis=-1)
    row_areas, column_areas = (np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (rows, columns))
    overlaps: npt.NDArray[_Float] = common / np.maximum(row_areas + column_areas - common, a.dtype.type(1e-9))
    return overlaps
