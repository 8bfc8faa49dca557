"""What waits for one client: the newest tick and status, which the next ones replace, and notes, which they don't."""

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fer_edge.serve.web.live.images import Picture
from fer_edge.serve.web.live.pace import TICK_S

MAX_NOTES = 100  # changes and intervals that wait for one client, and intervals that a new one gets
RESULT, PICTURE, DRAWN = "result", "picture", "drawn"  # what a client may want of a tick

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
    picture: Picture | None = None
    drawn: Picture | None = None

    def has(self, wants: str) -> bool:
        """True if it has what a client wants."""
        return {PICTURE: self.picture, DRAWN: self.drawn}.get(wants, self.line) is not None


class Mailbox:
    """What one client has not taken yet; in the event loop only.

    wants: what the client needs of a tick. closed: the server ends.
    pictures_per_s: how many pictures it takes at most; between them its ticks have none.
    """

    def __init__(self, wants: str, pictures_per_s: float = math.inf) -> None:
        self.wants, self.closed = wants, False
        self._every_s = max(0.0, 1 / pictures_per_s - TICK_S / 2)  # half a tick early rather than half a tick late
        self._picture_due = 0.0
        self._tick: Tick | None = None
        self._last: Tick | None = None
        self._notes: deque[Note] = deque(maxlen=MAX_NOTES)
        self._status: str | None = None
        self._filled = asyncio.Event()

    def put(self, tick: Tick | None = None, notes: Sequence[Note] = (), status: str | None = None) -> None:
        """Replace what is there; notes are added. A tick comes once."""
        if tick is not None and tick is not self._last:
            self._tick = self._last = tick
        self._status = status or self._status
        self._notes.extend(notes)
        self._filled.set()

    def needs(self, now: float) -> str | None:
        """What the next tick must have, at monotonic time `now`; None while the client has not taken its last one."""
        if self._tick is not None:
            return None
        return RESULT if self.wants == PICTURE and now < self._picture_due else self.wants

    def close(self) -> None:
        """Wake the client: nothing comes any more."""
        self.closed = True
        self._filled.set()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until something is there; False after `timeout_s` seconds without."""
        if timeout_s is None:
            return await self._filled.wait()
        try:
            async with asyncio.timeout(timeout_s):
                await self._filled.wait()
        except TimeoutError:
            return False
        return True

    def take(self) -> tuple[Tick | None, list[Note], str | None]:
        """Empty the mailbox."""
        self._filled.clear()
        tick, notes, status = self._tick, list(self._notes), self._status
        self._tick, self._status = None, None
        self._notes.clear()
        if tick is not None and tick.picture is not None:
            if tick.at < self._picture_due:  # it was made for another client
                tick = replace(tick, picture=None)
            else:
                self._picture_due = tick.at + self._every_s
        return tick, notes, status
