"""From a detector's face box to the pixels a classifier sees: box, FER2013 square, crop."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_edge.opencv import cv2

Image = npt.NDArray[np.uint8]
"""uint8 [H, W] grey or [H, W, 3] BGR."""
Box = tuple[float, float, float, float]
"""x, y of the top left corner, width, height in source pixels."""
LEAST_MEAN, LEAST_DEVIATION = 100.0, 35.0  # of a face's greys; of FER2013's a fifth are darker, few are flatter
MOST_GAIN = 20.0


class Square(NamedTuple):
    """A square region by its centre and side, in source pixels; it may reach over the picture's edge."""

    x: float
    y: float
    side: float


class Framing(NamedTuple):
    """How a detector's box becomes the square that FER2013 would show of the face.

    The side is `of_width` x box width + `of_height` x box height; the centre is the box's, moved by
    `right` box widths and `down` box heights.
    """

    of_width: float = 0.0
    of_height: float = 0.0
    right: float = 0.0
    down: float = 0.0

    def square(self, box: Box) -> Square:
        """The FER2013 square of `box`."""
        x, y, width, height = box
        return Square(
            x + width * (0.5 + self.right),
            y + height * (0.5 + self.down),
            self.of_width * width + self.of_height * height,
        )


def crop(
    image: Image, square: Square, size: tuple[int, int], out: Image | None = None, beyond: int | None = None
) -> Image:
    """The pixels in `square`, resized to `size` (height, width).

    Beyond the picture is the grey `beyond`; if that is None, its edge is repeated.
    They are written into `out` if given, uint8 of that size and of as many channels as `image`.

    Shrinking averages the source pixels, so that large faces don't alias (see _resized); enlarging is linear.
    """
    halvings = _halvings(square.side, size[0])
    step = 1 << halvings
    side = max(2, step * round(square.side / step))  # a side that can be halved so often without a rest
    left, top = round(square.x - side / 2), round(square.y - side / 2)
    height, width = image.shape[:2]
    # A square wholly outside still gets the nearest pixels.
    x0, x1 = min(max(left, 0), width - 1), max(min(left + side, width), 1)
    y0, y1 = min(max(top, 0), height - 1), max(min(top + side, height), 1)
    inside = image[y0:y1, x0:x1]
    before_y, after_y, before_x, after_x = y0 - top, top + side - y1, x0 - left, left + side - x1
    if max(before_y, after_y, before_x, after_x) > 0:
        inside = cv2.copyMakeBorder(  # type: ignore[assignment]
            inside,
            max(before_y, 0),
            max(after_y, 0),
            max(before_x, 0),
            max(after_x, 0),
            cv2.BORDER_REPLICATE if beyond is None else cv2.BORDER_CONSTANT,
            value=(beyond or 0,) * 3,
        )
    return _resized(inside, (size[1], size[0]), halvings, out)


def normalize_light(
    face: Image,
    least_mean: float = LEAST_MEAN,
    least_deviation: float = LEAST_DEVIATION,
    most_gain: float = MOST_GAIN,
) -> None:
    """Give a dark face more light and a flat one more contrast: greys, uint8, of any shape, changed in place.

    They are multiplied around their mean, by no more than `most_gain`, to bring mean and standard deviation to those
    given, where they are less (what gets brighter than white is white). Too little light or haze is such a factor, even
    after a camera's gamma; the network learned from good photographs, and hardly misses the grey levels that were lost
    (benchmarks/light.py).

    Raises ValueError if `face` doesn't lie in one piece.
    """
    if not face.flags.c_contiguous:
        raise ValueError("normalise_light changes arrays in place, and only such as lie in one piece")
    pixels = face.reshape(1, -1)
    means, deviations = cv2.meanStdDev(pixels)
    mean, deviation = float(means[0, 0]), float(deviations[0, 0])
    if mean >= least_mean and deviation >= least_deviation:
        return
    gain = min(max(least_mean / max(mean, 0.01), least_deviation / max(deviation, 0.01), 1.0), most_gain)
    cv2.addWeighted(pixels, gain, pixels, 0.0, max(mean, least_mean) - mean * gain, pixels)


def _halvings(side: float, target: int) -> int:
    """How often a side is halved before it is at most four times as long as `target`."""
    return max(0, math.ceil(math.log2(max(side, 1.0) / (4 * target))))


def _resized(square: Image, size: tuple[int, int], halvings: int, out: Image | None) -> Image:
    """`square` resized to `size` (width, height).

    cv2's INTER_AREA is fast where it takes the mean of two by two pixels, and slow at all other ratios. So large
    squares are halved first, to between two and four times the size, then brought linearly to twice the size (a step
    of at most two pixels, which skips none), and halved once more: every source pixel counts, nearly alike.
    """
    for _ in range(halvings):
        square = cv2.resize(square, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    if len(square) > 2 * size[0]:
        square = cv2.resize(square, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    interpolation = cv2.INTER_AREA if len(square) > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, size, out, interpolation=interpolation), dtype=np.uint8)


def to_gray(image: Image) -> Image:
    """The luma of a BGR picture, uint8 [H, W]; a grey one itself."""
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def clip(box: Box, width: int, height: int) -> Box:
    """`box` cut to a picture of that size."""
    x0, y0 = min(max(box[0], 0.0), float(width)), min(max(box[1], 0.0), float(height))
    x1, y1 = min(max(box[0] + box[2], 0.0), float(width)), min(max(box[1] + box[3], 0.0), float(height))
    return x0, y0, x1 - x0, y1 - y0


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    return float(iou_matrix([a], [b])[0, 0])


def iou_matrix(a: Sequence[Box], b: Sequence[Box]) -> npt.NDArray[np.float64]:
    """Intersection over union of each box of `a` with each of `b`, float64 [len(a), len(b)], 0 to 1."""
    rows, columns = np.reshape(a, (-1, 1, 4)).astype(float), np.reshape(b, (1, -1, 4)).astype(float)
    ends = np.minimum(rows[..., :2] + rows[..., 2:], columns[..., :2] + columns[..., 2:])
    common = np.prod(np.maximum(ends - np.maximum(rows[..., :2], columns[..., :2]), 0), axis=-1)
    union = np.prod(rows[..., 2:], axis=-1) + np.prod(columns[..., 2:], axis=-1) - common
    overlaps: npt.NDArray[np.float64] = common / np.maximum(union, 1e-9)
    return overlaps
