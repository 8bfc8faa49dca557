"""fer-train convert: CSV to PNG folders and back, without a loss."""

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from fer_edge.opencv import cv2
from fer_train.data import read_faces, writers

from ..conftest import MERGED, CsvWriter, face_rows, one_line, run_fer_train, write_images


@pytest.fixture
def full(write_csv: CsvWriter) -> Path:
    """A CSV with all three splits in random order, a class without a test face, and a copy of a face."""
    rows = face_rows(train=4, test=2)
    rows += [(label, text, "PrivateTest") for label, text, _ in face_rows(1, 0, seed=1)]
    rows = [row for row in rows if row[0] != 1 or row[2] == "Training"]
    order = np.random.default_rng(0).permutation(len(rows))
    return write_csv([rows[place] for place in order] + [rows[0]], name="fer2013.csv")


def round_trip(source: Path, folder: Path) -> bytes:
    """Convert `source` to PNGs and back, and return the bytes of the new CSV."""
    assert run_fer_train("convert", "--data", source, "--out", folder / "pngs") == 0
    assert run_fer_train("convert", "--data", folder / "pngs", "--out", folder / "back.csv") == 0
    return (folder / "back.csv").read_bytes()


def test_a_csv_comes_back_byte_for_byte(full: Path, tmp_path: Path) -> None:
    assert round_trip(full, tmp_path) == full.read_bytes()
    assert sorted(path.name for path in (tmp_path / "pngs").iterdir()) == ["test", "train", "validation"]
    pictures = sorted((tmp_path / "pngs").rglob("*.png"))
    assert len(pictures) == len(full.read_bytes().splitlines()) - 1
    first = read_faces(full)
    (named,) = [path for path in pictures if path.name == "fer0000000.png"]
    assert named.parent.name == first.classes[first.labels[0]]
    assert (cv2.imread(str(named), cv2.IMREAD_UNCHANGED) == first.images[0]).all()


@pytest.mark.parametrize("usages", [
    ("Training",), ("Training", "PublicTest"), ("Training", "PrivateTest"), ("PublicTest", "PrivateTest"),
    ("PrivateTest",), ("PublicTest",),
])  # fmt: skip
def test_every_combination_of_splits_comes_back(write_csv: CsvWriter, tmp_path: Path, usages: tuple[str, ...]) -> None:
    rows = [(label, text, usages[place % len(usages)]) for place, (label, text, _) in enumerate(face_rows(4, 0))]
    source = write_csv(rows)
    assert round_trip(source, tmp_path) == source.read_bytes()


def test_data_without_splits_gets_none(write_csv: CsvWriter, tmp_path: Path) -> None:
    source = write_csv([row[:2] for row in face_rows(2, 0)], header="emotion,pixels")
    assert round_trip(source, tmp_path) == source.read_bytes()
    assert "happy" in {path.name for path in (tmp_path / "pngs").iterdir()}


def test_custom_classes_stay_names(tmp_path: Path) -> None:
    faces = write_images(tmp_path / "faces", ("train/asleep", "train/Wide Awake", "test/asleep"), count=3)
    (faces / "train" / "bored").mkdir()
    assert run_fer_train("convert", "--data", faces, "--out", tmp_path / "faces.csv") == 0
    lines = (tmp_path / "faces.csv").read_text().splitlines()
    assert lines[0] == "emotion,pixels,Usage"
    assert {line.partition(",")[0] for line in lines[1:]} == {"asleep", "Wide Awake"}
    assert round_trip(tmp_path / "faces.csv", tmp_path) == (tmp_path / "faces.csv").read_bytes()


@pytest.mark.parametrize(("suffix", "unpack"), [(".csv.gz", gzip.decompress), (".csv.xz", lzma.decompress)])
def test_a_csv_can_be_written_compressed(full: Path, tmp_path: Path, suffix: str, unpack) -> None:
    assert run_fer_train("convert", "--data", full, "--out", tmp_path / f"faces{suffix}") == 0
    assert unpack((tmp_path / f"faces{suffix}").read_bytes()) == full.read_bytes()


def test_classes_can_be_merged(full: Path, tmp_path: Path) -> None:
    assert run_fer_train("convert", "--data", full, "--out", tmp_path / "pngs", "--classes", MERGED) == 0
    assert sorted(path.name for path in (tmp_path / "pngs" / "train").iterdir()) == ["happy", "neutral", "other"]


@pytest.mark.parametrize(("out", "problem"), [
    ("fer2013.csv", "fer2013.csv exists: name another file, or pass --overwrite"),
    ("full", "full exists and is not an empty folder: name a new one"),
    ("fer2013.csv/x", "is not a folder, so x can't be made there"),
    ("none/faces.csv", "is not a folder, so faces.csv can't be written there"),
])  # fmt: skip
def test_nothing_existing_is_replaced(
    full: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str, problem: str
) -> None:
    before = full.read_bytes()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    assert run_fer_train("convert", "--data", full, "--out", tmp_path / out) == 1
    assert problem in one_line(capsys)
    assert full.read_bytes() == before and (tmp_path / "full" / "mine").read_text() == "mine"


def test_a_stopped_conversion_leaves_nothing(full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for name, out in (("_write_images", "pngs"), ("_in_order", "faces.csv")):
        monkeypatch.setattr(writers, name, interrupted)
        assert run_fer_train("convert", "--data", full, "--out", tmp_path / out) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["fer2013.csv"]


def test_a_full_disk_is_one_line_and_leaves_nothing(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writers, "_write_images", full_disk)
    assert run_fer_train("convert", "--data", full, "--out", tmp_path / "pngs") == 1
    assert "pngs can't be written: No space left on device" in one_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["fer2013.csv"]


@pytest.mark.parametrize("name", ["test", "a,b"])
def test_a_class_name_that_the_other_format_can_not_hold_is_refused(
    tmp_path: Path, write_csv: CsvWriter, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    rows = [(f'"{name}"' if label else "happy", text) for label, text, _ in face_rows(1, 0)]
    source = write_csv(rows, header="emotion,pixels")
    out = "pngs" if name == "test" else "other.csv"
    assert run_fer_train("convert", "--data", source, "--out", tmp_path / out) == 1
    assert f"the class '{name}' of" in one_line(capsys)
