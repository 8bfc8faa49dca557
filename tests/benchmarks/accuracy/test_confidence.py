"""The benchmark of the confidence threshold counts as defined."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.confidence import THRESHOLDS, Answers, calm_table, curve, is_in_the_middle, read_labels
from fer_edge.errors import DataError

LABELS = ("angry", "sad", "neutral")
ANSWERS = Answers(
    np.array([[0.9, 0.05, 0.05], [0.1, 0.32, 0.58], [0.4, 0.25, 0.35], [0.2, 0.2, 0.6]], np.float32),
    np.array([0, 1, 2, 2]),
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
    rows = {row[0]: row[1:] for row in calm_table(ANSWERS, LABELS).rows}
    assert rows["0.00"] == ("50.00 %", "50.00 %", "0.00 %", "0.00 %")
    assert rows["0.50"] == ("50.00 %", "0.00 %", "0.00 %", "50.00 %")


def test_labels_are_read_by_tile_and_others_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("tile,name,emotion\n3,A_B_0001,sad\n5,C_D_0001,contempt\n7,E_F_0001,neutral\n")
    assert read_labels(path, LABELS) == {3: 1, 7: 2}


@pytest.mark.parametrize("text", ["", "tile,name\n1,x\n", "tile,emotion\nx,sad\n"])
def test_a_table_without_labels_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    if text:
        with pytest.raises(DataError, match="tile and emotion"):
            read_labels(path, LABELS)
    else:
        assert read_labels(path, LABELS) == {}


def test_only_the_person_in_the_middle_of_a_tile_counts() -> None:
    assert is_in_the_middle((44.0, 40.0, 40.0, 50.0))
    assert not is_in_the_middle((0.0, 0.0, 40.0, 50.0))
