"""Cameras, video files and URLs through cv2.VideoCapture."""

import contextlib
import logging
import math
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fer_edge.errors import SourceError
from fer_edge.framing import Image
from fer_edge.guards.secrets import shown_source
from fer_edge.media.ends import FrameTimes, missing_frames
from fer_edge.media.interlaced import has_interlaced_frames, open_deinterlaced
from fer_edge.opencv import cv2
from fer_edge.sources.base import Source, SourceFrame
from fer_edge.sources.v4l2 import check_free, luma_decoder

log = logging.getLogger(__name__)

OPEN_TIMEOUT_MS = 10_000
READ_TIMEOUT_MS = 10_000
DEFAULT_CAMERA_SIZE = (640, 480)
DEFAULT_FPS = 30.0  # of a file without a frame rate
SEEK_TRIES = 4
MAX_PIXEL_ASPECT = 8.0  # the widest pixels of a real format are 3:1; anything beyond this is a damaged header
MIN_GRABS, MAX_GRABS = 16, 10_000  # tries for a further frame of a file of unknown length, and of any file
STILL_FORMATS = {"MJPG", "MPNG", "PNG", "WEBP", "BMP", "TIFF", "JP2K", "PPM", "PGM"}  # codecs of images
MANY_EQUAL = 50
INTERLACED_ADVICE = (
    "if it is interlaced, OpenCV can't convert it: let the camera send progressive frames, or convert a file with "
    "ffmpeg -i IN -vf yadif OUT.mp4"
)
SAMPLED_ROWS = 16  # every 16th row is compared first
TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


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
        self._decoded = self._breaks = 0  # frames, and how often they went on after a failure
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
        if not self._grab():
            return None
        captured_at = time.monotonic()  # before decoding, which counts as our time
        media_time_s = None if self.live else self._media_time_s()
        ok, image = self._capture.retrieve()
        decoded = self._decode(np.asarray(image, dtype=np.uint8)) if ok else None
        self._decoded += 1
        return SourceFrame(decoded, media_time_s, problem="it can't be decoded", captured_at=captured_at)

    def _grab(self) -> bool:
        """Take the next frame. Good frames may follow a damaged one, so a file is read on while it owes frames."""
        owed = 0 if self.live else MIN_GRABS if self.frame_count is None else self.frame_count - self._decoded
        for failed in range(1 + min(max(owed, 0), MAX_GRABS)):
            if self._capture.grab():
                self._breaks += failed > 0
                return True
        return False

    def _decode(self, retrieved: Image) -> Image | None:
        """The frame's image, with square pixels, from what the backend gave; None if it can't be decoded."""
        return _with_square_pixels(retrieved, self._pixel_aspect())

    def _pixel_aspect(self) -> float:
        """Width of a pixel by its height, as the frames are delivered (turned upright); 1 if unknown."""
        capture = self._capture
        wide, high = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
        if not (wide > 0 and high > 0 and 1 / MAX_PIXEL_ASPECT <= wide / high <= MAX_PIXEL_ASPECT):
            return 1.0
        sideways = capture.get(cv2.CAP_PROP_ORIENTATION_AUTO) and capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90
        return high / wide if sideways else wide / high

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
    """A video file: every frame, in order, with its media time. Interlaced frames are deinterlaced.

    A frame that equals the one before it may be one that OpenCV failed to convert. Only then is the file searched for
    interlaced frames (`media.interlaced`), and read through FFmpeg's filters if it has any.
    """

    def __init__(self, path: Path) -> None:
        advice = "it is damaged, cut short or not a video: name a video (mp4, mkv, mov, avi, webm, gif) or an image"
        if re.search("[\ud800-\udfff]", str(path)):  # bytes that are no text; OpenCV would crash
            raise SourceError(f"{str(path)!r} can't be opened: rename the video, its name is not UTF-8")
        self._path = path
        self._before: Image | None = None  # the frame before, as it was delivered
        self._equal, self._next_look = 0, 1  # frames that equal the one before; looks are made at 1, 2, 4, ...
        self._deinterlaces, self._sought = False, False
        self._turn: int | None = None
        self._aspect = 1.0
        self._times = FrameTimes()
        super().__init__(cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), str(path), False, advice)
        # Without a length, as raw H.264 has none, OpenCV seeks to wrong frames.
        self.seekable = self.fps is not None and self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        self._second = self._next_frame()
        if self._second is None and self._decoded == 1 and not self._deinterlaces:
            self._look()

    def _decode(self, retrieved: Image) -> Image | None:
        if self._deinterlaces:
            turned = retrieved if self._turn is None else np.asarray(cv2.rotate(retrieved, self._turn), dtype=np.uint8)
            return _with_square_pixels(turned, self._aspect)
        self._equal += self._before is not None and _are_equal(retrieved, self._before)
        self._before = retrieved
        return super()._decode(retrieved)

    def _next_frame(self) -> SourceFrame | None:
        frame = super()._next_frame()
        if frame is not None and not self._deinterlaces and self._equal == self._next_look:
            self._next_look *= 2
            if self._look(frame.media_time_s or 0.0):
                return self._retaken(frame)
        return frame

    def _look(self, near_s: float = 0.0) -> bool:
        """Search for interlaced frames near `near_s`; if there are any, continue through FFmpeg's filters."""
        if not has_interlaced_frames(self._path, near_s - 1.0):
            return False
        capture = open_deinterlaced(self._path)
        if not capture.isOpened():
            return False
        plain = self._capture
        self._aspect = self._pixel_aspect()
        if plain.get(cv2.CAP_PROP_ORIENTATION_AUTO):
            self._turn = TURNS.get(round(plain.get(cv2.CAP_PROP_ORIENTATION_META)))
        self._capture, self._deinterlaces, self._before = capture, True, None
        plain.release()
        if self._decoded <= 2:  # the frames so far were not delivered yet
            self._restart()
        else:
            for _ in range(self._decoded - 1):
                capture.grab()
        return True

    def _restart(self) -> None:
        self._timestamp_s, self._offset_s, self._decoded, self._breaks = -math.inf, 0.0, 0, 0
        self._second = None
        self._first = self._next_frame()

    def _retaken(self, frame: SourceFrame) -> SourceFrame | None:
        """The frame that `frame` should have been, through FFmpeg's filters."""
        if self._decoded <= 1:  # restarted
            return self._next_frame()
        again = super()._next_frame()
        self._decoded -= 1
        return None if again is None else SourceFrame(again.image, frame.media_time_s, captured_at=frame.captured_at)

    def read(self) -> SourceFrame | None:
        """The next frame; None at the end, with `missing` set."""
        frame, self._first = self._first, None
        if frame is None:
            frame, self._second = self._second or self._next_frame(), None
        if self._sought:
            return frame
        if frame is None:
            with contextlib.suppress(OSError):  # the file is gone
                self.missing, self.missing_reason = missing_frames(
                    self._path, self._decoded, self.frame_count, self._times, self._breaks
                )
        else:
            self._times.add(frame.media_time_s or 0.0)
        return frame

    def seek(self, media_time_s: float) -> None:
        """OpenCV seeks too far where frame durations vary: then try earlier, and read on from there."""
        self._sought, self._second, self._before = True, None, None
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
        if self._deinterlaces:  # filters can't go back
            self._capture.release()
            self._capture = open_deinterlaced(self._path)
            return self._next_frame()
        self._capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * max(0.0, media_time_s))
        return self._next_frame()


def _with_square_pixels(image: Image, aspect: float) -> Image:
    """`image`, whose pixels are `aspect` times as wide as high, scaled to square ones: its width changes."""
    width = max(1, round(image.shape[1] * aspect))
    if width == image.shape[1]:
        return image
    return np.asarray(cv2.resize(image, (width, image.shape[0]), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _are_equal(image: Image, other: Image) -> bool:
    return (
        image.shape == other.shape
        and np.array_equal(image[::SAMPLED_ROWS], other[::SAMPLED_ROWS])
        and np.array_equal(image, other)
    )


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
        self._second: SourceFrame | None = None
        self._before: Image | None = None
        self._equal = 0  # frames since the first one that equal it
        super().__init__(capture, shown_source(url), live, "check the address, the network and the credentials")

    def is_one_image(self) -> bool:
        """True if the URL gave one image; to know that of an image's format, this waits for a second frame."""
        if self.frame_count == 1 or _fourcc(self._capture).upper() not in STILL_FORMATS:
            return self.frame_count == 1
        self._second = self._next_frame()
        return self._second is None

    def _decode(self, retrieved: Image) -> Image | None:
        if self._before is not None:
            self._equal += 1
            if not _are_equal(retrieved, self._before):
                self._before, self._equal = None, MANY_EQUAL + 1
            elif self._equal == MANY_EQUAL:
                log.warning("%s: its first %d frames are equal: %s", self.name, MANY_EQUAL + 1, INTERLACED_ADVICE)
        elif not self._decoded:
            self._before = retrieved
        return super()._decode(retrieved)

    def read(self) -> SourceFrame | None:
        """The next frame; None at a file's end, SourceError when a live source is lost."""
        if self._first is None and self._second is not None:
            frame, self._second = self._second, None
            return frame
        return super().read()
