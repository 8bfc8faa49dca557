"""Counts per interval: values computed by hand, the grid, gaps, clocks that jump, and what is withheld."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.pipeline.clock import iso_utc
from fer_edge.privacy.intervals import EmotionCount, Interval, IntervalAggregator
from fer_edge.privacy.modes import Aggregation
from fer_edge.results import Face, FrameResult
from fer_edge.summary import RunSummary

NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


def face(emotion: str, track_id: int | None = 0, unsure: bool = False) -> Face:
    return Face((10, 20, 30, 40), 0.9, emotion, 0.8, {emotion: 0.8}, track_id, unsure=unsure)


def result(frame: int, t: float, *faces: Face, time: datetime | None = None, file: str | None = None) -> FrameResult:
    return FrameResult(frame, t, True, faces, file=file, time=None if time is None else iso_utc(time))


def live(frame: int, at_s: float, *faces: Face, t: float | None = None) -> FrameResult:
    return result(frame, at_s if t is None else t, *faces, time=NOON + timedelta(seconds=at_s))


def intervals(results: Iterable[FrameResult], interval_s: int = 10, at_least: int = 0) -> list[Interval]:
    aggregator = IntervalAggregator(Aggregation(interval_s, at_least), ("happy", "sad"))
    found = [aggregator.add(result) for result in results] + [aggregator.end()]
    assert aggregator.end() is None
    return [interval for interval in found if interval is not None]


def test_the_counts_and_seconds_of_a_small_run_are_those_computed_by_hand() -> None:
    happy, sad, guess = face("happy", 1), face("sad", 2), face("happy", 3, unsure=True)
    first, second = intervals(
        [
            result(0, 0.0, happy),
            result(1, 0.5, happy, sad),
            result(2, 1.0, sad, guess),
            result(3, 1.75),
            result(4, 2.0, face("fear", 2)),
            result(5, 2.5, face("fear", 2)),
        ],
        interval_s=2,
    )
    assert first.to_dict() == {
        "schema": 1, "interval_s": 2, "start_t": 0, "withheld": False, "partial": False, "frames": 4, "watched_s": 2.0,
        "faces": 3,
        "emotions": {"happy": {"rows": 2, "seconds": 1.0}, "sad": {"rows": 2, "seconds": 1.25}},
        "unsure": {"rows": 1, "seconds": 0.75},
    }  # fmt: skip
    assert (second.start_t, second.partial) == (2, True)
    assert second.counts is not None
    assert second.counts.emotions == {
        "happy": EmotionCount(0, 0.0),
        "sad": EmotionCount(0, 0.0),
        "fear": EmotionCount(2, 1.0),  # the last result lasts as long as the one before it
    }
    assert (second.counts.frames, second.counts.faces, second.counts.watched_s) == (2, 1, 1.0)


def test_an_interval_with_fewer_faces_has_nothing_but_its_start() -> None:
    results = [result(0, 0.0, face("happy", 1), face("sad", 2)), result(1, 10.0, face("happy", 1))]
    kept, withheld = intervals(results, at_least=2)
    assert kept.counts is not None
    assert withheld.withheld
    assert withheld.counts is None
    assert withheld.to_dict() == {"schema": 1, "interval_s": 10, "start_t": 10, "withheld": True}


def test_an_empty_interval_looks_like_one_with_too_few_faces() -> None:
    empty, single = intervals([result(0, 0.0), result(1, 10.0, face("sad"))], at_least=2)
    assert {**empty.to_dict(), "start_t": 10} == single.to_dict()
    assert [interval.withheld for interval in intervals([result(0, 0.0)], at_least=0)] == [False]


def test_three_faces_are_needed_unless_another_number_is_given() -> None:
    assert Aggregation(60).at_least == 3


def test_faces_without_an_id_may_be_the_same_ones() -> None:
    results = [result(frame, frame / 10, face("happy", None), face("sad", None)) for frame in range(5)]
    [interval] = intervals(results)
    assert interval.counts is not None
    assert (interval.counts.faces, interval.counts.emotions["happy"].rows) == (2, 5)


def test_live_results_are_cut_at_full_minutes_in_utc() -> None:
    results = [live(0, 50.25, face("happy")), live(1, 59.999, face("happy")), live(2, 60.0, face("sad"))]
    first, second = intervals(results, interval_s=60)
    assert (first.start_time, second.start_time) == ("2026-05-01T12:00:00.000Z", "2026-05-01T12:01:00.000Z")
    assert first.start_t is None
    assert "start_t" not in first.to_dict()
    assert [interval.partial for interval in (first, second)] == [True, True]
    assert [interval.counts.frames for interval in (first, second) if interval.counts] == [2, 1]


@pytest.mark.parametrize("interval_s", [7, 86_400])
def test_an_interval_of_any_length_lies_on_a_grid_from_1970(interval_s: int) -> None:
    [interval] = intervals([live(0, 12.5)], interval_s)
    assert interval.start_time is not None
    start_s = datetime.fromisoformat(interval.start_time).timestamp()
    assert start_s % interval_s == 0
    assert 0 <= NOON.timestamp() + 12.5 - start_s < interval_s


def test_media_times_that_are_rounded_stay_on_their_side_of_the_boundary() -> None:
    found = intervals([result(0, 9.96), result(1, 10 - 1e-9), result(2, 10.04)])
    assert [interval.start_t for interval in found] == [0, 10]


def test_a_gap_counts_as_one_second_and_intervals_without_a_frame_have_no_line() -> None:
    first, second = intervals([result(0, 0.0, face("happy")), result(1, 95.0, face("happy")), result(2, 95.5)])
    assert (first.start_t, second.start_t) == (0, 90)
    assert first.partial
    assert first.counts is not None
    assert first.counts.emotions["happy"] == EmotionCount(1, 1.0)


def test_a_clock_that_is_set_back_ends_the_interval_and_starts_the_earlier_one_again() -> None:
    results = [live(0, 65, face("happy"), t=0), live(1, 66, face("happy"), t=1), live(2, 6, face("sad"), t=2)]
    first, second = intervals(results, interval_s=60)
    assert (first.start_time, second.start_time) == ("2026-05-01T12:01:00.000Z", "2026-05-01T12:00:00.000Z")
    assert first.counts is not None
    assert first.counts.emotions["happy"] == EmotionCount(2, 2.0)


def test_a_clock_that_is_set_back_inside_an_interval_does_not_cut_it() -> None:
    [interval] = intervals([live(0, 30, t=0), live(1, 20, t=0.5), live(2, 20.5, t=1)], interval_s=60)
    assert interval.counts is not None
    assert (interval.counts.frames, interval.counts.watched_s) == (3, 1.5)


@pytest.mark.parametrize("file", ["b.mp4", "a.mp4"])
def test_another_source_and_one_that_starts_again_end_the_interval(file: str) -> None:
    first = [result(frame, frame / 2, face("happy", 0), file="a.mp4") for frame in range(3)]
    second = [result(frame, frame / 2, face("sad", 0), file=file) for frame in range(2)]
    found = intervals(first + second)
    assert [(interval.file, interval.start_t) for interval in found] == [("a.mp4", 0), (file, 0)]
    assert [interval.counts.faces for interval in found if interval.counts] == [1, 1]
    assert [interval.counts.watched_s for interval in found if interval.counts] == [1.5, 1.0]
    assert found[0].to_dict()["file"] == "a.mp4"


def test_nothing_gives_nothing() -> None:
    assert intervals([]) == []


EMOTIONS = st.sampled_from(["happy", "sad", "fear"])
FACES = st.lists(st.builds(face, EMOTIONS, st.integers(0, 4), st.booleans()), max_size=4)


@given(st.lists(st.tuples(st.floats(0, 3, allow_nan=False), FACES), max_size=30), st.booleans())
def test_all_intervals_together_are_the_summary_of_the_run(
    steps: list[tuple[float, list[Face]]], is_live: bool
) -> None:
    results, t, summary = [], 0.0, RunSummary()
    for frame, (step, faces) in enumerate(steps):
        t += step
        results.append(live(frame, t, *faces) if is_live else result(frame, t, *faces))
        summary.add(results[-1])
    found = [interval.counts for interval in intervals(results, interval_s=5) if interval.counts]
    expected = summary.to_dict()
    assert sum(counts.frames for counts in found) == expected["frames"]
    for emotion, figures in [*expected["emotions"].items(), (None, expected["unsure"])]:
        parts = [counts.unsure if emotion is None else counts.emotions.get(emotion, (0, 0.0)) for counts in found]
        assert sum(part[0] for part in parts) == figures["rows"]
        assert sum(part[1] for part in parts) == pytest.approx(figures["seconds"], abs=0.02)


@pytest.mark.parametrize(
    "values", [(0, 3), (86_401, 3), (60, -1), (60, 10_001), (1.5, 3), ("60", 3), (True, 3), (60, None)]
)
def test_a_setting_out_of_range_is_refused(values: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="is not a whole number from"):
        Aggregation(*values)
