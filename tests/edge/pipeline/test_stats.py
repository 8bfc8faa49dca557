import numpy as np
import pytest

from fer_edge.pipeline.stats import SHORT_RUN_FRAMES, WARMUP_FRAMES, LatencyHistogram, Rate, Stats


def test_percentiles_agree_with_numpy_within_half_a_bin() -> None:
    durations = np.random.default_rng(0).lognormal(2, 1, 5000)
    latency = LatencyHistogram()
    for duration in durations:
        latency.add(float(duration))
    measured, summary = durations[WARMUP_FRAMES:], latency.summary()
    for name, percent in (("p50", 50), ("p95", 95), ("p99", 99)):
        exact = np.percentile(measured, percent, method="inverted_cdf")
        assert summary[name] == pytest.approx(exact, rel=0.0051), name
    assert summary["max"] == pytest.approx(measured.max(), abs=0.001)


def test_the_warm_up_is_excluded_from_a_long_run() -> None:
    latency = LatencyHistogram()
    for duration in [5000.0] * WARMUP_FRAMES + [10.0] * (SHORT_RUN_FRAMES + 1):
        latency.add(duration)
    assert latency.summary()["max"] == 10.0


def test_cumulative_counts_hold_every_duration_and_their_sum() -> None:
    latency = LatencyHistogram()
    assert latency.cumulative([1.0]) == ([0, 0], 0)
    durations = [0.5, 4.0, 4.0, 30.0, 70.0, 3.0, 3.0, 200.0]  # the first ones are the warm-up
    for count, duration in enumerate(durations, 1):
        latency.add(duration)
        assert latency.cumulative([10.0])[0][-1] == count
    counts, sum_ms = latency.cumulative([1.0, 5.0, 100.0])
    assert counts == [1, 5, 7, 8]
    assert sum_ms == pytest.approx(sum(durations), rel=0.006)


def test_a_short_run_excludes_nothing() -> None:
    latency = LatencyHistogram()
    for duration in (300.0, 100.0, 200.0):
        latency.add(duration)
    summary = latency.summary()
    assert summary["p50"] == pytest.approx(200, rel=0.006)
    assert summary["max"] == 300.0


def test_no_percentile_exceeds_the_maximum() -> None:
    latency = LatencyHistogram()
    for duration in (7.79, 3.33, 9.99):
        latency.add(duration)
    summary = latency.summary()
    assert summary["max"] == 9.99
    assert all(value is not None and value <= 9.99 for value in summary.values())


def test_nothing_measured_is_none_and_not_zero() -> None:
    assert LatencyHistogram().summary() == {"p50": None, "p95": None, "p99": None, "max": None}


def test_memory_does_not_grow_with_the_run() -> None:
    latency = LatencyHistogram()
    for index in range(20_000):
        latency.add(1 + index % 100)
    assert len(latency._bins) <= 100


def test_the_rate_of_an_even_stream_is_exact() -> None:
    rate = Rate()
    for index in range(1000):
        rate.add(100 + index / 25)
    assert rate.per_second() == pytest.approx(25)


def test_the_rate_of_a_long_run_excludes_the_slow_start() -> None:
    rate = Rate()
    for index in range(WARMUP_FRAMES):
        rate.add(index * 10.0)
    start = (WARMUP_FRAMES - 1) * 10.0
    for index in range(1, 101):
        rate.add(start + index / 50)
    assert rate.per_second() == pytest.approx(50)


def test_amounts_are_summed() -> None:
    rate = Rate()
    for index in range(11):
        rate.add(index / 10, amount=3)
    assert rate.per_second() == pytest.approx(30)


@pytest.mark.parametrize("events", [0, 1])
def test_fewer_than_two_events_have_no_rate(events: int) -> None:
    rate = Rate()
    for _ in range(events):
        rate.add(1.0)
    assert rate.per_second() is None


def test_the_total_of_several_sources_has_all_rates_and_latencies() -> None:
    total = Stats()
    for start in (0.0, 10.0):
        stats = Stats.within(total)
        for index in range(3):
            stats.processed_rate.add(start + index)
            stats.detect_ms.add(5.0)
        assert stats.processed_rate.per_second() == 1.0
    assert total.processed_rate.count == 6
    assert total.processed_rate.per_second() == pytest.approx(5 / 12)
    assert total.detect_ms.summary() == stats.detect_ms.summary()
    assert total.processed == 0, "counts are added up from the sources' reports"
