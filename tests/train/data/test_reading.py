"""What load_faces reads from CSV files, and what its errors say."""

import re
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import DataError
from fer_train.data import FER2013_CLASSES, FERPLUS_COLUMNS, PUBLIC_TEST, TRAINING, also_in, csv_table, load_faces

from ..conftest import CsvWriter, face_rows, make_face, pixels

BLACK = pixels(np.zeros((48, 48), dtype=np.uint8))
GOOD = (3, BLACK, "Training")


def test_faces_labels_and_splits_are_read_in_order(write_csv: CsvWriter) -> None:
    faces = [make_face(label, np.random.default_rng(label)) for label in (6, 0, 2)]
    usages = ("Training", "PublicTest", "PrivateTest")
    loaded = load_faces(write_csv(zip((6, 0, 2), map(pixels, faces), usages, strict=True)))
    assert loaded.images.dtype == np.uint8
    assert (loaded.images == np.stack(faces)).all()
    assert loaded.labels.tolist() == [6, 0, 2]
    assert loaded.usage.tolist() == list(usages)
    assert loaded.classes[6] == "neutral"
    assert loaded.votes is None


@pytest.mark.parametrize("header", ["emotion, Usage, pixels", "Emotion,USAGE,Pixels", "\ufeffemotion,Usage, pixels "])
def test_columns_may_come_in_any_order_case_and_spacing(write_csv: CsvWriter, header: str) -> None:
    loaded = load_faces(write_csv([(1, " Training", BLACK), (5, "PublicTest ", BLACK)], header))
    assert loaded.labels.tolist() == [1, 5]
    assert loaded.usage.tolist() == [TRAINING, PUBLIC_TEST]


def test_cells_may_be_quoted_and_lines_end_in_any_way(write_csv: CsvWriter) -> None:
    plain = write_csv([GOOD, (5, BLACK, "PublicTest")])
    expected = load_faces(plain)
    text = plain.read_text()
    for variant in (
        text.replace(BLACK, f'"{BLACK}"'), text.replace("Training", '"Training"').replace("emotion", '"emotion"'),
        text.replace("\n", "\r\n"), text.replace(BLACK, f'"{BLACK[:999]}\n{BLACK[999:]}"'), text.rstrip("\n"),
    ):  # fmt: skip
        plain.write_bytes(variant.encode())
        loaded = load_faces(plain)
        assert (loaded.images == expected.images).all()
        assert loaded.labels.tolist() == [3, 5] and loaded.usage.tolist() == [TRAINING, PUBLIC_TEST]


def test_blank_lines_are_skipped_but_counted(write_csv: CsvWriter) -> None:
    with pytest.raises(DataError, match=re.escape("row 4 (line 5): emotion '9'")):
        load_faces(write_csv([GOOD, (), (), (9, BLACK, "Training")]))
    assert len(load_faces(write_csv([GOOD, (), (3, BLACK, "PublicTest"), ()]))) == 2


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ((3, BLACK[:-2], "Training"), "2303 pixel values where 2304 (48 x 48) are expected"),
        ((3, BLACK + " 0", "Training"), "2305 pixel values where 2304"),
        ((3, "", "Training"), "0 pixel values where 2304"),
        ((3,), "0 pixel values where 2304"),
        ((3, BLACK[:-1] + "x", "Training"), "'x' is not a pixel value, 0 to 255"),
        ((3, BLACK + " x", "Training"), "'x' is not a pixel value"),
        ((3, BLACK[:-1] + "1.5", "Training"), "'1.5' is not a pixel value"),
        ((3, BLACK[:-1] + "300", "Training"), "'300' is not a pixel value"),
        ((3, BLACK[:-1] + "-1", "Training"), "'-1' is not a pixel value"),
        ((3, BLACK[:-1] + "9" * 5000, "Training"), f"'{'9' * 20}' is not a pixel value"),
        ((9, BLACK, "Training"), "emotion '9' is none of 0 angry, 1 disgust"),
        (("", BLACK, "Training"), "emotion '' is none of"),
        (("happy", BLACK, "Training"), "emotion 'happy' is none of"),
        ((3, BLACK, "Trainig"), "Usage 'Trainig' is none of Training, PublicTest, PrivateTest"),
        ((3, BLACK), "Usage '' is none of"),
    ],
)
def test_a_bad_row_is_named_with_its_row_and_line(
    write_csv: CsvWriter, monkeypatch: pytest.MonkeyPatch, row: tuple[object, ...], problem: str
) -> None:
    monkeypatch.setattr(csv_table, "BLOCK_ROWS", 3)  # so that the row lies in the second block
    path = write_csv([GOOD, GOOD, GOOD, GOOD, row, GOOD])
    with pytest.raises(DataError, match=re.escape(f"{path}, row 5 (line 6): {problem}")):
        load_faces(path)


def test_all_bad_rows_are_counted_and_named(write_csv: CsvWriter) -> None:
    short, letter = (3, "1 2 3", "Training"), (3, "x", "Training")
    path = write_csv([GOOD, short, GOOD, letter, (), letter, GOOD])
    with pytest.raises(DataError) as caught:
        load_faces(path)
    assert str(caught.value) == (
        f"{path}, row 2 (line 3): 3 pixel values where 2304 (48 x 48) are expected; 3 of its 6 rows can't be used; "
        "also row 4 (line 5), row 6 (line 7): fix or delete them, or pass --skip-bad-rows to skip them"
    )


def test_bad_rows_can_be_skipped_and_are_noted(write_csv: CsvWriter) -> None:
    rows = [GOOD, (3, "1 2 3", "Training"), (9, BLACK, "Training"), (3, BLACK, "PublicTest")]
    data = load_faces(write_csv(rows), skip_bad=True)
    assert data.names is not None and data.names.tolist() == ["row 1", "row 4"]
    assert data.notes == (
        "2 of 4 rows can't be used and are left out: row 2 (line 3): 3 pixel values where 2304 (48 x 48) are "
        "expected; also row 3 (line 4)",
    )


def test_many_bad_rows_do_not_flood_the_terminal(write_csv: CsvWriter) -> None:
    with pytest.raises(DataError, match=r"99 of its 100 rows") as caught:
        load_faces(write_csv([GOOD, *[(3, "1", "Training")] * 99]))
    assert len(str(caught.value)) < 600


def test_a_file_of_only_bad_rows_is_always_refused(write_csv: CsvWriter) -> None:
    with pytest.raises(DataError, match=r"row 1 .line 2.: 1 pixel values .*; none of its 2 rows can be used"):
        load_faces(write_csv([(3, "1", "Training")] * 2), skip_bad=True)


def test_a_row_with_too_many_cells_is_named(write_csv: CsvWriter) -> None:
    with pytest.raises(DataError, match=r"row 2 \(line 3\): it has more cells than the first line has names \('x'\)"):
        load_faces(write_csv([GOOD, (*GOOD, "x"), GOOD]))


def test_a_row_with_far_too_many_cells_is_named(write_csv: CsvWriter) -> None:
    with pytest.raises(DataError, match=r"row 2 \(line 3\): it has 2306 cells, more than the first line has names"):
        load_faces(write_csv([GOOD, (3, *[0] * 2304, "Training"), GOOD]))


def test_neighboring_rows_do_not_lend_each_other_pixels(write_csv: CsvWriter) -> None:
    with pytest.raises(DataError, match=r"row 2 \(line 3\): 2303 pixel .* 2 of its 4 rows .* also row 3 \(line 4\)"):
        load_faces(write_csv([GOOD, (3, BLACK[:-2], "Training"), (3, BLACK + " 0", "Training"), GOOD]))


@pytest.mark.parametrize(("old", "new"), [(" ", "  "), (" ", "\t"), (" ", " 0"), (" ", " 000"), ("^", " "), ("$", " ")])
def test_unusual_spacing_and_zeros_change_no_pixel(write_csv: CsvWriter, old: str, new: str) -> None:
    face = make_face(3, np.random.default_rng(0))
    cell = re.sub(old, new, pixels(face))
    loaded = load_faces(write_csv([GOOD, (3, cell, "Training"), (3, BLACK, "PublicTest")]))
    assert (loaded.images[1] == face).all() and not loaded.images[0].any()


def test_emotions_may_be_names(write_csv: CsvWriter) -> None:
    rows = [("Sadness", BLACK, "Training"), ("Bored", BLACK, "Training"), ("happy", BLACK, "PublicTest")]
    data = load_faces(write_csv(rows))
    assert data.classes == ("happy", "sad", "Bored")
    assert data.labels.tolist() == [1, 2, 0]
    with pytest.raises(DataError, match=r"row 2 \(line 3\): it has no emotion"):
        load_faces(write_csv([rows[0], (" ", BLACK, "Training"), rows[2]]))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not a CSV file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not a CSV file"),
        (b"Dear reader\nno faces here\n", "has no column 'emotion' in its first line (dear reader)"),
        (b"Dear reader\nno, faces, here\n", "has no column 'emotion' in its first line (dear reader)"),
        (b'emotion,pixels\n0,"1 2 3\n', "is not a CSV file"),
        (b"emotion,Usage\n0,Training\n", "has no column 'pixels'"),
        (b"emotion,Emotion,pixels\n0,0,1\n", "has two columns 'emotion'"),
        (b"emotion,pixels,Usage\n", "has a header but no rows"),
        (b"emotion,pixels\n0,%s\n" % BLACK.encode(), "has too few different faces to hold some out"),
    ],
)
def test_a_file_that_is_no_face_data_set_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "faces.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{path} {problem}")):
        load_faces(path)


def test_a_file_without_a_header_does_not_flood_the_terminal(write_csv: CsvWriter) -> None:
    with pytest.raises(DataError, match="no column 'emotion'") as caught:
        load_faces(write_csv([GOOD, GOOD], header=",".join(map(str, GOOD))))
    assert len(str(caught.value)) < 400


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.csv is not a file or folder: --data names"):
        load_faces(tmp_path / "missing.csv")
    with pytest.raises(DataError, match="holds neither a CSV of faces nor images"):
        load_faces(tmp_path)


def test_without_a_test_split_a_fifth_of_each_class_is_held_out(write_csv: CsvWriter) -> None:
    path = write_csv(((label, text) for label, text, _ in face_rows(20, 0)), header="emotion,pixels")
    loaded = load_faces(path)
    assert loaded.split(PUBLIC_TEST).counts() == dict.fromkeys(FER2013_CLASSES, 4)
    assert loaded.split(TRAINING).counts() == dict.fromkeys(FER2013_CLASSES, 16)
    assert (load_faces(path).usage == loaded.usage).all(), "the choice must be the same every time"
    drawn = np.flatnonzero(loaded.usage == PUBLIC_TEST)
    assert drawn.min() < 60, "the choice must not be the last rows of the file"


def test_held_out_faces_are_not_in_training_and_private_rows_stay(write_csv: CsvWriter) -> None:
    rows = face_rows(10, 0)
    twins = [rows[index] for index in (0, 0, 5, 8, 8, 8, 13, 20, 33, 34, 41, 60)]
    private = [(label, text, "PrivateTest") for label, text, _ in face_rows(2, 0, seed=1)]
    loaded = load_faces(write_csv(rows + twins + private))
    test, training = loaded.split(PUBLIC_TEST), loaded.split(TRAINING)
    assert not also_in(test.images, training.images).any()
    assert min(test.counts().values()) == 2
    assert len(training) > len(test)
    assert (loaded.usage[-14:] == "PrivateTest").all()


def test_a_class_may_be_absent(write_csv: CsvWriter) -> None:
    loaded = load_faces(write_csv(row for row in face_rows(5, 0) if row[0] != 1))
    assert loaded.split(PUBLIC_TEST).counts() == dict.fromkeys(FER2013_CLASSES, 1) | {"disgust": 0}


def test_also_in_finds_identical_faces_only() -> None:
    faces = np.stack([make_face(label, np.random.default_rng(label)) for label in range(3)])
    nearly = faces[0].copy()
    nearly[47, 47] += 1
    assert also_in(np.stack([faces[2], nearly, faces[0]]), faces[:2]).tolist() == [False, False, True]


def _votes(usages: list[str]) -> list[list[object]]:
    return [[usage, f"fer{row:07}.png", *[row] * 9, 0] for row, usage in enumerate(usages)]


VOTES_HEADER = ",".join(["Usage", "Image name", *FERPLUS_COLUMNS])


def test_ferplus_votes_are_joined_to_their_faces(write_csv: CsvWriter) -> None:
    path = write_csv([GOOD, GOOD, (3, BLACK, "PublicTest")])
    votes = write_csv(_votes(["Training", "Training", "PublicTest", "PrivateTest"]), VOTES_HEADER, "votes.csv")
    loaded = load_faces(path, votes)
    assert loaded.votes is not None
    assert loaded.votes.dtype == np.float32
    assert loaded.votes.tolist() == [[0] * 10, [1] * 9 + [0], [2] * 9 + [0]]
    test = loaded.split(PUBLIC_TEST).votes
    assert test is not None
    assert test[0, 0] == 2


@pytest.mark.parametrize("usages", [["Training", "PublicTest", "Training"], ["Training", "Training"]])
def test_ferplus_votes_of_other_rows_are_refused(write_csv: CsvWriter, usages: list[str]) -> None:
    path = write_csv([GOOD, GOOD, (3, BLACK, "PublicTest")])
    with pytest.raises(DataError, match=r"votes\.csv does not fit .*faces\.csv: its \d rows must be in the same"):
        load_faces(path, write_csv(_votes(usages), VOTES_HEADER, "votes.csv"))


@pytest.mark.parametrize("vote", ["", "many", "-1"])
def test_a_vote_that_is_not_a_number_is_named_with_its_row(write_csv: CsvWriter, vote: str) -> None:
    path = write_csv([GOOD, (3, BLACK, "PublicTest")])
    votes = _votes(["Training", "PublicTest"])
    votes[1][4] = vote
    with pytest.raises(DataError, match=re.escape("votes.csv, row 2 (line 3): a vote is not a number")):
        load_faces(path, write_csv(votes, VOTES_HEADER, "votes.csv"))


def test_a_wrong_ferplus_file_is_refused_with_its_option(write_csv: CsvWriter, tmp_path: Path) -> None:
    path = write_csv([GOOD, (3, BLACK, "PublicTest")])
    with pytest.raises(DataError, match=r"has no column .neutral. .*--ferplus names"):
        load_faces(path, path)
    with pytest.raises(DataError, match="is not a file or folder: --ferplus names"):
        load_faces(path, tmp_path / "none.csv")
