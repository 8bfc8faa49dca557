"""A live source that ends, fails, hangs or falls silent, played by a scripted source."""

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from fer_edge.errors import SourceError
from fer_edge.sources.base import Source, SourceFrame
from fer_edge.sources.reconnect import LiveSource, ReconnectPolicy, open_with_timeout

QUICK = ReconnectPolicy(open_s=2, silent_s=0.2, first_retry_s=0.01, max_retry_s=0.02, give_up_s=0.3)


class Scripted(Source):
    """Gives `frames` frames, then does `then`; `released` ends a hang."""

    name, live, fps = "scripted", True, 25.0

    def __init__(self, frames: int, then: Callable[[], None]) -> None:
        self.left, self.then = frames, then
        self.closed = threading.Event()
        self.interrupted = threading.Event()

    def read(self) -> SourceFrame | None:
        if not self.left:
            self.then()
            return None
        self.left -= 1
        return SourceFrame(np.zeros((4, 4), dtype=np.uint8))

    def interrupt(self) -> None:
        self.interrupted.set()

    def close(self) -> None:
        self.closed.set()


def end() -> None:
    """The source is over."""


def fail() -> None:
    raise SourceError("unplugged")


@pytest.mark.parametrize("loss", [end, fail])
def test_a_lost_source_is_reopened_and_the_gap_is_reported(loss: Callable[[], None]) -> None:
    opened: list[Scripted] = []

    reconnecting: list[bool] = []  # at each opening

    def open_once() -> Source:
        reconnecting.append(bool(opened) and source.reconnecting)
        opened.append(Scripted(3, loss))
        return opened[-1]

    source = LiveSource("fake", open_once, QUICK)
    frames = [source.read() for _ in range(8)]
    assert reconnecting[:3] == [False, True, True]
    assert not source.reconnecting
    source.close()
    assert all(frame is not None and frame.image is not None for frame in frames)
    assert len(opened) >= 3
    assert source.reconnects == len(source.gaps_s) == 2
    assert opened[0].closed.wait(2)
    assert source.fps == 25


def test_a_read_that_never_returns_is_abandoned() -> None:
    hang = threading.Event()
    opened: list[Scripted] = []

    def open_once() -> Source:
        opened.append(Scripted(1, hang.wait if not opened else end))
        return opened[-1]

    source = LiveSource("fake", open_once, QUICK)
    assert source.read() is not None
    assert source.read() is not None, "the second generation gives the frame"
    assert len(opened) == 2
    assert opened[0].interrupted.is_set()
    hang.set()
    assert opened[0].closed.wait(2), "its device is freed when the hang ends"
    source.close()


def test_a_source_that_stays_away_is_an_error() -> None:
    attempts: list[int] = []

    def open_once() -> Source:
        attempts.append(len(attempts))
        if len(attempts) > 1:
            raise SourceError("no answer")
        return Scripted(1, end)

    source = LiveSource("fake", open_once, QUICK)
    assert source.read() is not None
    with pytest.raises(SourceError, match="fake is lost: no frame for"):
        source.read()
    assert len(attempts) > 3


def test_a_fault_in_the_source_ends_it_without_a_reconnection() -> None:
    def divide() -> None:
        raise ZeroDivisionError("a fault")

    opened: list[int] = []

    def open_once() -> Source:
        opened.append(1)
        return Scripted(1, divide)

    source = LiveSource("fake", open_once, QUICK)
    assert source.read() is not None
    with pytest.raises(ZeroDivisionError, match="a fault"):
        source.read()
    assert len(opened) == 1
    source.close()
    with pytest.raises(ZeroDivisionError):
        LiveSource("fake", lambda: Scripted(0, divide), QUICK)


def test_a_fault_while_reopening_ends_the_source() -> None:
    opened: list[int] = []

    def open_once() -> Source:
        opened.append(1)
        if len(opened) == 3:
            raise ZeroDivisionError("a fault")
        return Scripted(1 if len(opened) == 1 else 0, fail)

    source = LiveSource("fake", open_once, QUICK)
    assert source.read() is not None
    with pytest.raises(ZeroDivisionError, match="a fault"):
        source.read()
    assert len(opened) == 3
    source.close()


@pytest.mark.parametrize("error", [SourceError("unplugged"), ZeroDivisionError("a fault")])
def test_an_error_while_opening_is_raised_at_once(error: Exception) -> None:
    def open_once() -> Source:
        raise error

    with pytest.raises(type(error), match=str(error)):
        open_with_timeout(open_once, "fake", 60)


def test_a_source_that_is_missing_at_the_start_is_refused_at_once() -> None:
    with pytest.raises(SourceError, match="unplugged"):
        LiveSource("fake", lambda: Scripted(0, fail), QUICK)


def test_a_source_without_a_first_frame_is_refused() -> None:
    hang = threading.Event()
    with pytest.raises(SourceError, match="gives no frame within"):
        LiveSource("fake", lambda: Scripted(0, hang.wait), ReconnectPolicy(open_s=0.1))
    with pytest.raises(SourceError, match="opens but gives no frame"):
        LiveSource("fake", lambda: Scripted(0, end), QUICK)
    hang.set()


def test_closing_ends_a_read_that_waits_for_a_reconnection() -> None:
    source = LiveSource("fake", lambda: Scripted(1, end), ReconnectPolicy(first_retry_s=1000))
    assert source.read() is not None
    ended: list[SourceFrame | None] = []
    waiting = threading.Thread(target=lambda: ended.append(source.read()))
    waiting.start()
    time.sleep(0.05)
    assert waiting.is_alive()
    source.interrupt()
    waiting.join(5)
    assert ended == [None]


def test_a_source_that_opens_after_it_was_abandoned_is_closed_and_never_read() -> None:
    release, opened, reads = threading.Event(), [], []

    def open_late() -> Source:
        assert release.wait(10)
        opened.append(Scripted(0, lambda: reads.append(1)))
        return opened[-1]

    with pytest.raises(SourceError, match="gives no frame within"):
        LiveSource("fake", open_late, ReconnectPolicy(open_s=0.05))
    release.set()
    assert any(opened or time.sleep(0.01) for _ in range(500))
    assert opened[0].closed.wait(5)
    assert not reads
