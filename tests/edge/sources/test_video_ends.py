"""Videos that OpenCV reads wrongly or not to their end: interlaced, cut short, damaged, not of square pixels."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge import EmotionRecognizer
from fer_edge.media.bitstream.structure import empty_packets
from fer_edge.media.captures import open_filtered
from fer_edge.sources.base import SourceFrame
from fer_edge.sources.video import VideoFileSource

FRAMES = 30
PATTERN = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=1.2"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
INTERLACED = ["-flags", "+ildct+ilme", "-vf", "setfield=tff"]

Make = Callable[..., Path]


@pytest.fixture
def make(ffmpeg_program: str, tmp_path: Path) -> Make:
    """Encode a video with these arguments of ffmpeg, by default of a moving pattern of 30 frames."""

    def run(name: str, *arguments: str, source: list[str] = PATTERN) -> Path:
        subprocess.run([ffmpeg_program, "-v", "error", "-y", *source, *arguments, name], check=True, cwd=tmp_path)
        return tmp_path / name

    return run


def read(path: Path) -> tuple[VideoFileSource, list[SourceFrame]]:
    source = VideoFileSource(path)
    try:
        return source, list(iter(source.read, None))
    finally:
        source.close()


def cut(path: Path, share: float = 0.6) -> Path:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


def damage(path: Path) -> Path:
    """Overwrite the middle of the media data with zeros."""
    data = bytearray(path.read_bytes())
    start = data.find(b"mdat")
    length = len(data) - start
    first, last = start + 4 * length // 10, start + 6 * length // 10
    data[first:last] = bytes(last - first)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("top.mp4", [*H264, *INTERLACED, "-x264opts", "tff=1"]),
        ("bottom.mkv", [*H264, "-flags", "+ildct+ilme", "-x264opts", "bff=1", "-vf", "setfield=bff"]),
        ("broadcast.mpg", ["-c:v", "mpeg2video", *INTERLACED]),
        ("it's [a]; b, c.avi", ["-c:v", "mpeg2video", *INTERLACED]),
        ("one.mp4", [*H264, *INTERLACED, "-x264opts", "tff=1", "-frames:v", "1"]),
    ],
)
def test_interlaced_frames_are_the_pictures_that_were_encoded(make: Make, name: str, encoder: list[str]) -> None:
    _, expected = read(make("progressive.mp4", *H264))
    source, frames = read(make(name, *encoder))
    assert len(frames) == (1 if name == "one.mp4" else FRAMES)
    assert source.missing == 0
    for frame, right in zip(frames, expected, strict=False):
        assert frame.image is not None
        assert right.image is not None
        assert np.abs(frame.image.astype(int) - right.image).mean() < 12
    times = [frame.media_time_s or 0.0 for frame in frames]
    assert times == pytest.approx([number / 25 for number in range(len(frames))], abs=0.002)


def test_an_interlaced_video_can_be_sought(make: Make) -> None:
    path = make("top.mp4", *H264, *INTERLACED, "-x264opts", "tff=1")
    _, frames = read(path)
    source = VideoFileSource(path)
    for number in (20, 5):
        source.seek(number / 25)
        found = source.read()
        assert found is not None
        assert found.media_time_s == pytest.approx(number / 25, abs=0.002)
        assert np.array_equal(found.image, frames[number].image)
    source.close()


def test_a_fade_from_black_stays_a_readable_film(make: Make) -> None:
    path = make("dark.mp4", *H264, source=["-f", "lavfi", "-i", "color=black:size=160x120:rate=25:duration=1"])
    source, frames = read(path)
    assert len(frames) == 25
    assert source.missing == 0
    assert all(frame.image is not None and frame.image.max() < 3 for frame in frames)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("a.mp4", [*H264, "-movflags", "+faststart"]),
        ("a.mkv", H264),
        ("a.avi", ["-c:v", "mjpeg"]),
        ("a.flv", ["-c:v", "flv"]),
        ("a.wmv", ["-c:v", "wmv2"]),
        ("a.avi", ["-c:v", "mpeg4", "-bf", "2"]),
        ("a.webm", ["-c:v", "libvpx", "-deadline", "realtime"]),
    ],
)
def test_a_file_that_is_cut_short_says_how_many_frames_are_missing(make: Make, name: str, encoder: list[str]) -> None:
    path = make(name, *encoder)
    whole, frames = read(path)
    assert (len(frames), whole.missing) == (FRAMES, 0)
    source, frames = read(cut(path))
    assert 5 < len(frames) < FRAMES
    assert source.missing > 0
    assert source.missing_reason.startswith(f"{len(frames)} of {len(frames) + source.missing} frames: the file is cut")
    if name in ("a.mp4", "a.avi"):  # the index says how many there were
        assert len(frames) + source.missing == FRAMES


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("a.ts", H264),
        ("a.m2ts", H264),
        ("a.mpg", ["-c:v", "mpeg2video"]),
        ("a.vob", ["-c:v", "mpeg2video", *INTERLACED]),
        ("a.ogv", ["-c:v", "libtheora"]),
        ("a.mjpeg", ["-c:v", "mjpeg"]),
        ("a.gif", []),
        ("a.dv", ["-c:v", "dvvideo", "-vf", "scale=720:576", "-pix_fmt", "yuv420p"]),
    ],
)
def test_a_file_without_a_stated_length_says_that_it_is_cut_short(make: Make, name: str, encoder: list[str]) -> None:
    path = make(name, *encoder)
    whole, frames = read(path)
    assert (len(frames), whole.missing) == (FRAMES, 0)
    source, frames = read(cut(path, 0.61))
    assert 5 < len(frames) < FRAMES
    assert source.missing == 1
    assert source.missing_reason.startswith(f"{len(frames)} frames, then the file is cut short")


LOSSY = {
    "a.mkv": H264, "a.webm": ["-c:v", "libvpx", "-deadline", "realtime"], "a.flv": H264, "a.ts": H264, "a.m2ts": H264,
    "a.mpg": ["-c:v", "mpeg2video"], "a.avi": ["-c:v", "mpeg4"], "mjpeg.avi": ["-c:v", "mjpeg"],
    "a.ogv": ["-c:v", "libtheora"],
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSY)
def test_frames_that_damage_swallowed_are_counted(make: Make, name: str) -> None:
    path = make(name, *LOSSY[name], "-g", "5")
    assert read(path)[0].missing == 0
    data = bytearray(path.read_bytes())
    first, last = 45 * len(data) // 100, 55 * len(data) // 100
    data[first:last] = bytes(last - first)
    path.write_bytes(data)
    source, frames = read(path)
    assert 15 < len(frames) < FRAMES
    assert "damaged" in source.missing_reason
    assert source.missing == FRAMES - len(frames)


EMPTY_END = {
    "a.mkv": H264, "a.webm": ["-c:v", "libvpx", "-deadline", "realtime"], "a.avi": ["-c:v", "mjpeg"],
    "a.wmv": ["-c:v", "wmv2"],
}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY_END)
def test_a_file_of_full_size_whose_end_was_never_written_is_damaged(make: Make, name: str) -> None:
    path = make(name, *EMPTY_END[name])
    size = path.stat().st_size
    cut(path).write_bytes(path.read_bytes().ljust(size, b"\0"))
    source, frames = read(path)
    assert 5 < len(frames) < FRAMES
    assert len(frames) + source.missing == pytest.approx(FRAMES, abs=2)  # .wmv and .mkv state a little too much
    assert "damaged" in source.missing_reason


def test_damage_after_which_nothing_is_decoded_is_counted(make: Make) -> None:
    path = make("a.webm", *LOSSY["a.webm"], "-g", "100")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : -1000] = bytes(len(data) - 1000 - len(data) // 2)
    path.write_bytes(data)
    source, frames = read(path)
    assert len(frames) + source.missing == FRAMES
    assert source.missing > 0


@pytest.mark.parametrize(("name", "encoder"), [("a.gif", []), ("a.wmv", ["-c:v", "wmv2"])])
def test_a_gif_and_a_wmv_with_a_damaged_middle_miss_frames(make: Make, name: str, encoder: list[str]) -> None:
    path = make(name, *encoder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : 6 * len(data) // 10] = bytes(6 * len(data) // 10 - len(data) // 2)
    path.write_bytes(data)
    assert read(path)[0].missing > 0


def test_a_recording_of_unknown_length_that_ends_in_a_frame_is_cut_short(make: Make) -> None:
    path = make("a.mkv", *H264, "-live", "1")
    assert read(path)[0].missing == 0
    assert read(cut(path))[0].missing == 1


def test_frames_behind_a_damaged_part_are_read(make: Make) -> None:
    source, frames = read(damage(make("a.mp4", *H264, "-g", "5", "-bf", "0", "-movflags", "+faststart")))
    assert len(frames) + source.missing == FRAMES
    assert 0 < source.missing < 20
    assert frames[-1].media_time_s == pytest.approx(29 / 25)
    assert "damaged" in source.missing_reason


def test_a_film_goes_on_after_a_long_pause_with_sound(make: Make) -> None:
    pause = "setpts='if(lt(N,5),N/25,N/25+130)/TB'"
    tone = ["-f", "lavfi", "-i", "sine=frequency=300:sample_rate=8000:duration=132"]
    film = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=0.4", *tone]
    path = make(
        "a.mkv", "-vf", pause, "-fps_mode", "vfr", *H264, "-tune", "zerolatency", "-c:a", "pcm_s16le",
        "-bsf:a", "pcm_rechunk=n=160", source=film,
    )  # fmt: skip
    source, frames = read(path)
    assert (len(frames), source.missing) == (10, 0)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)  # does not read on after a failure
    assert sum(iter(capture.grab, False)) == 10
    capture.release()


LONG_SOUND = ["-filter_complex", "aevalsrc=0:d=5:s=8000[sound]", "-map", "0", "-map", "[sound]"]
HEALTHY = {
    "b-frames.mp4": [*H264, "-preset", "medium", "-bf", "3"],
    "fragments.mp4": [*H264, "-movflags", "frag_keyframe+empty_moov"],
    "variable.mp4": [*H264, "-vf", "setpts='if(lt(N,9),N,N*3)/25/TB'", "-fps_mode", "vfr"],
    "variable.mkv": [*H264, "-vf", "setpts='if(lt(N,9),N,N*3)/25/TB'", "-fps_mode", "vfr"],
    "a.webm": ["-c:v", "libvpx", "-deadline", "realtime"],
    "a.ts": H264,
    "a.h264": H264,
    "a.mpg": ["-c:v", "mpeg1video"],
    "b-frames.avi": ["-c:v", "mpeg4", "-bf", "2"],
    "repeats.avi": ["-c:v", "mpeg4", "-vf", "setpts='if(lt(N,9),N,N*3)/25/TB'", "-fps_mode", "vfr"],
    "variable.webm": [
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        "-vf",
        "setpts='if(lt(N,20),N,N+90)/25/TB'",
        "-fps_mode",
        "vfr",
    ],
    "long sound.mkv": [*H264, *LONG_SOUND],
    "long sound.avi": ["-c:v", "mjpeg", *LONG_SOUND],
    "long sound.wmv": ["-c:v", "wmv2", *LONG_SOUND],
    "a.gif": [],
    "pause.ts": [*H264, "-vf", "setpts='if(lt(N,20),N,N+90)/25/TB'", "-fps_mode", "vfr"],
    "pause.flv": [*H264, "-vf", "setpts='if(lt(N,20),N,N+90)/25/TB'", "-fps_mode", "vfr"],
    "pause.mpg": ["-c:v", "mpeg2video", "-vf", "setpts='if(lt(N,20),N,N+9)/25/TB'", "-fps_mode", "vfr"],
    "pause.ogv": ["-c:v", "libtheora", "-vf", "setpts='if(lt(N,20),N,N+9)/25/TB'", "-fps_mode", "vfr"],
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_file_is_never_called_cut_short(make: Make, name: str) -> None:
    source, frames = read(make(name, *HEALTHY[name]))
    assert source.missing == 0
    assert len(frames) >= FRAMES - 2  # an .avi begins with two empty frames


def test_empty_packets_of_a_still_film_are_no_damage(make: Make) -> None:
    path = make("still.ogv", "-c:v", "libtheora", source=["-f", "lavfi", "-i", "color=gray:s=160x120:r=25:d=3"])
    source, frames = read(path)
    assert 1 < len(frames) < 75  # Theora repeats frames by empty packets
    assert source.missing == 0
    assert 60 < empty_packets(path) < 75
    assert empty_packets(make("a.ts", *H264)) == 0


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts"])
@pytest.mark.parametrize("arguments", [["-ss", "0.5"], ["-t", "0.63"]])
def test_a_part_that_was_copied_out_of_a_film_is_healthy(make: Make, suffix: str, arguments: list[str]) -> None:
    make("film.mp4", *H264, "-preset", "medium", "-g", "12", "-bf", "2")
    source, frames = read(make(f"part.{suffix}", "-c", "copy", source=[*arguments, "-i", "film.mp4"]))
    assert source.missing == 0
    assert frames


@pytest.mark.parametrize(("aspect", "size"), [("2/1", (320, 120)), ("64/45", (228, 120)), ("8/9", (142, 120))])
def test_frames_have_square_pixels(make: Make, aspect: str, size: tuple[int, int]) -> None:
    source, frames = read(make("a.mp4", *H264, "-vf", f"setsar={aspect}"))
    assert frames[0].image is not None
    assert frames[0].image.shape[1::-1] == size
    assert source.properties is not None
    assert source.properties["size"] == list(size)


def test_the_command_counts_missing_frames_and_ends_with_1(fer_edge, make: Make, tmp_path: Path) -> None:
    path = cut(make("a.mp4", *H264, "-movflags", "+faststart"))
    done = fer_edge(path.name, "--headless", "--report", "report.json")
    assert done.returncode == 1
    frames = json.loads((tmp_path / "report.json").read_text())["frames"]
    assert frames["captured"] == FRAMES
    assert frames["processed"] + frames["errors"] == FRAMES
    line = f"fer-edge: a.mp4: {frames['processed']} of {FRAMES} frames: the file is cut short"
    assert sum(text.startswith(line) for text in done.stderr.splitlines()) == 1


def test_a_stream_says_what_is_missing(make: Make, model: Path) -> None:
    path = cut(make("a.mp4", *H264, "-movflags", "+faststart"))
    with EmotionRecognizer(model) as recognizer, recognizer.stream(path) as results:
        assert results.problem is None
        found = len(list(results))
        assert found + results.errors == FRAMES
        assert (
            results.problem == f"{path}: {found} of {FRAMES} frames: the file is cut short: copy or download it again"
        )


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_cover_in_front_of_a_film_is_not_taken_for_it(make: Make, name: str, tmp_path: Path) -> None:
    film = make("film.mp4", *H264)
    cv2.imwrite(str(tmp_path / "cover.png"), np.full((90, 120, 3), 200, dtype=np.uint8))
    inputs = ["-i", "film.mp4", "-i", "cover.png"]
    path = make(name, "-map", "1", "-map", "0", "-c", "copy", "-disposition:v:0", "attached_pic", source=inputs)
    if not open_filtered(film, "null").isOpened():
        pytest.skip("this OpenCV's FFmpeg has no filters")
    source, frames = read(path)
    assert (len(frames), source.missing) == (FRAMES, 0)
    assert {frame.image.shape for frame in frames if frame.image is not None} == {(120, 160, 3)}
    times = [frame.media_time_s for frame in frames]
    assert times == pytest.approx([number / 25 for number in range(FRAMES)], abs=0.005)
