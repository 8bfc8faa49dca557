"""Faces with less light or contrast: seeded, and classified with each method."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.light import METHODS, NOISE_STD, SHARES, TARGET_GRAY, degraded, measure, plot
from benchmarks.harness.heads import open_head
from benchmarks.harness.plots import save_plot
from benchmarks.harness.truths import LABELS, face_set
from fer_edge.framing import MIN_MEAN
from fer_train.data import FaceData


@pytest.mark.parametrize("case", TARGET_GRAY)
def test_a_smaller_share_is_flatter_and_seeded(case: str, drawn: FaceData) -> None:
    faces, target = drawn.images[::40], TARGET_GRAY[case]
    deviations = [degraded(faces, target, share, 0).std() for share in SHARES]
    assert deviations == sorted(deviations, reverse=True)
    assert abs(degraded(faces, target, 0.01, 0).mean() - target) < 3
    assert np.array_equal(degraded(faces, target, 1.0, 0), faces)
    assert np.array_equal(degraded(faces, target, 0.2, 2), degraded(faces, target, 0.2, 2))
    assert not np.array_equal(degraded(faces, target, 0.2, 2), degraded(faces, target, 0.2, 0))


def test_both_corrections_brighten_a_dark_face() -> None:
    face = np.full((48, 48), 10, np.uint8)
    means = {name: method(face).mean() for name, method in METHODS.items()}
    assert means["as it is"] == 10
    assert means["fer-edge"] == MIN_MEAN
    assert 40 < means["gamma"] < MIN_MEAN
    assert (face == 10).all()


def test_the_table_has_a_row_per_case_share_and_noise(tmp_path: Path, drawn: FaceData) -> None:
    number = np.arange(len(drawn)) % 40
    some = face_set(LABELS, drawn.rows(number == 0), drawn.rows(number == 1), find_near=False)
    results = measure(open_head(None), some)
    assert results.values["truth"] == LABELS
    assert len(results.tables[0].rows) == len(TARGET_GRAY) * len(SHARES) * len(NOISE_STD)
    for case in TARGET_GRAY:
        as_it_is, ours = (
            results.values["accuracy"][f"{case}, noise 0, {method}"][-1] for method in ("as it is", "fer-edge")
        )
        assert ours > as_it_is
    save_plot(plot(results), tmp_path / "light.png")
    assert (tmp_path / "light.png").stat().st_size > 10_000
