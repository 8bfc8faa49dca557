"""Hostile inputs stay within the memory that docs/limits.md states."""

import pytest

from benchmarks.speed import hostile, limits


@pytest.mark.slow
@pytest.mark.parametrize("name", [*hostile.FOR_EDGE, *limits.STREAMS])
def test_fer_edge_stays_below_its_bound(name: str) -> None:
    ((_, ended),) = limits.measure_edge(lambda other: other == name)
    assert ended.peak_mb < limits.MAX_EDGE_MB
    assert ended.code in (0, 1), ended.line


@pytest.mark.slow
@pytest.mark.parametrize("name", hostile.FOR_TRAIN)
def test_fer_train_stays_below_its_bound(name: str) -> None:
    ((_, ended),) = limits.measure_train(lambda other: other == name)
    assert ended.peak_mb < limits.MAX_TRAIN_MB
    assert ended.code in (0, 1), ended.line


def test_the_peak_of_a_command_is_its_own() -> None:
    held = bytearray(200_000_000)  # of this process
    held[::4096] = b"x" * len(held[::4096])
    code = "block = bytearray(60_000_000); block[::4096] = b'x' * 14649"
    ended = limits.run_measured(["timeit", "-n", "1", "-r", "1", code])
    assert ended.code == 0
    assert 60 < ended.peak_mb < 120
