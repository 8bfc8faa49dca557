"""The benchmark of the confidence threshold counts as defined."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.accuracy import confidence
from benchmarks.accuracy.confidence import THRESHOLDS, Answers, calm_table, curve
from benchmarks.harness.heads import as_emotions, open_head
from benchmarks.harness.truths import own_fer2013_set

from ..conftest import is_png

LABELS = ("angry", "sad", "neutral")
ANSWERS = Answers(
    as_emotions(
        np.array([[0.9, 0.05, 0.05], [0.1, 0.32, 0.58], [0.4, 0.25, 0.35], [0.2, 0.2, 0.6]], np.float32), LABELS
    ),
    np.array([0, 4, 6, 6]),
)


def at(threshold: float) -> int:
    return THRESHOLDS.index(threshold)


def test_answers_are_given_from_the_threshold_on_and_right_among_those_given() -> None:
    values = curve(ANSWERS)
    assert (values["answered"][0], values["right"][0], values["withheld_right"][0]) == (1.0, 0.5, None)
    assert (values["answered"][at(0.5)], values["right"][at(0.5)]) == (0.75, pytest.approx(2 / 3))
    assert values["withheld_right"][at(0.5)] == 0.0
    assert (values["answered"][at(0.7)], values["right"][at(0.7)]) == (0.25, 1.0)


def test_calm_faces_are_counted_by_their_label() -> None:
    rows = {row[0]: row[1:] for row in calm_table(ANSWERS).rows}
    assert rows["0.00"] == ("50.00 %", "50.00 %", "0.00 %", "0.00 %")
    assert rows["0.50"] == ("50.00 %", "0.00 %", "0.00 %", "50.00 %")


def test_the_command_measures_crops_and_photographs_of_people_kept_aside(
    faces_csv: Path, ferplus_csv: Path, people_folder: Path, photographs: tuple[Path, Path], tmp_path: Path
) -> None:
    tiles, labels = photographs
    outputs = ["--json", str(tmp_path / "confidence.json"), "--plot", str(tmp_path / "confidence.png")]
    faces = own_fer2013_set(open_head(None).name, faces_csv, ferplus_csv)
    inputs = [
        "--data",
        str(faces_csv),
        "--ferplus",
        str(ferplus_csv),
        "--tiles",
        str(tiles),
        "--labels",
        str(labels),
        "--people",
        str(people_folder),
    ]
    ran = CliRunner().invoke(confidence.main, [*inputs, *outputs], catch_exceptions=False)
    assert ran.exit_code == 0
    content = json.loads((tmp_path / "confidence.json").read_text())
    assert list(content["values"]["curves"]) == ["PublicTest", "everyday"]
    assert f"{len(faces)} faces against {faces.truth}" in content["tables"][0]["note"]
    assert "7 faces against labels of people" in content["tables"][1]["note"]
    assert content["values"]["curves"]["everyday"]["answered"][0] == 1.0
    assert content["skipped"] == []
    assert is_png(tmp_path / "confidence.png")
