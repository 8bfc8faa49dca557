"""What the window shows of a source, and what its keys do there: a stream that runs, or images to leaf through."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge.channel import Channel, Closed
from fer_edge.framing import Image
from fer_edge.pipeline.frame import Frame
from fer_edge.pipeline.playback import Playback
from fer_edge.results import Face, FrameResult
from fer_edge.sinks.keys import Action, Key

SKIP_S = 5.0  # of the left and right arrow
KNOWN_TIMES = 1000  # of shown frames, to step back to
IMAGES_AHEAD = 8  # images that are processed before they are shown, if only the window uses them
KEPT_IMAGES = 10_000  # results of images that can be gone back to


@dataclass(frozen=True, eq=False)  # arrays don't compare
class ShownImage:
    """What is on the screen. name: for a file that it is saved to. is_new: False if it was on the screen before."""

    image: Image
    faces: Sequence[Face]
    name: str
    is_new: bool = True


class View:
    """What the window shows of one source. `offer` is called in the pipeline's thread, everything else in the main one.

    notify: shows a line on the image for a moment.
    has_next, has_previous: whether another source follows or precedes that can be gone to.
    """

    def __init__(self, notify: Callable[[str], None], has_next: bool = False, has_previous: bool = False) -> None:
        self._notify, self._has_next, self._has_previous = notify, has_next, has_previous
        self.complete = False

    def offer(self, frame: Frame, result: FrameResult) -> None:
        """Take a result."""
        raise NotImplementedError

    def take(self, timeout_s: float) -> ShownImage | None:
        """What to show now, if it is something new; waits up to `timeout_s` for it."""
        raise NotImplementedError

    def status(self) -> str:
        """The caption; empty for the run's own."""
        return ""

    def press(self, key: Key) -> Action:
        """Do what a key asks for."""
        raise NotImplementedError

    @property
    def is_pending(self) -> bool:
        """True if results wait that must be shown."""
        return False

    def close(self) -> None:
        """Take no more results, and let `offer` wait no longer."""
        raise NotImplementedError

    def _next(self) -> Action:
        if self._has_next:
            return Action.NEXT
        self._notify("this is the last one: q quits")
        return Action.CONTINUE

    def _previous(self) -> Action:
        if self._has_previous:
            return Action.PREVIOUS
        self._notify("this is the first one")
        return Action.CONTINUE


class StreamView(View):
    """The frames of a camera or a video as they come.

    playback: of a file; None for a live source, of which pause only holds the image.
    fixed: why the position can't be changed; None if it can.
    every_frame: the pipeline waits until each frame is shown; otherwise the newest frame wins.
    frame_s: how long a frame lasts. last_t: time of the last frame, if known.
    """

    def __init__(
        self,
        notify: Callable[[str], None],
        name: str,
        playback: Playback | None = None,
        fixed: str | None = "a live source can't be wound",
        every_frame: bool = False,
        frame_s: float = 1 / 30,
        last_t: float | None = None,
        has_next: bool = False,
        has_previous: bool = False,
    ) -> None:
        super().__init__(notify, has_next, has_previous)
        self._name, self._playback, self._fixed = name, playback, fixed
        self._frame_s, self._last_t = frame_s, last_t
        self._queue: Channel[tuple[Frame, FrameResult]] = Channel(2 if every_frame else 1, drop_oldest=not every_frame)
        self._held = False  # a live source is paused
        self._steps = 0  # frames to show of a live source that is paused
        self._t = 0.0  # of the frame on the screen, or of the one that was asked for
        self._known: deque[float] = deque(maxlen=KNOWN_TIMES)  # times of shown frames

    def offer(self, frame: Frame, result: FrameResult) -> None:
        with contextlib.suppress(Closed):
            self._queue.put((frame, result))

    def take(self, timeout_s: float) -> ShownImage | None:
        if self._held and not self._steps:
            time.sleep(timeout_s)
            return None
        try:
            frame, result = self._queue.get(timeout_s)
        except Closed:
            time.sleep(timeout_s)
            return None
        except TimeoutError:
            return None
        if self._playback is not None and frame.seeks < self._playback.seeks:
            return None
        self._steps = max(0, self._steps - 1)
        self._t = frame.t
        if not self._known or frame.t != self._known[-1]:
            self._known.append(frame.t)
        return ShownImage(frame.image, result.faces, f"{self._name}-{frame.t:.2f}s")

    def status(self) -> str:
        if self._ended:
            return "end" + (", any key goes on" if self._has_next else ", any key closes")
        return f"paused at {_clock(self._t)}" if self._is_paused else ""

    @property
    def _ended(self) -> bool:
        return self.complete or (self._playback is not None and self._playback.at_end)

    @property
    def _is_paused(self) -> bool:
        return self._held if self._playback is None else self._playback.paused

    def press(self, key: Key) -> Action:
        if key is Key.PREVIOUS:
            return self._previous()
        if key is Key.NEXT and not self._ended:
            return self._next()
        if key in (Key.LEFT, Key.BACK) or (key is Key.RIGHT and not self._ended):
            self._wind(key)
            return Action.CONTINUE
        if self._ended:
            return self._press_at_end(key)
        if key is Key.PAUSE:
            self._set_paused(not self._is_paused)
        elif key is Key.STEP:
            self._step()
        return Action.CONTINUE

    def _press_at_end(self, key: Key) -> Action:
        if key in (Key.RIGHT, Key.STEP):
            self._notify("the end: q quits")
            return Action.CONTINUE
        return Action.NEXT

    def _set_paused(self, paused: bool) -> None:
        if self._playback is None:
            self._held = paused
            if paused:
                self._notify("only the image is paused: the camera and the results go on")
        elif paused:
            self._playback.pause()
        else:
            self._playback.resume()

    def _step(self) -> None:
        if not self._is_paused:
            self._set_paused(True)
        elif self._playback is None:
            self._steps += 1
        else:
            self._playback.step()

    def _wind(self, key: Key) -> None:
        if self._fixed is not None or self._playback is None:
            self._notify(self._fixed or "")
            return
        if key is Key.BACK:
            earlier = [t for t in self._known if t < self._t - 1e-6]
            target = max([*earlier, self._t - 1.5 * self._frame_s])  # known times are exact, but may leave frames out
            self._playback.pause()
        else:
            target = self._t + (SKIP_S if key is Key.RIGHT else -SKIP_S)
        if self._last_t is not None:
            target = min(target, max(self._last_t, self._t))
        self._t = max(0.0, target)
        self._playback.seek(self._t)

    @property
    def is_pending(self) -> bool:
        return len(self._queue) > 0

    def close(self) -> None:
        self._queue.abort()


class ImagesView(View):
    """The images of a file, folder or pattern, one by one; they are read again when they are looked at.

    read: the image of a file, as processed, with its result; None if it can't be read any more.
    count: number of images of the source.
    follow: show each image as soon as it is processed, until a key is pressed; otherwise each waits for a key.
    """

    def __init__(
        self,
        notify: Callable[[str], None],
        read: Callable[[str, FrameResult], Image | None],
        count: int,
        follow: bool,
        has_next: bool = False,
        has_previous: bool = False,
    ) -> None:
        super().__init__(notify, has_next, has_previous)
        self._read, self._count, self._follow = read, count, follow
        self._results: deque[tuple[str, FrameResult]] = deque(maxlen=KEPT_IMAGES)
        self._offered = 0
        self._at, self._shown_at = 0, -1  # wanted and shown, counted from the first image
        self._seen: set[int] = set()
        self._closed = False
        self._changed = threading.Condition()

    def offer(self, frame: Frame, result: FrameResult) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._follow or self._closed or self._offered < self._at + IMAGES_AHEAD)
            self._offered += 1
            self._results.append((frame.file or "", result))
            if self._follow:
                self._at = self._offered - 1
            self._changed.notify_all()

    def take(self, timeout_s: float) -> ShownImage | None:
        with self._changed:
            if self.complete and self._offered:
                self._at = min(self._at, self._offered - 1)
            if not self._changed.wait_for(lambda: self._at != self._shown_at and self._at < self._offered, timeout_s):
                return None
            forgotten = self._offered - len(self._results)
            self._at = self._shown_at = max(self._at, forgotten)
            file, result = self._results[self._at - forgotten]
        image = self._read(file, result)
        if image is None:
            self._notify(f"{Path(file).name} can't be read any more")
            return None
        is_new = self._shown_at not in self._seen
        self._seen.add(self._shown_at)
        return ShownImage(image, result.faces, f"{Path(file).stem}-faces", is_new)

    def status(self) -> str:
        if self._count == 1 and not (self._has_next or self._has_previous):
            return ""
        forgotten, at = self._offered - len(self._results), self._shown_at
        file = self._results[at - forgotten][0] if forgotten <= at < self._offered else ""
        return f"{self._shown_at + 1} of {self._count}  {Path(file).name}" if self._count > 1 else Path(file).name

    def press(self, key: Key) -> Action:
        with self._changed:
            self._follow = False
            self._changed.notify_all()
            if key in (Key.LEFT, Key.BACK):
                return self._go(-1, self._previous)
            if key is Key.PREVIOUS:
                return self._previous() if self._count == 1 or self._has_previous else self._go(-1, self._previous)
            if key is Key.NEXT and self._has_next:
                return Action.NEXT
            if key is Key.RIGHT and self._count > 1:
                return self._go(1, self._next)
            return self._go(1, lambda: Action.NEXT)

    @property
    def is_pending(self) -> bool:
        with self._changed:
            return self._at != self._shown_at and self._at < self._offered

    def _go(self, step: int, beyond: Callable[[], Action]) -> Action:
        """Go to another image, or do what `beyond` says if there is none."""
        last = self._offered - 1 if self.complete else self._count - 1
        if not 0 <= self._at + step <= last:
            return beyond()
        self._at += step
        return Action.CONTINUE

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _clock(seconds: float) -> str:
    """Such as 1:05.30."""
    return f"{int(seconds // 60)}:{seconds % 60:05.2f}"
