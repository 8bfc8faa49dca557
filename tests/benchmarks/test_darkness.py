"""Faces with less light: seeded, darker, and named in each way."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from accuracy import drawn_faces
from darkness import NOISES, SHARES, WAYS, darkened, measure, plot
from fer_edge.classifier import Classifier
from fer_edge.framing import DARK_GREY
from fer_models import default_model


def test_less_light_is_darker_and_the_same_each_time() -> None:
    faces = drawn_faces().images[::40]
    means = [darkened(faces, share, 0).mean() for share in SHARES]
    assert means == sorted(means, reverse=True)
    assert np.array_equal(darkened(faces, 1.0, 0), faces)
    assert np.array_equal(darkened(faces, 0.2, 2), darkened(faces, 0.2, 2))
    assert not np.array_equal(darkened(faces, 0.2, 2), darkened(faces, 0.2, 0))


def test_only_one_way_leaves_the_dark_dark() -> None:
    face = np.full((48, 48), 10, np.uint8)
    means = {name: way(face).mean() for name, way in WAYS.items()}
    assert means["as it is"] == 10
    assert means["fer-edge"] == DARK_GREY
    assert 40 < means["gamma"] < DARK_GREY
    assert (face == 10).all()


def test_the_table_has_a_row_for_each_darkness(tmp_path: Path) -> None:
    faces = drawn_faces()
    some = replace(faces, images=faces.images[::40], labels=faces.labels[::40], usage=faces.usage[::40])
    results = measure(Classifier(default_model()), some)
    assert len(results.tables[0].rows) == len(SHARES) * len(NOISES)
    in_the_dark, lit = (results.values["accuracy"][f"{way}, noise 0"][-1] for way in ("as it is", "fer-edge"))
    assert lit > in_the_dark
    plot(results, tmp_path / "dark.png")
    assert (tmp_path / "dark.png").stat().st_size > 10_000
