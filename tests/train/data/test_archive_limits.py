"""Archives, tables and images that would fill the memory or the disk: one line, before they do."""

import gzip
import io
import lzma
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import DataError
from fer_edge.opencv import cv2
from fer_train import archive_limits
from fer_train.archive_limits import check_zip
from fer_train.data import FER2013_CLASSES, load_faces, read_faces
from fer_train.data.images import _Memory
from fer_train.data.npz_faces import load_npz_faces, save_npz_faces

from ..conftest import face_rows, write_images

HEADER = "emotion,pixels,Usage"


@pytest.fixture
def small_free_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives of a few kilobytes are judged by their growth."""
    monkeypatch.setattr(archive_limits, "FREE_BYTES", 20_000)


def table(rows: int = 12) -> bytes:
    lines = [",".join(map(str, row)) for row in face_rows(train=2, test=0)[:rows]]
    return "\n".join([HEADER, *lines]).encode() + b"\n"


def zipped(content: bytes, name: str = "fer2013.csv") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def tarred(content: bytes, mode: str = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        member = tarfile.TarInfo("fer2013/fer2013.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


BLANK = table(1) + (b" " * 90_000 + b"\n") * 60


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.csv.gz", gzip.compress), ("a.csv.xz", lzma.compress), ("a.csv.zip", zipped), ("a.zip", zipped),
        ("a.zip", lambda data: zipped(gzip.compress(data), "fer2013.csv.gz")),
        ("a.zip", lambda data: zipped(zipped(data), "fer2013.csv.zip")),
        ("a.tar.gz", tarred), ("a.tar.xz", lambda data: tarred(data, "w:xz")),
        ("a.tar.bz2", lambda data: tarred(data, "w:bz2")),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("small_free_part")
def test_a_bomb_is_told_by_its_growth(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / name).write_bytes(pack(BLANK))
    with pytest.raises(DataError, match=r"grows to more than 100 times its size: it is not a data set, or set"):
        read_faces(tmp_path / name)


@pytest.mark.parametrize("pack", [gzip.compress, zipped, tarred])
def test_the_bytes_of_an_archive_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "a").write_bytes(pack(table()))
    assert len(read_faces(tmp_path / "a")) == 12
    monkeypatch.setenv("FER_TRAIN_MAX_UNPACKED_BYTES", "30000")
    with pytest.raises(DataError, match="a holds more than 30,000 bytes: unpack it first, or set FER_TRAIN_MAX_UNPA"):
        read_faces(tmp_path / "a")


@pytest.mark.usefixtures("small_free_part")
def test_a_sparse_member_of_a_tar_does_not_fill_the_disk(tmp_path: Path) -> None:
    member = tarfile.TarInfo("happy/1.png")
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 0
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"%011o\0" % (5_000_000_000)  # the size that it stands for
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(DataError, match="grows to more than 100 times its size"):
        read_faces(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_long_header_of_a_tar_is_not_read(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = kind, 40_000_000
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(member.tobuf() + bytes(40_000_000), 1))
    with pytest.raises(DataError, match="has a header of 40,000,000 bytes: it is damaged, or not a data set"):
        read_faces(tmp_path / "a.tar.gz")


@pytest.mark.parametrize("suffix", [".zip", ".tar", ""])
def test_members_are_counted_before_they_are_read(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "data", FER2013_CLASSES[:3], count=4)
    path = tmp_path / f"data{suffix}"
    files = sorted((tmp_path / "data").rglob("*.*"))
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(tmp_path))
    elif suffix:
        with tarfile.open(path, "w") as packed:
            for file in files:
                packed.add(file, file.relative_to(tmp_path))
    assert len(read_faces(path)) == 12
    monkeypatch.setenv("FER_TRAIN_MAX_MEMBERS", "11")
    if suffix == ".zip":
        monkeypatch.setattr(zipfile.ZipFile, "__init__", lambda *_args: pytest.fail("zipfile read the directory"))
    with pytest.raises(DataError, match=r"data.* holds more than 11 files: name a part of it, or set FER_TRAIN_MAX_M"):
        read_faces(path)


def test_a_directory_of_a_zip_is_found_as_zipfile_finds_it(tmp_path: Path) -> None:
    plain = zipped(b"x" * 10)
    with_comment = plain[:-2] + struct.pack("<H", 5) + b"hello"
    at = plain.rfind(b"PK\x05\x06")
    start, size = struct.unpack("<II", plain[at + 12 : at + 20][::1])[::-1]
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, size, start)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, at, 1)
    large = plain[:at] + record + locator + plain[at : at + 12] + b"\xff" * 8 + b"\0\0"
    for data in (plain, with_comment, b"before it" + plain, large):
        check_zip(io.BytesIO(data), tmp_path)
        assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["fer2013.csv"]
    for data in (b"", b"PK\x03\x04", plain[: at + 10], plain.replace(b"PK\x01\x02", b"PK\x01\x03")):
        with pytest.raises(zipfile.BadZipFile):
            check_zip(io.BytesIO(data), tmp_path)
    lying = plain[: at + 12] + struct.pack("<I", 30_000_000) + plain[at + 16 :]
    with pytest.raises(DataError, match="holds more than 100,000 files"):
        check_zip(io.BytesIO(bytes(30_000_000) + lying), tmp_path)


def _flagged(data: bytes, signature: bytes, flags_at: int, name_at: int) -> bytes:
    """`data` with a name that is called UTF-8 and is not, in its first record of this signature."""
    changed, at = bytearray(data), data.index(signature)
    changed[at + flags_at + 1] |= 0x08
    changed[at + name_at] = 0xB4
    return bytes(changed)


def test_a_name_in_a_zip_that_is_no_utf8_is_damage(tmp_path: Path) -> None:
    image = cv2.imencode(".png", np.full((48, 48), 90, np.uint8))[1].tobytes()
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        for index in range(4):
            archive.writestr(f"train/{('happy', 'sad')[index % 2]}/{index}.png", image)
    whole = (tmp_path / "whole.zip").read_bytes()
    assert len(read_faces(tmp_path / "whole.zip")) == 4
    path = tmp_path / "faces.zip"
    path.write_bytes(_flagged(whole, b"PK\x01\x02", 8, 46))
    with pytest.raises(DataError, match=r"faces.zip can't be read \(its directory is damaged\): it is damaged or"):
        read_faces(path, skip_bad=True)
    path.write_bytes(_flagged(whole, b"PK\x03\x04", 6, 30))  # only the copy of the name before the member's bytes
    assert len(read_faces(path, skip_bad=True)) == 3
    with pytest.raises(DataError, match=r"train/happy/0\.png"):
        read_faces(path)


@pytest.mark.parametrize(
    "text", ["0 " * 200_000, f"{HEADER}\n0,{'0 ' * 200_000}", f'{HEADER}\n0,"' + "0 \n" * 200_000, "a," * 1_000_000]
)
def test_a_row_without_an_end_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "faces.csv").write_text(text)
    with pytest.raises(DataError, match=r"a row has more than 100,000 characters: correct it, or set FER_TRAIN"):
        read_faces(tmp_path / "faces.csv", skip_bad=True)


def test_blocks_of_long_rows_have_fewer_rows_and_lose_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faces.csv").write_bytes(table())
    expected = read_faces(tmp_path / "faces.csv")
    monkeypatch.setattr("fer_train.data.csv_table.BLOCK_CHARS", 20_000)
    data = read_faces(tmp_path / "faces.csv")
    assert (data.images == expected.images).all()
    assert data.names is not None
    assert expected.names is not None
    assert (data.names == expected.names).all()


def test_an_image_that_claims_many_pixels_is_left_out_by_name(tmp_path: Path) -> None:
    write_images(tmp_path, FER2013_CLASSES[:2], count=5)
    header = b"IHDR" + struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    claim = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    claim += struct.pack(">I4sI", 0, b"IDAT", zlib.crc32(b"IDAT")) + struct.pack(">I4sI", 0, b"IEND", 0xAE426082)
    folder = tmp_path / FER2013_CLASSES[0]
    (folder / "claim.png").write_bytes(claim)
    with pytest.raises(DataError, match=r"claim\.png: it claims 40000 x 40000 pixels, more than 35,000,000: set FER_E"):
        load_faces(tmp_path)
    data = load_faces(tmp_path, skip_bad=True)
    assert len(data) == 10
    assert any("1 of 11 images can't be used" in note for note in data.notes)


def test_images_that_together_take_too_much_memory_wait_for_each_other() -> None:
    memory, running, most, lock = _Memory(100), [0], [0], threading.Lock()

    def work(count: int) -> None:
        with memory.taken(count):
            with lock:
                running[0] += count
                most[0] = max(most[0], running[0])
            with lock:
                running[0] -= count

    threads = [threading.Thread(target=work, args=(count,)) for count in (60, 60, 30, 30, 500, 10) * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert most[0] == 500  # what is larger than all of the memory goes alone


@pytest.mark.usefixtures("small_free_part")
def test_faces_in_an_npz_are_bounded_by_its_growth(tmp_path: Path) -> None:
    save_npz_faces(np.random.default_rng(0).integers(0, 256, (20, 48, 48), dtype=np.uint8), tmp_path / "a.npz")
    assert len(load_npz_faces(tmp_path / "a.npz")) == 20
    save_npz_faces(np.zeros((1000, 48, 48), dtype=np.uint8), tmp_path / "a.npz")
    with pytest.raises(DataError, match="grows to more than 100 times its size"):
        load_npz_faces(tmp_path / "a.npz")


def test_damaged_npz_faces_are_one_error(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save_npz_faces(np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8), path)
    data = path.read_bytes()
    directory = data.rindex(b"PK\x01\x02")
    stream = data.index(b"images.npy") + len("images.npy")
    damages = [
        (directory + 8, b"\x01"),  # encrypted
        (directory + 10, b"\x63"),  # another compression
        (directory + 6, b"\xff"),  # a later version of zip
        (stream + 20, b"\xff\xff\xff\xff"),  # not deflated
    ]
    for place, values in damages:
        path.write_bytes(data[:place] + values + data[place + len(values) :])
        with pytest.raises(DataError, match=r"a\.npz .*--unlabeled names an \.npz file"):
            load_npz_faces(path)
    with zipfile.ZipFile(path, "w") as archive:  # a header that does not end
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00\x10\x00" + b"{'descr': (((((\n")
    with pytest.raises(DataError, match=r"is not a readable \.npz file"):
        load_npz_faces(path)
