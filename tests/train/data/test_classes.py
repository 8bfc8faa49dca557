"""Classes are kept, dropped, merged, and aligned with a network's."""

from dataclasses import replace

import numpy as np
import pytest

from fer_edge.errors import DataError
from fer_train.class_choice import parse_classes
from fer_train.data import FER2013_CLASSES, align_classes, load_faces, read_faces
from fer_train.data.classes import canonical, ordered_classes

from ..conftest import MERGED, CsvWriter, face_data, face_rows, write_images

MAPPING = {
    "angry": "other", "disgust": "other", "fear": "other", "happy": "happy", "sad": "other", "surprise": "other",
    "neutral": "neutral",
}  # fmt: skip


def test_the_choice_keeps_its_order() -> None:
    choice = parse_classes(" happy , neutral,other = angry+ fear")
    assert choice == {"happy": ("happy",), "neutral": ("neutral",), "other": ("angry", "fear")}
    assert list(choice) == ["happy", "neutral", "other"]


@pytest.mark.parametrize(("text", "problem"), [
    ("happy", "two or more classes are needed"),
    ("happy,,sad", "\'\' is neither a class nor NAME=A\\+B"),
    ("happy,sad=", "'sad=' is neither"),
    ("happy,sad=fear+", "'sad=fear\\+' is neither"),
    ("=happy,sad", "'=happy' is neither"),
    ("happy,happy", "the class happy is given twice"),
    ("happy,sad=happy+fear", "the class happy is used twice"),
    ("happy,sad=fear+fear", "the class fear is used twice"),
])  # fmt: skip
def test_a_malformed_choice_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_classes(text)


def test_classes_are_merged(write_csv: CsvWriter) -> None:
    data = load_faces(write_csv(face_rows(train=2, test=1)), classes=parse_classes(MERGED))
    assert data.classes == ("happy", "neutral", "other")
    assert data.counts() == {"happy": 3, "neutral": 3, "other": 15}
    assert data.class_mapping == MAPPING
    assert data.labels.tolist() == [0 if label == 3 else 1 if label == 6 else 2 for label in [*range(7)] * 3]


def test_other_classes_are_left_out_and_noted(write_csv: CsvWriter) -> None:
    data = load_faces(write_csv(face_rows(train=2, test=1)), classes=parse_classes("sadness,joy=Happiness"))
    assert data.counts() == {"sadness": 3, "joy": 3}, "sources may have any spelling, new names stay as given"
    assert data.class_mapping["happy"] == "joy" and data.class_mapping["fear"] is None
    assert data.notes == ("15 faces of other classes are left out",)
    assert data.names is not None and data.names[0] == "row 4"


@pytest.mark.parametrize(("choice", "problem"), [
    ("happy,bored", "--classes names bored, but .*faces.csv has angry, disgust, fear"),
    ("happy,glad=happiness", "--classes uses the class happy of .* twice"),
])  # fmt: skip
def test_a_choice_that_does_not_fit_the_data_is_refused(write_csv: CsvWriter, choice: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        load_faces(write_csv(face_rows(train=2, test=1)), classes=parse_classes(choice))


def test_a_choice_without_faces_is_refused(write_csv: CsvWriter) -> None:
    rows = [row for row in face_rows(train=2, test=1) if row[0] in (1, 2)]
    with pytest.raises(DataError, match="has no face of happy, sad"):
        load_faces(write_csv(rows), classes=parse_classes("happy,sad"))


def test_data_is_aligned_with_the_classes_of_the_training_data() -> None:
    data = face_data(train=2, test=1)
    aligned = align_classes(data, ("happy", "neutral", "other"), MAPPING, "m.pt")
    assert aligned.counts() == {"happy": 3, "neutral": 3, "other": 15}
    assert aligned.class_mapping == MAPPING


def test_data_is_aligned_with_the_networks_own_classes_in_its_order() -> None:
    data = face_data(train=2, test=1)
    classes = ("neutral", "Surprised", "sad", "happy", "fear", "disgust", "anger")
    aligned = align_classes(data, classes, {}, "m.pt")
    assert aligned.classes == classes
    assert aligned.labels[:7].tolist() == [6, 5, 4, 3, 2, 1, 0]


def test_data_that_has_the_networks_classes_is_left_alone() -> None:
    classes = ("happy", "neutral", "other")
    data = replace(face_data(train=1, test=0).rows(np.arange(7) < 3), classes=classes)
    assert align_classes(data, classes, MAPPING, "m.pt").labels.tolist() == [0, 1, 2]


def test_mapped_data_is_not_mapped_twice() -> None:
    mapping = dict.fromkeys(FER2013_CLASSES) | {"happy": "sad", "sad": "happy"}
    data = align_classes(face_data(train=1, test=0), ("happy", "sad"), mapping, "m.pt")
    assert data.labels.tolist() == [1, 0], "happy faces are called sad, and the other way round"
    assert align_classes(data, ("happy", "sad"), mapping, "m.pt") is data


def test_classes_dropped_in_training_are_dropped() -> None:
    mapping = dict.fromkeys(FER2013_CLASSES) | {"happy": "happy", "sad": "sad"}
    assert align_classes(face_data(train=2, test=0), ("happy", "sad"), mapping, "m.pt").counts() == {
        "happy": 2,
        "sad": 2,
    }


def test_a_class_that_the_network_lacks_is_named(tmp_path) -> None:
    data = read_faces(write_images(tmp_path / "faces", ("happy", "contempt", "awe")))
    with pytest.raises(
        DataError, match=r"has the classes awe, contempt, but m.pt was trained on angry, disgust, .*: give"
    ):
        align_classes(data, ("happy", "neutral", "other"), MAPPING, "m.pt")
    (tmp_path / "faces" / "grief").mkdir()
    fewer = read_faces(tmp_path / "faces").rows(np.array([False] * 10 + [True] * 0 + [False] * 5))
    assert len(align_classes(fewer, ("happy", "other"), {}, "m.pt")) == 0, "a class without faces needs no counterpart"


def test_a_name_is_read_as_utf_8_whatever_the_locale_makes_of_it() -> None:
    in_ascii = "glücklich".encode().decode("ascii", "surrogateescape")  # as Python lists it under LC_ALL=C
    assert ordered_classes([in_ascii, "Anger"]) == {"angry": "angry", "glücklich": "glücklich"}
    assert canonical(in_ascii) == canonical("Glücklich")
    with pytest.raises(DataError, match=r"caf\\\\xe9' can't be the name of a class: .* printed: rename it"):
        ordered_classes([b"caf\xe9".decode("utf-8", "surrogateescape")])
