"""Network streams: RTSP, HTTP and others, which lead nowhere but to their own host."""

import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from fer_edge.errors import SourceError
from fer_edge.guards.secrets import shown_source
from fer_edge.media.captures import READ_TIMEOUT_MS, Stream, ffmpeg_follows_redirects, open_stream, stream
from fer_edge.media.decoder_memory import fourcc_of
from fer_edge.media.remote.redirects import is_http, target_of
from fer_edge.opencv import cv2
from fer_edge.sources.base import SourceFrame
from fer_edge.sources.capture import DEFAULT_FPS, ProgressiveSource

if TYPE_CHECKING:
    from fer_edge.media.remote.gate import Gate

log = logging.getLogger(__name__)

SOUND_S = 1.0  # by which sound may outlast the frames: an announced length is that of the longer one; more is looked at
ADVICE = "if it is interlaced, OpenCV can't convert it: let the camera send progressive frames"
STILL_FORMATS = {"MJPG", "MPNG", "PNG", "WEBP", "BMP", "TIFF", "JP2K", "PPM", "PGM"}  # codecs of images


class UrlSource(ProgressiveSource):
    """An RTSP, HTTP or other network stream. One of known length is a file: every frame is read.

    Each look for interlaced frames is one more connection and takes as long as its frames, so there are few. Behind a
    cut, FFmpeg may connect again and again until the time for a read is over.
    """

    patience_s = 0.9 * READ_TIMEOUT_MS / 1000
    look_frames, look_factor, max_looks = 12, 8, 3

    def __init__(self, url: str) -> None:
        self._end_s = 0.0  # of the last frame
        name = shown_source(url)
        try:
            origin, capture, self._gate = _connect(url)
        except ValueError as error:
            raise SourceError(f"{name} can't be opened: {error}") from error
        self._stream = origin
        live = capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0
        is_still = fourcc_of(capture).upper() in STILL_FORMATS
        if is_still:  # never interlaced
            self.max_looks = 0
        try:
            super().__init__(origin, capture, name, live, self._advice())
        except SourceError:
            self._close_gate()
            raise
        if not is_still:
            self._second = self._next_frame()

    def _advice(self) -> str:
        """What to do if it can't be opened."""
        if self._gate is None:
            return "check the address, the network and the credentials"
        return self._gate.refused or "its playlist names nothing that can be read: only videos of its server are"

    def _look_failed(self) -> None:
        if self._looks == self.max_looks and not ffmpeg_follows_redirects():  # an older FFmpeg converts all frames
            log.warning("%s: many of its frames are equal, and it takes no second connection: %s", self.name, ADVICE)

    def is_one_image(self) -> bool:
        """True if the URL gave one image; to know that of an image's format, this waits for a second frame."""
        if self.frame_count == 1 or fourcc_of(self._capture).upper() not in STILL_FORMATS:
            return self.frame_count == 1
        self._second = self._next_frame()
        return self._second is None

    def read(self) -> SourceFrame | None:
        """The next frame; None at a file's end, SourceError when a live source is lost."""
        if self._first is None and self._second is not None:
            self._first, self._second = self._second, None
        frame = super().read()
        if frame is None:
            self._count_missing()
        else:
            self._end_s = (frame.media_time_s or 0.0) + 1 / (self.fps or DEFAULT_FPS)
        return frame

    def _count_missing(self) -> None:
        """Tell what is missing at the end of a video of known length: a connection that is cut looks like an end."""
        announced, fps = self.frame_count or 0, self.fps or DEFAULT_FPS
        if announced > self._decoded and announced / fps > self._end_s + SOUND_S and not self._is_whole():
            self.missing = announced - self._decoded
            self.missing_reason = (
                f"it ended after {self._end_s:.1f} of {announced / fps:.1f} s: the connection was cut, or the file is: "
                f"run it again, or download it first"
            )

    def _is_whole(self) -> bool:
        """True if the video has no frames behind the last one: sound, subtitles or an edit list announced more."""
        from fer_edge.media.remote.wholeness import is_whole  # few videos end before their time

        if self._gate is not None or not is_http(self._stream.url):
            return False
        return is_whole(self._stream.url) and not self._goes_on()

    def _goes_on(self) -> bool:
        """Whether a new connection gives a frame behind the last one."""
        capture, until = open_stream(self._stream), time.monotonic() + self.patience_s
        try:
            capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * self._end_s)
            while capture.grab() and time.monotonic() < until:
                if capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 + self._offset_s >= self._end_s:
                    return True
            return False
        finally:
            capture.release()
            self._bound_memory()

    def close(self) -> None:
        """End the connection."""
        super().close()
        self._close_gate()

    def _close_gate(self) -> None:
        if self._gate is not None:
            self._gate.close()


class _Connection(NamedTuple):
    origin: Stream
    capture: cv2.VideoCapture
    gate: "Gate | None" = None


def _connect(url: str) -> _Connection:
    """The stream at `url`, opened if it can be. ValueError for a scheme or redirect that is refused."""
    origin = stream(url)
    if url.lower().startswith(("rtsp://", "rtsps://")):
        from fer_edge.media.remote.rtsp import rtsp_target

        origin = stream(rtsp_target(url))
    follows = ffmpeg_follows_redirects()  # then it must not get the URL first
    capture = None if follows and is_http(url) else open_stream(origin)
    if capture is not None and (capture.isOpened() or not is_http(url)):
        return _Connection(origin, capture)
    target = target_of(url)
    if target.is_playlist:
        return _connect_playlist(target.url)
    if capture is None or target.url != url:
        origin = stream(target.url)
        capture = open_stream(origin)
    return _Connection(origin, capture)


def _connect_playlist(url: str) -> _Connection:
    from fer_edge.media.remote.gate import Gate  # few streams are playlists

    gate = Gate(url)
    origin = stream(url, gate.address)
    return _Connection(origin, open_stream(origin), gate)
