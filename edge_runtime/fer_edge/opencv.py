"""The one place that imports cv2: quietly, and with a sentence instead of a traceback when it can't."""

import os

from fer_edge.errors import FerError

# OpenCV and FFmpeg write straight to the C stderr, thousands of lines for some streams. Both read
# these at import; a user who wants them sets them before.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET

try:
    import cv2
except ImportError as error:
    raise FerError(
        f"OpenCV can't be loaded ({error}): on Debian and Raspberry Pi OS, sudo apt-get install libgl1 libglib2.0-0"
    ) from error

__all__ = ["cv2"]
