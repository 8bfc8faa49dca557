"""A short moving image for web pages and chats: an animated WebP or GIF of the annotated frames."""

import logging
from pathlib import Path

import numpy as np

from fer_edge.errors import OutputError
from fer_edge.files import atomic_write, check_writable, sync_file
from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.sinks.base import Published, Sink
from fer_edge.sinks.overlay import annotated
from fer_edge.sinks.video import MAX_STILL_S, fit

log = logging.getLogger(__name__)

SUFFIXES = (".webp", ".gif")
FPS = 10.0
MAX_FRAMES = 200  # they stay in memory until the end, at most 140 MB
MAX_SIDE_PX = 480
STILL_MS = 1000  # of each image of a folder
ENCODING_S_PER_FRAME = 0.5  # at most, on a slow processor
WEBP_QUALITY, GIF_DITHER = 90, 3  # the GIF's default dither is grainy and twice as large


def check_animation(path: Path, overwrite: bool) -> None:
    """Raise OutputError if `path` can't be written, or OpenCV writes no animations."""
    if not hasattr(cv2, "imencodeanimation"):
        raise OutputError(f"{path}: OpenCV {cv2.__version__} writes no moving {path.suffix}: name an .mp4")
    check_writable(path, overwrite)


class AnimationSink(Sink):
    """The first 200 frames at 10 per second and at most 480 pixels; what comes later is left out and counted as lost.

    A frame is shown for at most 10 seconds, as in a video: a GIF's delay is limited to 655 seconds.

    stills: the frames are single images, each of which is shown for a second.
    """

    name = "output"
    needs_image = True

    def __init__(self, path: Path, stills: bool) -> None:
        self.target = str(path)
        self._path, self._stills = path, stills
        self._frames: list[Image] = []
        self._times_ms: list[float] = []
        self._last_ms = 0.0
        self._full = False
        self._taken = 0  # results that are in the frames, or between them

    @property
    def extra_call_s(self) -> float:
        return ENCODING_S_PER_FRAME * len(self._frames)

    def write(self, item: Published) -> None:
        assert item.frame is not None
        t_ms = float(STILL_MS * len(self._frames)) if self._stills else 1000 * item.result.t
        due = self._stills or not self._times_ms or t_ms >= self._times_ms[-1] + 1000 / FPS - 1  # times are rounded
        if self._full or (due and len(self._frames) == MAX_FRAMES):
            if not self._full:
                log.info("%s has %d frames and takes no more: name an .mp4 for a longer video", self._path, MAX_FRAMES)
            self._full = True
            return
        self._taken += 1
        self._last_ms = t_ms
        if due:
            self._frames.append(self._scaled(annotated(item)))
            self._times_ms.append(t_ms)

    def _scaled(self, image: Image) -> Image:
        if self._frames:
            height, width = self._frames[0].shape[:2]
        else:
            scale = min(1.0, MAX_SIDE_PX / max(image.shape[:2]))
            height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        if abs(width * image.shape[0] - height * image.shape[1]) > max(image.shape[:2]):  # of another shape
            return fit(image, (width, height))
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def close(self) -> None:
        """Encode the frames; OutputError if that fails."""
        if not self._frames:
            return
        animation = cv2.Animation()
        animation.frames = self._frames
        animation.durations = self._durations_ms()
        gif = self._path.suffix.lower() == ".gif"
        options = [cv2.IMWRITE_GIF_DITHER, GIF_DITHER] if gif else [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY]
        with atomic_write(self._path, private=True) as part:
            encoded, data = cv2.imencodeanimation(self._path.suffix.lower(), animation, options)
            if not encoded:
                raise OutputError(f"{self._path} can't be encoded: name an .mp4")
            part.write_bytes(data.tobytes())
            if part.is_file():
                sync_file(part)
        self.written, self._taken = self._taken, 0
        self.frames_in_file = len(self._frames)
        self._frames = []

    def _durations_ms(self) -> list[int]:
        """How long each frame is shown; the last one as long as a frame lasts."""
        last = STILL_MS if self._stills else max(1000 / FPS, self._last_ms - self._times_ms[-1])
        times = np.array([*self._times_ms, self._times_ms[-1] + last])
        return [int(value) for value in np.minimum(np.diff(np.rint(times)), 1000 * MAX_STILL_S)]
