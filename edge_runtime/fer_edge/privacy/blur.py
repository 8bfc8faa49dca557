"""Hide faces, or all, of an image under a mosaic before it leaves the program."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from fer_edge.framing import Box, Image
from fer_edge.opencv import cv2
from fer_edge.privacy.modes import check_blur
from fer_edge.results import Face

CELLS = 8  # per side of the mosaic: fewer pixels than any face recognition reads
MARGIN = 1.3  # sides of the mosaic in sides of the face's box: hair, chin and ears identify a person, too
HOLD_S = 1.0  # a face that is lost stays hidden at its last place: detectors miss one frame in a few


def blur(image: Image, boxes: Iterable[Box], mode: str = "faces") -> Image:
    """A copy of `image` with a mosaic over every box, or over all of it.

    image: uint8 [H, W] or [H, W, channels]; it stays as it is. boxes: (x, y, width, height) in pixels.
    mode: "faces" covers each box, enlarged by 30 % around its center, with 8 x 8 cells of one color each; "all" covers
    the whole image with 8 x 8 cells. A part of a box at the border of the image has its share of the cells.

    Raises ValueError for another mode.

    >>> import numpy as np
    >>> image = np.arange(100 * 100, dtype=np.uint8).reshape(100, 100)
    >>> hidden = blur(image, [(30, 30, 40, 40)])
    >>> len(np.unique(hidden[24:76, 24:76])) <= 64, bool((hidden[:24] == image[:24]).all())
    (True, True)
    """
    check_blur(mode)
    hidden = image.copy()
    height, width = image.shape[:2]
    for x, y, box_width, box_height in [(0.0, 0.0, float(width), float(height))] if mode == "all" else boxes:
        margin = 1.0 if mode == "all" else MARGIN
        left, right = _span(x, box_width, margin, width)
        top, bottom = _span(y, box_height, margin, height)
        if left < right and top < bottom:
            grid = _cells(right - left, margin * box_width), _cells(bottom - top, margin * box_height)
            part = hidden[top:bottom, left:right]
            means = cv2.resize(np.ascontiguousarray(part), grid, interpolation=cv2.INTER_AREA)
            mosaic = cv2.resize(means, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
            hidden[top:bottom, left:right] = np.reshape(mosaic, part.shape)
    return hidden


def _span(start: float, length: float, margin: float, limit: int) -> tuple[int, int]:
    """First and last pixel (exclusive) of an enlarged side, within the image; partly covered pixels count."""
    extra = length * (margin - 1) / 2
    return max(0, int(np.floor(start - extra))), min(limit, int(np.ceil(start + length + extra)))


def _cells(pixels: int, side: float) -> int:
    """How many cells cover `pixels` of a side: its share of CELLS, and never a cell of a single pixel."""
    return max(1, min(CELLS, int(CELLS * pixels / max(side, 1.0)), pixels // 2))


class Blur:
    """Hides the faces of one stream, frame by frame; a face that is lost stays hidden for HOLD_S at its last place.

    mode: as in `blur`. hold: False for separate images, whose faces have nothing in common.
    """

    def __init__(self, mode: str, hold: bool = True) -> None:
        check_blur(mode)
        self._mode, self._hold = mode, hold
        self._last: dict[int, tuple[float, Box]] = {}  # time and box of every face by its id, for HOLD_S

    def __call__(
        self, image: Image, faces: Sequence[Face], t: float = 0.0, others: Mapping[int, Box] = MappingProxyType({})
    ) -> Image:
        """A read-only copy of `image`, of time `t` in seconds, in which `faces` are hidden.

        others: boxes of faces that are no result, by a number of their own.
        """
        boxes = [face.box for face in faces] + list(others.values())
        if self._hold:
            seen = {face.track_id: (t, face.box) for face in faces if face.track_id is not None}
            seen |= {-1 - number: (t, box) for number, box in others.items()}
            lost = {key: old for key, old in self._last.items() if key not in seen and abs(t - old[0]) <= HOLD_S}
            boxes += [box for _, box in lost.values()]
            self._last = seen | lost
        hidden = blur(image, boxes, self._mode)
        hidden.flags.writeable = False
        return hidden
