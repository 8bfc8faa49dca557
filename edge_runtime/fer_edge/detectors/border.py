"""Faces that fill an image: detectors see them better with a border around the image.

A network for faces in scenes rarely saw a head without its surroundings. On photos that are all face (a passport photo,
a selfie at arm's length) luma's boxes are up to a third too small, and some faces are missed. So the image is searched
again within a border of repeated edge pixels, small enough to cost little
(benchmarks/accuracy/framing.py, --side 320).
"""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fer_edge.detectors.base import Detection, FramedDetector
from fer_edge.detectors.defaults import DEFAULT_MIN_FACE_PX
from fer_edge.detectors.filter import FilteredDetector, Found
from fer_edge.framing import Box, Image
from fer_edge.opencv import cv2

BORDER = 0.5  # width of the border, in shorter sides of the image
SEARCHED_PX = 256  # longer side of what is searched again, with its border
CLOSE_SIDE = 0.6  # a box with a longer side than this, in shorter sides of the image, is a close-up
MIN_SIDE = 0.4  # of boxes that are taken from the second search: it sees small faces less well than the first
MAX_INSIDE = 0.5  # a box with more of its area inside a close-up shows that face or a part of it


class BorderDetector:
    """A detector that searches an image again with a border: after a close-up, or if it found nothing.

    every: of images without a face, every `every`-th in a row is searched again, so that an empty room costs a camera
    little; all of them if the image before showed a close-up. With 1 no image influences the next, and threads may
    share the detector.
    """

    def __init__(self, detector: FilteredDetector, every: int = 1) -> None:
        self._detector, self._every = detector, every
        self._again = configured(detector.detector, detect_size_px=SEARCHED_PX, min_face_px=DEFAULT_MIN_FACE_PX)
        self._empty, self._was_close_up = 0, False
        self.name, self.framing, self.needs_color = detector.name, detector.framing, detector.needs_color

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`, uint8 [H, W] gray or [H, W, 3] BGR, in any order."""
        return self.search(image).faces

    def search(self, image: Image) -> Found:
        """As `detect`, with the faces that were left out."""
        found = self._detector.search(image)
        shorter_px = min(image.shape[:2])
        if _has_box(found.faces, CLOSE_SIDE * shorter_px) or (not found.faces and self._is_due()):
            again = [each for each in self._search_again(image) if max(each.box[2:]) > MIN_SIDE * shorter_px]
            close_ups = self._detector.filtered(again)
            left_out = found.left_out if found.left_out or found.faces else close_ups.left_out
            boxes = found.left_out.boxes + close_ups.left_out.boxes
            found = Found(_merge(close_ups.faces, found.faces), replace(left_out, boxes=boxes))
        if self._every > 1:
            self._empty = 0 if found.faces else self._empty + 1
            self._was_close_up = _has_box(found.faces, CLOSE_SIDE * shorter_px)
        return found

    def _is_due(self) -> bool:
        return self._was_close_up or self._empty % self._every == 0

    def _search_again(self, image: Image) -> list[Detection]:
        """What the detector finds in `image` with a border, in pixels of `image`."""
        height, width = image.shape[:2]
        factor = max(1.0, (max(height, width) + 2 * BORDER * min(height, width)) / SEARCHED_PX)
        small = image
        if factor > 1:
            size = (max(1, round(width / factor)), max(1, round(height / factor)))
            small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        margin = round(BORDER * min(small.shape[:2]))
        wide = cv2.copyMakeBorder(small, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        scale_x, scale_y = width / small.shape[1], height / small.shape[0]
        return [
            Detection(((x - margin) * scale_x, (y - margin) * scale_y, w * scale_x, h * scale_y), score)
            for (x, y, w, h), score in self._again.detect(np.asarray(wide, dtype=np.uint8))
        ]


def configured(detector: FramedDetector, **settings: int) -> FramedDetector:
    """A copy of `detector` with other values of those attributes that it has; it shares the network."""
    known = {name: value for name, value in settings.items() if hasattr(detector, name)}
    if not known:
        return detector
    other = copy.copy(detector)
    vars(other).update(known)
    return other


def _has_box(faces: Sequence[Detection], side_px: float) -> bool:
    return any(max(face.box[2:]) > side_px for face in faces)


def _merge(close_ups: Sequence[Detection], faces: Sequence[Detection]) -> list[Detection]:
    """The close-ups, and the faces that lie outside them."""
    others = [face for face in faces if all(_inside(face.box, each.box) <= MAX_INSIDE for each in close_ups)]
    return [*close_ups, *others]


def _inside(box: Box, other: Box) -> float:
    """The share of a box's area that lies inside the other."""
    width, height = (min(box[i] + box[i + 2], other[i] + other[i + 2]) - max(box[i], other[i]) for i in (0, 1))
    return max(width, 0.0) * max(height, 0.0) / max(box[2] * box[3], 1e-9)
