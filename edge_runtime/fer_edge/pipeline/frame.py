"""What the stages pass on: a captured frame, and a frame with its tracked faces."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from fer_edge.framing import Box, Image, to_gray
from fer_edge.results import LeftOut
from fer_edge.tracking.tracker import Track


@dataclass(frozen=True, eq=False)  # arrays don't compare
class Frame:
    """A captured frame; nothing changes it after capture.

    index: 0-based capture number. t: seconds since the first frame. captured_at: monotonic seconds.
    image: uint8 BGR [H, W, 3] or gray [H, W]. file: the image file that it came from, if any.
    seeks: how many times the stream's position had been changed before.
    """

    index: int
    t: float
    captured_at: float
    image: Image
    file: str | None = None
    seeks: int = 0

    @cached_property
    def gray(self) -> Image:
        """The luma, uint8 [H, W]; computed on first use, in the detector's thread."""
        return to_gray(self.image)


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
