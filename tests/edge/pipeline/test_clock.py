import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from fer_edge.pipeline.clock import WallClock, frame_clock, iso_utc
from fer_edge.pipeline.frame import Frame
from fer_edge.pipeline.options import StreamOptions

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def frame_at(t: float, captured_at: float = 0.0) -> Frame:
    return Frame(0, t, captured_at, np.zeros((2, 2), dtype=np.uint8))


class Clocks:
    """The machine's two clocks, which a test turns."""

    def __init__(self) -> None:
        self.monotonic, self.wall = 500.0, NOON.timestamp()
        self.stopped_s = 0.0  # the process is stopped for so long in each reading of the time of day

    def time(self) -> float:
        self.advance(self.stopped_s)
        return self.wall

    def advance(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


@pytest.fixture
def clocks() -> Iterator[Clocks]:
    made = Clocks()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", made.time)
        patch.setattr(time, "monotonic", lambda: made.monotonic)
        yield made


def test_a_live_frame_has_the_time_of_day_of_its_capture(clocks: Clocks) -> None:
    time_of = frame_clock(live=True, is_timed=True, start=None)
    clocks.advance(10.0)
    assert time_of(frame_at(t=3.0, captured_at=509.5)) == "2026-05-01T12:00:09.500Z"


def test_a_small_correction_of_the_clock_does_not_change_intervals(
    clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    clock = WallClock()
    clocks.wall += 0.9
    assert clock.at(500.0) == "2026-05-01T12:00:00.000Z"
    assert not caplog.records


@pytest.mark.parametrize("jump_s", [5_000_000.0, -3600.0])
def test_a_clock_that_is_set_is_logged_once_and_followed(
    clocks: Clocks, caplog: pytest.LogCaptureFixture, jump_s: float
) -> None:
    clock = WallClock()
    clocks.wall += jump_s
    for _ in range(3):
        assert clock.at(500.0) == iso_utc(NOON + timedelta(seconds=jump_s))
    assert [record.getMessage() for record in caplog.records] == [
        f"the machine's clock was set by {jump_s:+.1f} s: the times of the results follow it"
    ]


def test_a_process_that_was_stopped_between_two_readings_sees_no_jump(
    clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    clock = WallClock()
    clocks.stopped_s = 60.0
    assert clock.at(500.0) == "2026-05-01T12:00:00.000Z"
    assert not caplog.records


@pytest.mark.parametrize(
    ("t", "expected"), [(0.0, "12:00:00.000"), (0.1, "12:00:00.100"), (86399.9996, "11:59:59.999")]
)
def test_a_frame_of_a_file_has_the_start_time_plus_its_media_time(t: float, expected: str) -> None:
    two_hours_ahead = NOON.astimezone(timezone(timedelta(hours=2)))
    for start in (NOON, two_hours_ahead):
        assert frame_clock(False, True, start)(frame_at(t)) == f"2026-05-0{1 + (t > 1)}T{expected}Z"


def test_a_start_time_without_a_zone_is_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert frame_clock(False, True, datetime(2026, 5, 1, 14))(frame_at(0.0)) == "2026-05-01T12:00:00.000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_file_without_a_start_time_and_faces_without_times_have_no_time_of_day() -> None:
    assert frame_clock(False, True, None)(frame_at(1.0)) is None
    assert frame_clock(False, False, NOON)(frame_at(1.0)) is None


def test_a_live_source_takes_no_start_time(fakes) -> None:
    source = fakes.Source(1, live=True)
    with pytest.raises(ValueError, match="has its own clock"):
        fakes.pipeline(source, options=StreamOptions(start_time=NOON))
    assert source.closed


@pytest.mark.parametrize("start", [datetime.max, datetime.min, datetime(3000, 1, 1, tzinfo=UTC)])
def test_a_start_time_out_of_range_is_refused(start: datetime) -> None:
    with pytest.raises(ValueError, match="1900 to 2999"):
        StreamOptions(start_time=start)


def test_results_of_a_stream_have_their_time(fakes) -> None:
    fakes.finish(fakes.pipeline(fakes.Source(3), options=StreamOptions(start_time=NOON)))
    assert [result.time for result in fakes.published] == [
        "2026-05-01T12:00:00.000Z", "2026-05-01T12:00:00.033Z", "2026-05-01T12:00:00.066Z",
    ]  # fmt: skip
    fakes.published.clear()
    fakes.finish(fakes.pipeline(fakes.Source(3, live=True)))
    now = datetime.now(UTC)
    for result in fakes.published:
        assert abs(datetime.fromisoformat(result.time) - now) < timedelta(minutes=1)
    fakes.published.clear()
    fakes.finish(fakes.pipeline(fakes.Source(2)))
    assert [result.time for result in fakes.published] == [None, None]


def test_each_image_numbers_its_own_faces(fakes) -> None:
    for image_count, expected in ((None, [[0, 1], [0, 1]]), (2, [[0, 1], [0, 1]])):
        fakes.published.clear()
        source = fakes.Source(2)
        source.image_count = image_count
        pipeline = fakes.finish(fakes.pipeline(source, fakes.Detector(faces=2)))
        assert [[face.track_id for face in result.faces] for result in fakes.published] == expected
        assert pipeline.stats.tracks == (2 if image_count is None else 4)
