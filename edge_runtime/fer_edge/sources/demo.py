"""The source `demo:`: a drawn face that moves and acts, to try everything without a camera."""

import re

from fer_edge.demo.scene import CYCLE_S, SIZE, draw_scene
from fer_edge.errors import SourceError
from fer_edge.sources.base import Source, SourceFrame

FPS = 30.0
MIN_SIDE, MAX_SIDE = 160, 4096


class DemoSource(Source):
    """`demo:` acts every expression once, in 10 s at 30 frames per second.

    `demo:320x240` sets the size, `demo:endless` repeats. Every frame is processed, as from a file.
    """

    fps = FPS
    seekable = True

    def __init__(self, uri: str) -> None:
        match = re.fullmatch(r"demo:(?:(\d{1,5})x(\d{1,5}))?(?:(?:(?<=:)|(?<=\d),)(endless))?", uri)
        if not match:
            raise SourceError(f"{uri}: write demo:, demo:320x240, demo:endless or demo:320x240,endless")
        self.name = uri
        self._size = (int(match[1]), int(match[2])) if match[1] else SIZE
        if not all(MIN_SIDE <= side <= MAX_SIDE for side in self._size):
            raise SourceError(f"{uri}: width and height must be {MIN_SIDE} to {MAX_SIDE} pixels")
        self.properties = {"size": list(self._size), "format": "BGR3", "fps": FPS}
        self.frame_count = None if match[3] else round(CYCLE_S * FPS)
        self._next = 0

    def read(self) -> SourceFrame | None:
        if self._next == self.frame_count:
            return None
        t = self._next / FPS
        self._next += 1
        return SourceFrame(draw_scene(t, self._size), media_time_s=t)

    def seek(self, media_time_s: float) -> None:
        self._next = round(media_time_s * FPS)
        if self.frame_count is not None:
            self._next = min(self._next, self.frame_count)
