"""Videos and streams whose frames or parts are larger than a machine should hold."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import SourceError
from fer_edge.media import ffmpeg_memory
from fer_edge.media.containers import owed_frames
from fer_edge.media.ffmpeg_memory import bound_ffmpeg, size_fault
from fer_edge.sources import open_source
from fer_edge.sources.capture import _with_square_pixels


@pytest.fixture(autouse=True)
def usual_bound(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield
    monkeypatch.undo()
    bound_ffmpeg()


def jpeg(side: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((side, side, 3), side % 256, dtype=np.uint8))[1])


def test_no_block_of_ffmpeg_is_larger_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_PART_BYTES", "5_000_000")
    monkeypatch.setenv("FER_EDGE_MAX_FRAME_PIXELS", "1_000_000")
    bound_ffmpeg()
    libraries = ffmpeg_memory._libraries()
    if not libraries:
        pytest.skip("this OpenCV has no FFmpeg library of its own")
    library = libraries[0]
    library.av_malloc.restype = ctypes.c_void_p
    block = library.av_malloc(ctypes.c_size_t(4_000_000))
    assert block
    library.av_free(ctypes.c_void_p(block))
    assert not library.av_malloc(ctypes.c_size_t(6_000_000))


def test_without_a_library_nothing_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg_memory, "MAPS", tmp_path / "maps")
    bound_ffmpeg()
    (tmp_path / "maps").write_text("7f0 r--p 0 0:0 1    /gone/libavutil.so.60\n")
    bound_ffmpeg()
    assert ffmpeg_memory._libraries() == []


@pytest.mark.parametrize("name", ["a.avi", "a.mp4"])
def test_large_frames_are_refused_by_their_headers(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fourcc = cv2.VideoWriter.fourcc(*("MJPG" if name == "a.avi" else "mp4v"))
    writer = cv2.VideoWriter(str(tmp_path / name), cv2.CAP_FFMPEG, fourcc, 10, (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), dtype=np.uint8))
    writer.release()
    monkeypatch.setenv("FER_EDGE_MAX_FRAME_PIXELS", str(64 * 48))
    open_source(tmp_path / name).close()
    monkeypatch.setenv("FER_EDGE_MAX_FRAME_PIXELS", str(64 * 48 - 1))
    with pytest.raises(SourceError, match="can't be used: its frames have 64 x 48 pixels, more than 3,071: set FER_E"):
        open_source(tmp_path / name)


def test_a_stream_that_grows_keeps_the_size_of_its_first_frame(tmp_path: Path) -> None:
    (tmp_path / "a.mjpeg").write_bytes(jpeg(64) * 3 + jpeg(160) * 2 + jpeg(64) * 2)
    source = open_source(tmp_path / "a.mjpeg")
    frames = list(iter(source.read, None))
    source.close()
    assert len(frames) == 7
    assert {frame.image.shape for frame in frames} == {(64, 64, 3)}


def test_wide_pixels_do_not_make_frames_larger_than_allowed() -> None:
    image = np.zeros((2000, 3000, 3), dtype=np.uint8)
    assert _with_square_pixels(image, 1.5).shape == (2000, 4500, 3)
    assert _with_square_pixels(image, 8.0).shape == (2000, 3000, 3)


def test_4k_is_allowed() -> None:
    assert size_fault(4096, 2304) == ""
    assert size_fault(7680, 4320) != ""


def test_an_index_of_millions_of_entries_is_not_listed(tmp_path: Path) -> None:
    def box(kind: bytes, *contents: bytes) -> bytes:
        content = b"".join(contents)
        return (len(content) + 8).to_bytes(4, "big") + kind + content

    def movie(runs: int) -> bytes:
        table = box(b"stbl", box(b"stts", bytes(4) + runs.to_bytes(4, "big") + (b"\0\0\0\1" + bytes(4)) * runs))
        header = bytes(12) + (25).to_bytes(4, "big") + bytes(8)
        media = box(b"mdia", box(b"mdhd", header), box(b"hdlr", bytes(8) + b"vide"), box(b"minf", table))
        return box(b"ftyp", b"isom") + box(b"moov", box(b"mvhd", header), box(b"trak", media))

    (tmp_path / "a.mp4").write_bytes(movie(1000))
    assert owed_frames(tmp_path / "a.mp4") == 1000
    (tmp_path / "a.mp4").write_bytes(movie(1_000_001))
    assert owed_frames(tmp_path / "a.mp4") is None
