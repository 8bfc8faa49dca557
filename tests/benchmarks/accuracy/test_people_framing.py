"""Squares of other sides and heights, and how much more often a head is right in them."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.accuracy import people_framing
from benchmarks.accuracy.people_framing import DOWNS, PROPOSED, SIDES, TODAY, difference, five_mean, moved
from fer_edge.detectors.yunet import YunetDetector
from fer_edge.framing import Square

from ..conftest import is_png


def test_the_proposed_square_is_a_little_larger_than_yunets_box_and_higher() -> None:
    box = (10.0, 20.0, 80.0, 100.0)
    square = moved(YunetDetector.framing.square(box), PROPOSED)
    assert square.side == pytest.approx(1.05 * 100, abs=0.1)
    assert square.y == pytest.approx(70 - 0.06 * 1.05 * 100, abs=0.1)
    assert moved(Square(5, 6, 10), TODAY) == Square(5, 6, 10)


def test_a_gain_is_the_paired_difference_with_its_interval() -> None:
    base = np.tile([True, False, False, False], 50)
    right = np.tile([True, True, False, False], 50)
    gain, low, high = difference(right, base, np.arange(200))
    assert gain == 0.25
    assert 0.18 < low < 0.25 < high < 0.32
    assert difference(base, base, np.arange(200)) == (0.0, 0.0, 0.0)


def test_the_mean_of_five_leaves_out_what_the_faces_lack() -> None:
    labels = np.array([0, 0, 6, 6, 6, 6])
    assert five_mean(np.array([True, False, True, True, True, False]), labels) == pytest.approx((0.5 + 0.75) / 2)
    assert np.isnan(five_mean(np.array([True]), np.array([2])))


def test_the_command_prints_a_grid_per_kind_of_box(
    photographs: tuple[Path, Path],
    people_folder: Path,
    faces_csv: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(people_framing, "SIDES", (1.0, 1.105))
    monkeypatch.setattr(people_framing, "DOWNS", (0.0, -0.066))
    assert TODAY[0] in SIDES
    assert PROPOSED[1] in DOWNS
    tiles, labels = photographs
    inputs = ["--tiles", str(tiles), "--labels", str(labels), "--people", str(people_folder), "--data", str(faces_csv)]
    outputs = ["--json", str(tmp_path / "framing.json"), "--plot", str(tmp_path / "framing.png")]
    ran = CliRunner().invoke(people_framing.main, [*inputs, *outputs], catch_exceptions=False)
    assert ran.exit_code == 0
    content = json.loads((tmp_path / "framing.json").read_text())
    assert [name.split(", ")[-1].split(" (")[0] for name in content["values"]][:2] == ["luma", "yunet"]
    assert all(len(cells) == 4 for cells in content["values"].values())
    assert len(content["tables"][0]["rows"]) == 3 * len(content["values"])
    assert "on 7 faces" in content["tables"][1]["note"]
    assert is_png(tmp_path / "framing.png")
