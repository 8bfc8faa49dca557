"""The window on the screen, in a separate process: a display that vanishes ends the process that uses it.

The run writes frames to the process's standard input; the process answers with integers: what was pressed, and that a
frame is on the screen. Only this module uses cv2's windows.
"""

import contextlib
import io
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from fer_edge.framing import Image
from fer_edge.guards.portable import SIGHUP
from fer_edge.opencv import cv2

TITLE = "fer-edge"
OPEN_TIMEOUT_S = 15
CLOSE_TIMEOUT_S = 2.0
BAR_COLOR = (24, 24, 24)
MAX_BAR_PX = 4096
MAP_TIMEOUT_S, MAX_TRIES = 1.5, 8  # for the screen to show the window; how often it is opened
QT_EVENTS, MAPPED = "qt.qpa.events=true", b"XCB_MAP_NOTIFY"  # in Qt's log on X11
POLL_S = 0.01  # between looks at keyboard and mouse
SHORT_SIDE_PX, LONG_SIDE_PX = 480, 1280  # of the window at first
FULLSCREEN_KEYS = (ord("f"), ord("F"), 0xFFC8)  # F11
# Answers; others are key codes of cv2.waitKeyEx, which are 0 and up.
OPEN, SHOWN, CLOSED = -2, -3, -4
_ANSWER = struct.Struct("<i")
_HEADER = struct.Struct("<ii")  # height and width of the uint8 BGR image that follows


def has_display() -> bool:
    """False if the environment names no screen, so that none can be opened.

    Always on Windows, where a pipe can't be waited for with a time limit.
    """
    if sys.platform == "win32":
        return False
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def screen_available() -> bool:
    """True if a window can be opened; opens one for a moment."""
    if not has_display():
        return False
    display = Display()
    available = display.open()
    display.close()
    return available


class Display:
    """The run's end of the window. The process starts at once; `open` waits until it has a screen.

    gone: True once the screen has vanished. closed: True once the user has closed the window.
    """

    def __init__(self) -> None:
        self.gone = self.closed = False
        self._busy = False  # a frame is on its way to the screen
        self._answers = b""
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "QT_LOGGING_RULES": QT_EVENTS,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from fer_edge.sinks.display import main; main()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            env=environment, start_new_session=True,  # Ctrl-C on the terminal is for the run alone
        )  # fmt: skip

    def open(self) -> bool:
        """Wait for the window; False, and `gone`, if there is no screen."""
        deadline = time.monotonic() + OPEN_TIMEOUT_S
        while not self.gone and time.monotonic() < deadline:
            if OPEN in self._receive(deadline - time.monotonic()):
                return True
        self.gone = True
        self.close()
        return False

    @property
    def ready(self) -> bool:
        """True if the last image is on the screen and the next one may be shown."""
        return not self._busy and not self.gone

    def show(self, image: Image) -> None:
        """Show `image`, uint8 BGR [H, W, 3]; only if `ready`."""
        assert self._process.stdin is not None
        try:
            for part in (_HEADER.pack(*image.shape[:2]), np.ascontiguousarray(image).data.cast("B")):
                rest = memoryview(part)
                while rest:
                    rest = rest[self._process.stdin.write(rest) :]
        except OSError:  # the process has ended: its last answer says whether the user closed the window
            while not self.gone and not self.closed:
                self._receive(CLOSE_TIMEOUT_S)
        self._busy = True

    def keys(self, timeout_s: float = 0.0) -> list[int]:
        """The codes of the keys pressed since the last call; waits up to `timeout_s` for the first answer."""
        return [answer for answer in self._receive(timeout_s) if answer >= 0]

    def _receive(self, timeout_s: float) -> list[int]:
        assert self._process.stdout is not None
        if self.gone or self.closed:
            return []
        if not select.select([self._process.stdout], [], [], max(0.0, timeout_s))[0]:
            return []
        data = os.read(self._process.stdout.fileno(), 4096)
        self._answers += data
        whole = len(self._answers) // _ANSWER.size * _ANSWER.size
        answers = [answer for (answer,) in _ANSWER.iter_unpack(self._answers[:whole])]
        self._answers = self._answers[whole:]
        self._busy = self._busy and SHOWN not in answers
        self.closed = self.closed or CLOSED in answers
        self.gone = not data and not self.closed
        return answers

    def close(self) -> None:
        """Close the window."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if self._process.stdout.closed:
            return
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:  # the screen hangs
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def main() -> None:
    """The window's process: show what comes, until the input ends or the user closes the window."""
    for number in filter(None, (signal.SIGINT, signal.SIGTERM, SIGHUP)):
        signal.signal(number, signal.SIG_IGN)  # the run decides when it ends
    source, answers = io.FileIO(0), io.FileIO(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    cv2.setNumThreads(1)
    _open_window()
    answers.write(_ANSWER.pack(OPEN))
    try:
        _serve(source, answers)
    except (cv2.error, OSError):  # the window was closed in the middle of it, or the run has ended
        with contextlib.suppress(OSError):
            answers.write(_ANSWER.pack(CLOSED))


def _open_window() -> None:
    """Open the window, and again if Qt does not know that it is on the screen: then it would stay black.

    Without a window manager, as in a kiosk, Qt 5.15 sometimes loses the first events of a window while the machine is
    busy. Its log names those that arrive.
    """
    for tries_left in reversed(range(MAX_TRIES)):
        with _qt_log() as log:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
            cv2.waitKey(1)
            if _is_mapped(log) or not tries_left:
                return
        cv2.destroyWindow(TITLE)


def _is_mapped(log: io.FileIO) -> bool:
    """Whether Qt's log says that the screen shows the window; True where the log does not say it."""
    text, deadline = b"", time.monotonic() + MAP_TIMEOUT_S
    while _logs_events() and MAPPED not in text:
        if time.monotonic() > deadline:
            return False
        cv2.pollKey()
        time.sleep(POLL_S)
        text += log.read() or b""
    return True


def _logs_events() -> bool:
    """Whether windows are Qt's on X11."""
    is_x11 = sys.platform == "linux" and not os.environ.get("WAYLAND_DISPLAY")
    is_xcb = os.environ.get("QT_QPA_PLATFORM", "xcb") == "xcb"
    return is_x11 and is_xcb and cv2.currentUIFramework().startswith("QT")


@contextlib.contextmanager
def _qt_log() -> Iterator[io.FileIO]:
    """What libraries write to standard error inside the block; reads give None while there is nothing."""
    reader, writer = os.pipe()
    before = os.dup(2)
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)  # what does not fit is lost
    os.dup2(writer, 2)
    try:
        with io.FileIO(reader) as log:
            yield log
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(writer)


def _serve(source: io.FileIO, answers: io.FileIO) -> None:
    image: Image | None = None
    area: tuple[int, int] | None = None  # of the window's image on the screen: width and height
    appeared = False
    while True:
        if select.select([source], [], [], POLL_S)[0]:
            image = _read_image(source)
            if image is None:
                return
            if area is None:
                cv2.resizeWindow(TITLE, *window_size(image.shape[1], image.shape[0]))
                cv2.pollKey()
            area = _show(image)
            answers.write(_ANSWER.pack(SHOWN))
        key = cv2.pollKey()
        if key in FULLSCREEN_KEYS:
            _toggle_fullscreen()
        if key >= 0:
            answers.write(_ANSWER.pack(key))
        if image is None or area is None:
            continue
        is_visible = cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
        if appeared and not is_visible:  # before, the screen has not shown it yet
            answers.write(_ANSWER.pack(CLOSED))
            return
        appeared = appeared or is_visible
        if _area() != area:
            area = _show(image)


def _show(image: Image) -> tuple[int, int]:
    """Show `image` undistorted in the middle of the window; return the window's area."""
    area = _area()
    cv2.imshow(TITLE, padded(image, area))
    return area


def _area() -> tuple[int, int]:
    """Width and height of what the window shows, on the screen."""
    _left, _top, width, height = cv2.getWindowImageRect(TITLE)
    return width, height


def _read_image(source: io.FileIO) -> Image | None:
    """The next image; None at the end of the input."""
    header = _read(source, _HEADER.size)
    if header is None:
        return None
    height, width = _HEADER.unpack(header)
    pixels = _read(source, 3 * height * width)
    return None if pixels is None else np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def _read(source: io.FileIO, count: int) -> bytearray | None:
    data = bytearray(count)
    rest = memoryview(data)
    while rest:
        read = source.readinto(rest)
        if not read:
            return None
        rest = rest[read:]
    return data


def _toggle_fullscreen() -> None:
    is_full = cv2.getWindowProperty(TITLE, cv2.WND_PROP_FULLSCREEN) == cv2.WINDOW_FULLSCREEN
    cv2.setWindowProperty(TITLE, cv2.WND_PROP_FULLSCREEN, cv2.WINDOW_NORMAL if is_full else cv2.WINDOW_FULLSCREEN)


def padded(image: Image, area: tuple[int, int]) -> Image:
    """`image`, uint8 [H, W, 3], with bars at two sides that give it the shape of `area` (width, height).

    >>> padded(np.zeros((100, 100, 3), dtype=np.uint8), (300, 200)).shape
    (100, 150, 3)
    """
    height, width = image.shape[:2]
    if min(area) < 1:
        return image
    across = max(0, round(height * area[0] / area[1]) - width)
    down = max(0, round(width * area[1] / area[0]) - height)
    if across + down <= 2 or max(across, down) > MAX_BAR_PX:
        return image
    sides = down // 2, down - down // 2, across // 2, across - across // 2
    bordered = cv2.copyMakeBorder(image, *sides, cv2.BORDER_CONSTANT, value=BAR_COLOR)
    return np.asarray(bordered, dtype=np.uint8)


def window_size(width: int, height: int) -> tuple[int, int]:
    """The window's first size for an image: enlarged if it is small, scaled down if it would not fit on a screen.

    >>> window_size(3840, 2160), window_size(640, 480), window_size(100, 100)
    ((1280, 720), (640, 480), (480, 480))
    """
    scale = max(1.0, SHORT_SIDE_PX / min(width, height))
    scale = min(scale, LONG_SIDE_PX / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
