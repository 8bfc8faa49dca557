"""FER+ votes as labels, with merged classes, and for image files."""

from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import DataError
from fer_train.class_choice import parse_classes
from fer_train.data import (
    FERPLUS_CLASSES,
    FERPLUS_COLUMNS,
    load_faces,
    majority_labels,
    majority_protocol,
    vote_distribution,
)

from ..conftest import CsvWriter, encoded, make_face, pixels

HEADER = ",".join(["Usage", "Image name", *FERPLUS_COLUMNS])


def ballot(**votes: int) -> list[int]:
    return [votes.get(column, 0) for column in FERPLUS_COLUMNS]


BALLOTS = [
    ballot(happiness=6, neutral=4),  # labeled angry
    ballot(sadness=5, fear=5),  # a tie
    ballot(contempt=6, anger=4),  # no class of FER2013
    ballot(unknown=3, NF=7),  # no face
    ballot(anger=4, sadness=3, happiness=3),
    ballot(anger=3, sadness=3, happiness=4),
    ballot(neutral=10),
]
LABELS = [0, 1, 2, 3, 4, 5, 6]


@pytest.fixture
def table(write_csv: CsvWriter) -> tuple[Path, Path]:
    faces = [make_face(label, np.random.default_rng(label)) for label in LABELS]
    usages = ["Training"] * 5 + ["PublicTest"] * 2
    data = write_csv(zip(LABELS, map(pixels, faces), usages, strict=True))
    votes = [[usage, f"fer{row:07}.png", *BALLOTS[row]] for row, usage in enumerate(usages)]
    return data, write_csv(votes, HEADER, "votes.csv")


def names(labels: np.ndarray, classes: tuple[str, ...]) -> list[str]:
    return ["-" if label < 0 else classes[label] for label in labels]


def test_the_majority_is_the_class_with_the_most_votes(table: tuple[Path, Path]) -> None:
    data = load_faces(*table)
    assert names(majority_labels(data), data.classes) == ["happy", "-", "-", "-", "angry", "happy", "neutral"]


def test_votes_for_merged_classes_are_added_up(table: tuple[Path, Path]) -> None:
    data = load_faces(*table, classes=parse_classes("happy,neutral,bad=angry+sad+fear+disgust+surprise"))
    assert names(majority_labels(data), data.classes) == ["happy", "bad", "-", "-", "bad", "bad", "neutral"]


def test_majorities_replace_the_labels_and_faces_without_one_are_left_out(table: tuple[Path, Path]) -> None:
    data = load_faces(*table, ferplus_labels="majority")
    assert names(data.labels, data.classes) == ["happy", "angry", "happy", "neutral"]
    assert data.votes is None, "they have become the labels"
    assert data.title == "faces.csv with FER+ majority labels"
    assert data.notes == (
        "labels are FER+ majorities: 3 differ from the file's own, and 3 faces without a majority for one class "
        "are left out",
    )


def test_majorities_count_before_classes_are_left_out(table: tuple[Path, Path]) -> None:
    data = load_faces(*table, ferplus_labels="majority", classes=parse_classes("happy,neutral"))
    assert names(data.labels, data.classes) == ["happy", "happy", "neutral"]
    assert data.names is not None and data.names.tolist() == ["row 1", "row 6", "row 7"]


def test_votes_stay_with_their_rows_when_bad_ones_are_left_out(table: tuple[Path, Path]) -> None:
    data_file, votes = table
    lines = data_file.read_text().splitlines()
    lines[2] = "1,1 2 3,Training"
    data_file.write_text("\n".join(lines) + "\n")
    data = load_faces(data_file, votes, skip_bad=True)
    assert data.votes is not None and data.votes.tolist() == [BALLOTS[row] for row in (0, 2, 3, 4, 5, 6)]


def test_images_named_as_in_ferplus_get_their_votes(table: tuple[Path, Path], tmp_path: Path) -> None:
    for row, (folder, name) in enumerate([("train", "happy"), ("train", "sad"), ("test", "happy"), ("train", "sad")]):
        (tmp_path / "faces" / folder / name).mkdir(parents=True, exist_ok=True)
        face = encoded(make_face(row, np.random.default_rng(row)))
        (tmp_path / "faces" / folder / name / f"fer000000{row}.png").write_bytes(face)
    votes = table[1]
    votes.write_text(votes.read_text().replace("Training", "").replace("PublicTest", ""))  # the folders' splits differ
    data = load_faces(tmp_path / "faces", votes)
    assert data.votes is not None and data.votes.tolist() == [BALLOTS[row] for row in (0, 1, 3, 2)]
    (tmp_path / "faces" / "train" / "sad" / "me.png").write_bytes(face)
    with pytest.raises(DataError, match=r"FER\+ names images fer0000012.png, and train/sad/me.png has another"):
        load_faces(tmp_path / "faces", votes)


@pytest.mark.parametrize("rows", ["others", "reversed", "shifted"])
def test_votes_of_other_faces_are_refused_though_every_usage_fits(rows: str, write_csv: CsvWriter) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 7, 140)
    faces = [(label, pixels(np.full((48, 48), row, np.uint8)), "Training") for row, label in enumerate(labels)]
    data = write_csv(faces)
    columns = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    orders = {"others": generator.permutation(140), "reversed": np.arange(140)[::-1], "shifted": np.arange(140) - 1}

    def votes(order: np.ndarray, name: str) -> Path:
        return write_csv([["Training", "", *ballot(**{columns[labels[row]]: 10})] for row in order], HEADER, name)

    assert load_faces(data, votes(np.arange(140), "right.csv")).votes is not None
    with pytest.raises(DataError, match=r"wrong\.csv does not fit .*: its majorities equal [12]\d% of the labels"):
        load_faces(data, votes(orders[rows], "wrong.csv"))
    with pytest.raises(DataError, match=r"wrong\.csv does not fit"):
        load_faces(data, votes(orders[rows], "wrong.csv"), ferplus_labels="majority")


def test_no_majority_at_all_is_an_error(table: tuple[Path, Path], write_csv: CsvWriter) -> None:
    usages = ["Training"] * 5 + ["PublicTest"] * 2
    votes = write_csv([[usage, "", *ballot(NF=10)] for usage in usages], HEADER, "none.csv")
    with pytest.raises(DataError, match=r"no face of .*faces.csv has a majority of FER\+ votes"):
        load_faces(table[0], votes, ferplus_labels="majority")


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        ({"neutral": 10}, "neutral"),
        ({"contempt": 6, "anger": 4}, "contempt"),
        ({"happiness": 5, "neutral": 5}, None),  # exactly half is no majority
        ({"happiness": 5, "neutral": 4, "fear": 1}, "happy"),  # 5 of 9: the single vote is removed
        ({"disgust": 3, "fear": 1, "anger": 1, "sadness": 1, "surprise": 1, "neutral": 2, "unknown": 1}, "disgust"),
        ({"sadness": 4, "fear": 3, "neutral": 3}, None),
        ({"unknown": 6, "neutral": 4}, None),
        ({"NF": 10}, None),
        ({"unknown": 1, "NF": 1, "anger": 8}, "angry"),
        (dict.fromkeys(FERPLUS_COLUMNS, 1), None),  # nothing is left
        ({}, None),
    ],
)
def test_the_majority_protocol_of_the_paper(votes: dict[str, int], label: str | None) -> None:
    labels = majority_protocol(np.array([ballot(**votes), ballot(fear=9)], dtype=np.float32))
    assert labels.dtype == np.int64
    assert names(labels, FERPLUS_CLASSES) == [label or "-", "fear"]


def test_votes_become_a_distribution_over_eight_classes() -> None:
    votes = np.array([ballot(happiness=6, contempt=2, fear=1, NF=3), ballot(unknown=9, anger=1)], dtype=np.float32)
    happy, nothing = vote_distribution(votes)
    assert dict(zip(FERPLUS_CLASSES, happy.tolist(), strict=True)) == dict.fromkeys(FERPLUS_CLASSES, 0.0) | {
        "happy": 0.75, "contempt": 0.25,
    }  # fmt: skip
    assert not nothing.any()
