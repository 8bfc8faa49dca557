"""Keep a live source going: read it in a thread, give up on a silent one, open it again with back-off."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from fer_edge.channel import Channel, Closed
from fer_edge.defaults import DEFAULT_GIVE_UP_S
from fer_edge.errors import SourceError
from fer_edge.sources.base import Source, SourceFrame

log = logging.getLogger(__name__)

MAX_GAPS = 100  # kept for the report
CLOSE_TIMEOUT_S = 1.0  # a reader that waits for a frame ends with it


class ReconnectPolicy(NamedTuple):
    """How long to wait for a live source, all in seconds.

    open_s: for its first frame. silent_s: between two frames, before it counts as dead. first_retry_s, max_retry_s:
    the pause between attempts doubles from one to the other, minus a random part of up to a half, so that many devices
    don't call a server at once. give_up_s: without a frame, before the source is lost for good.
    """

    open_s: float = 20.0
    silent_s: float = 10.0
    first_retry_s: float = 1.0
    max_retry_s: float = 30.0
    give_up_s: float = DEFAULT_GIVE_UP_S


def open_with_timeout(open_once: Callable[[], Source], name: str, timeout_s: float) -> Source:
    """The source that `open_once` opens, or its exception; SourceError if that takes longer than `timeout_s`.

    It runs in a daemon thread, because an open that hangs in C code would block signals, too.
    """
    outcomes: Channel[Source | Exception] = Channel(1, drop_oldest=False)

    def run() -> None:
        try:
            outcomes.put(open_once())
        except Exception as error:  # noqa: BLE001 - raised in the waiting thread
            outcomes.put(error)

    threading.Thread(target=run, name="fer-open", daemon=True).start()
    try:
        outcome = outcomes.get(timeout_s)
    except TimeoutError:
        raise SourceError(f"{name} does not answer within {timeout_s:g} s: check that it is on") from None
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class _Reader:
    """Opens the source once and reads it until it ends, in a daemon thread, because neither call can be interrupted."""

    def __init__(self, open_once: Callable[[], Source]) -> None:
        self.source: Source | None = None
        self.error: Exception | None = None
        self._open_once, self._abandoned = open_once, False
        self._frames: Channel[SourceFrame] = Channel(1, drop_oldest=False)
        self._thread = threading.Thread(target=self._run, name="fer-read", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        source = None
        try:
            source = self.source = self._open_once()
            if self._abandoned:  # while it was opening
                return
            while (frame := source.read()) is not None:
                self._frames.put(frame)
        except Closed:
            pass  # abandoned while it hung: the frame is no longer needed
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits for a frame
            self.error = error
        finally:
            self._frames.close()
            if source is not None:
                source.close()

    def get(self, timeout_s: float) -> SourceFrame:
        """The next frame; Closed when the source has ended, TimeoutError when it is silent."""
        return self._frames.get(timeout_s)

    def raise_unexpected(self) -> None:
        """After Closed: raise what ended the source if it is a fault in the program, which no reconnection repairs."""
        if self.error is not None and not isinstance(self.error, SourceError):
            raise self.error

    def abandon(self) -> None:
        """Stop reading. The thread ends, and frees the device, when its current call returns."""
        self._abandoned = True
        self._frames.abort()
        if self.source is not None:
            self.source.interrupt()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread, which may hang."""
        self._thread.join(timeout_s)


class LiveSource(Source):
    """A live source that reconnects.

    `open_once` opens it, and is called again after every loss. If the first opening fails, its SourceError is raised
    here; later ones are repeated until `reconnect_policy` gives up, and then `read` raises SourceError. Any other
    exception of the source ends it: `read` raises it.
    """

    live = True

    def __init__(
        self, name: str, open_once: Callable[[], Source], reconnect_policy: ReconnectPolicy = ReconnectPolicy()
    ) -> None:
        self.name = name
        self.gaps_s: deque[float] = deque(maxlen=MAX_GAPS)
        self._open_once, self._policy = open_once, reconnect_policy
        self._closing = threading.Event()
        self._reader = _Reader(open_once)
        self._first: SourceFrame | None = self._first_frame()
        self._last_at = self._first.captured_at if self._first else 0.0

    def _first_frame(self) -> SourceFrame:
        try:
            frame = self._reader.get(self._policy.open_s)
        except TimeoutError:
            self._reader.abandon()
            raise SourceError(
                f"{self.name} gives no frame within {self._policy.open_s:g} s: check that it is on"
            ) from None
        except Closed:
            raise self._reader.error or SourceError(f"{self.name} opens but gives no frame") from None
        self._copy_properties()
        return frame

    def _copy_properties(self) -> None:
        if self._reader.source is not None:
            self.fps, self.properties = self._reader.source.fps, self._reader.source.properties

    def read(self) -> SourceFrame | None:
        """The next frame, after a reconnection if needed; None once closed. SourceError if it is lost for good."""
        while not self._closing.is_set():
            if self._first is not None:
                frame, self._first = self._first, None
                return frame
            try:
                frame = self._reader.get(self._policy.silent_s)
            except TimeoutError:
                self._reconnect(f"silent for {self._policy.silent_s:g} s")
            except Closed:
                if not self._closing.is_set():
                    self._reader.raise_unexpected()
                self._reconnect("gone")
            else:
                self._last_at = frame.captured_at
                return frame
        return None

    def _reconnect(self, reason: str) -> None:
        if self._closing.is_set():
            return
        import random  # takes a moment to import, and files and images never need it

        log.warning("%s is %s: reconnecting", self.name, reason)
        self.reconnecting = True
        pause_s = self._policy.first_retry_s
        while True:
            self._reader.abandon()
            absent_s = time.monotonic() - self._last_at
            if absent_s > self._policy.give_up_s:
                raise SourceError(f"{self.name} is lost: no frame for {absent_s:.0f} s")
            if self._closing.wait(pause_s * random.uniform(0.5, 1)):
                return
            pause_s = min(2 * pause_s, self._policy.max_retry_s)
            self._reader = _Reader(self._open_once)
            try:
                self._first = self._reader.get(self._policy.open_s)
            except (TimeoutError, Closed):
                if self._closing.is_set():
                    return
                self._reader.raise_unexpected()
                continue
            break
        gap_s = self._first.captured_at - self._last_at
        self._last_at = self._first.captured_at
        self.reconnecting = False
        self.reconnects += 1
        self._copy_properties()
        self.gaps_s.append(round(gap_s, 3))
        log.warning("%s is back after %.1f s", self.name, gap_s)

    def interrupt(self) -> None:
        """End a `read` that waits; the device is freed when its own call returns."""
        self._closing.set()
        self._reader.abandon()

    def close(self) -> None:
        """Stop reading and free the device, without waiting longer than CLOSE_TIMEOUT_S for one that hangs."""
        self.interrupt()
        self._reader.join(CLOSE_TIMEOUT_S)
