"""What ffmpeg makes of a video: codec, even sizes, index in front, sound in sync; and machines that lack it."""

import itertools
import json
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import OutputError
from fer_edge.pipeline.frame import Frame
from fer_edge.results import FrameResult
from fer_edge.sinks import Published, ffmpeg, video
from fer_edge.sinks.images import open_image_sink
from fer_edge.sinks.rotation import Rotation, numbered_pieces
from fer_edge.sinks.video import VideoSink
from fer_edge.sources.video import VideoFileSource

FPS = 25
FLASH_S = (1.0, 1.2)  # of the clips: the image is white and a tone sounds
MAX_APART_S = 0.07  # sound and image: a frame of 40 ms and a packet of 23 ms


@pytest.fixture(autouse=True)
def _fresh_warnings(ffmpeg_program: str) -> None:
    assert ffmpeg_program
    video._warn_once.cache_clear()


def write(path: Path, frames: int = 10, size: tuple[int, int] = (64, 48), **options: object) -> None:
    """A video of gray frames, each brighter than the one before."""
    sink = VideoSink(path, FPS, gaps=False, **options)
    for index in range(frames):
        image = np.full((size[1], size[0], 3), 20 * index % 256, dtype=np.uint8)
        sink.write(Published(FrameResult(index, index / FPS, True), Frame(index, index / FPS, 0.0, image)))
    sink.close()


def streams(path: Path) -> dict[str, dict[str, str]]:
    """What ffprobe says of each stream, by its kind."""
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)]
    ran = subprocess.run(command, capture_output=True, check=True)
    return {stream["codec_type"]: stream for stream in json.loads(ran.stdout)["streams"]}


def boxes(path: Path) -> list[str]:
    """The names of an mp4 file's top-level boxes, in order; the file must end with the last one."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        names.append(data[at + 4 : at + 8].decode("ascii"))
        at += int.from_bytes(data[at : at + 4], "big")
    assert at == len(data)
    return names


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv"])
def test_videos_are_h264_that_browsers_and_phones_play(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write(path)
    stream = streams(path)["video"]
    assert (stream["codec_name"], stream["pix_fmt"], stream["color_space"]) == ("h264", "yuv420p", "smpte170m")
    assert stream["r_frame_rate"] == stream["avg_frame_rate"] == "25/1"
    if suffix != ".mkv":
        assert boxes(path).index("moov") < boxes(path).index("mdat")


@pytest.mark.parametrize(("size", "even"), [((65, 48), (66, 48)), ((64, 49), (64, 50)), ((1, 1), (2, 2))])
def test_an_odd_size_grows_by_one_pixel_of_the_edge(
    tmp_path: Path, size: tuple[int, int], even: tuple[int, int]
) -> None:
    path = tmp_path / "out.mp4"
    write(path, 10, size)
    capture = cv2.VideoCapture(str(path))
    frames = [frame for ok, frame in iter(capture.read, (False, None)) if ok]
    assert {frame.shape for frame in frames} == {(even[1], even[0], 3)}
    for index, frame in enumerate(frames):
        assert np.abs(frame.astype(int) - 20 * index).max() <= 4
    assert len(frames) == 10


def clip(path: Path, audio: str, *options: str) -> Path:
    """Two seconds, black and silent; white and loud in FLASH_S. options: of ffmpeg, for the file."""
    flash = f"between(t,{FLASH_S[0]},{FLASH_S[1]})"
    command = [
        "ffmpeg", "-v", "error", "-y",
        "-f", "lavfi", "-i", f"color=black:size=64x48:rate={FPS}:duration=2,drawbox=w=64:h=48:color=white:t=fill"
        f":enable='between(t,{FLASH_S[0] - 0.01},{FLASH_S[1] - 0.01})'",
        "-f", "lavfi", "-i", f"aevalsrc='if({flash},0.8*sin(2*PI*1000*t),0)':s=44100:d=2",
        "-c:v", "mpeg4", "-g", "12", "-c:a", audio, "-ac", "2", *options, str(path),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return path


def follow(source: Path, output: Path, frames: int | None = None, skip: int = 0, **options: object) -> None:
    """Write a source's frames to the output as a run does. skip: frames at its start that can't be read."""
    opened = VideoFileSource(source)
    sink = open_image_sink(output, opened, False, False, **options)
    for index in itertools.count():
        grabbed = opened.read()
        if grabbed is None or index == frames:
            break
        if index >= skip:
            assert grabbed.image is not None
            result = FrameResult(index, grabbed.media_time_s, True)
            sink.write(Published(result, Frame(index, grabbed.media_time_s, 0.0, grabbed.image)))
    opened.close()
    sink.close()


def flash_at(path: Path) -> float:
    """The time of the first white frame."""
    capture = cv2.VideoCapture(str(path))
    for index in itertools.count():
        ok, frame = capture.read()
        assert ok, "no white frame"
        if frame.mean() > 128:
            return index / FPS
    raise AssertionError


def tone_at(path: Path) -> float:
    """The time at which the sound begins."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-af", "aresample=async=1:first_pts=0", "-ac", "1",
               "-ar", "8000", "-f", "s16le", "-"]  # fmt: skip
    samples = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, dtype="<i2")
    return float(np.argmax(np.abs(samples.astype(int)) > 4000)) / 8000


SOURCES = {
    "aac in mp4": ("in.mp4", "aac", ()),
    "pcm in mkv": ("in.mkv", "pcm_s16le", ()),
    "opus in mkv": ("in.mkv", "libopus", ()),
    "mp2 in mpegts": ("in.ts", "mp2", ()),
    "an image that begins late": ("in.mp4", "aac", ("-vf", "trim=start=0.48")),
    "a sound that begins late": ("in.mp4", "aac", ("-af", "atrim=start=0.6")),
}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("kind", SOURCES)
def test_the_sound_of_a_video_is_kept_in_sync(tmp_path: Path, kind: str, suffix: str) -> None:
    name, audio, options = SOURCES[kind]
    source, output = clip(tmp_path / name, audio, *options), tmp_path / f"out{suffix}"
    follow(source, output)
    assert abs(flash_at(output) - tone_at(output)) < MAX_APART_S
    assert streams(output)["audio"]["codec_name"] == ("opus" if suffix == ".webm" else "aac")
    if suffix == ".mp4":
        assert boxes(output).index("moov") < boxes(output).index("mdat")
    assert not list(tmp_path.glob(".*"))


def test_sound_ends_with_the_video(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    follow(clip(tmp_path / "in.mp4", "aac"), output, frames=15)
    found = streams(output)
    assert float(found["video"]["duration"]) == pytest.approx(0.6, abs=0.001)
    assert float(found["audio"]["duration"]) == pytest.approx(0.6, abs=0.03)


def test_sound_stays_in_sync_if_the_first_frames_cannot_be_read(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    follow(clip(tmp_path / "in.mp4", "aac"), output, skip=13)
    assert flash_at(output) == pytest.approx(1.0 - 13 / FPS, abs=0.041)
    assert abs(flash_at(output) - tone_at(output)) < MAX_APART_S


class Clock:
    """Every reading is a second later."""

    def __init__(self) -> None:
        self.monotonic = itertools.count().__next__


def test_each_piece_of_a_rotated_video_has_its_own_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out.mp4"
    monkeypatch.setattr(video, "time", Clock())  # a piece of 20 frames
    follow(clip(tmp_path / "in.mp4", "aac"), output, rotation=Rotation(max_s=20))
    pieces = [*numbered_pieces(output).values(), output]
    assert len(pieces) == 3
    assert all("audio" in streams(piece) for piece in pieces)
    middle = pieces[1]
    assert flash_at(middle) == pytest.approx(1.0 - 20 / FPS, abs=0.041)
    assert abs(flash_at(middle) - tone_at(middle)) < MAX_APART_S


def test_a_frame_rate_that_varies_keeps_image_and_sound_together(tmp_path: Path) -> None:
    # The frames of the first second and a half at 25 per second, then one every 0.2 s: 18 per second on average.
    select = "select='lt(t,1.5)+not(mod(n,5))'"
    source = clip(tmp_path / "in.mp4", "aac", "-vf", select, "-vsync", "vfr")
    output = tmp_path / "out.mp4"
    follow(source, output)
    fps = cv2.VideoCapture(str(output)).get(cv2.CAP_PROP_FPS)
    assert fps < FPS - 1
    assert abs(flash_at(output) * FPS / fps - tone_at(output)) < video.MAX_LAG_S + MAX_APART_S


def test_a_source_without_sound_gives_a_video_without_sound(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "in.mp4")
    follow(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert set(streams(tmp_path / "out.mp4")) == {"video"}
    assert not caplog.messages


def test_frames_that_were_dropped_leave_no_sound(tmp_path: Path) -> None:
    opened = VideoFileSource(clip(tmp_path / "in.mp4", "aac"))
    sink = open_image_sink(tmp_path / "out.mp4", opened, False, gaps=True)
    opened.close()
    assert isinstance(sink, VideoSink)
    assert sink._sound is None
    sink.close()


def test_the_video_stays_if_its_source_is_gone_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, output = clip(tmp_path / "in.mp4", "aac"), tmp_path / "out.mp4"
    opened = VideoFileSource(source)
    sink = open_image_sink(output, opened, False, False)
    grabbed = opened.read()
    assert grabbed is not None
    assert grabbed.image is not None
    sink.write(Published(FrameResult(0, 0.0, True), Frame(0, 0.0, 0.0, grabbed.image)))
    opened.close()
    source.unlink()
    sink.close()
    assert set(streams(output)) == {"video"}
    assert caplog.messages[-1].startswith(f"{output} has no sound: ffmpeg: {source}: No such file")
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def program_that(folder: Path, script: str) -> Path:
    """A program named ffmpeg."""
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


LISTS_NO_H264 = "echo ' V....D mpeg4                MPEG-4 part 2'"
LISTS_HARDWARE = "case \"$*\" in *-encoders*) echo ' V..... h264_v4l2m2m  V4L2 encoder (codec h264)';; *) exit 1;; esac"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (None, "ffmpeg is not installed"),
        (LISTS_NO_H264, "no H.264 encoder that works"),
        (LISTS_HARDWARE, "no H.264 encoder that works"),
        ("exit 1", "no H.264 encoder that works"),
    ],
    ids=["no ffmpeg", "no H.264", "hardware that is not there", "broken"],
)
def test_without_h264_the_video_is_mpeg4_and_one_line_says_what_to_install(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    script: str | None,
    words: str,
) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    if script is not None:
        program_that(folder, script)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{folder}:/bin" if script else str(folder))
        patch.setattr(shutil, "which", lambda name: str(folder / name) if script else None)
        for name in ("a.mp4", "b.mp4"):
            write(tmp_path / name)
    assert streams(tmp_path / "a.mp4")["video"]["codec_name"] == "mpeg4"
    [message] = caplog.messages
    assert "which browsers do not play" in message
    assert words in message
    assert "sudo apt-get install ffmpeg" in message


def test_a_webm_without_ffmpeg_has_no_sound_and_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = clip(tmp_path / "in.mp4", "aac")
    monkeypatch.setattr(ffmpeg, "find_ffmpeg", lambda: None)
    follow(source, tmp_path / "out.webm", frames=3)
    assert set(streams(tmp_path / "out.webm")) == {"video"}
    [message] = caplog.messages
    assert message.startswith("--output has no sound, because ffmpeg is not installed: install ffmpeg")


def test_another_h264_encoder_is_used_where_libx264_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ffmpeg_program: str
) -> None:
    # An ffmpeg whose list names a broken encoder first. The second one here is libx264 under an alias.
    script = f"""case "$*" in
        *-encoders*) echo ' V..... h264_broken  H.264'; echo ' V..... h264_alias  H.264';;
        *h264_broken*) exit 1;;
        *) for word; do shift; [ "$word" = h264_alias ] && word=libx264; set -- "$@" "$word"; done
           exec {ffmpeg_program} "$@";;
    esac"""
    program = program_that(tmp_path, script)
    monkeypatch.setattr(shutil, "which", lambda _name: str(program))
    assert ffmpeg.h264_encoder(str(program)) == "h264_alias"
    write(tmp_path / "out.mp4")
    monkeypatch.undo()
    assert streams(tmp_path / "out.mp4")["video"]["codec_name"] == "h264"


def test_an_ffmpeg_that_vanishes_between_two_pieces_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ffmpeg_program: str
) -> None:
    program = program_that(tmp_path, f'exec {ffmpeg_program} "$@"')
    monkeypatch.setattr(shutil, "which", lambda _name: str(program))
    write(tmp_path / "a.mp4")
    program.unlink()
    write(tmp_path / "b.mp4")
    monkeypatch.undo()
    assert [streams(tmp_path / name)["video"]["codec_name"] for name in ("a.mp4", "b.mp4")] == ["h264", "mpeg4"]
    assert [message for message in caplog.messages if "can't be started" in message]


def blank(index: int) -> Published:
    image = np.zeros((48, 64, 3), dtype=np.uint8)
    return Published(FrameResult(index, index / FPS, True), Frame(index, index / FPS, 0.0, image))


def process_of(sink: VideoSink) -> "subprocess.Popen[bytes]":
    assert sink._video is not None
    encoder = sink._video._encoder
    assert isinstance(encoder, ffmpeg.FfmpegEncoder)
    return encoder._child._process


def test_an_ffmpeg_that_is_killed_leaves_no_file_and_an_error_that_says_so(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", FPS, gaps=False)
    sink.write(blank(0))
    process_of(sink).kill()
    process_of(sink).wait()
    with pytest.raises(OutputError, match=r"out\.mp4 could not be completed \(ffmpeg was ended by signal 9\)"):
        for index in range(1, 2000):
            sink.write(blank(index))
    assert sink.written == 0
    assert not list(tmp_path.iterdir())
    sink.close()
    assert not list(tmp_path.iterdir())


def test_an_ffmpeg_that_is_killed_after_the_last_frame_leaves_no_file(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", FPS, gaps=False)
    sink.write(blank(0))
    process_of(sink).kill()
    with pytest.raises(OutputError, match="signal 9"):
        sink.close()
    assert not list(tmp_path.iterdir())


def test_signals_that_end_a_run_do_not_end_ffmpeg(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", FPS, gaps=False)
    sink.write(blank(0))
    process = process_of(sink)
    assert os.getsid(process.pid) == process.pid  # no terminal's Ctrl-C reaches it
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(number)
    time.sleep(0.3)
    for index in range(1, 50):
        sink.write(blank(index))
    sink.close()
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 50


def test_a_size_at_which_a_piece_is_complete_is_measured_while_ffmpeg_writes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    output = tmp_path / "out.mp4"
    sink = VideoSink(output, FPS, gaps=False, rotation=Rotation(max_bytes=200_000))
    for index in range(60):
        image = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
        sink.write(Published(FrameResult(index, index / FPS, True), Frame(index, index / FPS, 0.0, image)))
    sink.close()
    pieces = [*numbered_pieces(output).values(), output]
    assert len(pieces) > 2
    assert sum(int(cv2.VideoCapture(str(piece)).get(cv2.CAP_PROP_FRAME_COUNT)) for piece in pieces) == 60


def test_the_command_keeps_the_sound_of_several_sources(fer_edge: Callable[..., object], tmp_path: Path) -> None:
    clip(tmp_path / "one.mp4", "aac")
    clip(tmp_path / "two.mkv", "pcm_s16le")
    done = fer_edge("one.mp4", "two.mkv", "--headless", "--output", "out", "--duration", "1.5")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one.mp4", "two.mkv.mp4"]
    for name in ("one.mp4", "two.mkv.mp4"):
        found = streams(tmp_path / "out" / name)
        assert found["video"]["codec_name"] == "h264"
        assert float(found["audio"]["duration"]) == pytest.approx(1.5, abs=0.05)
