"""Compressed files and archives give the same faces as their content."""

import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fer_edge.errors import DataError
from fer_train.data import FER2013_CLASSES, load_faces, load_unlabeled

from ..conftest import face_rows, write_images


@pytest.fixture
def table() -> bytes:
    rows = [",".join(map(str, row)) for row in face_rows(train=3, test=1)]
    return "\n".join(["emotion,pixels,Usage", *rows]).encode() + b"\n"


def zipped(content: bytes, name: str = "fer2013.csv") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def tarred(content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo("fer2013/fer2013.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.mark.parametrize(("name", "pack"), [
    ("fer2013.csv.gz", gzip.compress), ("fer2013.csv.xz", lzma.compress), ("fer2013.csv.zip", zipped),
    ("archive.zip", zipped), ("fer2013.tar.gz", tarred), ("named otherwise.csv", gzip.compress),
])  # fmt: skip
def test_a_compressed_table_is_read_as_the_table(
    tmp_path: Path, table: bytes, name: str, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "plain.csv").write_bytes(table)
    (tmp_path / name).write_bytes(pack(table))
    expected, data = load_faces(tmp_path / "plain.csv"), load_faces(tmp_path / name)
    assert (data.images == expected.images).all() and (data.labels == expected.labels).all()
    assert (data.usage == expected.usage).all()
    assert data.title == name


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz"])
def test_an_archive_of_folders_is_read_as_the_folders(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "fer2013"
    write_images(folder / "train", FER2013_CLASSES, count=3)
    write_images(folder / "test", FER2013_CLASSES, count=1, seed=1)
    path = tmp_path / f"fer2013{suffix}"
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(tmp_path))
    else:
        modes = {".tar": "w", ".tar.gz": "w:gz", ".tar.xz": "w:xz"}
        with tarfile.open(path, modes[suffix]) as tar:  # type: ignore[call-overload]
            tar.add(folder, "fer2013")
    expected, data = load_faces(folder), load_faces(path)
    assert (data.images == expected.images).all() and (data.labels == expected.labels).all()
    assert data.classes == FER2013_CLASSES
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fer2013", path.name], "nothing is unpacked beside it"


def test_a_tar_member_is_never_written_outside_of_the_folder(tmp_path: Path, table: bytes) -> None:
    path = tmp_path / "trap.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in (("../sprung.txt", b"x"), ("fer2013.csv", table)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    load_faces(path)
    assert not list(tmp_path.parent.glob("sprung.txt"))


@pytest.mark.parametrize("pack", [zipfile.ZipFile, tarfile.open])
def test_names_that_lead_out_of_an_archive_are_the_cause(tmp_path: Path, pack: Callable[..., Any]) -> None:
    write_images(tmp_path / "faces", ("happy", "sad"), count=2)
    with pack(tmp_path / "a", "w") as archive:
        add = archive.write if isinstance(archive, zipfile.ZipFile) else archive.add
        for file in sorted((tmp_path / "faces").rglob("*.png")):
            add(file, f"../{file.parent.name}/{file.name}")
    with pytest.raises(DataError, match=r"4 names such as \.\./happy/0.*\.png lead out of it: pack the folder again"):
        load_faces(tmp_path / "a")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zipped, tarred])
@pytest.mark.parametrize("keep", [0.5, 0.95])
def test_a_truncated_archive_is_one_error(
    tmp_path: Path, table: bytes, pack: Callable[[bytes], bytes], keep: float
) -> None:
    content = pack(table)
    (tmp_path / "cut").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(DataError, match=r"cut.* can't be read \(.*\): it is damaged or has a password"):
        load_faces(tmp_path / "cut")


def test_a_damaged_image_in_a_zip_is_named(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "faces", ("happy", "sad"))
    path = tmp_path / "faces.zip"
    with zipfile.ZipFile(path, "w") as archive:  # uncompressed, so that the images' bytes can be found in it
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(folder))
    content = bytearray(path.read_bytes())
    start = content.index((folder / "sad" / "3.png").read_bytes())
    content[start + 100] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"faces\.zip, sad/3\.png: it can't be read \(Bad CRC"):
        load_faces(path)


def test_the_fullest_of_known_tables_in_a_folder_is_read(tmp_path: Path, table: bytes) -> None:
    few = b"\n".join(table.splitlines()[:20]) + b"\n"
    pixels_only = b"pixels\n" + b"\n".join(line.split(b",")[1] for line in table.splitlines()[1:4]) + b"\n"
    (tmp_path / "train.csv").write_bytes(few)
    (tmp_path / "test.csv").write_bytes(pixels_only)
    (tmp_path / "example_submission.csv").write_text("id,emotion\n1,2\n")
    assert len(load_faces(tmp_path)) == 19
    assert len(load_unlabeled(tmp_path).images) == 3, "test.csv is preferred, since it needs no labels"
    (tmp_path / "icml_face_data.csv").write_bytes(table.replace(b"emotion,pixels,Usage", b"emotion, pixels, Usage"))
    assert len(load_faces(tmp_path)) == 28


def test_several_unknown_tables_must_be_named(tmp_path: Path, table: bytes) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(table)
    with pytest.raises(DataError, match=r"several CSV files of faces \(a\.csv, b\.csv\): name one of them"):
        load_faces(tmp_path)


def test_a_table_beside_image_folders_is_preferred_and_noted(tmp_path: Path, table: bytes) -> None:
    write_images(tmp_path / "train", ("happy", "sad"))
    (tmp_path / "fer2013.csv").write_bytes(table)
    data = load_faces(tmp_path)
    assert len(data) == 28
    assert data.notes == ("read fer2013.csv; the images beside it are not used",)
