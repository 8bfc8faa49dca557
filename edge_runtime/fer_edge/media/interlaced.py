"""Interlaced videos: OpenCV 4.13 and newer can't convert their frames, and don't say so.

swscale of FFmpeg 8 refuses interlaced frames ("Cannot convert interlaced to progressive frames"). OpenCV ignores that
and returns its buffer as it was: uninitialized, or the frame before. FFmpeg's filters, which pip's OpenCV contains,
read such files through the input format `lavfi` and deinterlace them.
"""

import os
import re
import threading
from pathlib import Path

from fer_edge.opencv import cv2

OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"  # OpenCV reads it whenever it opens a video
LOOK_FRAMES = 100  # how far a look for interlaced frames goes
_lock = threading.Lock()


def open_deinterlaced(path: Path) -> cv2.VideoCapture:
    """The frames of a video, the interlaced ones deinterlaced, not rotated; not opened if FFmpeg has no filters."""
    return _open(f"movie={_escaped(path)},scale=interl=-1,yadif=deint=interlaced")


def has_interlaced_frames(path: Path, near_s: float) -> bool:
    """True if the video, from the key frame before `near_s` seconds on, has interlaced frames.

    False also if FFmpeg has no filters: then OpenCV is older than the fault.
    """
    seek = f":seek_point={near_s:.3f}" if near_s > 0 else ""
    kinds = "select='not(eq(interlace_type,PROGRESSIVE))'"
    capture = _open(f"movie={_escaped(path)}{seek},trim=end_frame={LOOK_FRAMES},{kinds}")
    try:
        return bool(capture.isOpened() and capture.grab())
    finally:
        capture.release()


def _escaped(path: Path) -> str:
    """A file name inside a filter graph: escaped as an option's value, then as part of a graph."""
    value = re.sub(r"([\\':])", r"\\\1", str(path.absolute()))
    return re.sub(r"([\\'\[\],;])", r"\\\1", value)


def _open(graph: str) -> cv2.VideoCapture:
    with _lock:
        before = os.environ.get(OPTIONS)
        os.environ[OPTIONS] = "input_format;lavfi"
        try:
            return cv2.VideoCapture(graph, cv2.CAP_FFMPEG)
        finally:
            if before is None:
                del os.environ[OPTIONS]
            else:
                os.environ[OPTIONS] = before
