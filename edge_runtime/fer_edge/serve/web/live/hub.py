"""Hands the newest result to every client: each has a mailbox for one tick, so a slow client delays no other.

Results come in the thread of the pipeline, which must not wait; clients live in the server's event loop, which does the
rest. While somebody watches, at most ten results a second become a `Tick`, whose JSON and JPEG are made once for all
clients, and only if one waits for it.
"""

import asyncio
import contextlib
import json
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from fer_edge.pipeline.frame import Frame
from fer_edge.results import FrameResult
from fer_edge.serve.changes import ChangeDetector
from fer_edge.serve.web.live.history import History
from fer_edge.serve.web.live.images import draw, encode
from fer_edge.serve.web.live.mailbox import DRAWN, MAX_NOTES, PICTURE, Mailbox, Note, Tick
from fer_edge.serve.web.live.pace import Pace

log = logging.getLogger(__name__)

LINGER_S = 1.0  # who asked for one image will soon ask for the next


class Hub:
    """Takes every result of the run by `publish` and hands it to the mailboxes that `watch` makes.

    history: the last minutes. closed: the server ends. intervals: with --aggregate, the JSON of the last complete ones,
    and nothing else is ever here.
    """

    def __init__(self) -> None:
        self.history = History()
        self.intervals: deque[str] = deque(maxlen=MAX_NOTES)
        self.closed = False
        self._newest: tuple[Frame | None, FrameResult] | None = None
        self._changes = ChangeDetector()
        self._mailboxes: set[Mailbox] = set()
        self._lingering: dict[str, float] = {}  # what clients wanted that have left, and until when it is made
        self._pace = Pace()
        self._tick: Tick | None = None
        self._tick_comes = self._failed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._viewers = 0

    @property
    def newest(self) -> FrameResult | None:
        """The newest result; None before the first one."""
        newest = self._newest
        return None if newest is None else newest[1]

    @property
    def viewers(self) -> int:
        """Clients that watch now, by events or a stream."""
        return self._viewers

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """The event loop that clients live in runs now."""
        self._loop = loop

    # In the thread of the pipeline

    def publish(self, frame: Frame | None, result: FrameResult) -> None:
        """The next result of the run."""
        self.history.add(result)
        changes = [("change", json.dumps(change.to_dict())) for change in self._changes.update(result)]
        self._newest = frame, result
        if not (self._mailboxes or self._lingering):
            return
        if changes:
            self._post(lambda: self._deliver(notes=changes))
        if not self._tick_comes and self._pace.is_due(time.monotonic()):
            self._tick_comes = True
            self._post(self._next_tick)

    def publish_interval(self, line: str) -> None:
        """The JSON of the next complete interval of --aggregate."""
        if self._loop is None:  # there are no clients yet
            self.intervals.append(line)
        else:
            self._post(lambda: self._add_interval(line))

    def _post(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the server has ended
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call)

    # In the event loop

    def _add_interval(self, line: str) -> None:
        """Keep and deliver it at once: a client that comes now gets it with the others or as a note, not as both."""
        self.intervals.append(line)
        self._deliver(notes=[("interval", line)])

    def _next_tick(self) -> None:
        self._tick_comes = False
        try:
            self._make_tick()
        except Exception as error:  # noqa: BLE001 - the run goes on
            if not self._failed:
                log.warning("--serve: viewers get no picture: %s", " ".join(str(error).split()))
            self._failed = True
        self._pace.look(time.monotonic())

    def _make_tick(self) -> None:
        """Make a tick of the newest result, unless the newest tick has all that is needed of it."""
        if self._newest is None:
            return
        (frame, result), before, now = self._newest, self._tick, time.monotonic()
        needed = self._needed(now)
        if not needed or (before is not None and before.number == result.frame and all(map(before.has, needed))):
            return
        picture, drawn = None, None
        if frame is not None and PICTURE in needed:
            picture = encode(frame.image, frame.size)
        if frame is not None and DRAWN in needed:
            drawn = draw(frame.image, result.faces, frame.size)
        self._tick = Tick(result.frame, now, json.dumps(result.to_dict()), picture, drawn)
        self._deliver(self._tick)

    def _needed(self, now: float) -> set[str]:
        """What clients need of the next tick: one that has not taken its last tick needs nothing."""
        lingering = {name for name, until in tuple(self._lingering.items()) if now < until}
        needed = (mailbox.needs(now) for mailbox in tuple(self._mailboxes))
        return lingering | {name for name in needed if name is not None}

    def _deliver(self, tick: Tick | None = None, notes: Sequence[Note] = ()) -> None:
        for mailbox in self._mailboxes:
            mailbox.put(tick, notes)

    def announce(self, status: str) -> None:
        """Hand the run's state to every client."""
        for mailbox in self._mailboxes:
            mailbox.put(status=status)

    @contextlib.contextmanager
    def watch(self, wants: str, pictures_per_s: float = math.inf, viewer: bool = False) -> Iterator[Mailbox]:
        """A mailbox that is filled during the block. pictures_per_s: as in Mailbox. viewer: it counts as one."""
        mailbox = Mailbox(wants, pictures_per_s)
        if self.closed:
            mailbox.close()
        self._mailboxes.add(mailbox)
        self._viewers += viewer
        try:
            yield mailbox
        finally:
            self._mailboxes.discard(mailbox)
            self._viewers -= viewer

    def _linger(self, wants: str) -> None:
        """Go on with what a client got once; it will probably ask again."""
        self._lingering[wants] = time.monotonic() + LINGER_S
        asyncio.get_running_loop().call_later(LINGER_S, self._forget, wants)

    def _forget(self, wants: str) -> None:
        if self._lingering.get(wants, math.inf) <= time.monotonic():
            del self._lingering[wants]

    def catch_up(self, mailbox: Mailbox) -> None:
        """Put the newest result into the mailbox of a new client, with what it wants; nothing if there is none."""
        tick = self._fresh(mailbox.wants)
        if tick is not None:
            mailbox.put(tick)
        else:
            self._make_tick()  # for all mailboxes

    async def tick(self, after: int | None, wants: str, timeout_s: float) -> Tick | None:
        """The newest tick that is not of frame `after` and has what is wanted; None if none comes in time.

        A frame's number may become smaller, when the next source begins: so newer is whatever is another.
        """
        with self.watch(wants) as mailbox:
            deadline = time.monotonic() + timeout_s
            if self.newest is not None and self.newest.frame != after:
                self.catch_up(mailbox)
            try:
                while not mailbox.closed and await mailbox.wait(deadline - time.monotonic()):
                    tick, _, _ = mailbox.take()
                    if tick is not None and tick.number != after and tick.has(wants):
                        return tick
            finally:
                self._linger(wants)
        return None

    def _fresh(self, wants: str) -> Tick | None:
        """The newest tick, unless it lacks what is wanted or was made when no client watched."""
        tick, newest = self._tick, self.newest
        if tick is None or newest is None or not tick.has(wants):
            return None
        return tick if tick.number == newest.frame or time.monotonic() - tick.at < 2 * self._pace.interval_s else None

    def close(self) -> None:
        """End every client's wait."""
        self.closed = True
        for mailbox in self._mailboxes:
            mailbox.close()
