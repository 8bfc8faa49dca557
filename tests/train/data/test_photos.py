"""Whole photographs: the face is found and cut out as the detector frames it, or the notes say so."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fer_edge.demo.scene import draw_scene
from fer_edge.detectors import open_detector
from fer_edge.framing import crop, to_gray
from fer_edge.opencv import cv2
from fer_train import photos
from fer_train.data import load_unlabeled, read_faces
from fer_train.photos import Crop, FaceFinder

from ..conftest import encoded, one_line, run_fer_train, write_images

WIDE = (320, 240)


def scene(t: float = 0.5) -> npt.NDArray[np.uint8]:
    """A photograph, gray, with one face."""
    return np.ascontiguousarray(to_gray(draw_scene(t, WIDE)))


def cut_out(image: npt.NDArray[np.uint8], side: int = 48) -> npt.NDArray[np.uint8]:
    """The image's only face as fer-edge frames it."""
    detector = open_detector("luma")
    (face,) = detector.detect(image)
    return np.ascontiguousarray(crop(image, detector.framing.square(face.box), (side, side)))


PICTURES = {
    "one": scene(),
    "several": np.hstack([scene(), scene(2.0)]),
    "dominant": np.hstack([scene(), np.vstack([cv2.resize(scene(2.0), (96, 72)), np.full((168, 96), 127, np.uint8)])]),
    "none": np.tile(np.linspace(0, 255, 200, dtype=np.uint8), (200, 1)),
    "a face": cut_out(scene(), 192),
    "small": cv2.resize(scene(), (90, 68)),
}


@pytest.mark.parametrize(("name", "expected"), [
    ("one", "cut"), ("several", "several faces"), ("dominant", "cut"), ("none", "no face"), ("a face", "a face"),
    ("small", "a face"),
])  # fmt: skip
def test_auto_cuts_the_face_of_a_photograph_that_has_one(name: str, expected: str) -> None:
    outcome, square = FaceFinder("auto").find(PICTURES[name])
    assert outcome == expected
    assert (square is not None) == (expected == "cut")


@pytest.mark.parametrize("name", PICTURES)
def test_always_cuts_the_largest_face_and_never_none(name: str) -> None:
    assert FaceFinder("never").find(PICTURES[name]) == ("a face", None)
    outcome, square = FaceFinder("always").find(PICTURES[name])
    assert outcome == ("no face" if name in ("none", "small") and square is None else "cut")
    assert name in ("none", "small") or square is not None


def test_a_photograph_becomes_the_square_that_fer_edge_classifies(tmp_path: Path) -> None:
    for label in ("calm", "glad"):
        (tmp_path / label).mkdir()
        for number, t in enumerate((0.5, 2.0)):
            (tmp_path / label / f"{number}.png").write_bytes(encoded(scene(t)))
    data = read_faces(tmp_path)
    np.testing.assert_array_equal(data.images[0], cut_out(scene(0.5)))
    np.testing.assert_array_equal(data.images[3], cut_out(scene(2.0)))
    assert data.notes == (
        "4 of 4 images are photographs: the face was found and cut out, --crop never uses them whole",
    )
    whole = read_faces(tmp_path, crop="never")
    assert "4 of 4 images of another size were resized to 48 x 48" in whole.notes
    assert not np.array_equal(whole.images, data.images)


def test_what_is_used_whole_is_said(tmp_path: Path) -> None:
    for name, image in PICTURES.items():
        (tmp_path / f"{name}.png").write_bytes(encoded(image))
    assert load_unlabeled(tmp_path).notes == (
        "2 of 6 images are photographs: the face was found and cut out, --crop never uses them whole",
        "1 of 6 images are larger but show no face that the detector finds: they are used whole",
        "1 of 6 images show several faces, none of which dominates: they are used whole",
        "4 of 6 images of another size were resized to 48 x 48",
        "2 of 6 images were not square: their middle square was taken",
    )


@pytest.mark.parametrize("mode", ["auto", "never"])
def test_small_faces_are_untouched_and_open_no_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Crop
) -> None:
    monkeypatch.setattr(photos.FaceFinder, "_opened", lambda _self: pytest.fail("a detector was opened"))
    write_images(tmp_path, ("happy", "sad"))
    data = read_faces(tmp_path, crop=mode)
    stored = cv2.imread(str(tmp_path / "happy" / "0.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(data.images[0], stored)
    assert not data.notes


def test_predict_finds_the_face_first(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "faces").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encoded(scene()))
    (tmp_path / "faces" / "a.png").write_bytes(encoded(cut_out(scene())))
    rows = []
    for folder, more in (("photos", []), ("faces", []), ("photos", ["--crop", "never"])):
        out = tmp_path / f"{folder}{len(more)}.csv"
        arguments = ["predict", trained / "run" / "best.pt", "--data", tmp_path / folder, "--out", out, *more]
        assert run_fer_train(*arguments) == 0
        rows.append(list(csv.DictReader(out.read_text().splitlines())))
    assert rows[0] == rows[1] != rows[2]
    assert "1 of 1 images are photographs: the face was found and cut out" in capsys.readouterr().err


def test_an_unknown_crop_is_one_line(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", trained / "faces.csv", "--out", tmp_path / "new", "--crop", "some"]
    assert run_fer_train(*arguments) == 2
    assert "'some' is not one of 'auto', 'always', 'never'" in one_line(capsys)
