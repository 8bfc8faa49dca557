"""A CSV of face pixels as source, and the predictions CSV that it gives."""

import contextlib
import csv
import json
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import SourceError
from fer_edge.framing import normalize_light
from fer_edge.network.classifier import Classifier
from fer_edge.sources import open_source
from fer_edge.sources.csv_faces import parse_face

FACES = (
    np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    // np.arange(1, 6, dtype=np.uint8)[:, None, None]
)


def cell(face: np.ndarray) -> str:
    return " ".join(map(str, face.ravel().tolist()))


def write(path: Path, cells: list[str], header: str = "emotion,pixels,Usage") -> Path:
    path.write_text("\n".join([header, *(f"3,{text},PublicTest" for text in cells)]) + "\n")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_row_is_a_face_and_other_columns_are_ignored(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "faces.csv", [cell(face) for face in FACES]))
    for face in FACES:
        np.testing.assert_array_equal(source.read().image, face)
    assert source.read() is None
    assert source.is_cropped
    source.close()


@pytest.mark.parametrize("header", ["pixels", '"Pixels"', "\ufeffpixels", "id, pixels ,x"])
def test_the_column_is_found_by_its_name(tmp_path: Path, header: str) -> None:
    row = ["7", "10 20 30 40", "9"] if "," in header else ["10 20 30 40"]
    (tmp_path / "faces.csv").write_text(f"{header}\n{','.join(row)}\n", encoding="utf-8")
    with contextlib.closing(open_source(tmp_path / "faces.csv")) as source:
        np.testing.assert_array_equal(source.read().image, [[10, 20], [30, 40]])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 2 3", "3 pixels, not those of a square image"),
        ("", "0 pixels"),
        ("1 2 3 256", "not a whole number from 0 to 255"),
        ("1 2 3 -4", "not a whole number from 0 to 255"),
        ("1 2 3 x", "not a whole number from 0 to 255"),
        ("1 2 3 4.5", "not a whole number from 0 to 255"),
        ("1_0 20 30 40", "not a whole number from 0 to 255"),
        ("+1 20 30 40", "not a whole number from 0 to 255"),
        ("٧ 20 30 40", "not a whole number from 0 to 255"),
    ],
)
def test_a_cell_that_holds_no_face_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_face(text)


def test_predictions_have_a_row_per_face_with_the_networks_probabilities(fer_edge, tmp_path: Path, model: Path) -> None:
    write(tmp_path / "faces.csv", [cell(face) for face in FACES])
    ran = fer_edge("--source", "faces.csv", "--csv", "predictions.csv", "--json", "out.jsonl", "--report", "r.json")
    assert ran.returncode == 0, ran.stderr
    classifier, rows = Classifier(model), rows_of(tmp_path / "predictions.csv")
    assert list(rows[0]) == ["row", "emotion", "confidence", *classifier.labels]
    assert [row["row"] for row in rows] == ["1", "2", "3", "4", "5"]
    for row, face in zip(rows, FACES, strict=True):
        lit = face.copy()
        normalize_light(lit)
        expected = classifier.predict(lit[None, None])[0]
        assert [float(row[label]) for label in classifier.labels] == pytest.approx(expected.tolist(), abs=1e-6)
        assert row["emotion"] == classifier.labels[int(expected.argmax())]
        assert float(row["confidence"]) == pytest.approx(float(expected.max()), abs=1e-6)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4]
    assert [face["id"] for line in lines for face in line["faces"]] == [0, 1, 2, 3, 4]
    assert all(line["detected"] is False for line in lines)
    assert all((face["box"], face["score"]) == ([0, 0, 48, 48], 1) for line in lines for face in line["faces"])
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["detector"] is None
    assert report["fps"]["detect"] is None
    assert report["faces"] == {"seen": 5, "tracks": 5, "flips": 0}


def test_faces_of_another_size_are_resized_for_the_network(fer_edge, tmp_path: Path) -> None:
    write(tmp_path / "faces.csv", [cell(np.full((side, side), 250)) for side in (2, 24, 48, 96, 300)])
    assert fer_edge("--source", "faces.csv", "--csv", "out.csv").returncode == 0
    assert len({(row["emotion"], row["confidence"]) for row in rows_of(tmp_path / "out.csv")}) == 1
    assert len(rows_of(tmp_path / "out.csv")) == 5


def test_a_bad_row_is_reported_by_file_and_row_and_the_others_are_read(fer_edge, tmp_path: Path) -> None:
    good = cell(FACES[0])
    (tmp_path / "faces.csv").write_text(f"id,pixels\n1,{good}\n2,1 2 3\n3\n\n4,{good}\n5,a\n")
    ran = fer_edge("--source", "faces.csv", "--csv", "out.csv", "--report", "r.json")
    assert ran.returncode == 1  # part of the input could not be read
    assert [row["row"] for row in rows_of(tmp_path / "out.csv")] == ["1", "4"]
    assert json.loads((tmp_path / "r.json").read_text())["frames"]["errors"] == 3
    assert "fer-edge: faces.csv, row 2: it has 3 pixels, not those of a square image: skipped" in ran.stderr
    assert "faces.csv, row 3: it has no cell in column 'pixels'" in ran.stderr
    assert "faces.csv, row 5: " in ran.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "has no faces: its first line must name a column 'pixels'"),
        ("emotion,Usage\n3,Training\n", "has no faces"),
        ("pixels\n", "holds no readable face"),
        ("pixels\n1 2 3\n", "holds no readable face"),
    ],
)
def test_a_file_without_a_face_is_refused_in_one_line(fer_edge, tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "faces.csv").write_text(content)
    ran = fer_edge("--source", "faces.csv", "--headless")
    assert ran.returncode == 1
    assert says in ran.stderr.splitlines()[-1]


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "faces.csv").write_bytes(bytes(range(256)) * 50)
    with pytest.raises(SourceError, match=r"faces\.csv"):
        open_source(tmp_path / "faces.csv")


def test_the_faces_can_be_written_as_images(fer_edge, tmp_path: Path) -> None:
    write(tmp_path / "faces.csv", [cell(face) for face in FACES])
    assert fer_edge("--source", "faces.csv", "--output", "pictures").returncode == 0
    assert len(list((tmp_path / "pictures").iterdir())) == 5


@pytest.mark.parametrize("text", ["", "pixels\n", 'pixels\n"'])
def test_a_row_without_an_end_is_one_error(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_ROW_CHARS", "2000")
    path = tmp_path / "faces.csv"
    path.write_text(text + "0 " * 10_000)
    message = r"a row has more than 2,000 characters: correct it, or set FER_EDGE_MAX_ROW"
    with pytest.raises(SourceError, match=message), contextlib.ExitStack() as stack:
        source = open_source(path)
        stack.callback(source.close)
        source.read()
