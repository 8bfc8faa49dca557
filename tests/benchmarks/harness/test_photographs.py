"""Photographs of people kept aside, and the boxes of the person in the middle."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.heads import EMOTIONS
from benchmarks.harness.photographs import detected, is_in_the_middle, load_photographs, middle_box, read_table
from fer_edge.detectors import open_detector
from fer_edge.errors import DataError


def test_only_labeled_photographs_of_people_kept_aside_are_loaded(
    photographs: tuple[Path, Path], people_folder: Path
) -> None:
    loaded = load_photographs(*photographs, people_folder)
    assert loaded.names == ("A_Person_0001", "A_Person_0002", "B_0001", "C_0001", "D_0001", "E_0001", "F_0001")
    assert [EMOTIONS[label] for label in loaded.labels[:3]] == ["neutral", "angry", "neutral"]
    assert len(np.unique(loaded.people)) == 6
    assert loaded.images.shape == (7, 128, 128)
    assert loaded.tiles.tolist() == list(range(7))
    assert len(load_photographs(*photographs, people_folder, count=3)) == 3
    found = detected(open_detector("luma", None, min_face_px=20), loaded.images)
    for ours, yunet in zip(found, loaded.yunet, strict=True):
        assert ours is not None
        assert yunet is not None
        assert abs(ours[0] + ours[2] / 2 - yunet[0] - yunet[2] / 2) < 8


def test_labels_of_other_people_or_tiles_that_are_not_there_are_refused(
    photographs: tuple[Path, Path], people_folder: Path
) -> None:
    tiles, labels = photographs
    labels.write_text("tile,name,emotion\n0,Nobody_0001,sad\n")
    with pytest.raises(DataError, match="names no photograph of"):
        load_photographs(tiles, labels, people_folder)
    labels.write_text("tile,name,emotion\n77,B_0001,sad\n")
    with pytest.raises(DataError, match="names tile 77"):
        load_photographs(tiles, labels, people_folder)


@pytest.mark.parametrize("text", ["tile,name\n1,x\n", "tile,name,emotion\nx,y,sad\n", "tile,name,emotion\n1,y\n", None])
def test_a_table_without_labels_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "labels.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match="tile, name and emotion"):
        read_table(path)


def test_the_person_is_the_largest_face_near_the_middle() -> None:
    assert is_in_the_middle((44.0, 40.0, 40.0, 50.0))
    assert not is_in_the_middle((0.0, 0.0, 40.0, 50.0))
    assert middle_box([(0, 0, 90, 10), (44, 40, 40, 50), (50, 50, 20, 20)]) == (44, 40, 40, 50)
    assert middle_box([(0, 0, 40, 50)]) is None
