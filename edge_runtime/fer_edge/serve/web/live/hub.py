"""Hands the newest result to every client: each has a mailbox for one tick, so a slow client delays no other.

Results come in the thread of the run's sink, clients live in the server's event loop. While somebody watches, at most
ten results a second become a `Tick`, whose JSON and JPEG are made once for all clients, and only if one waits for it.
"""

import asyncio
import contextlib
import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fer_edge.pipeline.frame import Frame
from fer_edge.results import FrameResult
from fer_edge.serve.changes import ChangeDetector
from fer_edge.serve.web.live.history import History
from fer_edge.serve.web.live.images import Picture, draw, encode
from fer_edge.serve.web.live.pace import Pace

MAX_NOTES = 100  # changes and intervals that wait for one client, and intervals that a new one gets
RESULT, PICTURE, DRAWN = "result", "picture", "drawn"  # what a client may want of a tick
LINGER_S = 1.0  # who asked for one image will soon ask for the next


Note = tuple[str, str]
"""An event that is not replaced by the next one: its name and its JSON."""


@dataclass(frozen=True)
class Tick:
    """One result as clients get it.

    number: of its frame. at: monotonic time. line: the result as JSON. picture: the frame, if a client wanted it.
    drawn: the same with boxes and labels.
    """

    number: int
    at: float
    line: str
    picture: Picture | None
    drawn: Picture | None


class Mailbox:
    """What one client has not taken yet: the newest tick and status, and the last notes; in the event loop only.

    wants: what it needs of a tick. closed: the server ends.
    """

    def __init__(self, wants: str) -> None:
        self.wants, self.closed = wants, False
        self._tick: Tick | None = None
        self._notes: deque[Note] = deque(maxlen=MAX_NOTES)
        self._status: str | None = None
        self._filled = asyncio.Event()

    def put(self, tick: Tick | None = None, notes: Sequence[Note] = (), status: str | None = None) -> None:
        """Replace what is there; notes are added."""
        self._tick, self._status = tick or self._tick, status or self._status
        self._notes.extend(notes)
        self._filled.set()

    @property
    def has_tick(self) -> bool:
        """True if the client has not taken its last tick."""
        return self._tick is not None

    def close(self) -> None:
        """Wake the client: nothing comes any more."""
        self.closed = True
        self._filled.set()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until something is there; False after `timeout_s` seconds without."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._filled.wait()
        except TimeoutError:
            return False
        return True

    def take(self) -> tuple[Tick | None, list[Note], str | None]:
        """Empty the mailbox."""
        self._filled.clear()
        taken = self._tick, list(self._notes), self._status
        self._tick, self._status = None, None
        self._notes.clear()
        return taken


class Hub:
    """Takes every result of the run by `publish` and hands it to the mailboxes that `watch` makes.

    newest: the newest result, or None. history: the last minutes. closed: the server ends. intervals: with --aggregate,
    the JSON of the last complete ones, and nothing else is ever here.
    """

    def __init__(self) -> None:
        self.history = History()
        self.intervals: deque[str] = deque(maxlen=MAX_NOTES)
        self.closed = False
        self.newest: FrameResult | None = None
        self._frame: Frame | None = None  # of `newest`
        self._changes = ChangeDetector()
        self._mailboxes: set[Mailbox] = set()
        self._wanted: dict[str, float] = {}  # until which monotonic time; infinite while someone watches
        self._pace = Pace()
        self._lock, self._making = threading.Lock(), threading.Lock()
        self._tick: Tick | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._viewers = 0

    @property
    def viewers(self) -> int:
        """Clients that watch now, by events or a stream."""
        return self._viewers

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """The event loop that clients live in runs now."""
        self._loop = loop

    # In the thread of the sink

    def publish(self, frame: Frame | None, result: FrameResult) -> None:
        """The next result of the run."""
        self.history.add(result)
        changes = [("change", json.dumps(change.to_dict())) for change in self._changes.update(result)]
        with self._lock:
            self._frame, self.newest = frame, result
        if not self._wanted:
            return
        if changes:
            self._post(lambda: self._deliver(notes=changes))
        now = time.monotonic()
        self._pace.look(now)
        if self._pace.is_due(now):
            self._make_tick()

    def publish_interval(self, line: str) -> None:
        """The JSON of the next complete interval of --aggregate."""
        self.intervals.append(line)
        self._post(lambda: self._deliver(notes=[("interval", line)]))

    def _make_tick(self) -> None:
        """Make a tick of the newest result, unless the newest tick has all that is wanted of it."""
        with self._making:
            with self._lock:
                frame, result = self._frame, self.newest
            if result is None:
                return
            now, before = time.monotonic(), self._tick
            wanted = self._asked_for(now)
            if not wanted:
                return
            if before is not None and before.number == result.frame and _has(before, wanted):
                return
            picture, drawn, spent_s = None, None, time.thread_time()
            if frame is not None and PICTURE in wanted:
                picture = encode(frame.image)
            if frame is not None and DRAWN in wanted:
                drawn = draw(frame.image, result.faces)
            tick = self._tick = Tick(result.frame, now, json.dumps(result.to_dict()), picture, drawn)
            self._pace.made(time.thread_time() - spent_s)
        self._post(lambda: self._deliver(tick))

    def _asked_for(self, now: float) -> set[str]:
        """What clients wait for: a client that has not taken its last tick waits for nothing."""
        waiting = {mailbox.wants for mailbox in tuple(self._mailboxes) if not mailbox.has_tick}
        return {name for name, until in tuple(self._wanted.items()) if now < until < math.inf or name in waiting}

    def _post(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the server has ended
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call)

    # In the event loop

    def _deliver(self, tick: Tick | None = None, notes: Sequence[Note] = ()) -> None:
        self._pace.served()
        for mailbox in self._mailboxes:
            mailbox.put(tick, notes)

    def announce(self, status: str) -> None:
        """Hand the run's state to every client."""
        for mailbox in self._mailboxes:
            mailbox.put(status=status)

    @contextlib.contextmanager
    def watch(self, wants: str, viewer: bool = False) -> Iterator[Mailbox]:
        """A mailbox that is filled during the block. viewer: it counts as one."""
        mailbox = Mailbox(wants)
        mailbox.closed = self.closed
        self._mailboxes.add(mailbox)
        self._viewers += viewer
        self._want(wants)
        try:
            yield mailbox
        finally:
            self._mailboxes.discard(mailbox)
            self._viewers -= viewer
            self._want(wants)

    def _want(self, wants: str) -> None:
        """Note until when someone needs `wants`; make a tick at once if the newest one lacks it."""
        watched = any(mailbox.wants == wants for mailbox in self._mailboxes)
        now = time.monotonic()
        self._wanted[wants] = math.inf if watched else now + LINGER_S
        if not watched:
            asyncio.get_running_loop().call_later(LINGER_S, self._forget, wants)

    def _forget(self, wants: str) -> None:
        if self._wanted.get(wants, 0.0) <= time.monotonic():
            self._wanted.pop(wants, None)

    async def tick(self, after: int | None, wants: str, timeout_s: float) -> Tick | None:
        """The newest tick that is not of frame `after` and has what is wanted; None if none comes in time.

        A frame's number may become smaller, when the next source begins: so newer is whatever is another.
        """
        with self.watch(wants) as mailbox:
            newest = self.newest
            if newest is None or newest.frame == after:
                pass
            elif (tick := self._fresh(wants)) is not None:
                if tick.number != after:
                    return tick
            else:
                await asyncio.to_thread(self._make_tick)
            deadline = time.monotonic() + timeout_s
            while not mailbox.closed and await mailbox.wait(deadline - time.monotonic()):
                tick, _, _ = mailbox.take()
                if tick is not None and tick.number != after and _has(tick, {wants}):
                    return tick
        return None

    def _fresh(self, wants: str) -> Tick | None:
        """The newest tick, unless it lacks what is wanted or was made when no client watched."""
        tick, newest = self._tick, self.newest
        if tick is None or newest is None or not _has(tick, {wants}):
            return None
        return tick if tick.number == newest.frame or time.monotonic() - tick.at < 2 * self._pace.interval_s else None

    def close(self) -> None:
        """End every client's wait."""
        self.closed = True
        for mailbox in self._mailboxes:
            mailbox.close()


def _has(tick: Tick, wanted: set[str]) -> bool:
    return (PICTURE not in wanted or tick.picture is not None) and (DRAWN not in wanted or tick.drawn is not None)
