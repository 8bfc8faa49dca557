"""The interface between the pipeline and a source of frames."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_edge.framing import Image


@dataclass(frozen=True, eq=False)  # arrays don't compare
class SourceFrame:
    """One captured frame.

    image: uint8 BGR [H, W, 3] or gray [H, W]; None if it could not be read.
    media_time_s: the source's own timestamp in seconds, or None to use the capture time.
    file: where it came from, for image sources.
    size: (width, height) of the picture in its own pixels, if `image` is a reduced form of it.
    problem: why it could not be read, if `image` is None.
    captured_at: monotonic seconds at which the frame had arrived.
    """

    image: Image | None
    media_time_s: float | None = None
    file: str | None = None
    problem: str = "it can't be read as an image"
    captured_at: float = field(default_factory=time.monotonic)
    size: tuple[int, int] | None = None


class Source:
    """A sequence of frames. The constructor opens it and raises SourceError if it can't.

    name: for messages and reports, without credentials.
    live: True if frames keep coming whether we read or not, so that only the newest matters.
    fps: nominal frames per second, or None.
    seekable: True if `seek` works.
    frame_count: number of frames as announced, which may be wrong; None if unknown.
    image_count: number of single images it holds; None for a video or an unknown number.
    files: the image files that it reads; empty for others.
    is_cropped: True if each frame is one face, framed as in FER2013, so that there is nothing to detect.
    decoder_bytes: of memory that its decoder keeps; 0 if that is not known.
    properties: what the device or file delivers, as far as known: size [width, height], format (four letters), fps.
    missing: after `read` returned None: how many frames the source owed and could not give. misread: how many it gave
        in a wrong shape. missing_reason: why.
    reconnecting: True while it is lost and opened again.
    reconnects: how many times it came back after a loss. gaps_s: the last outages, in seconds.
    """

    name: str
    live: bool = False
    fps: float | None = None
    seekable: bool = False
    frame_count: int | None = None
    image_count: int | None = None
    files: Sequence[Path] = ()
    is_cropped: bool = False
    decoder_bytes: int = 0
    properties: Mapping[str, Any] | None = None
    missing: int = 0
    misread: int = 0
    missing_reason: str = ""
    reconnecting: bool = False
    reconnects: int = 0
    gaps_s: Sequence[float] = ()

    def read(self) -> SourceFrame | None:
        """The next frame, or None at the end. SourceError if a live source is lost."""
        raise NotImplementedError

    def seek(self, media_time_s: float) -> None:
        """Continue with the frame at `media_time_s`; after the last one `read` returns None."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Make a `read` that waits in another thread return, where that is possible."""

    def close(self) -> None:
        """Free the device or file."""
