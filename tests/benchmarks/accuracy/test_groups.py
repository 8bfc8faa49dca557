"""Faces in thirds by light, contrast, sharpness, size and turn, and how often a head is right about each."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.accuracy import groups
from benchmarks.accuracy.groups import contrast, mean_gray, sharpness, size_and_turn, split_in_thirds
from benchmarks.harness.truths import people_set
from fer_edge.errors import DataError
from fer_edge.opencv import cv2

from ..conftest import is_png


def test_light_contrast_and_sharpness_order_faces_as_the_eye_does() -> None:
    face = np.random.default_rng(0).integers(60, 200, (48, 48)).astype(np.uint8)
    faces = np.stack([face, face // 2, np.full_like(face, 128), cv2.GaussianBlur(face, (0, 0), 2)])
    assert mean_gray(faces)[1] == pytest.approx(mean_gray(faces)[0] / 2, abs=1)
    assert contrast(faces)[2] == sharpness(faces)[2] == 0
    assert contrast(faces)[1] == pytest.approx(contrast(faces)[0] / 2, rel=0.02)
    assert sharpness(faces)[3] < sharpness(faces)[0] / 10


def test_thirds_hold_every_face_with_a_value_once_and_in_order(people_folder: Path) -> None:
    faces = people_set(people_folder)
    values = np.array([5.0, 1.0, 3.0, np.nan, 2.0, 4.0, 6.0, np.nan])
    found = split_in_thirds(faces, "size", values)
    assert [(group.third, group.low, group.high, int(group.members.sum())) for group in found] == [
        ("low", 1, 2, 2), ("middle", 3, 4, 2), ("high", 5, 6, 2),
    ]  # fmt: skip
    assert [int(group.members.sum()) for group in split_in_thirds(faces, "same", np.ones(8))] == [8]
    assert split_in_thirds(faces, "unknown", np.full(8, np.nan)) == []


def test_size_and_turn_are_those_of_the_face_in_the_middle(photographs: tuple[Path, Path], tmp_path: Path) -> None:
    tiles, _ = photographs
    found = size_and_turn(tiles)
    assert found["A_Person_0002"][1] == 0  # a nose between the eyes
    assert found["A_Person_0001"][1] == pytest.approx(0.5)  # a nose below an eye
    assert 30 < found["A_Person_0001"][0] < 128
    with pytest.raises(DataError, match="lfw_tiles"):
        size_and_turn(tmp_path)


def test_the_command_prints_tables_per_set_and_says_what_is_not_measured(
    photographs: tuple[Path, Path], people_folder: Path, faces_csv: Path, ferplus_csv: Path, tmp_path: Path
) -> None:
    inputs = ["--data", str(faces_csv), "--ferplus", str(ferplus_csv), "--people", str(people_folder)]
    outputs = ["--json", str(tmp_path / "groups.json"), "--plot", str(tmp_path / "groups.png")]
    ran = CliRunner().invoke(groups.main, [*inputs, "--tiles", str(photographs[0]), *outputs], catch_exceptions=False)
    assert ran.exit_code == 0
    assert "age, glasses, sex, skin and culture" in ran.output
    content = json.loads((tmp_path / "groups.json").read_text())
    people = [each for each in content["values"]["groups"] if each["truth"] == "people kept aside"]
    assert {each["attribute"].split(" ")[0] for each in people} == {"height", "turn", "light", "contrast", "sharpness"}
    head = people[0]["head"]
    light = [each for each in people if each["head"] == head and each["attribute"].startswith("light")]
    assert sum(each["accuracy"]["faces"] for each in light) == 8
    measures = ("Right", "Calm faces called neutral")
    truths = ("FER2013 labels", "FER+ majority", "people kept aside")
    assert [table["title"] for table in content["tables"]] == [
        f"{measure}, {truth}" for truth in truths for measure in measures
    ]
    right, calm = content["tables"][-2:]
    row = next(row for row in right["rows"] if row[0] == light[0]["attribute"])
    assert int(row[2]) == light[0]["accuracy"]["faces"]
    assert row[3].startswith(f"{100 * light[0]['accuracy']['value']:.1f} (")
    assert [cells[:3] for cells in calm["rows"]] == [cells[:3] for cells in right["rows"]]
    assert is_png(tmp_path / "groups.png")
    without = CliRunner().invoke(groups.main, ["--people", str(people_folder)], catch_exceptions=False)
    assert "size and turn of their faces, which need --tiles" in without.output
