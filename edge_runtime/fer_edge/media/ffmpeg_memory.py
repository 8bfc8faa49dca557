"""How much memory FFmpeg may allocate at once, and how large the frames of a video may be.

A stream decides how large its parts and frames are: an MJPEG part of 2 GB, a frame of 16,000 x 16,000 pixels. FFmpeg
allocates each packet, index and plane of a frame in one block. Its `av_max_alloc` bounds all blocks of the process, and
a larger one fails as on a machine without memory: nothing of it is written. OpenCV has no setting for that.

Frames may also grow in the middle of a video. A process that is ours alone, a command, therefore lowers the bound once
the first frame is there, to what frames of its size need.
"""

import contextlib
import ctypes
import logging
from collections.abc import Iterator
from pathlib import Path

from fer_edge.guards.limits import MAX_FRAME_PIXELS, MAX_PART_BYTES
from fer_edge.opencv import cv2

log = logging.getLogger(__name__)

MAPS = Path("/proc/self/maps")  # the libraries of this process, on Linux
BGRA_BYTES = 4  # of a pixel: the widest packed format of ordinary videos
LEAST_BYTES = 5_000_000  # planes of 1920 x 1088 samples of 10 bits, so that a recording may change to them
SPARE = 1.25  # for margins around planes
WRITER_BYTES = 12  # of a pixel, which FFmpeg's encoders may take at once

_bound_bytes = 0  # that is in force
_blocks: dict[str, int] = {}  # bytes of the largest block that each user of FFmpeg needs, in a process of ours


def bound_ffmpeg() -> None:
    """Let OpenCV's FFmpeg allocate no larger blocks than MAX_PART_BYTES, or than a frame needs.

    Needed before a video is opened. It counts for the whole process, also for captures of others. Where FFmpeg is not
    found, as outside Linux, nothing is bounded.
    """
    _bound(_most_bytes())


@contextlib.contextmanager
def own_process() -> Iterator[None]:
    """Inside the block this process is ours alone: no captures of others would suffer from a lower bound."""
    _blocks["least"] = LEAST_BYTES
    try:
        yield
    finally:
        _blocks.clear()
        bound_ffmpeg()


def lower_bound(user: str = "", block_bytes: float = 0.0) -> None:
    """Let FFmpeg allocate no larger blocks than its users need, until the next video is opened.

    user: "source" or "writer", and block_bytes the largest block that it needs from now on; "" if nothing has changed.
    Nothing is lowered outside `own_process`.
    """
    if _blocks:
        if user:
            _blocks[user] = round(SPARE * block_bytes)
        _bound(min(_most_bytes(), max(_blocks.values())))


def allows_frames(plane_bytes: float) -> bool:
    """Whether frames whose planes have `plane_bytes` can be decoded now; False if that is not certain."""
    return SPARE * plane_bytes <= (_bound_bytes or _most_bytes())


def _most_bytes() -> int:
    return max(MAX_PART_BYTES.value, BGRA_BYTES * MAX_FRAME_PIXELS.value)


def _bound(most: int) -> None:
    global _bound_bytes  # as FFmpeg's own is one of the whole process
    _bound_bytes = most
    for library in _libraries():
        library.av_max_alloc(ctypes.c_size_t(most))


def frame_fault(capture: cv2.VideoCapture) -> str:
    """Why the frames of an opened video are too large, by its headers; "" if they are not."""
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    return size_fault(int(width), int(height))


def size_fault(width: int, height: int) -> str:
    """Why frames of that size are too large; "" if they are not."""
    limit = MAX_FRAME_PIXELS.value
    if width * height <= limit:
        return ""
    return f"its frames have {width} x {height} pixels, more than {limit:,}: set {MAX_FRAME_PIXELS.variable}"


def _libraries() -> list[ctypes.CDLL]:
    """The FFmpeg libraries that this process has loaded."""
    try:
        maps = MAPS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    paths = {line.split(maxsplit=5)[5] for line in maps.splitlines() if "/libavutil" in line}
    found = []
    for path in paths:
        try:
            library = ctypes.CDLL(path)
            library.av_max_alloc.restype = None
        except (OSError, AttributeError) as error:  # deleted meanwhile, or not FFmpeg's
            log.debug("%s: %s", path, error)
        else:
            found.append(library)
    return found
