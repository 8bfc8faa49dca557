"""The bytes of a video in transport and program streams: joined as FFmpeg joins them, and nothing of the sound."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_edge.media.bitstream import elementary
from fer_edge.media.bitstream.changes import moved_frames, parts_of
from fer_edge.media.bitstream.elementary import video_pieces
from fer_edge.sources.video import VideoFileSource

SECONDS = "1"
VIDEO = ["-f", "lavfi", "-i", f"testsrc2=size=160x120:rate=25:duration={SECONDS}"]
SMALL = ["-f", "lavfi", "-i", f"testsrc2=size=64x64:rate=25:duration={SECONDS}"]
SOUND = ["-f", "lavfi", "-i", f"anoisesrc=a=0.3:duration={SECONDS}"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
MPEG2 = ["-c:v", "mpeg2video"]
MPEG1 = ["-c:v", "mpeg1video"]
RAW = {"h264": "h264", "mpg2": "mpeg2video", "mpg1": "mpeg1video"}

Make = Callable[..., Path]


@pytest.fixture
def make(ffmpeg_program: str, tmp_path: Path) -> Make:
    """A file that ffmpeg makes of arguments."""

    def run(name: str, *arguments: str | Path) -> Path:
        path = tmp_path / name
        subprocess.run([ffmpeg_program, "-v", "quiet", "-y", *arguments, path], check=True)
        return path

    return run


def pieces_of(path: Path, codec: str) -> bytes:
    with path.open("rb") as file:
        return b"".join(piece for _, piece in video_pieces(file, codec))


@pytest.mark.parametrize(("name", "codec", "arguments"), [
    ("a.ts", "h264", [*VIDEO, *SOUND, *H264, "-c:a", "mp2"]),
    ("a.m2ts", "h264", [*VIDEO, *SOUND, *H264, "-c:a", "ac3"]),
    ("a.ts", "h264", [*VIDEO, *SMALL, "-map", "0", "-map", "1", *H264]),
    ("a.ts", "h264", [*SOUND, *VIDEO, "-map", "0", "-map", "1", *H264, "-c:a", "ac3"]),
    ("a.ts", "mpg2", [*VIDEO, *MPEG2]),
    ("a.ts", "mpg1", [*VIDEO, *MPEG1]),
    ("a.mpg", "mpg1", [*VIDEO, *SOUND, *MPEG1]),
    ("a.vob", "mpg2", [*VIDEO, *SOUND, *MPEG2, "-c:a", "ac3"]),
])  # fmt: skip
def test_a_video_is_joined_as_ffmpeg_joins_it(make: Make, name: str, codec: str, arguments: list[str]) -> None:
    path = make(name, *arguments)
    expected = make("raw", "-i", path, "-map", "0:v:0", "-c", "copy", "-f", RAW[codec]).read_bytes()
    assert pieces_of(path, codec) == expected
    assert [part.total for part in parts_of(path, codec)] == [25]


def test_sound_holds_any_bytes(make: Make, tmp_path: Path) -> None:
    """A header of MPEG-2 of another shape, and frames behind it, in samples without compression."""
    (tmp_path / "pcm").write_bytes(600 * (b"\0\0\1\xb3\x0a\x00\xf0\x13" + 9 * b"\0\0\1\0"))
    sound = ["-f", "s16be", "-ar", "48000", "-ac", "2", "-i", tmp_path / "pcm"]
    path = make("a.vob", *VIDEO, *sound, *MPEG2, "-c:a", "pcm_dvd", "-t", SECONDS)
    assert path.read_bytes().count(b"\0\0\1\xb3\x0a\x00\xf0") > 100
    assert [(part.frames.height, part.total) for part in parts_of(path, "mpg2")] == [(120, 25)]


def test_a_recording_may_start_inside_of_a_packet(make: Make) -> None:
    path = make("a.ts", *VIDEO, *H264, "-g", "5")
    data = path.read_bytes()
    path.write_bytes(b"G" + data[-87:] + data)
    assert [part.total for part in parts_of(path, "h264")] == [25]


def test_a_transport_stream_is_found_again_behind_damage(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make("a.ts", *VIDEO, *H264)
    data, middle = path.read_bytes(), 188 * 60
    path.write_bytes(data[:middle] + b"damage" + data[middle:])
    assert pieces_of(path, "h264") == pieces_of(make("b.ts", *VIDEO, *H264), "h264")
    monkeypatch.setattr(elementary, "MAX_RESYNCS", 0)
    assert len(pieces_of(path, "h264")) < middle


def test_packets_of_a_program_stream_may_be_damaged_or_empty(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make("a.mpg", *VIDEO, *MPEG2)
    whole, data = pieces_of(path, "mpg2"), path.read_bytes()
    path.write_bytes(data + b"\0\0\1\5x" + b"\0\0\1\xe0\0\0" + b"\0\0\1\xe0\0\1\x80" + b"\0\0\1\xe0\0\1\xff")
    assert pieces_of(path, "mpg2") == whole
    monkeypatch.setattr(elementary, "MAX_PACKETS", 10)
    assert len(pieces_of(path, "mpg2")) < len(whole)


def test_a_video_that_goes_on_under_another_number_is_counted(make: Make, tmp_path: Path) -> None:
    first, path = make("a.ts", *VIDEO, *H264), tmp_path / "joined.ts"
    for number, more in enumerate([H264, MPEG2]):
        second = make(f"{number}.ts", *VIDEO, *more, "-mpegts_start_pid", "0x300", "-mpegts_pmt_start_pid", "0x1100")
        path.write_bytes(first.read_bytes() + second.read_bytes())
        source = VideoFileSource(path)
        assert len(list(iter(source.read, None))) == 25
        assert (source.missing, source.misread) == (25, 0)
        assert "25 of 50 frames were not read: the video goes on as another one" in source.missing_reason
        source.close()
    path.write_bytes(2 * first.read_bytes())
    assert moved_frames(path, "h264") == moved_frames(make("a.mpg", *VIDEO, *MPEG2), "mpg2") == 0


def test_a_codec_that_is_not_there_gives_nothing(make: Make) -> None:
    assert pieces_of(make("a.ts", *VIDEO, *H264), "hevc") == b""
