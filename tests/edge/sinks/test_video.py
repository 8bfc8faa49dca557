"""Video outputs by both encoders, ffmpeg's H.264 and OpenCV's: frames, time, and files that can't be completed."""

import dataclasses
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import OutputError
from fer_edge.pipeline.frame import Frame
from fer_edge.results import FrameResult
from fer_edge.sinks import Published, Sink, SinkRunner, video
from fer_edge.sinks import base as sinks_base
from fer_edge.sinks.images import open_image_sink
from fer_edge.sinks.video import VideoSink
from fer_edge.sources.base import Source

pytestmark = pytest.mark.usefixtures("no_threads_left", "video_encoder")


def frame_of(index: int, shape: tuple[int, ...] = (48, 64, 3)) -> Frame:
    return Frame(index, index / 30, 0.0, np.full(shape, 10 * index % 256, dtype=np.uint8))


def feed(sink: Sink, results: list[FrameResult], live: bool = False) -> SinkRunner:
    runner = SinkRunner(sink, live)
    for result in results:
        runner.offer(frame_of(result.frame), result)
    runner.close()
    return runner


def source(live: bool = False) -> Source:
    made = Source()
    made.name, made.live, made.fps = "test", live, 25.0
    return made


def frames_in(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.grab():
        count += 1
    return count


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm"])
def test_a_video_has_as_many_frames_as_the_run(
    tmp_path: Path, make_result: Callable[..., FrameResult], suffix: str
) -> None:
    path = tmp_path / f"out{suffix}"
    runner = feed(open_image_sink(path, source(), False, False), [make_result(index) for index in range(13)])
    assert frames_in(path) == 13
    assert (runner.written, runner.lost) == (13, 0)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["50%d.mp4", "a b.mp4", "-y.mp4", "größe 'x'.mp4"])
def test_a_video_may_have_any_name(
    tmp_path: Path, make_result: Callable[..., FrameResult], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    feed(open_image_sink(Path(name), source(), False, False), [make_result(index) for index in range(3)])
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert frames_in(tmp_path / name) == 3


def test_a_live_video_plays_in_real_time(tmp_path: Path, make_result: Callable[..., FrameResult]) -> None:
    path = tmp_path / "out.mp4"
    # One second with six results, at 25 frames per second.
    feed(open_image_sink(path, source(live=True), False, True), [make_result(index) for index in range(0, 31, 6)])
    assert frames_in(path) == 26


def test_a_video_of_a_file_keeps_every_frame_and_its_time(
    tmp_path: Path, make_result: Callable[..., FrameResult]
) -> None:
    path = tmp_path / "out.mp4"
    # Frames of a file whose rate varies: some closer together than the video's, then a pause of one second.
    times = [0.0, 0.01, 0.02, 0.03, 1.03]
    results = [dataclasses.replace(make_result(index), t=t) for index, t in enumerate(times)]
    runner = feed(open_image_sink(path, source(), False, False), results)
    assert (runner.written, frames_in(path)) == (5, 27)  # 25 per second, up to the frame at 1.03 s


@pytest.mark.parametrize("fps", [0.5, 23.976023976, 29.97, 240.0])
def test_a_video_has_its_source_s_frame_rate(
    tmp_path: Path, make_result: Callable[..., FrameResult], fps: float
) -> None:
    path = tmp_path / "out.mp4"
    results = [dataclasses.replace(make_result(index), t=index / fps) for index in range(12)]
    feed(VideoSink(path, fps, gaps=False), results)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=1e-4)
    assert frames_in(path) == 12


def test_the_colors_of_a_video_are_those_of_its_frames(tmp_path: Path) -> None:
    colors = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (128, 128, 128), (0, 0, 0), (255, 255, 255)]
    image = np.repeat(np.repeat(np.uint8([colors]), 64, axis=0), 64, axis=1)
    sink = VideoSink(tmp_path / "out.mp4", 25.0, gaps=False)
    for index in range(3):
        sink.write(Published(FrameResult(index, index / 25, True), Frame(index, 0.0, 0.0, image)))
    sink.close()
    _, decoded = cv2.VideoCapture(str(tmp_path / "out.mp4")).read()
    centers = decoded[32, 32::64].astype(int)
    assert np.abs(centers - np.array(colors)).max() <= 6, centers


def test_a_video_that_cannot_be_encoded_leaves_the_old_one(tmp_path: Path, video_encoder: str) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")
    runner = SinkRunner(open_image_sink(path, source(), False, False), False)
    runner.offer(frame_of(0, (1, 1) if video_encoder == "opencv" else (2, 20_000)), FrameResult(0, 0.0, True))
    runner.close()
    assert path.read_text() == "old"
    assert (runner.written, runner.lost) == (0, 1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]


def test_a_video_cut_short_by_a_full_disk_leaves_the_old_one(
    tmp_path: Path, make_result: Callable[..., FrameResult], video_encoder: str
) -> None:
    if video_encoder == "ffmpeg":
        pytest.skip("ffmpeg reports a full disk itself: see tests/edge/faults/test_video_output.py")
    path = tmp_path / "out.mp4"
    path.write_text("old")
    sink = VideoSink(path, 25.0, gaps=False)
    for index in range(5):
        sink.write(Published(make_result(index), frame_of(index)))
    written = sink._video
    assert written is not None
    written._encoder.finish()
    os.truncate(written._part, written.bytes_so_far() // 2)
    written._encoder.finish = lambda: None  # type: ignore[method-assign]
    with pytest.raises(OutputError, match="disk full"):
        sink.close()
    assert path.read_text() == "old"
    assert sink.written == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]


def test_frames_of_another_size_are_fitted_into_the_video(tmp_path: Path) -> None:
    runner = SinkRunner(open_image_sink(tmp_path / "out.mp4", source(), False, False), False)
    for index, shape in enumerate([(48, 64, 3), (31, 77), (480, 640, 3)]):
        runner.offer(frame_of(index, shape), FrameResult(index, index / 30, True))
    runner.close()
    assert frames_in(tmp_path / "out.mp4") == 3


def test_completing_a_video_is_logged_once_if_it_takes_long(
    tmp_path: Path,
    make_result: Callable[..., FrameResult],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(video, "SLOW_S", 0.05)
    sync_file = video.sync_file
    monkeypatch.setattr(video, "sync_file", lambda path: (time.sleep(0.3), sync_file(path)))
    feed(VideoSink(tmp_path / "out.mkv", 25.0, gaps=False), [make_result(index) for index in range(3)])
    assert [text for text in caplog.messages if "completing" in text] == [f"completing {tmp_path / 'out.mkv'}"]
    assert (tmp_path / "out.mkv").exists()


def test_completing_a_long_video_is_not_taken_for_hanging(
    tmp_path: Path, make_result: Callable[..., FrameResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks_base, "CLOSE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(video, "MIN_SOUND_SPEED", 1e-3)  # so that 3 frames may take 120 s
    sync_file = video.sync_file
    monkeypatch.setattr(video, "sync_file", lambda path: (time.sleep(0.5), sync_file(path)))
    sink = VideoSink(tmp_path / "out.mkv", 25.0, gaps=False)
    sink.write(Published(make_result(0), frame_of(0)))
    runner = feed(sink, [make_result(index) for index in range(1, 3)])
    assert runner.failure is None
    assert (tmp_path / "out.mkv").exists()


def test_leftovers_of_a_killed_run_are_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".fer-0123456789abcdef.part.mp4").write_text("partial")
    VideoSink(tmp_path / "out.mp4", 25.0, gaps=False).close()
    assert not list(tmp_path.iterdir())
