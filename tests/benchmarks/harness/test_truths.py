"""The faces of each truth, and the heads that are measured on them."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.heads import EMOTIONS, as_emotions, open_heads
from benchmarks.harness.truths import (
    LABELS,
    MAJORITY,
    PEOPLE,
    UNIQUE_TOP,
    fer2013_sets,
    load_sets,
    own_fer2013_set,
    own_truths,
    people_of,
    people_set,
    photograph_of,
    sampled,
)
from fer_edge.errors import DataError
from fer_edge.opencv import cv2
from fer_models import default_model


def test_the_truths_of_fer2013_are_its_labels_and_two_of_the_votes(faces_csv: Path, ferplus_csv: Path) -> None:
    sets = fer2013_sets(faces_csv, ferplus_csv)
    assert list(sets) == [LABELS, MAJORITY, UNIQUE_TOP]
    # Of 22 PublicTest faces the fixture's first has contempt, the second unknown, the third 4 to 3 to 3, the fourth a
    # tie; all others are happy.
    assert [EMOTIONS[label] for label in sets[MAJORITY].labels] == ["contempt"] + ["happy"] * 18
    assert [EMOTIONS[label] for label in sets[UNIQUE_TOP].labels] == ["contempt", "fear"] + ["happy"] * 18
    assert len(sets[LABELS]) == 22
    assert int(sets[LABELS].copies.sum()) == int(sets[MAJORITY].copies.sum()) == 1


def test_people_kept_aside_are_those_of_the_test_folder(people_folder: Path) -> None:
    faces = people_set(people_folder)
    assert (faces.truth, len(faces)) == (PEOPLE, 8)
    assert sorted({EMOTIONS[label] for label in faces.labels}) == ["angry", "happy", "neutral", "sad"]
    assert len(np.unique(faces.people)) == 7  # A_Person has two photographs
    assert int(faces.copies.sum()) == 1
    assert len(np.unique(faces.rows(faces.labels == EMOTIONS.index("neutral")).people)) == 4


def test_a_folder_without_people_kept_aside_or_with_other_classes_is_refused(people_folder: Path) -> None:
    with pytest.raises(DataError, match="no faces kept aside"):
        people_set(people_folder / "train")
    (people_folder / "test" / "sad").rename(people_folder / "test" / "bored")
    with pytest.raises(DataError, match="bored, which are not among angry"):
        people_set(people_folder)


def test_what_is_not_given_is_named_and_nothing_at_all_is_refused(faces_csv: Path) -> None:
    skipped: list[str] = []
    assert list(load_sets(faces_csv, None, None, skipped.append)) == [LABELS]
    assert [sentence.split(",")[0] for sentence in skipped] == ["FER+", "people"]
    with pytest.raises(DataError, match="give --data"):
        load_sets(None, None, None, skipped.append)
    with pytest.raises(DataError, match="Usage is PrivateTest"):
        fer2013_sets(faces_csv, None, "PrivateTest")


def test_a_person_and_a_photograph_are_told_by_the_file_name() -> None:
    names = ["test/sad/Ann_Lee_0001.png", "test/sad/Ann_Lee_0002-1.png", "test/sad/Bo_0001.png", "row 12", "row 13"]
    people = people_of(names)
    assert people[0] == people[1]
    assert len(np.unique(people)) == 4
    assert [photograph_of(name) for name in names[:3]] == ["Ann_Lee_0001", "Ann_Lee_0002", "Bo_0001"]


def test_every_head_has_the_truths_that_it_was_trained_for() -> None:
    assert own_truths(None) == own_truths("fer2013") == (LABELS,)
    assert own_truths("people") == (MAJORITY, PEOPLE)
    assert own_truths("ferplus") == (MAJORITY,)
    assert own_truths("own") == ()


def test_a_head_of_the_votes_is_not_measured_against_labels(faces_csv: Path, ferplus_csv: Path) -> None:
    assert own_fer2013_set("people", faces_csv, ferplus_csv).truth == MAJORITY
    assert own_fer2013_set(None, faces_csv, ferplus_csv).truth == LABELS
    with pytest.raises(DataError, match="give --ferplus"):
        own_fer2013_set("people", faces_csv, None)


def test_answers_are_put_into_the_order_of_the_emotions() -> None:
    found = as_emotions(np.array([[0.6, 0.3, 0.1]]), ("contempt", "Happiness", "bored"))
    assert found[0].tolist() == [0, 0, 0, 0.3, 0, 0, 0, 0.6]


def test_the_heads_of_a_file_are_opened_in_its_order() -> None:
    head, *others = open_heads(default_model())
    assert [head.name, *(other.name for other in others)] == ["people", "ferplus", "fer2013"]
    assert head.title.startswith(default_model().name)
    assert head.is_emotional
    assert head.predict(np.zeros((2, 48, 48), np.uint8)).sum(axis=1) == pytest.approx([1, 1], abs=1e-3)


def test_a_sample_is_seeded_and_never_larger_than_the_set(people_folder: Path) -> None:
    faces = people_set(people_folder)
    assert np.array_equal(sampled(faces, 3).images, sampled(faces, 3).images)
    assert len(sampled(faces, 3)) == 3
    assert sampled(faces, 0) is sampled(faces, 100) is faces


def test_other_cuts_of_a_training_photograph_are_near_copies_if_asked_for(people_folder: Path) -> None:
    trained = next((people_folder / "train").rglob("*.png"))
    face = cv2.imread(str(trained), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(people_folder / "test" / "sad" / "Other_Name_0001.png"), face // 2 + 20)
    for find_near, more in ((False, 0), (True, 1)):
        faces = people_set(people_folder, find_near)
        assert int(faces.copies.sum()) == 1
        assert int((faces.near_copies & ~faces.copies).sum()) == more
