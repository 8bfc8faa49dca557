"""Playback of files: pace, pause, steps, seeks and the hold at the end."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fer_edge.pipeline import playback as module
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.pipeline.playback import Playback
from fer_edge.sources.base import Source, SourceFrame


class Clock:
    """Stands for the module `time`: waiting moves it on."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def waits(playback: Playback, clock: Clock, t: float) -> float:
    """For how long `wait_until_due(t)` waits."""
    started = clock.now

    def wait(timeout: float | None = None) -> None:
        assert timeout is not None, "it would wait for ever"
        clock.now += timeout

    playback._changed.wait = wait  # type: ignore[method-assign, assignment]
    assert playback.wait_until_due(t)
    return clock.now - started


def test_a_file_is_played_at_its_own_speed(clock: Clock) -> None:
    playback = Playback()
    assert [round(waits(playback, clock, t), 3) for t in (0.0, 0.1, 0.2, 0.5)] == [0, 0.1, 0.1, 0.3]


@pytest.mark.parametrize(("catch_up", "waited"), [(False, 0.1), (True, 0.0)])
def test_after_a_delay_the_clock_restarts_unless_late_frames_are_dropped(
    clock: Clock, catch_up: bool, waited: float
) -> None:
    playback = Playback(catch_up)
    waits(playback, clock, 0.0)
    clock.now += 2
    assert waits(playback, clock, 0.1) == 0
    assert waits(playback, clock, 0.2) == pytest.approx(waited)


def test_a_small_delay_is_caught_up_with(clock: Clock) -> None:
    playback = Playback()
    waits(playback, clock, 0.0)
    clock.now += 0.13
    assert waits(playback, clock, 0.1) == 0
    assert waits(playback, clock, 0.2) == pytest.approx(0.07)


def test_a_step_gives_one_frame_and_resume_does_not_make_up_for_the_pause(clock: Clock) -> None:
    playback = Playback()
    waits(playback, clock, 0.0)
    playback.pause()
    playback.step()
    assert waits(playback, clock, 0.1) == 0
    with pytest.raises(AssertionError, match="for ever"):
        waits(playback, clock, 0.2)
    clock.now += 60
    playback.resume()
    assert waits(playback, clock, 0.2) == 0
    assert waits(playback, clock, 0.3) == pytest.approx(0.1)


def test_a_seek_discards_the_frame_that_waits_and_shows_one_even_in_a_pause() -> None:
    playback = Playback()
    playback.pause()
    playback.seek(-3.0)
    assert not playback.wait_until_due(5.0)
    assert playback.take_target() == (0.0, 1)
    assert playback.take_target() is None
    assert playback.wait_until_due(0.0)
    assert playback.paused


def test_release_ends_pace_pause_and_hold() -> None:
    playback = Playback(holds_at_end=True)
    playback.pause()
    playback.release()
    assert playback.wait_until_due(1e6)
    assert not playback.wait_at_end()


class Numbers(Source):
    """A file whose frames hold their number, 10 per second."""

    name, fps, seekable = "numbers", 10.0, True

    def __init__(self, count: int) -> None:
        self.frame_count = count
        self._next = 0

    def read(self) -> SourceFrame | None:
        if self._next == self.frame_count:
            return None
        image = np.full((60, 80), self._next, dtype=np.uint8)
        self._next += 1
        return SourceFrame(image, media_time_s=20.0 + (self._next - 1) / 10)

    def seek(self, media_time_s: float) -> None:
        self._next = min(round((media_time_s - 20.0) * 10), self.frame_count or 0)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_seek_goes_on_elsewhere_and_the_counts_add_up(fakes) -> None:
    playback, seen = Playback(holds_at_end=True), []
    shown = threading.Event()

    def publish(frame, _result) -> None:
        seen.append((int(frame.image[0, 0]), round(frame.t, 3), frame.seeks))
        shown.wait(5)  # the window is slow, so that frames are under way when the position changes

    pipeline = Pipeline(Numbers(10), fakes.Detector(), fakes.Classifier(), publish, playback=playback)
    playback.pause()
    pipeline.start()
    for _ in range(4):
        playback.step()
    until(lambda: pipeline.stats.captured == 4)
    playback.seek(0.8)
    shown.set()
    until(lambda: (8, 0.8, 1) in seen)
    playback.resume()
    until(lambda: playback.at_end)
    assert not pipeline.wait(0)
    playback.seek(0.0)  # from the end
    until(lambda: (0, 0.0, 2) in seen)
    until(lambda: playback.at_end)
    playback.finish()
    until(lambda: pipeline.wait(0.1))
    pipeline.release()
    assert pipeline.exit_reason == "end of source"
    assert pipeline.error is None
    assert [number for number, _t, seeks in seen if seeks == 2] == list(range(10))
    stats = pipeline.stats
    assert pipeline.in_flight == 0
    assert stats.captured == stats.processed + pipeline.dropped.total()
    assert set(pipeline.dropped) <= {"seek"}
    assert pipeline.dropped["seek"] >= 1


def test_a_new_position_starts_with_new_tracks(fakes) -> None:
    playback, ids = Playback(), []

    def publish(_frame, result) -> None:
        ids.append([face.track_id for face in result.faces])

    pipeline = Pipeline(Numbers(3), fakes.Detector(faces=1), fakes.Classifier(), publish, playback=playback)
    playback.pause()
    pipeline.start()
    playback.step()
    until(lambda: len(ids) == 1)
    playback.seek(0.2)
    until(lambda: len(ids) == 2)
    playback.resume()
    until(lambda: pipeline.wait(0.1))
    pipeline.release()
    assert ids == [[0], [1]]


def test_a_stop_in_a_pause_ends_at_once(fakes) -> None:
    playback = Playback(holds_at_end=True)
    pipeline = Pipeline(Numbers(1000), fakes.Detector(), fakes.Classifier(), lambda _f, _r: None, playback=playback)
    playback.pause()
    pipeline.start()
    pipeline.stop("window closed")
    until(lambda: pipeline.wait(0.1))
    pipeline.release()
    assert pipeline.exit_reason == "window closed"
    assert pipeline.in_flight == 0


def test_a_file_without_playback_is_read_as_fast_as_it_is_processed(fakes) -> None:
    options = replace(fakes.pipeline(Numbers(1)).options, lossless=None)
    pipeline = Pipeline(Numbers(3), fakes.Detector(), fakes.Classifier(), lambda _f, _r: None, options)
    assert pipeline.playback is None
    pipeline.release()
