"""Cameras, video files and URLs through cv2.VideoCapture."""

import math
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fer_edge.errors import SourceError
from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.sources.base import Source, SourceFrame
from fer_edge.sources.v4l2 import check_free, luma_decoder

OPEN_TIMEOUT_MS = 10_000
READ_TIMEOUT_MS = 10_000
DEFAULT_CAMERA_SIZE = (640, 480)
DEFAULT_FPS = 30.0  # of a file that does not say


def redact(url: str) -> str:
    """`url` without user name, password and query, where cameras take passwords and tokens, too."""
    return re.sub(r"\?.*", "?***", re.sub(r"(?<=://)[^/?#]*@", "***@", url))


class _Capture(Source):
    """A VideoCapture whose first frame has been read, since some open that never give one."""

    def __init__(self, capture: cv2.VideoCapture, name: str, live: bool, advice: str) -> None:
        self.name, self.live = name, live
        self._capture = capture
        # FFmpeg's `ansi` decoder makes a video of any text.
        if not capture.isOpened() or capture.get(cv2.CAP_PROP_FOURCC) == cv2.VideoWriter.fourcc(*"ansi"):
            capture.release()
            raise SourceError(f"{name} can't be opened: {advice}")
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(fps) if 0 < fps <= 1000 else None
        self._stamp_s, self._offset_s = -math.inf, 0.0
        self._first = self._grab()
        if self._first is None:
            capture.release()
            raise SourceError(f"{name} opens but gives no frame: {advice}")
        self.properties = {"size": self._size(), "format": _letters(capture), "fps": self.fps}

    def _size(self) -> list[int] | None:
        if self._first is None or self._first.image is None:
            return None
        height, width = self._first.image.shape[:2]
        return [width, height]

    def _grab(self) -> SourceFrame | None:
        if not self._capture.grab():
            return None
        captured_at = time.monotonic()  # before decoding, which is our own time
        media_time_s = None if self.live else self._media_time_s()
        ok, image = self._capture.retrieve()
        picture = self._picture(np.asarray(image, dtype=np.uint8)) if ok else None
        return SourceFrame(picture, media_time_s, captured_at=captured_at)

    def _picture(self, retrieved: Image) -> Image | None:
        return retrieved

    def _media_time_s(self) -> float:
        """The frame's own time stamp, going on by a frame where the stamps stand still (raw H.264) or start anew."""
        stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if stamp_s <= self._stamp_s:
            self._offset_s += self._stamp_s - stamp_s + 1 / (self.fps or DEFAULT_FPS)
        self._stamp_s = stamp_s
        return stamp_s + self._offset_s

    def read(self) -> SourceFrame | None:
        """The next frame; None at a file's end, SourceError when a live source is lost."""
        grab, self._first = self._first or self._grab(), None
        if grab is None and self.live:
            raise SourceError(f"{self.name} gives no more frames: the source is lost")
        return grab

    def close(self) -> None:
        """Release the device or file."""
        self._capture.release()


class VideoFileSource(_Capture):
    """A video file: every frame, in order, with its media time."""

    def __init__(self, path: Path) -> None:
        advice = "it is damaged, cut short or no video: name a video file (mp4, mkv, mov, avi, webm, gif) or a picture"
        super().__init__(cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), str(path), False, advice)


def _letters(capture: cv2.VideoCapture) -> str:
    """The four letters of the format that it delivers or decodes, such as MJPG; "" if it does not say."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    return code.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ")


def camera_name(camera: int | str) -> str:
    """How messages call a camera."""
    return f"camera {camera}" if isinstance(camera, int) else camera


class CameraSource(_Capture):
    """A USB or laptop camera by number or /dev path.

    It is asked for MJPG, which USB 2 carries at full rate, and the smallest buffer, so that frames are fresh. Where
    colour is not needed (`grey`), frames are taken as the camera sends them, and only their luma is decoded.
    """

    def __init__(self, camera: int | str, size: tuple[int, int] | None = None, gray: bool = False) -> None:
        name, linux = camera_name(camera), sys.platform == "linux"
        self._luma: Callable[[Image], Image | None] | None = None
        if linux:
            check_free(Path(f"/dev/video{camera}" if isinstance(camera, int) else camera), name)
        capture = cv2.VideoCapture(camera, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
        if capture.isOpened():
            width, height = size or DEFAULT_CAMERA_SIZE
            if linux:
                capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            if linux and gray:
                rows = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
                self._luma = luma_decoder(_letters(capture), rows)
            if self._luma is not None:
                capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        super().__init__(capture, name, True, "see fer-edge --list-cameras, or try --source demo: without a camera")

    def _picture(self, retrieved: Image) -> Image | None:
        converted = retrieved.ndim == 3 and retrieved.shape[2] == 3  # by a driver that does not do otherwise
        return retrieved if self._luma is None or converted else self._luma(retrieved)


class UrlSource(_Capture):
    """An RTSP, HTTP or other network stream. One whose length is known is a file and is read whole."""

    def __init__(self, url: str) -> None:
        # FFmpeg is named explicitly: otherwise the time-outs are ignored. OpenCV has it prefer TCP for RTSP.
        capture = cv2.VideoCapture(
            url,
            cv2.CAP_FFMPEG,
            [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS,
                cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS,
            ],
        )  # fmt: skip
        live = capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0
        super().__init__(capture, redact(url), live, "check the address, the network and the credentials")
