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
DEFAULT_FPS = 30.0  # of a file without a frame rate
SEEK_TRIES = 4


def redact(url: str) -> str:
    """`url` without user name, password and query: cameras take passwords and tokens in the query, too."""
    return re.sub(r"\?.*", "?***", re.sub(r"(?<=://)[^/?#]*@", "***@", url))


class _Capture(Source):
    """A VideoCapture whose first frame has been read, because some open and never give one."""

    def __init__(self, capture: cv2.VideoCapture, name: str, live: bool, advice: str) -> None:
        self.name, self.live = name, live
        self._capture = capture
        # FFmpeg's `ansi` decoder opens any text file as a video.
        if not capture.isOpened() or capture.get(cv2.CAP_PROP_FOURCC) == cv2.VideoWriter.fourcc(*"ansi"):
            capture.release()
            raise SourceError(f"{name} can't be opened: {advice}")
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(fps) if 0 < fps <= 1000 else None
        count = 0.0 if live else capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frame_count = int(count) if 0 < count < 1e12 else None
        self._timestamp_s, self._offset_s = -math.inf, 0.0
        self._first = self._next_frame()
        if self._first is None:
            capture.release()
            raise SourceError(f"{name} opens but gives no frame: {advice}")
        self.properties = {"size": self._size(), "format": _fourcc(capture), "fps": self.fps}

    def _size(self) -> list[int] | None:
        if self._first is None or self._first.image is None:
            return None
        height, width = self._first.image.shape[:2]
        return [width, height]

    def _next_frame(self) -> SourceFrame | None:
        if not self._capture.grab():
            return None
        captured_at = time.monotonic()  # before decoding, which counts as our time
        media_time_s = None if self.live else self._media_time_s()
        ok, image = self._capture.retrieve()
        decoded = self._decode(np.asarray(image, dtype=np.uint8)) if ok else None
        return SourceFrame(decoded, media_time_s, captured_at=captured_at)

    def _decode(self, retrieved: Image) -> Image | None:
        """The frame's image from what the backend gave; None if it can't be decoded."""
        return retrieved

    def _media_time_s(self) -> float:
        """The frame's timestamp, advanced by one frame where timestamps repeat (raw H.264) or restart."""
        timestamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if timestamp_s <= self._timestamp_s:
            self._offset_s += self._timestamp_s - timestamp_s + 1 / (self.fps or DEFAULT_FPS)
        self._timestamp_s = timestamp_s
        return timestamp_s + self._offset_s

    def read(self) -> SourceFrame | None:
        """The next frame; None at a file's end, SourceError when a live source is lost."""
        frame, self._first = self._first or self._next_frame(), None
        if frame is None and self.live:
            raise SourceError(f"{self.name} gives no more frames: the source is lost")
        return frame

    def close(self) -> None:
        """Release the device or file."""
        self._capture.release()


class VideoFileSource(_Capture):
    """A video file: every frame, in order, with its media time."""

    def __init__(self, path: Path) -> None:
        advice = "it is damaged, cut short or not a video: name a video (mp4, mkv, mov, avi, webm, gif) or an image"
        if re.search("[\ud800-\udfff]", str(path)):  # bytes that are no text; OpenCV would crash
            raise SourceError(f"{str(path)!r} can't be opened: rename the video, its name is not UTF-8")
        super().__init__(cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), str(path), False, advice)
        # Without a length, as raw H.264 has none, OpenCV seeks to wrong frames.
        self.seekable = self.fps is not None and self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0

    def seek(self, media_time_s: float) -> None:
        """OpenCV seeks too far where frame durations vary: then try earlier, and read on from there."""
        half_s = 0.5 / (self.fps or DEFAULT_FPS)
        aim_s = media_time_s
        for _ in range(SEEK_TRIES):
            frame = self._frame_near(aim_s)
            late_s = 1.0 if frame is None else (frame.media_time_s or 0.0) - media_time_s
            if late_s <= half_s or aim_s <= 0:
                break
            aim_s -= late_s + 2 * half_s
        while frame is not None and (frame.media_time_s or 0.0) < media_time_s - half_s:
            frame = self._next_frame()
        self._first = frame

    def _frame_near(self, media_time_s: float) -> SourceFrame | None:
        self._timestamp_s, self._offset_s = -math.inf, 0.0  # timestamps may go back now
        self._capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * max(0.0, media_time_s))
        return self._next_frame()


def _fourcc(capture: cv2.VideoCapture) -> str:
    """The four-letter code of the delivered format, such as MJPG; "" if the backend does not name one."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    return code.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ")


def camera_name(camera: int | str) -> str:
    """The camera's name in messages."""
    return f"camera {camera}" if isinstance(camera, int) else camera


class CameraSource(_Capture):
    """A USB or laptop camera by number or /dev path.

    Requests MJPG, which USB 2 carries at full rate, and the smallest buffer, so that frames are fresh. gray: color is
    not needed; frames are taken as the camera sends them and only their luma is decoded.
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
                self._luma = luma_decoder(_fourcc(capture), rows)
            if self._luma is not None:
                capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        super().__init__(capture, name, True, "fer-edge --list-cameras lists the cameras; the source demo: needs none")

    def _decode(self, retrieved: Image) -> Image | None:
        is_bgr = retrieved.ndim == 3 and retrieved.shape[2] == 3  # some drivers convert anyway
        return retrieved if self._luma is None or is_bgr else self._luma(retrieved)


class UrlSource(_Capture):
    """An RTSP, HTTP or other network stream. One of known length is a file: every frame is read."""

    def __init__(self, url: str) -> None:
        # Name FFmpeg explicitly: other backends ignore the timeouts. OpenCV makes it prefer TCP for RTSP.
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
