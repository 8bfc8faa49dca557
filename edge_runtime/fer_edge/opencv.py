"""The only module that imports cv2: with its logs off, and with a one-line error if it can't be loaded."""

import os

from fer_edge.errors import FerError
from fer_edge.guards.shortages import shortage

# OpenCV and FFmpeg write to the C stderr, thousands of lines for some streams. Both read these variables at import;
# a user who wants the logs sets them before.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
# How many packets of sound, or damaged ones, may come between two frames. OpenCV's 4,096 are 100 s of sound, after
# which a film would seem to end.
os.environ.setdefault("OPENCV_FFMPEG_READ_ATTEMPTS", "10000000")

try:
    import cv2
except ImportError as error:
    if (cause := shortage(error)) is not None:
        raise FerError(f"OpenCV can't be loaded: {cause}") from error
    raise FerError(
        f"OpenCV can't be loaded ({error}): on Debian and Raspberry Pi OS, sudo apt-get install libgl1 libglib2.0-0"
    ) from error

__all__ = ["cv2"]
