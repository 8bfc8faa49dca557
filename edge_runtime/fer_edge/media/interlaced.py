"""Interlaced videos: OpenCV 4.13 and newer can't convert their frames, and don't say so.

swscale of FFmpeg 8 refuses interlaced frames ("Cannot convert interlaced to progressive frames"). OpenCV ignores that
and returns its buffer as it was: uninitialized, or the frame before. FFmpeg's filters, which pip's OpenCV contains,
read such files and streams through the input format `lavfi` and deinterlace them.
"""

from pathlib import Path

from fer_edge.media.captures import Stream, open_filtered
from fer_edge.opencv import cv2

LOOK_FRAMES = 100  # how far a look for interlaced frames goes


def open_deinterlaced(source: Path | Stream) -> cv2.VideoCapture:
    """The frames of a video, the interlaced ones deinterlaced, not rotated; not opened if FFmpeg has no filters."""
    return open_filtered(source, "scale=interl=-1,yadif=deint=interlaced")


def has_interlaced_frames(source: Path | Stream, near_s: float, frames: int = LOOK_FRAMES) -> bool | None:
    """True if a video, from the key frame before `near_s` seconds on, has interlaced ones among `frames`.

    None if it can't be looked at: a server takes no second connection, or FFmpeg has no filters, and is then older than
    the fault.
    """
    kinds = "select='not(eq(interlace_type,PROGRESSIVE))'"
    capture = open_filtered(source, f"trim=end_frame={frames},{kinds}", near_s)
    try:
        return bool(capture.grab()) if capture.isOpened() else None
    finally:
        capture.release()
