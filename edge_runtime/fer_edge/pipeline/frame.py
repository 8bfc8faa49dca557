"""What the stages pass on: a captured frame, and a frame with its tracked faces."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from fer_edge.framing import Box, Image, scaled, to_gray
from fer_edge.results import FrameResult, LeftOut
from fer_edge.tracking.tracker import Track


@dataclass(frozen=True, eq=False)  # arrays don't compare
class Frame:
    """A captured frame; nothing changes it after capture.

    index: 0-based capture number. t: seconds since the first frame. captured_at: monotonic seconds.
    image: uint8 BGR [H, W, 3] or gray [H, W]. file: the image file that it came from, if any.
    seeks: how many times the stream's position had been changed before.
    size: (width, height) of the picture in its own pixels; None if `image` has them all. Published results have their
    boxes in these pixels, and `in_image` gives them in those of `image`.
    """

    index: int
    t: float
    captured_at: float
    image: Image
    file: str | None = None
    seeks: int = 0
    size: tuple[int, int] | None = None

    @cached_property
    def gray(self) -> Image:
        """The luma, uint8 [H, W]; computed on first use, in the detector's thread."""
        return to_gray(self.image)

    def in_picture(self, result: FrameResult) -> FrameResult:
        """`result`, whose boxes are in pixels of `image`, with boxes in the picture's own pixels."""
        if self.size is None:
            return result
        height, width = self.image.shape[:2]
        return _scaled(result, self.size[0] / width, self.size[1] / height)

    def in_image(self, result: FrameResult) -> FrameResult:
        """A published result with boxes in pixels of `image`, to be drawn on it."""
        if self.size is None:
            return result
        height, width = self.image.shape[:2]
        return _scaled(result, width / self.size[0], height / self.size[1])


def _scaled(result: FrameResult, x: float, y: float) -> FrameResult:
    faces = tuple(face.scaled(x, y) for face in result.faces)
    left_out = replace(result.left_out, boxes=tuple(scaled(box, x, y) for box in result.left_out.boxes))
    return replace(result, faces=faces, left_out=left_out)


class TrackedFrame(NamedTuple):
    """A frame with its faces, on the way to the classifier.

    detected: True if the detector ran on it. left_out: the faces that its filter left out. hidden: the boxes of those
    by number, tracked as faces are, if blur must hide them.
    """

    frame: Frame
    tracks: list[Track]
    detected: bool
    left_out: LeftOut = LeftOut()
    hidden: Mapping[int, Box] = MappingProxyType({})
