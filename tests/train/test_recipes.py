"""The recipes' own script: faces cut from mosaics as FER2013 frames them."""

import itertools
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import DataError
from fer_edge.opencv import cv2
from fer_export.cli import export
from fer_train.cli import train
from fer_train.data.npz_faces import load_npz_faces, save_npz_faces
from fer_train.detection.synthesis.tiles import COLUMNS, LANDMARKS
from fer_train.training.augment import parse_augmentation

SCRIPT = Path(__file__).parents[2] / "train" / "recipes" / "unlabelled_faces.py"
# tile, x, y, w, h, score: kept; too small; too unsure; half outside its tile; kept
BOXES = ["0,39,24,50,80,0.9", "1,40,40,10,20,0.9", "2,39,24,50,80,0.5", "3,100,24,50,80,0.9", "41,49,34,30,60,0.9"]


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mosaic = np.full((2 * 128, 40 * 128), 50, np.uint8)
    mosaic[26:102, 26:102] = 200  # tile 0: the square of the first box, 76 pixels around (64, 64)
    mosaic[128 + 35 : 128 + 93, 128 + 35 : 128 + 93] = 120  # tile 41, row 1, column 1: of the second, 57 pixels
    cv2.imwrite(str(tmp_path / "tiles_00.jpg"), mosaic, [cv2.IMWRITE_JPEG_QUALITY, 100])
    (tmp_path / "boxes.csv").write_text(
        "\n".join([",".join(COLUMNS), *(f"{box},{','.join('0' for _ in LANDMARKS)}" for box in BOXES)]) + "\n"
    )
    return tmp_path


def test_faces_are_cut_by_their_squares(folder: Path) -> None:
    out, sheet = folder / "faces.npz", folder / "faces.png"
    ran = _run(folder, out, "--preview", sheet)
    assert ran.returncode == 0, ran.stderr
    assert "2 of 5 faces" in ran.stderr
    faces = load_npz_faces(out)
    assert faces.shape == (2, 48, 48)
    assert np.abs(faces[0].astype(int) - 200).max() < 6
    assert np.abs(faces[1].astype(int) - 120).max() < 6
    assert cv2.imread(str(sheet)) is not None
    again = _run(folder, out)
    assert again.returncode == 1
    assert again.stderr.startswith("unlabelled_faces.py: ")
    assert "pass --overwrite" in again.stderr


def test_a_folder_without_mosaics_is_refused(tmp_path: Path) -> None:
    ran = _run(tmp_path, tmp_path / "faces.npz")
    assert ran.returncode == 1
    assert "has no boxes.csv" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_faces_come_back_as_they_were_saved(tmp_path: Path) -> None:
    faces = np.arange(3 * 48 * 48, dtype=np.uint32).astype(np.uint8).reshape(3, 48, 48)
    save_npz_faces(faces, tmp_path / "faces.npz")
    assert np.array_equal(load_npz_faces(tmp_path / "faces.npz"), faces)


def test_what_holds_no_faces_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    with pytest.raises(DataError, match=r"is not a file: --unlabeled names an \.npz"):
        load_npz_faces(path)
    path.write_text("no archive")
    with pytest.raises(DataError, match="is not such a file"):
        load_npz_faces(path)
    np.savez(path, faces=np.zeros((2, 48, 48), np.uint8))
    with pytest.raises(DataError, match="is not such a file"):
        load_npz_faces(path)
    np.savez(path, images=np.zeros((2, 48, 48)))
    with pytest.raises(DataError, match=r"has images of float64 \[2, 48, 48\]"):
        load_npz_faces(path)
    np.savez(path, images=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="is not such a file"):
        load_npz_faces(path)
    np.savez(path, images=np.zeros((2, 48, 48), np.uint8))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="is not such a file"):
        load_npz_faces(path)


@pytest.mark.parametrize(("part", "runs"), [("teachers", 4), ("students", 4)])
def test_fer_train_accepts_the_commands_of_the_record_recipe(part: str, runs: int, tmp_path: Path) -> None:
    script = SCRIPT.with_name("record.sh")
    data, out = tmp_path / "data", tmp_path / "runs"
    ran = subprocess.run(
        ["sh", script, data, out, part], env=os.environ | {"FER_TRAIN": "echo"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    logs = sorted(out.glob("*.log"))
    assert len(logs) == runs
    for log in logs:
        options = train.make_context("fer-train", shlex.split(log.read_text())).params
        assert options["out"] == out / log.stem
        assert options["data"] == data / "fer2013.csv"
        parse_augmentation(options["augment"])
        assert len(options["teachers"]) == (0 if part == "teachers" or log.stem == "plain" else 4)


def test_our_commands_accept_those_of_the_shipped_recipe(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for name in ("fer-train", "fer-export"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "{log}"\n')
        (tmp_path / name).chmod(0o700)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", SCRIPT.with_name("shipped.sh"), "data", tmp_path / "run"], env=environment, check=True)
    *trained, exported = map(shlex.split, log.read_text().splitlines())
    options = [train.make_context(name, words).params for name, *words in trained]
    assert [taken["model"] for taken in options] == ["edgeresnet", "edgeresnet-deep", "edgeresnet-deep"]
    for before, taken in itertools.pairwise(options):
        best = before["out"] / "best.pt"
        assert taken["teachers"] == (best,)
        assert taken["init_weights"] == str(best)
        parse_augmentation(taken["augment"])
    given = export.make_context(*exported[:1], exported[1:]).params
    assert given["checkpoint"] == options[-1]["out"] / "best.pt"
    assert given["out"] == tmp_path / "run" / "fer2013.onnx"


def test_a_failed_run_fails_the_recipe(tmp_path: Path) -> None:
    script = SCRIPT.with_name("record.sh")
    environment = os.environ | {"FER_TRAIN": "false"}
    failed = subprocess.run(["sh", script, tmp_path, tmp_path / "runs", "teachers"], env=environment, check=False)
    assert failed.returncode == 1
    unknown = subprocess.run(["sh", script, tmp_path, tmp_path, "pupils"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2
    assert "pupils is none of teachers, students, export" in unknown.stderr
