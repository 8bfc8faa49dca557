"""The live window, for the main thread: shows a view of the current source and acts on keys."""

import itertools
import logging
import time
from pathlib import Path

from fer_edge.errors import OutputError
from fer_edge.files import atomic_write
from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.pipeline.frame import Frame
from fer_edge.results import FrameResult
from fer_edge.sinks.display import Display
from fer_edge.sinks.keys import Action, Key
from fer_edge.sinks.overlay import annotate
from fer_edge.sinks.panel import draw_help, draw_notice
from fer_edge.sinks.views import ShownImage, View

log = logging.getLogger(__name__)

NOTICE_S = 3.0
MIN_SIDE_PX, MAX_SIDE_PX = 480, 1920  # of what is sent to the screen; help needs room
QUIT_KEYS = {ord("q"), 27}  # 27 = Esc
KEYS = {
    ord(" "): Key.PAUSE, ord("."): Key.STEP, ord(","): Key.BACK, ord("n"): Key.NEXT, ord("p"): Key.PREVIOUS,
    0xFF51: Key.LEFT, 0xFF53: Key.RIGHT,  # X11 and Wayland: Qt, GTK
    0xFF96: Key.LEFT, 0xFF98: Key.RIGHT,  # on the number pad
    0x250000: Key.LEFT, 0x270000: Key.RIGHT,  # Windows
    0xF702: Key.LEFT, 0xF703: Key.RIGHT,  # macOS
}  # fmt: skip
OTHER_KEYS = {*range(33, 127), 8, 10, 13, 0xFF0D, 0xFF8D}  # keys such as Shift and Alt don't count as any key
HELP = (
    ("space", "pause, next image"),
    (". ,", "one frame on, back"),
    ("left right", "5 s back, on; previous, next image"),
    ("n p", "next, previous source"),
    ("s", "save the frame"),
    ("b", "bars on or off"),
    ("f", "full screen"),
    ("h", "this help"),
    ("q Esc", "quit"),
)


class Window:
    """Shows the results of the sources, one view after the other.

    `offer` may be called from any thread, everything else from the main one. shown: results that were on the screen.
    """

    def __init__(self, display: Display | None = None) -> None:
        self.shown = 0
        self._display = display or Display()
        self._view: View | None = None
        self._offered = 0
        self._current: ShownImage | None = None
        self._drawn: tuple[object, ...] = ()  # what is on the screen
        self._bars, self._help = True, False
        self._notice, self._notice_until = "", 0.0

    def open(self) -> bool:
        """True if there is a screen; waits for it."""
        return self._display.open()

    @property
    def lost(self) -> int:
        """Results that were not shown."""
        return self._offered - self.shown

    @property
    def gone(self) -> bool:
        """True once the screen has vanished."""
        return self._display.gone

    @property
    def has_image(self) -> bool:
        """True once something was shown."""
        return self._current is not None

    def begin(self, view: View) -> None:
        """Show a source from now on."""
        self.end()
        self._view = view
        if not self.shown:
            self.notify("h shows the keys")

    def end(self) -> None:
        """Show no more results of the current source; the last one stays on the screen."""
        if self._view is not None:
            self._view.close()
            self._view = None

    def offer(self, frame: Frame, result: FrameResult) -> None:
        """Hand a result to the current view."""
        self._offered += 1
        view = self._view
        if view is not None:
            view.offer(frame, result)

    def notify(self, text: str) -> None:
        """Show a line on the image for a moment."""
        self._notice, self._notice_until = text, time.monotonic() + NOTICE_S

    def show(self, caption: str, timeout_s: float) -> Action:
        """Show what is new, wait up to `timeout_s` for it, and return what the user wants.

        caption: shown unless the view has its own.
        """
        if self._view is None or self.gone:
            time.sleep(timeout_s)
            return Action.CONTINUE
        keys = self._display.keys(0 if self._display.ready else timeout_s)
        if self._display.ready:
            shown = self._view.take(0 if keys else timeout_s)
            if shown is not None:
                self._current = shown
                self.shown += shown.is_new
            self._draw(self._view.status() or caption)
        for key in keys:
            action = self._press(key)
            if action is not Action.CONTINUE:
                return action
        return Action.QUIT if self._display.closed else Action.CONTINUE

    def _draw(self, caption: str) -> None:
        """Bring the screen up to date if it is not."""
        notice = self._notice if time.monotonic() < self._notice_until else ""
        wanted = (self._current, caption, notice, self._bars, self._help)
        if self._current is None or wanted == self._drawn:
            return
        self._drawn = wanted
        image = fitted(annotate(self._current.image, self._current.faces, bars=self._bars, caption=caption))
        if self._help:
            draw_help(image, HELP)
        if notice:
            draw_notice(image, notice)
        self._display.show(image)

    def _press(self, code: int) -> Action:
        # GTK adds the state of Shift and the locks above bit 16; Windows has the code of its arrows there.
        code = code & 0xFFFF or code
        code = ord(chr(code).lower()) if code < 128 else code
        if code in QUIT_KEYS:
            return Action.QUIT
        if code == ord("h"):
            self._help = not self._help
        elif code == ord("b"):
            self._bars = not self._bars
        elif code == ord("s"):
            self._save()
        elif code != ord("f") and self._view is not None and self._current is not None:
            key = KEYS.get(code, Key.ANY if code in OTHER_KEYS else None)
            return Action.CONTINUE if key is None else self._view.press(key)
        return Action.CONTINUE

    def _save(self) -> None:
        """Save the annotated frame into the working directory, under a new name."""
        if self._current is None:
            return
        image = annotate(self._current.image, self._current.faces, bars=self._bars)
        try:
            path = _new_path(self._current.name)
            with atomic_write(path, private=True) as part:
                part.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        except (OSError, OutputError) as error:
            self.notify(f"not saved: {error}")
            return
        self.notify(f"saved {path}")
        log.info("saved %s", path)

    def close(self) -> None:
        """Close the window."""
        self.end()
        self._display.close()


def _new_path(name: str) -> Path:
    """A path in the working directory that does not exist yet: NAME.png, NAME-2.png and so on."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(path for path in (Path(f"{one}.png") for one in names) if not path.exists())


def fitted(image: Image) -> Image:
    """`image` enlarged so that text is legible on it, or scaled down to what a screen shows."""
    height, width = image.shape[:2]
    scale = min(max(1.0, MIN_SIDE_PX / min(height, width)), MAX_SIDE_PX / max(height, width))
    if scale == 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)  # type: ignore[return-value]
