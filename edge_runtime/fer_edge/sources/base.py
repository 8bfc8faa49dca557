"""What the pipeline asks of a source."""

import time
from dataclasses import dataclass, field

from fer_edge.framing import Image


@dataclass(frozen=True)
class Grab:
    """One captured picture.

    image: uint8 BGR [H, W, 3] or grey [H, W]; None if it could not be read.
    media_time_s: the source's own time in seconds, or None to use the capture time.
    file: for pictures, where it came from.
    captured_at: monotonic seconds, taken when the picture had arrived.
    """

    image: Image | None
    media_time_s: float | None = None
    file: str | None = None
    captured_at: float = field(default_factory=time.monotonic)


class Source:
    """A sequence of pictures. It is opened when it is made, which raises SourceError.

    name: for messages and reports, without credentials.
    live: whether it goes on without us, so that only its newest frame matters.
    fps: nominal frames a second, or None.
    pictures: how many single pictures it holds, or None if it is a video.
    """

    name: str
    live: bool = False
    fps: float | None = None
    pictures: int | None = None

    def read(self) -> Grab | None:
        """The next picture, or None at the end. SourceError if a live source is lost."""
        raise NotImplementedError

    def close(self) -> None:
        """Free the device or file."""
