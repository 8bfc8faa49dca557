"""Intervals of fractions and of what is resampled."""

import numpy as np
import pytest

from benchmarks.harness.intervals import bootstrap, resampled, wilson


@pytest.mark.parametrize(
    ("hits", "count", "interval"),
    [(20, 25, (0.6087, 0.9114)), (0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0)), (0, 0, (0.0, 1.0))],
)
def test_wilsons_interval_has_the_published_values(hits: int, count: int, interval: tuple[float, float]) -> None:
    assert wilson(hits, count) == pytest.approx(interval, abs=1e-4)


def test_whole_people_are_drawn_and_the_draws_are_seeded() -> None:
    people = np.array([0, 0, 1, 2, 2, 2])
    weights = resampled(people, draws=50)
    assert weights.shape == (50, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3:] == weights[:, 3:4]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert np.array_equal(weights, resampled(people, draws=50))


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error_says() -> None:
    values = np.tile([0.0, 1.0], 200)
    low, high = bootstrap(lambda drawn: (drawn @ values) / drawn.sum(axis=1), resampled(np.arange(400)))
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.01)


def test_draws_without_a_value_do_not_count() -> None:
    low, high = bootstrap(lambda drawn: np.where(np.arange(len(drawn)) % 2, np.nan, 0.3), resampled(np.arange(5)))
    assert (low, high) == (0.3, 0.3)
    assert np.isnan(bootstrap(lambda drawn: np.full(len(drawn), np.nan), resampled(np.arange(5)))).all()
