"""Videos whose frames change their size or shape in the middle: told, and bounded in memory."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fer_edge.errors import SourceError
from fer_edge.media import ffmpeg_memory
from fer_edge.media.bitstream.changes import first_frames, parts_of
from fer_edge.media.bitstream.elementary import READ_BYTES
from fer_edge.media.bitstream.parameters import read_set
from fer_edge.media.ffmpeg_memory import own_process
from fer_edge.sources.video import VideoFileSource

FRAMES = 6
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
HEVC = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p"]
MPEG2 = ["-c:v", "mpeg2video", "-pix_fmt", "yuv420p"]
TFF = ["-flags", "+ildct+ilme", "-vf", "setfield=tff"]
MJPEG = ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"]
MORE = ["-frames:v", "30"]  # enough that FFmpeg opens the video by these alone

Join = Callable[..., Path]


@pytest.fixture
def join(ffmpeg_program: str, tmp_path: Path) -> Join:
    """One video behind the other in a file; each has a size and further arguments of ffmpeg."""

    def run(name: str, codec: list[str], *pieces: tuple[str, list[str]]) -> Path:
        path = tmp_path / name
        for number, (size, more) in enumerate(pieces):
            source = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25", "-frames:v", str(FRAMES)]
            piece = tmp_path / f"{number}{path.suffix}"
            subprocess.run([ffmpeg_program, "-v", "quiet", "-y", *source, *codec, *more, piece], check=True)
            with path.open("ab") as file:
                file.write(piece.read_bytes())
        return path

    return run


def read(path: Path) -> tuple[VideoFileSource, int]:
    source = VideoFileSource(path)
    try:
        return source, len(list(iter(source.read, None)))
    finally:
        source.close()


def aspect(shape: str) -> list[str]:
    return ["-vf", f"setsar={shape}"]


@pytest.mark.parametrize(("name", "codec"), [
    ("a.ts", H264), ("a.h264", H264), ("a.ts", HEVC), ("a.hevc", HEVC), ("a.ts", MPEG2), ("a.m2v", MPEG2),
    ("a.mjpeg", MJPEG),
])  # fmt: skip
def test_a_change_of_the_shape_of_frames_is_told(join: Join, name: str, codec: list[str]) -> None:
    source, count = read(join(name, codec, ("160x120", []), ("120x160", [])))
    assert count in (2 * FRAMES, 2 * FRAMES - 1)  # FFmpeg loses a frame of MPEG-2 there
    assert (source.missing, source.misread) == (0, FRAMES)
    assert f"{FRAMES} of {2 * FRAMES} frames are distorted, as the shape of frames or pixels" in source.missing_reason


@pytest.mark.parametrize(("name", "codec"), [("a.ts", H264), ("a.mpg", MPEG2), ("a.ts", MPEG2)])
def test_a_change_of_the_shape_of_pixels_is_told(join: Join, name: str, codec: list[str]) -> None:
    source, _ = read(join(name, codec, ("160x120", aspect("1/1")), ("160x120", aspect("4/3"))))
    assert source.misread in (FRAMES, FRAMES + 1)
    assert source.missing == 0


@pytest.mark.parametrize("pieces", [
    [("160x120", []), ("160x120", [])],
    [("160x120", []), ("320x240", [])],  # another size of the same shape: boxes are right
    [("160x120", aspect("4/3")), ("320x180", aspect("1/1"))],
    [("160x120", aspect("12/11")), ("160x120", aspect("16/15"))],  # too little to matter
    [("160x120", TFF), ("160x120", [])],
])  # fmt: skip
def test_what_leaves_faces_as_they_are_is_no_fault(join: Join, pieces: list[tuple[str, list[str]]]) -> None:
    source, count = read(join("a.ts", H264, *pieces))
    assert (count, source.missing, source.misread) == (2 * FRAMES, 0, 0)


@pytest.mark.parametrize(("first", "second", "misread"), [
    (["yuv422p", *TFF], ["yuv420p"], FRAMES),  # FFmpeg's filters garble these
    (["yuv422p", *TFF], ["yuv420p", *TFF], 0),
    (["yuv420p", *TFF], ["yuv422p10le"], 0),
])  # fmt: skip
def test_other_pixels_behind_interlaced_frames_are_told_where_they_are_garbled(
    join: Join, first: list[str], second: list[str], misread: int
) -> None:
    path = join("a.ts", H264[:-1], ("160x120", [*first, "-frames:v", "30"]), ("160x120", second))
    source, _ = read(path)
    assert source.misread == misread


def test_a_set_of_parameters_that_no_frame_refers_to_is_no_change(join: Join) -> None:
    path, other = join("a.h264", H264, ("160x120", [])), join("b.h264", H264, ("120x160", []))
    unused = next(unit for unit in other.read_bytes().split(b"\0\0\1") if unit[:1] == b"\x67")
    path.write_bytes(path.read_bytes() + b"\0\0\1" + unused)
    assert [part.total for part in parts_of(path, "h264")] == [FRAMES]


def test_sets_at_the_edge_of_what_is_read_at_once_are_found_once(join: Join) -> None:
    path = join("a.h264", H264, ("160x120", []), ("120x160", []))
    data = path.read_bytes()
    middle = data.index(b"\0\0\1\x67", 100)
    for lead in (0, 1, 3, 4, 20):
        path.write_bytes(data[:middle] + bytes(READ_BYTES - middle - lead) + data[middle:])
        assert [(part.frames.width, part.total) for part in parts_of(path, "h264")] == [(160, FRAMES), (120, FRAMES)]


def test_other_files_have_no_parts(join: Join, tmp_path: Path) -> None:
    assert parts_of(join("a.mp4", H264, ("160x120", [])), "h264") == []
    assert parts_of(join("a.ts", ["-c:v", "mpeg4"], ("160x120", [])), "mp4v") == []
    (tmp_path / "noise.ts").write_bytes(b"G" + bytes(187))
    assert parts_of(tmp_path / "noise.ts", "h264") == []
    assert first_frames(b"G" + bytes(187)) is None


def test_thumbnails_inside_of_images_are_no_frames(join: Join) -> None:
    path, other = join("a.mjpeg", MJPEG, ("160x120", [])), join("b.mjpeg", MJPEG, ("48x64", ["-frames:v", "1"]))
    thumb = other.read_bytes()
    start = b"\xff\xd8\xff\xe1" + (len(thumb) + 2).to_bytes(2, "big") + thumb + b"\xff"
    path.write_bytes(path.read_bytes().replace(b"\xff\xd8\xff", start))
    assert [(part.frames.width, part.total) for part in parts_of(path, "mjpg")] == [(160, FRAMES)]


def test_frames_that_state_no_size_are_damaged_not_of_another_shape(join: Join) -> None:
    path = join("a.mjpeg", MJPEG, ("160x120", []))
    header = bytes([0, 17, 8]) + (120).to_bytes(2, "big") + (160).to_bytes(2, "big")
    data = path.read_bytes()
    assert data.count(header) == FRAMES
    last = data.rindex(header)
    path.write_bytes(data[: last + 3] + bytes(2) + data[last + 5 :])
    assert [(part.frames.width, part.total) for part in parts_of(path, "mjpg")] == [(160, FRAMES - 1)]
    source, _ = read(path)
    assert source.misread == 0


def coded(bits: str) -> bytes:
    """Bits of a NAL unit, with its stop bit."""
    bits = bits.replace(" ", "") + "1"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize(("is_field", "frames"), [("1", 5), ("0", 10)])
def test_two_fields_are_one_frame(tmp_path: Path, is_field: str, frames: int) -> None:
    sets = b"\0\0\1\x67" + bytes([77, 0, 30]) + coded("1 1 011 010 0 0001010 00100 0 0 1 0 0")  # 160 x 128, Main
    sets += b"\0\0\1\x68" + coded("1 1")
    picture = coded(f"1 0001000 1 0000 {is_field} 0")
    (tmp_path / "a.h264").write_bytes(sets + b"\0\0\1\x65" + picture + 9 * (b"\0\0\1\x41" + picture))
    parts = parts_of(tmp_path / "a.h264", "h264")
    assert [(part.frames.width, part.frames.height, part.total) for part in parts] == [(160, 128, frames)]


def test_two_fields_of_mpeg2_are_one_frame(tmp_path: Path) -> None:
    sequence = b"\0\0\1\xb3\x0a\x00\x78\x13\0\0\0\0"  # 160 x 120
    fields = [b"\0\0\1\0\0\0\0\0\0\0\1\xb5\x8f\xff" + bytes([0xF0 | structure, 0]) for structure in (1, 2)]
    frame = fields[0].replace(b"\xf1", b"\xf3")
    (tmp_path / "a.m2v").write_bytes(sequence + 5 * b"".join(fields) + 3 * frame)
    assert [part.total for part in parts_of(tmp_path / "a.m2v", "mpg2")] == [8]


def test_the_high_bits_of_a_size_in_mpeg2_are_read(join: Join) -> None:
    parts = parts_of(join("a.m2v", MPEG2, ("4112x64", [])), "mpg2")
    assert [(part.frames.width, part.frames.height, part.total) for part in parts] == [(4112, 64, FRAMES)]


def test_shapes_of_pixels_in_mpeg1_are_its_own(join: Join) -> None:
    path = join("a.m1v", ["-c:v", "mpeg1video"], ("160x120", aspect("59/54")), ("160x120", aspect("118/81")))
    assert [round(part.frames.aspect, 2) for part in parts_of(path, "mpg1")] == [1.09, 1.48]


def test_frames_that_ffmpeg_drops_at_changes_it_can_decode_are_no_fault(join: Join) -> None:
    path = join("a.ts", MPEG2, *5 * [("160x120", []), ("320x240", [])])
    source, count = read(path)
    assert 10 * FRAMES - 10 < count < 10 * FRAMES - 3
    assert (source.missing, source.misread) == (0, 0)


def test_only_so_much_of_hostile_bytes_is_looked_at(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    path, images = join("a.h264", H264, ("160x120", [])), join("a.mjpeg", MJPEG, ("160x120", []))
    assert sum(part.total for part in parts_of(path, "h264")) == sum(part.total for part in parts_of(images, "mjpg"))
    monkeypatch.setattr("fer_edge.media.bitstream.changes.MAX_UNITS", 4)
    monkeypatch.setattr("fer_edge.media.bitstream.jpegs.MAX_ALL_SEGMENTS", 4)
    assert 0 < sum(part.total for part in parts_of(path, "h264")) < FRAMES
    assert sum(part.total for part in parts_of(images, "mjpg")) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_read_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert parts_of(tmp_path / "pipe", "h264") == []


def test_damaged_parameters_are_none() -> None:
    assert read_set("h264", b"\x67") is None
    assert read_set("hevc", b"\x42\x01\xff") is None


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bound of FFmpeg's blocks, for frames that a test makes quickly."""
    if not ffmpeg_memory._libraries():
        pytest.skip("this OpenCV brings no FFmpeg library")
    monkeypatch.setattr(ffmpeg_memory, "LEAST_BYTES", 1_000_000)
    with own_process():
        yield


@pytest.mark.parametrize("name", ["a.ts", "a.h264", "a.mjpeg"])
@pytest.mark.usefixtures("small_blocks")
def test_frames_that_grow_are_not_decoded_and_are_told(join: Join, name: str) -> None:
    source, count = read(join(name, MJPEG if name == "a.mjpeg" else H264, ("320x240", MORE), ("1600x1200", [])))
    assert count + source.missing == 30 + FRAMES
    assert source.missing >= FRAMES
    assert "on they grow to 1600 x 1200 pixels: convert it" in source.missing_reason


@pytest.mark.parametrize(("name", "codec"), [
    ("a.mkv", ["libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv444p"]),
    ("a.mkv", ["libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p"]),
    ("a.mov", ["png", "-compression_level", "1", "-pix_fmt", "rgba64be"]),
])  # fmt: skip
@pytest.mark.usefixtures("small_blocks")
def test_large_packets_of_noise_and_of_deep_pixels_are_read(
    ffmpeg_program: str, tmp_path: Path, name: str, codec: list[str]
) -> None:
    noise = "nullsrc=size=1280x960:rate=25,noise=alls=100:allf=t"
    codec = ["-frames:v", "4", "-c:v", *codec]
    subprocess.run([ffmpeg_program, "-v", "quiet", "-f", "lavfi", "-i", noise, *codec, tmp_path / name], check=True)
    source, count = read(tmp_path / name)
    assert (count, source.missing) == (4, 0)


@pytest.mark.parametrize("size", ["320x240", "1600x1200"])
@pytest.mark.usefixtures("small_blocks")
def test_frames_of_any_first_size_are_read_under_the_lower_bound(join: Join, size: str) -> None:
    source, count = read(join("a.ts", H264, (size, [])))
    assert (count, source.missing) == (FRAMES, 0)


def test_outside_of_a_process_of_ours_nothing_is_lowered(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg_memory, "LEAST_BYTES", 1_000_000)
    source, count = read(join("a.ts", H264, ("320x240", MORE), ("1600x1200", [])))
    assert (count, source.missing) == (30 + FRAMES, 0)


@pytest.mark.parametrize("name", ["a.ts", "a.h264", "a.hevc"])
def test_large_frames_are_refused_before_they_are_decoded(
    join: Join, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = join(name, HEVC if name == "a.hevc" else H264, ("160x120", []))
    path = path.rename(path.with_suffix(".mp4"))  # content decides, not the name
    monkeypatch.setattr("fer_edge.sources.video.open_video", lambda _: pytest.fail("it is opened"))
    monkeypatch.setenv("FER_EDGE_MAX_FRAME_PIXELS", str(160 * 120 - 1))
    with pytest.raises(SourceError, match="can't be used: its frames have 160 x 120 pixels, more than 19,199: set"):
        VideoFileSource(path)
