"""Video files, and cameras of this machine."""

import contextlib
import math
import sys
from collections.abc import Callable
from pathlib import Path

from fer_edge.errors import SourceError
from fer_edge.framing import Image
from fer_edge.media.captures import open_video
from fer_edge.media.decoder_memory import fourcc_of
from fer_edge.media.ends import Delivered, FrameTimes, changed_frames, missing_frames
from fer_edge.media.ffmpeg_memory import size_fault
from fer_edge.media.interlaced import open_deinterlaced
from fer_edge.media.playlists import HEAD_BYTES, is_playlist
from fer_edge.opencv import cv2
from fer_edge.sources.base import SourceFrame
from fer_edge.sources.capture import DEFAULT_FPS, CaptureSource, ProgressiveSource

DEFAULT_CAMERA_SIZE = (640, 480)
# On Windows OpenCV would take Media Foundation first, which opens some cameras only after a minute.
CAMERA_BACKENDS = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_DSHOW}
CAMERA_ADVICE = {
    "linux": "fer-edge --list-cameras lists the cameras",
    "darwin": "allow your terminal to use the camera (System Settings, Privacy & Security), then run it again",
    "win32": "allow desktop apps to use the camera (Settings, Privacy & security), or give another number",
}
SEEK_TRIES = 4
FIRST_BYTES = 1 << 20  # in which the first parameters of a stream are
STARTS = (b"\0\0\1", b"\0\0\0\1", b"\xff\xd8\xff")  # of raw H.264, HEVC and MJPEG
INDEX_SHARE = 1 / 16  # of an mp4: FFmpeg's index, built from its fragments, has 32 bytes for a frame of 500 or more


class VideoFileSource(ProgressiveSource):
    """A video file: every frame, in order, with its media time. Interlaced frames are deinterlaced."""

    def __init__(self, path: Path) -> None:
        self._path, self._sought, self._times = path, False, FrameTimes()
        head = _first_bytes(path)
        if _is_stream(head):
            _check_size(path, head)
        self._index_bytes = 0.0 if _is_stream(head) or not head else INDEX_SHARE * path.stat().st_size
        super().__init__(path, open_video(path), str(path), False, _advice(path))
        size = (int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        self._delivered = Delivered(fourcc_of(self._capture).lower(), size, self._pixel_aspect(), False)
        # Without a length, as raw H.264 has none, OpenCV seeks to wrong frames.
        self.seekable = self.fps is not None and self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        self._second = self._next_frame()
        if self._second is None and self._decoded == 1 and not self._deinterlaces:
            self._look()
        if self._second is None and self._decoded == 1 and not self._deinterlaces and _has_film(path):
            self._continue_with(open_deinterlaced(path))
            self._second = self._next_frame()
        self._bound_memory()

    def read(self) -> SourceFrame | None:
        """The next frame; None at the end, with `missing` set."""
        frame, self._first = self._first, None
        if frame is None:
            frame, self._second = self._second or self._next_frame(), None
        if self._sought:
            return frame
        if frame is None:
            with contextlib.suppress(OSError):  # the file is gone
                self._count_missing()
        else:
            self._times.add(frame.media_time_s or 0.0)
        return frame

    def _block_bytes(self) -> float:
        return max(super()._block_bytes(), self._index_bytes)

    def _count_missing(self) -> None:
        changed = changed_frames(
            self._path, self._decoded, self._delivered._replace(is_deinterlaced=self._deinterlaces)
        )
        if changed.why:
            self.missing, self.misread, self.missing_reason = changed
        else:
            self.missing, self.missing_reason = missing_frames(
                self._path, self._decoded, self.frame_count, self._times, self._breaks
            )

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
            frame = self._next_frame()
            self._bound_memory()
            return frame
        self._capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * max(0.0, media_time_s))
        return self._next_frame()


def _first_bytes(path: Path) -> bytes:
    """The first bytes of the file; none of a pipe, which can be read only once."""
    with contextlib.suppress(OSError):
        return _head(path, FIRST_BYTES) if path.is_file() else b""
    return b""


def _is_stream(head: bytes) -> bool:
    """Whether a file that begins so may be a transport stream or a raw one, which have no index."""
    return head[:1] == b"G" or head[4:5] == b"G" or head.startswith(STARTS)


def _check_size(path: Path, head: bytes) -> None:
    """SourceError for frames that are too large, before FFmpeg decodes some of them to know a stream."""
    from fer_edge.media.bitstream.changes import first_frames  # few videos need it

    frames = first_frames(head)
    if frames is not None and (fault := size_fault(frames.width, frames.height)):
        raise SourceError(f"{path} can't be used: {fault}")


def _has_film(path: Path) -> bool:
    """Whether a file whose first track is one image, such as a cover, has a film, too; FFmpeg's filters choose that."""
    capture = open_deinterlaced(path)
    try:
        return capture.isOpened() and capture.grab() and capture.grab()
    finally:
        capture.release()


def _advice(path: Path) -> str:
    """What to do about a file that can't be opened."""
    with contextlib.suppress(OSError):
        if path.is_file() and is_playlist(_head(path)):
            return "it is a playlist, which names other files: give those"
    return "it is damaged, cut short or not a video: name a video (mp4, mkv, mov, avi, webm, gif) or an image"


def _head(path: Path, count: int = HEAD_BYTES) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def camera_name(camera: int | str) -> str:
    """The camera's name in messages."""
    return f"camera {camera}" if isinstance(camera, int) else camera


class CameraSource(CaptureSource):
    """A USB or laptop camera by number or /dev path.

    Requests MJPG, which USB 2 carries at full rate, and the smallest buffer, so that frames are fresh. gray: color is
    not needed; frames are taken as the camera sends them and only their luma is decoded.
    """

    def __init__(self, camera: int | str, size: tuple[int, int] | None = None, gray: bool = False) -> None:
        from fer_edge.sources.v4l2 import check_free, luma_decoder  # video files do without

        name, linux = camera_name(camera), sys.platform == "linux"
        self._luma: Callable[[Image], Image | None] | None = None
        if linux:
            check_free(Path(f"/dev/video{camera}" if isinstance(camera, int) else camera), name)
        capture = _open_camera(camera)
        if capture.isOpened():
            width, height = size or DEFAULT_CAMERA_SIZE
            if sys.platform in CAMERA_BACKENDS:
                capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            if linux and gray:
                rows = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
                self._luma = luma_decoder(fourcc_of(capture), rows)
            if self._luma is not None:
                capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        advice = CAMERA_ADVICE.get(sys.platform, "give another number")
        super().__init__(capture, name, True, f"{advice}; the source demo: needs none")

    def _decode(self, retrieved: Image) -> Image | None:
        is_bgr = retrieved.ndim == 3 and retrieved.shape[2] == 3  # some drivers convert anyway
        return retrieved if self._luma is None or is_bgr else self._luma(retrieved)


def _open_camera(camera: int | str) -> cv2.VideoCapture:
    """The camera through this system's usual backend, else through any other that opens it."""
    backend = CAMERA_BACKENDS.get(sys.platform, cv2.CAP_ANY)
    capture = cv2.VideoCapture(camera, backend)
    if backend == cv2.CAP_DSHOW and not capture.isOpened():
        capture = cv2.VideoCapture(camera, cv2.CAP_ANY)
    return capture
