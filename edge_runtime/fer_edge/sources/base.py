"""What the pipeline asks of a source."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fer_edge.framing import Image


@dataclass(frozen=True, eq=False)  # arrays don't compare
class SourceFrame:
    """One captured picture.

    image: uint8 BGR [H, W, 3] or grey [H, W]; None if it could not be read.
    media_time_s: the source's own time in seconds, or None to use the capture time.
    file: for pictures, where it came from.
    problem: of a picture that could not be read, why.
    captured_at: monotonic seconds, taken when the picture had arrived.
    """

    image: Image | None
    media_time_s: float | None = None
    file: str | None = None
    problem: str = "it can't be read as a picture"
    captured_at: float = field(default_factory=time.monotonic)


class Source:
    """A sequence of pictures. It is opened when it is made, which raises SourceError.

    name: for messages and reports, without credentials.
    live: whether it goes on without us, so that only its newest frame matters.
    fps: nominal frames a second, or None.
    image_count: how many single pictures it holds, or None if it is a video or their number is unknown.
    properties: what it really gives, as far as it says: size [width, height], format (four letters), fps.
    is_cropped: whether each picture is one face, framed as FER2013's are, so that there is nothing to detect.
    reconnects: how often it came back after a loss. gaps_s: the last lengths of its absences, in seconds.
    """

    name: str
    live: bool = False
    fps: float | None = None
    image_count: int | None = None
    is_cropped: bool = False
    properties: Mapping[str, Any] | None = None
    reconnects: int = 0
    gaps_s: Sequence[float] = ()

    def read(self) -> SourceFrame | None:
        """The next picture, or None at the end. SourceError if a live source is lost."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Make a `read` that waits in another thread return, where that is possible."""

    def close(self) -> None:
        """Free the device or file."""
