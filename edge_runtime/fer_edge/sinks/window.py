"""The live window, for the main thread, and whether a screen is available."""

import os
import subprocess
import sys

from fer_edge.channel import Channel, Closed
from fer_edge.opencv import cv2
from fer_edge.pipeline.frame import Frame
from fer_edge.results import FrameResult
from fer_edge.sinks.overlay import annotate

PROBE_TIMEOUT_S = 15
TITLE = "fer-edge"
KEYS_TO_QUIT = (ord("q"), 27)  # 27 = Esc
_PROBE = "import cv2; cv2.namedWindow('fer-edge probe'); cv2.waitKey(1); cv2.destroyAllWindows()"


def screen_available() -> bool:
    """True if a window can be opened. Tried in a child process, because OpenCV aborts the process on a dead display."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE], timeout=PROBE_TIMEOUT_S, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return probe.returncode == 0


class Window:
    """Shows the newest result; `offer` may be called from any thread, `show` only from the main one."""

    def __init__(self) -> None:
        self.shown = 0
        self._newest: Channel[tuple[Frame, FrameResult]] = Channel(1, drop_oldest=True)

    @property
    def lost(self) -> int:
        """Results that were replaced by a newer one before they were shown."""
        return self._newest.dropped

    def offer(self, frame: Frame, result: FrameResult) -> None:
        """Replace the result to show next."""
        self._newest.put((frame, result))

    def show(self, caption: str, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for a result and show it under `caption`; False if the user closed the window or quit.

        q and Esc quit.
        """
        try:
            frame, result = self._newest.get(timeout_s)
        except (TimeoutError, Closed):
            pass
        else:
            if not self.shown:
                cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
                cv2.resizeWindow(TITLE, frame.image.shape[1], frame.image.shape[0])
            cv2.imshow(TITLE, annotate(frame.image, result.faces, caption=caption))
            self.shown += 1
        if not self.shown:
            return True
        return cv2.pollKey() & 0xFF not in KEYS_TO_QUIT and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window."""
        if self.shown:
            cv2.destroyAllWindows()
