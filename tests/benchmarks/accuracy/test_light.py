"""Faces with less light or contrast: the same each time, and named in each way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.classifier import drawn_faces
from benchmarks.accuracy.light import NOISES, SHARES, SPOILT, WAYS, measure, plot, spoilt
from fer_edge.framing import MIN_MEAN
from fer_edge.network.classifier import Classifier
from fer_models import default_model


@pytest.mark.parametrize("case", SPOILT)
def test_less_is_flatter_and_the_same_each_time(case: str) -> None:
    faces, towards = drawn_faces().images[::40], SPOILT[case]
    deviations = [spoilt(faces, towards, share, 0).std() for share in SHARES]
    assert deviations == sorted(deviations, reverse=True)
    assert abs(spoilt(faces, towards, 0.01, 0).mean() - towards) < 3
    assert np.array_equal(spoilt(faces, towards, 1.0, 0), faces)
    assert np.array_equal(spoilt(faces, towards, 0.2, 2), spoilt(faces, towards, 0.2, 2))
    assert not np.array_equal(spoilt(faces, towards, 0.2, 2), spoilt(faces, towards, 0.2, 0))


def test_only_one_way_leaves_the_dark_dark() -> None:
    face = np.full((48, 48), 10, np.uint8)
    means = {name: way(face).mean() for name, way in WAYS.items()}
    assert means["as it is"] == 10
    assert means["fer-edge"] == MIN_MEAN
    assert 40 < means["gamma"] < MIN_MEAN
    assert (face == 10).all()


def test_the_table_has_a_row_for_each_darkness(tmp_path: Path) -> None:
    faces = drawn_faces()
    some = replace(faces, images=faces.images[::40], labels=faces.labels[::40], usage=faces.usage[::40])
    results = measure(Classifier(default_model()), some)
    assert len(results.tables[0].rows) == len(SPOILT) * len(SHARES) * len(NOISES)
    for case in SPOILT:
        as_it_is, ours = (results.values["accuracy"][f"{case}, noise 0, {way}"][-1] for way in ("as it is", "fer-edge"))
        assert ours > as_it_is
    plot(results, tmp_path / "light.png")
    assert (tmp_path / "light.png").stat().st_size > 10_000
