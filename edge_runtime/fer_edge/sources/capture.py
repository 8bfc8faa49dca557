"""What cameras, video files and streams have in common: frames through cv2.VideoCapture."""

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_edge.errors import SourceError
from fer_edge.framing import Image
from fer_edge.guards.limits import MAX_PART_BYTES
from fer_edge.media.captures import Stream
from fer_edge.media.decoder_memory import block_bytes, decoder_bytes, decoder_fault, fourcc_of
from fer_edge.media.ffmpeg_memory import frame_fault, lower_bound, size_fault
from fer_edge.media.interlaced import has_interlaced_frames, open_deinterlaced
from fer_edge.opencv import cv2
from fer_edge.sources.base import Source, SourceFrame

DEFAULT_FPS = 30.0  # of a file without a frame rate
MAX_PIXEL_ASPECT = 8.0  # the widest pixels of a real format are 3:1; anything beyond this is a damaged header
MIN_GRABS, MAX_GRABS = 16, 10_000  # tries for a further frame of a file of unknown length, and of any file
SAMPLED_ROWS = 16  # every 16th row is compared first; of a large frame, which would take memory, no more than that
LARGE_BYTES = 8_000_000  # more than a frame of 1080p
TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
INDEX_FRAMES, INDEX_ENTRY_BYTES = 25_000, 32  # FFmpeg's index of a fragmented mp4 grows while a stream is read
UNDECODED = "it can't be decoded"
INTERLACED = (
    "it is interlaced, which this OpenCV can't convert: let the camera send progressive frames, or convert a file with "
    "ffmpeg -i IN -vf yadif OUT.mp4"
)


class CaptureSource(Source):
    """A VideoCapture whose first frame has been read, because some open and never give one.

    patience_s: how long further tries for a frame go on in a file that owes some.
    """

    patience_s = math.inf

    def __init__(self, capture: cv2.VideoCapture, name: str, live: bool, advice: str) -> None:
        self.name, self.live = name, live
        self._problem = UNDECODED
        self._capture = capture
        if not capture.isOpened():
            capture.release()
            raise SourceError(f"{name} can't be opened: {advice}")
        if fault := frame_fault(capture) or decoder_fault(capture):
            capture.release()
            raise SourceError(f"{name} can't be used: {fault}")
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(fps) if 0 < fps <= 1000 else None
        count = 0.0 if live else capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frame_count = int(count) if 0 < count < 1e12 else None
        self.decoder_bytes = decoder_bytes(capture)
        self._timestamp_s, self._offset_s = -math.inf, 0.0
        self._decoded = self._breaks = 0  # frames, and how often they went on after a failure
        self._first = self._next_frame()
        if self._first is None:
            capture.release()
            raise SourceError(f"{name} opens but gives no frame: {advice}{_on_parts() if live else ''}")
        self.properties = {"size": self._size(), "format": fourcc_of(capture), "fps": self.fps}
        self._bound_memory()

    def _bound_memory(self) -> None:
        """From here on frames may not become much larger."""
        lower_bound("source", self._block_bytes())

    def _block_bytes(self) -> float:
        """Bytes of the largest block that FFmpeg needs for further frames."""
        return max(block_bytes(self._capture), INDEX_ENTRY_BYTES * (self._decoded + 2.0 * INDEX_FRAMES))

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
        if self._decoded % INDEX_FRAMES == 0:
            self._bound_memory()
        return SourceFrame(decoded, media_time_s, problem=self._problem, captured_at=captured_at)

    def _grab(self) -> bool:
        """Take the next frame. Good frames may follow a damaged one, so a file is read on while it owes frames."""
        owed = 0 if self.live else MIN_GRABS if self.frame_count is None else self.frame_count - self._decoded
        started = time.monotonic()
        for failed in range(1 + min(max(owed, 0), MAX_GRABS)):
            if self._capture.grab():
                self._breaks += failed > 0
                return True
            if time.monotonic() - started > self.patience_s:
                break
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


class ProgressiveSource(CaptureSource):
    """A capture whose interlaced frames are deinterlaced.

    A frame that equals the one before it may be one that OpenCV failed to convert. Only then is `origin` searched for
    interlaced frames (`media.interlaced`), and read through FFmpeg's filters if it has any.

    origin: the file, or the stream. look_frames: how far a look goes. look_factor: by which the number of equal frames
    grows from one look to the next. max_looks: how many there may be.
    """

    look_frames, look_factor, max_looks = 100, 2, 64

    def __init__(self, origin: Path | Stream, capture: cv2.VideoCapture, name: str, live: bool, advice: str) -> None:
        self._origin = origin
        self._before: Image | None = None  # the frame before, or rows of it, as it was delivered
        self._equal, self._looks = 0, 0  # frames that equal the one before; looks are made as it grows
        self._deinterlaces = False
        self._turn: int | None = None
        self._aspect = 1.0
        self._second: SourceFrame | None = None  # the frame after the first, if it has been read
        super().__init__(capture, name, live, advice)

    def _decode(self, retrieved: Image) -> Image | None:
        if self._deinterlaces:
            turned = retrieved if self._turn is None else np.asarray(cv2.rotate(retrieved, self._turn), dtype=np.uint8)
            return _with_square_pixels(turned, self._aspect)
        kept = retrieved[::SAMPLED_ROWS].copy() if retrieved.nbytes > LARGE_BYTES else retrieved
        self._equal += self._before is not None and _are_equal(kept, self._before)
        self._before = kept
        return super()._decode(retrieved)

    def _next_frame(self) -> SourceFrame | None:
        frame = super()._next_frame()
        is_due = self._looks < self.max_looks and self._equal >= self.look_factor**self._looks
        if frame is not None and is_due and not self._deinterlaces and self._look(frame.media_time_s or 0.0):
            return self._retaken(frame)
        return frame if frame is None or self._problem == UNDECODED else _unreadable(frame)

    def _look(self, near_s: float = 0.0) -> bool:
        """Search for interlaced frames near `near_s`; if there are any, continue through FFmpeg's filters."""
        self._looks += 1
        found = has_interlaced_frames(self._origin, near_s - 1.0, self.look_frames)
        self._bound_memory()
        if found is None:
            self._look_failed()
        if not found:
            return False
        capture = open_deinterlaced(self._origin)
        if not capture.isOpened():
            self._bound_memory()
            self._problem = INTERLACED
            self._first = self._first and _unreadable(self._first)
            return False
        self._continue_with(capture)
        return True

    def _continue_with(self, capture: cv2.VideoCapture) -> None:
        """Read on through FFmpeg's filters, which `capture` has; from the start if no frame was delivered yet."""
        plain = self._capture
        self._aspect = self._pixel_aspect()
        if plain.get(cv2.CAP_PROP_ORIENTATION_AUTO):
            self._turn = TURNS.get(round(plain.get(cv2.CAP_PROP_ORIENTATION_META)))
        self._capture, self._deinterlaces, self._before = capture, True, None
        plain.release()
        if self._decoded <= 2:  # the frames so far were not delivered yet
            self._restart()
        elif not self.live:
            for _ in range(self._decoded - 1):
                capture.grab()
        self._bound_memory()

    def _look_failed(self) -> None:
        """Called when a look was not possible."""

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


def _unreadable(frame: SourceFrame) -> SourceFrame:
    return replace(frame, image=None, problem=INTERLACED)


def _on_parts() -> str:
    return f"; its parts may have {MAX_PART_BYTES.value:,} bytes ({MAX_PART_BYTES.variable})"


def _with_square_pixels(image: Image, aspect: float) -> Image:
    """`image`, whose pixels are `aspect` times as wide as high, scaled to square ones: its width changes."""
    width = max(1, round(image.shape[1] * aspect))
    if width == image.shape[1] or size_fault(width, image.shape[0]):
        return image
    return np.asarray(cv2.resize(image, (width, image.shape[0]), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _are_equal(image: Image, other: Image) -> bool:
    return (
        image.shape == other.shape
        and np.array_equal(image[::SAMPLED_ROWS], other[::SAMPLED_ROWS])
        and np.array_equal(image, other)
    )
