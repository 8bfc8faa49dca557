"""How much memory FFmpeg may allocate at once, and how large the frames of a video may be.

A stream decides how large its parts and frames are: an MJPEG part of 2 GB, a frame of 16,000 x 16,000 pixels. FFmpeg
allocates each packet, index and plane of a frame in one block. Its `av_max_alloc` bounds all blocks of the process, and
a larger one fails as on a machine without memory: nothing of it is written. OpenCV has no setting for that.
"""

import ctypes
import logging
from pathlib import Path

from fer_edge.guards.limits import MAX_FRAME_PIXELS, MAX_PART_BYTES
from fer_edge.opencv import cv2

log = logging.getLogger(__name__)

MAPS = Path("/proc/self/maps")  # the libraries of this process, on Linux
BGRA_BYTES = 4  # of a pixel: the widest packed format of ordinary videos


def bound_ffmpeg() -> None:
    """Let OpenCV's FFmpeg allocate no larger blocks than MAX_PART_BYTES, or than a frame needs.

    Needed before a video is opened. It counts for the whole process, also for captures of others. Where FFmpeg is not
    found, as outside Linux, nothing is bounded.
    """
    most = max(MAX_PART_BYTES.value, BGRA_BYTES * MAX_FRAME_PIXELS.value)
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
