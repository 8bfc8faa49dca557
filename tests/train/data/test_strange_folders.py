"""Folders and archives that are not what they seem: splits, people, pipes, odd names, files that are no images."""

import io
import os
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fer_edge.errors import DataError
from fer_train.data import PRIVATE_TEST, PUBLIC_TEST, TRAINING, load_faces, load_unlabeled, read_faces
from fer_train.data.folders import split_of

from ..conftest import write_images


@pytest.mark.parametrize(("name", "split"), [
    ("train_set", TRAINING), ("val_set", PUBLIC_TEST), ("TrainingSet", TRAINING), ("train-images", TRAINING),
    ("valdata", PUBLIC_TEST), ("01_train", TRAINING), ("dataset_validation", PUBLIC_TEST), ("test set", "test"),
    ("dev", PUBLIC_TEST), ("fer2013_private_test", PRIVATE_TEST), ("trained", None), ("happy", None), ("set", None),
    ("valley", None), ("contest", None), ("images", None),
])  # fmt: skip
def test_splits_are_known_with_words_around_them(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_a_network_never_learns_splits_as_classes(tmp_path: Path) -> None:
    write_images(tmp_path / "train_set", ("happy", "sad"), count=2)
    write_images(tmp_path / "val_set", ("happy", "sad"), count=1, seed=1)
    data = load_faces(tmp_path)
    assert data.classes == ("happy", "sad")
    assert data.split(PUBLIC_TEST).counts() == {"happy": 1, "sad": 1}


@pytest.mark.parametrize("folders", [
    ("S001/happy", "S001/sad", "S002/happy"),
    ("anna/happy", "ben/sad"),
    ("entrenamiento/perro", "entrenamiento/gato", "prueba/perro", "prueba/gato"),
    ("train_aligned/happy", "test_aligned/happy"),
    ("images", "labels"),
    ("fold_0", "fold_1"),
    ("part1", "part2"),
    ("trainA", "testA"),
    ("80", "20"),
    ("70%", "20%", "10%"),
    ("images/a", "annotations/a"),
    ("train/images", "train/masks"),
    ("happy/train", "happy/test", "sad/train", "sad/test"),
])  # fmt: skip
def test_folders_that_are_no_classes_are_refused_with_their_names(tmp_path: Path, folders: tuple[str, ...]) -> None:
    write_images(tmp_path, folders, count=1)
    with pytest.raises(DataError, match=r"has the (folders|splits) \w"):
        load_faces(tmp_path)


@pytest.mark.parametrize("folders", [("0", "1"), ("20", "30", "40"), ("0", "100")])
def test_numbers_that_are_no_shares_are_classes(tmp_path: Path, folders: tuple[str, ...]) -> None:
    write_images(tmp_path, folders, count=1)
    assert set(read_faces(tmp_path).classes) == set(folders)


def test_folders_of_people_inside_of_classes_are_fine(tmp_path: Path) -> None:
    write_images(tmp_path, ("happy/S001", "happy/S002", "sad/S001", "sad/S002"), count=2)
    assert load_faces(tmp_path).counts() == {"happy": 4, "sad": 4}


def test_images_without_a_known_suffix_are_read_and_other_files_are_named(tmp_path: Path) -> None:
    root = write_images(tmp_path, ("happy", "sad"), count=4)
    for number, name in enumerate(("0", "1.jfif", "2.JPE", "3.unknown")):
        (root / "sad" / f"{number}.png").rename(root / "sad" / name)
    (root / "sad" / "film.mp4").write_bytes(b"no image")
    data = read_faces(root)
    assert data.counts() == {"happy": 4, "sad": 4}
    assert "1 file is not an image and is not used (1 .mp4): sad/film.mp4" in data.notes


def test_images_without_any_suffix_are_a_data_set_too(tmp_path: Path) -> None:
    root = write_images(tmp_path, ("happy", "sad"), count=4, suffix=".png")
    for file in list(root.rglob("*.png")):
        file.rename(file.with_suffix(""))
    assert read_faces(root).counts() == {"happy": 4, "sad": 4}
    assert len(load_unlabeled(root).images) == 8
    assert len(load_unlabeled(root / "happy" / "0").images) == 1


def test_unlabeled_images_are_known_by_content_and_other_files_are_named(tmp_path: Path) -> None:
    root = write_images(tmp_path, ("",), count=3)
    (root / "0.png").rename(root / "photo")
    (root / "film.mp4").write_bytes(b"no image")
    (root / "contact-sheet-001.png").write_bytes((root / "1.png").read_bytes())
    (root / "faces.csv").write_text("number,file")
    found = load_unlabeled(root)
    assert found.files is not None
    assert found.files.tolist() == ["1.png", "2.png", "photo"]
    assert found.notes == ("1 file is not an image and is not used (1 .mp4): film.mp4",)


def test_animations_say_that_their_first_image_is_used(tmp_path: Path) -> None:
    root = write_images(tmp_path, ("happy", "sad"), count=2)
    frames = [Image.fromarray(np.full((48, 48), gray, np.uint8)) for gray in (40, 200)]
    frames[0].save(root / "sad" / "blink.gif", save_all=True, append_images=frames[1:])
    data = read_faces(root)
    assert "1 of 5 images hold more than one: the first is used" in data.notes
    assert data.images[-1].mean() == pytest.approx(40, abs=2)


def test_an_image_that_nobody_can_decode_is_a_fault_and_not_passed_over(tmp_path: Path) -> None:
    root = write_images(tmp_path, ("happy", "sad"), count=2)
    (root / "sad" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(DataError, match=r"sad/a\.heic: OpenCV can't read HEIC"):
        read_faces(root)


def test_pipes_devices_and_broken_links_are_named_and_never_opened(tmp_path: Path) -> None:
    root = write_images(tmp_path, ("happy", "sad"), count=2)
    os.mkfifo(root / "happy" / "pipe.png")
    (root / "happy" / "zero.png").symlink_to("/dev/zero")
    (root / "sad" / "gone.png").symlink_to(root / "nothing")
    data = read_faces(root)
    assert data.counts() == {"happy": 2, "sad": 2}
    assert any(note.startswith("3 entries are not read") and note.endswith("happy/pipe.png") for note in data.notes)


def test_an_image_that_claims_too_many_pixels_is_skipped_like_any_other_fault(tmp_path: Path) -> None:
    root = write_images(tmp_path, ("happy", "sad"), count=2)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (root / "sad" / "bomb.png").write_bytes(bomb)
    with pytest.raises(DataError, match=r"sad/bomb\.png: it claims"):
        read_faces(root)
    assert read_faces(root, skip_bad=True).counts() == {"happy": 2, "sad": 2}


def test_composed_and_decomposed_names_are_one_class(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "Gelächter") for form in ("NFC", "NFD")]
    write_images(tmp_path, (f"train/{names[0]}", f"test/{names[1]}", "train/sad", "test/sad"), count=2)
    data = read_faces(tmp_path)
    assert data.classes == ("sad", names[0])
    assert data.counts() == {"sad": 4, names[0]: 4}


@pytest.mark.parametrize("name", [b"caf\xe9", b"a\nb", b"\x1b[31mred", b"x" * 65, "a\u202eb".encode()])
def test_a_class_whose_name_can_not_be_shown_is_refused(tmp_path: Path, name: bytes) -> None:
    root = write_images(tmp_path, (os.fsdecode(name), "sad"), count=1)
    with pytest.raises(DataError, match="can't be the name of a class") as error:
        read_faces(root)
    assert str(error.value).removeprefix(str(root)).isprintable()


def test_files_whose_names_are_not_utf_8_are_read(tmp_path: Path) -> None:
    root = write_images(tmp_path, ("happy", "sad"), count=2)
    (root / "sad" / "0.png").rename(root / "sad" / os.fsdecode(b"caf\xe9.png"))
    names = read_faces(root).names
    assert names is not None and r"sad/caf\xe9.png" in names.tolist()


@pytest.mark.parametrize("form", ["./{}", "/{}", ".//{}", "faces//{}", "faces\\{}"])
def test_odd_names_in_archives_are_the_same_folders(tmp_path: Path, form: str) -> None:
    root = write_images(tmp_path / "in", ("happy", "sad"), count=2)
    files = sorted(root.rglob("*.png"))
    odd = [form.format(file.relative_to(root)).replace("/", "\\" if "\\" in form else "/") for file in files]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file, name in zip(files, odd, strict=True):
            archive.writestr(name, file.read_bytes())
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for file, name in zip(files, odd, strict=True):
            member = tarfile.TarInfo(name)
            member.size = file.stat().st_size
            tar.addfile(member, io.BytesIO(file.read_bytes()))
    for name in ("a.zip", "a.tar"):
        assert read_faces(tmp_path / name).counts() == {"happy": 2, "sad": 2}


def test_hard_links_in_a_tar_are_read_and_links_out_of_it_are_named(tmp_path: Path) -> None:
    root = write_images(tmp_path / "in", ("happy", "sad"), count=2)
    os.link(root / "sad" / "0.png", root / "sad" / "2.png")
    (root / "sad" / "3.png").symlink_to("/etc/passwd")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(root, "faces")
    data = read_faces(tmp_path / "a.tar")
    assert data.counts() == {"happy": 2, "sad": 3}
    assert any(note.endswith("faces/sad/3.png") for note in data.notes)


def test_photos_that_can_not_be_decoded_are_refused_and_named(tmp_path: Path) -> None:
    for label in ("happy", "sad"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.png").write_bytes(bytes(cv2.imencode(".png", np.eye(48, dtype=np.uint8))[1]))
    (tmp_path / "sad" / "b.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    (tmp_path / "sad" / "c.jxl").write_bytes(b"\xff\x0a" + bytes(100))
    with pytest.raises(DataError, match=r"b\.heic"):
        read_faces(tmp_path)
    assert read_faces(tmp_path, skip_bad=True).counts() == {"happy": 1, "sad": 1}
