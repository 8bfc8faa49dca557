"""Training speed against the tutorials' way."""

from collections.abc import Callable

import pytest

from ..conftest import Ran, is_png


@pytest.mark.slow
def test_the_training_benchmark_measures_and_draws(run_benchmark: Callable[..., Ran]) -> None:
    options = ["--model", "edgeresnet-small", "--faces", 256, "--steps", 1, "--rounds", 1, "--threads", 1]
    ran = run_benchmark("speed.training", *options)
    assert ran.code == 0, ran.stderr
    ratios = {ratio["name"]: ratio for ratio in ran.content["figures"]}
    assert ratios["data handling"]["target"] == 3
    assert ratios["data handling"]["median"] > 0
    assert all(name in ran.stdout for name in ratios)
    assert is_png(ran.plot)
