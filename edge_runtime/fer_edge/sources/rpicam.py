"""A Raspberry Pi's ribbon camera through the system's rpicam-vid, whose luma plane is the gray image."""

import re
import shutil
import subprocess
import time

import numpy as np

from fer_edge.errors import SourceError
from fer_edge.sources.base import Source, SourceFrame

PROGRAM = "rpicam-vid"
ROW_ALIGNMENT = 64  # libcamera pads rows to a multiple of this
DEFAULT_SIZE, DEFAULT_FPS = (640, 480), 30
STOP_TIMEOUT_S = 2.0


class RpicamSource(Source):
    """`rpicam:`, `rpicam:1280x720` or `rpicam:640x480@15`: gray frames of the camera module.

    The child process writes planar YUV 4:2:0: per frame `height` rows of luma, padded to a multiple of 64 bytes, then
    a quarter as many bytes of each chroma plane. Only the luma is used, without conversion.
    """

    live = True

    def __init__(self, uri: str) -> None:
        match = re.fullmatch(r"rpicam:(?:([0-9]{2,4})x([0-9]{2,4}))?(?:@([0-9]{1,3}))?", uri)
        if not match:
            raise SourceError(f"{uri}: write rpicam:, rpicam:1280x720 or rpicam:640x480@15")
        self.name = uri
        self._width, self._height = (int(match[1]), int(match[2])) if match[1] else DEFAULT_SIZE
        if self._width % 2 or self._height % 2:
            raise SourceError(f"{uri}: width and height must be even")
        self.fps = float(match[3] or DEFAULT_FPS)
        self.properties = {"size": [self._width, self._height], "format": "YU12", "fps": self.fps}
        self._stride = -(-self._width // ROW_ALIGNMENT) * ROW_ALIGNMENT
        program = shutil.which(PROGRAM)
        if program is None:
            raise SourceError(f"{uri} needs {PROGRAM}: sudo apt-get install rpicam-apps (on Raspberry Pi OS)")
        try:
            self._process = subprocess.Popen(
                [
                    program, "-n", "-t", "0", "--codec", "yuv420", "--width", str(self._width), "--height",
                    str(self._height), "--framerate", f"{self.fps:g}", "-o", "-",
                ],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                process_group=0,  # keep Ctrl-C from it: we end it ourselves
            )  # fmt: skip
        except OSError as error:
            raise SourceError(
                f"{uri}: {program} can't be started ({error.strerror}): sudo apt-get install --reinstall rpicam-apps"
            ) from error

    def read(self) -> SourceFrame | None:
        """The next frame, uint8 [height, width]; SourceError when the child process has ended."""
        assert self._process.stdout is not None
        luma = self._process.stdout.read(self._stride * self._height)
        captured_at = time.monotonic()
        chroma = self._process.stdout.read(self._stride * self._height // 2)
        if len(luma) < self._stride * self._height or len(chroma) < self._stride * self._height // 2:
            raise SourceError(f"{self.name}: {PROGRAM} gives no more frames: is the camera connected and free?")
        rows = np.frombuffer(luma, dtype=np.uint8).reshape(self._height, self._stride)
        return SourceFrame(rows[:, : self._width], captured_at=captured_at)

    def interrupt(self) -> None:
        """Kill the child process, which ends a `read` that waits for it."""
        self._process.kill()

    def close(self) -> None:
        """End the child process, by force if it does not end in time."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
