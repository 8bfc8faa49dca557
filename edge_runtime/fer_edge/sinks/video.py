"""Annotated video: as fast as its source, encoded under a temporary name, renamed when complete."""

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from fer_edge.errors import OutputError
from fer_edge.files import atomic_write, remove_leftovers, sync_file
from fer_edge.framing import Image
from fer_edge.media.captures import open_video, open_writer
from fer_edge.media.ffmpeg_memory import lower_bound
from fer_edge.opencv import cv2
from fer_edge.sinks import ffmpeg
from fer_edge.sinks.base import Published, Sink
from fer_edge.sinks.overlay import annotated
from fer_edge.sinks.rotation import Rotation

log = logging.getLogger(__name__)

# What OpenCV writes; pip's OpenCV has no H.264 encoder.
FOURCC = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
SOUND_SUFFIXES = frozenset(ffmpeg.SOUND_FORMATS)
DEFAULT_FPS = 30.0
MAX_STILL_S = 10.0  # a longer outage of a live source becomes a still image of this length
MAX_STILL_WITH_SOUND_S = 600.0  # sound goes on while an image stands still
MAX_LAG_S = 0.1  # of the image behind the sound
SLOW_S = 1.0  # completing a file that takes longer is logged
MIN_DISK_BYTES_PER_S, MIN_SOUND_SPEED = 2e6, 10.0  # of slow memory cards; of encoding sound on a slow processor


class Encoder(Protocol):
    """Encodes one video file; its constructor opens it."""

    def write(self, image: Image) -> None:
        """Append a frame, uint8 BGR [H, W, 3]; OutputError if the file is lost."""

    def finish(self) -> None:
        """Complete the file; OutputError if that failed."""


class OpenCvEncoder:
    """MPEG-4, VP8 or motion JPEG, by the suffix. OutputError if this OpenCV can't encode it."""

    def __init__(self, part: Path, target: Path, fps: float, size: tuple[int, int]) -> None:
        fourcc = cv2.VideoWriter.fourcc(*FOURCC[target.suffix.lower()])
        self._writer = open_writer(part, fourcc, fps, size)
        if not self._writer.isOpened():
            raise OutputError(
                f"{target}: this OpenCV can't encode it at {size[0]}x{size[1]}: name an .mp4 or .avi file"
            )

    def write(self, image: Image) -> None:
        self._writer.write(image)

    def finish(self) -> None:
        self._writer.release()


def h264_program(target: Path) -> tuple[str, str] | None:
    """The path of ffmpeg and the name of its H.264 encoder; None for other suffixes, or, with a warning, without it."""
    if target.suffix.lower() not in ffmpeg.FORMATS:
        return None
    program, missing = ffmpeg.find_ffmpeg(), "ffmpeg is not installed"
    if program is not None:
        try:
            codec = ffmpeg.h264_encoder(program)
            if codec is not None:
                return program, codec
            missing = f"{program} has no H.264 encoder that works"
        except OSError as error:
            missing = f"{program} can't be started ({error.strerror})"
    _warn_of_mpeg4(missing)
    return None


def open_encoder(part: Path, target: Path, fps: float, size: tuple[int, int]) -> Encoder:
    """The best encoder that this machine has for `target`'s suffix; writes to `part`. size: (width, height)."""
    found = h264_program(target)
    if found is not None:
        try:
            return ffmpeg.FfmpegEncoder(part, target, fps, size, *found)
        except OSError as error:
            _warn_of_mpeg4(f"{found[0]} can't be started ({error.strerror})")
    return OpenCvEncoder(part, target, fps, size)


def _warn_of_mpeg4(why: str) -> None:
    _warn_once(
        f"--output is MPEG-4 (mp4v), which browsers do not play, because {why}: {ffmpeg.INSTALL} for H.264 and sound"
    )


@functools.cache
def _warn_once(message: str) -> None:
    log.warning("%s", message)


class _Video:
    """A video file that is being written under a temporary name; `finish` completes and renames it.

    size: (width, height). start_t: the stream's time of the first frame. OutputError if it can't be encoded.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int], start_t: float) -> None:
        self._path, self._fps, self._size, self._start_t = path, fps, size, start_t
        self.frames = self.results = 0
        with contextlib.ExitStack() as stack:
            self._part = stack.enter_context(atomic_write(path, private=True))
            self._encoder = open_encoder(self._part, path, fps, size)
            self._rename_at_exit = stack.pop_all()

    def write(self, image: Image, until: int) -> None:
        """Append `image`, uint8 [H, W, 3], repeated until the video has `until` frames.

        OutputError if the encoder has failed: the file is then removed.
        """
        if (image.shape[1], image.shape[0]) != self._size:  # a stream that changes its size, or several images
            image = fit(image, self._size)
        try:
            while self.frames < until:
                self._encoder.write(image)
                self.frames += 1
        except OutputError:
            with self._rename_at_exit:  # removes the file at once: it may have filled the disk
                raise
        self.results += 1

    def bytes_so_far(self) -> int:
        """Size on disk, without what the encoder buffers (up to a second) and the index."""
        try:
            return self._part.stat().st_size
        except FileNotFoundError:  # ffmpeg has not opened it yet
            return 0

    def completion_s(self) -> float:
        """Seconds that `finish` may take on a slow machine: the file is copied up to three times."""
        return 3 * self.bytes_so_far() / MIN_DISK_BYTES_PER_S + self.frames / self._fps / MIN_SOUND_SPEED

    def finish(self, rotation: Rotation | None = None, sound: ffmpeg.Sound | None = None) -> None:
        """Complete the file; OutputError, and no file, if the disk did not take all of it.

        sound: of the source, to be added. If that fails, the video stays without it.
        """
        with self._rename_at_exit, _logged_if_slow(self._path):
            self._encoder.finish()
            # OpenCV does not report a full disk, but then the file's index is missing or wrong.
            frames = open_video(self._part).get(cv2.CAP_PROP_FRAME_COUNT)
            lower_bound()
            if frames < 0.99 * self.frames - 1:  # the count is computed from rounded times
                raise OutputError(f"{self._path} could not be completed (is the disk full?) and is removed")
            if sound is not None:
                try:
                    ffmpeg.add_sound(self._part, sound, self._start_t, self.frames / self._fps)
                except OutputError as error:
                    log.warning("%s has no sound: %s", self._path, error)
            sync_file(self._part)
            if rotation is not None:
                rotation.rotate(self._path)


@contextlib.contextmanager
def _logged_if_slow(path: Path) -> Iterator[None]:
    """Log one line if the block takes longer than SLOW_S."""
    timer = threading.Timer(SLOW_S, log.info, ("completing %s", path))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


class VideoSink(Sink):
    """A video of the annotated frames, in pieces if rotated.

    Frames are repeated so that it plays as fast as its source. gaps: frames of the source are missing (it is live, or
    frames of a file were dropped); frames that come too soon are then skipped. sound_of: the video file whose sound is
    added; frames are then skipped, too, where the image would lag behind the sound.
    """

    name = "output"
    needs_image = True

    def __init__(
        self, path: Path, fps: float, gaps: bool, rotation: Rotation | None = None, sound_of: Path | None = None
    ) -> None:
        self.target = str(path)
        self._path, self._fps, self._gaps, self._rotation = path, fps, gaps, rotation
        self._video: _Video | None = None
        self._started = self._zero_t = 0.0  # of this piece: monotonic seconds, and the stream's time
        self._sound = None if sound_of is None else _find_sound(sound_of, path)
        self._in_sync = True  # of this piece: no gap was shortened
        remove_leftovers(path.parent)
        h264_program(path)  # ask ffmpeg now: the first frames of a live source would not wait

    @property
    def extra_call_s(self) -> float:
        video = self._video
        return 0.0 if video is None else video.completion_s()

    def write(self, item: Published) -> None:
        assert item.frame is not None
        image = annotated(item)
        if self._video is not None and self._rotation is not None:
            age_s = time.monotonic() - self._started
            if self._rotation.is_complete(self._video.bytes_so_far(), age_s):
                self.close()
        if self._video is None:
            self._started, self._zero_t, self._in_sync = time.monotonic(), item.result.t, True
            self._video = _Video(self._path, self._fps, (image.shape[1], image.shape[0]), self._zero_t)
        try:
            self._video.write(image, self._frames_due(self._video.frames, item.result.t))
        except OutputError:
            self.written -= self._video.results
            self._video = None
            raise
        self.written += 1

    def _frames_due(self, frames: int, t: float) -> int:
        """The number of frames up to and including the one at `t`, after `frames` frames; shortens a long gap."""
        longest_s = MAX_STILL_S if self._sound is None else MAX_STILL_WITH_SOUND_S
        excess_s = t - self._zero_t - frames / self._fps - longest_s
        if excess_s > 0:
            self._zero_t += excess_s
            self._in_sync = False
        due = round((t - self._zero_t) * self._fps) + 1
        lag_s = (frames + 1 - due) / self._fps
        may_skip = self._gaps or (self._sound is not None and lag_s > MAX_LAG_S)
        return due if may_skip else max(frames + 1, due)

    def close(self) -> None:
        video = self._video
        if video is None:
            return
        sound = self._sound
        if sound is not None and not self._in_sync:
            log.warning("%s has no sound: the times of its source's frames jump", self._path)
            sound = None
        try:
            video.finish(self._rotation, sound)
        except OutputError:
            self.written -= video.results
            raise
        finally:
            self._video = None


def _find_sound(source: Path, target: Path) -> ffmpeg.Sound | None:
    """The sound of the video file `source`, if it has any and ffmpeg is there."""
    program = ffmpeg.find_ffmpeg()
    if program is not None:
        return ffmpeg.find_sound(source, program)
    if target.suffix.lower() not in ffmpeg.FORMATS:  # the other formats get a warning when they are opened
        _warn_once(f"--output has no sound, because ffmpeg is not installed: {ffmpeg.INSTALL}")
    return None


def fit(image: Image, size: tuple[int, int]) -> Image:
    """`image` scaled into `size` (width, height) at its aspect ratio, with black bars."""
    scale = min(size[0] / image.shape[1], size[1] / image.shape[0])
    width, height = (max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
    canvas = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    canvas[top : top + height, left : left + width] = cv2.resize(image, (width, height))
    return canvas
