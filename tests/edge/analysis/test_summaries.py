"""Shares, seconds, intervals, corrections and timelines have the right values."""

import numpy as np
import pandas as pd
import pytest

from fer_edge.analysis import load_results, read_results, summarize, timeline
from fer_edge.analysis.bootstrap import share_intervals
from fer_edge.analysis.comparison import share_differences
from fer_edge.analysis.correction import corrected_shares
from fer_edge.errors import DataError

from .conftest import line


def test_shares_are_pandas_value_counts(results) -> None:
    rng = np.random.default_rng(3)
    shown = rng.choice(["happy", "sad", "neutral"], size=500, p=[0.5, 0.2, 0.3])
    path = results(lines=[line(n, n / 30, [name], unsure=n % 7 == 0) for n, name in enumerate(shown)])
    table, summary = read_results(path), summarize(load_results(path))
    sure = table["emotion"].astype(str).where(~table["unsure"], "unsure").value_counts(normalize=True)
    for name, row in {**summary["emotions"], "unsure": summary["unsure"]}.items():
        assert row["share"] == pytest.approx(sure.get(name, 0.0), abs=1e-6)
        assert row["low"] <= row["share"] <= row["high"]
    leading = table["emotion"].value_counts(normalize=True)
    for name, row in summary["emotions"].items():
        assert row["share_with_unsure"] == pytest.approx(leading[name], abs=1e-6)


def test_seconds_changes_and_faces(results) -> None:
    summary = summarize(load_results(results()))
    assert summary["seconds"] == pytest.approx(8.0)
    assert summary["emotions"]["happy"]["seconds"] == pytest.approx(4.0)
    assert (summary["frames"], summary["frames_with_faces"], summary["faces"]) == (100, 80, 1)
    assert summary["changes_per_minute"] == pytest.approx(60 / 8, abs=0.01)
    (face,) = summary["tracks"]
    assert (face["first_t"], face["last_t"], face["emotion_seconds"]) == (0.0, 9.9, {"happy": 4.0, "sad": 4.0})


def autocorrelated(rng: np.random.Generator, bins: int, keep: float, share: float = 0.3) -> np.ndarray:
    """A state that stays with probability `keep` and is 1 in `share` of all draws: [bins, 2]."""
    draws, stays = rng.random(bins) < share, rng.random(bins) < keep
    last = np.maximum.accumulate(np.where(stays, 0, np.arange(bins)))
    state = draws[last].astype(float)
    return np.stack([state, 1 - state], axis=1)


@pytest.mark.parametrize("share", [0.1, 0.3])
@pytest.mark.parametrize("keep", [0.0, 0.9, 0.97])
def test_intervals_cover_the_truth_about_as_often_as_they_say(keep: float, share: float) -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(80):
        found = share_intervals(autocorrelated(rng, 3000, keep, share), seed)
        covered += found.low[0] <= share <= found.high[0]
    assert 0.86 <= covered / 80 <= 1.0


def test_a_series_that_never_changes_says_nothing_about_chance() -> None:
    found = share_intervals(np.tile([1.0, 0.0], (500, 1)))
    assert not found.is_reliable
    assert found.low[0] < 0.5 and found.high[0] == 1.0
    assert found.low[1] == 0.0 and found.high[1] > 0.5


def test_a_rare_emotion_that_was_not_seen_has_an_interval() -> None:
    found = share_intervals(np.append(autocorrelated(np.random.default_rng(1), 3000, 0.9), np.zeros((3000, 1)), axis=1))
    assert 0.003 < found.high[2] < 0.05


@pytest.mark.parametrize("keep", [0.0, 0.95])
def test_equal_runs_rarely_differ_clearly(keep: float) -> None:
    rng, clear = np.random.default_rng(4), 0
    for _ in range(60):
        pair = [share_intervals(autocorrelated(rng, 2000, keep)) for _ in range(2)]
        low, high = share_differences(*pair)[1:]
        clear += bool(((low > 0) | (high < 0)).any())
    assert clear <= 6


def test_the_interval_of_an_autocorrelated_series_is_wider() -> None:
    rng = np.random.default_rng(2)
    widths = []
    for keep in (0.0, 0.95):
        found = share_intervals(autocorrelated(rng, 3000, keep))
        widths.append(found.high[0] - found.low[0])
    assert widths[1] > 3 * widths[0]


def test_corrected_shares_find_the_truth_behind_the_counts() -> None:
    rates = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.1, 0.2, 0.7]])
    truth = np.array([0.2, 0.3, 0.5])
    counted = truth @ rates
    found = corrected_shares(np.tile(counted, (50, 1)), counted, (10_000 * rates).tolist(), ["a", "b", "c"])
    assert found.shares == pytest.approx(truth, abs=0.01)
    assert (found.low <= truth + 0.01).all() and (found.high >= truth - 0.01).all()
    assert found.warnings == ()


def test_few_test_faces_and_mixed_up_emotions_are_warned_about() -> None:
    counted = np.array([0.5, 0.5])
    found = corrected_shares(counted[None], counted, [[21, 19], [2000, 2100]], ["fear", "sad"])
    assert "fear (40)" in found.warnings[0]
    assert "mixed up" in found.warnings[1]


def test_a_timeline_has_gaps_as_nan_and_the_group(results) -> None:
    found = timeline(read_results(results()), every="1s")
    assert found["who"].unique().tolist() == ["all", "face 0"]
    group = found[found["who"] == "all"]
    assert group["start"].to_list() == [float(second) for second in range(10)]
    assert group["share_happy"].to_list()[:4] == pytest.approx([1.0] * 4)
    assert group["share_sad"].isna().to_list() == [False] * 4 + [True] * 2 + [False] * 4
    assert group["seconds"].sum() == pytest.approx(8.0)
    assert group["p_sad"].iloc[-1] == pytest.approx(0.8)


def test_intervals_shorter_than_a_frame_have_no_false_gaps(results) -> None:
    slow = results(lines=[line(n, float(n), ["happy"]) for n in range(10)])
    assert not timeline(read_results(slow), every=0.25)["share_happy"].isna().any()


def test_a_timeline_has_at_most_the_points_asked_for(results) -> None:
    found = timeline(read_results(results()), points=7, faces=0)
    assert len(found) <= 7


def test_runs_with_a_time_of_day_lie_where_the_clock_says(results) -> None:
    first = [line(n, n / 2, ["happy"], time=f"2026-05-01T12:00:0{n}.000Z") for n in range(3)]
    later = [line(n, n / 2, ["sad"], time=f"2026-05-01T12:10:0{n}.000Z") for n in range(3)]
    found = timeline(read_results(results(lines=first + later)), every="1min", faces=0)
    assert found["time"].iloc[0] == pd.Timestamp("2026-05-01T12:00:00Z")
    assert found["share_sad"].notna().to_list() == [True] + [False] * 9 + [True]


def test_an_unset_clock_does_not_stretch_the_axis(results) -> None:
    old = [line(n, n / 2, ["happy"], time=f"1970-01-01T00:00:0{n}.000Z") for n in range(3)]
    new = [line(n, n / 2, ["sad"], time=f"2026-05-01T12:10:0{n}.000Z") for n in range(3)]
    assert len(timeline(read_results(results(lines=old + new)), faces=0)) < 100


@pytest.mark.parametrize("every", ["soon", "0s", "-1min"])
def test_an_interval_that_is_none_is_refused(results, every: str) -> None:
    with pytest.raises(DataError, match="is not an interval"):
        timeline(read_results(results()), every=every)


def test_very_many_faces_are_summed_up(results) -> None:
    count = 200_000  # each seen once
    table = read_results(results(lines=[line(0, 0.0, ["happy"]), line(1, 0.1, ["sad"])]))
    many = table.iloc[np.zeros(count, int)].assign(id=np.arange(count), t=np.arange(count) / 100, seconds=0.01)
    summary = summarize(many)
    assert summary["faces"] == count
    assert (len(summary["tracks"]), summary["tracks_left_out"]) == (200, count - 200)


def test_frames_that_fall_unevenly_into_bins_leave_intervals_alone(results) -> None:
    states = np.random.default_rng(4).random(600) < 0.3
    lines = [line(n, n / 10, ["sad" if states[n // 5] else "happy"]) for n in range(3000)]
    summary = summarize(load_results(results(lines=lines)))
    assert summary["intervals_reliable"]
    sad = summary["emotions"]["sad"]
    assert 0.04 < sad["high"] - sad["low"] < 0.12  # 600 draws: 0.073
