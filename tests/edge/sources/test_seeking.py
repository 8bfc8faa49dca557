"""Seeking in videos: exact where frames last equally long and where they do not."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.sources.demo import DemoSource
from fer_edge.sources.video import VideoFileSource


@pytest.fixture
def video(tmp_path: Path) -> VideoFileSource:
    """60 frames at 25 per second, whose brightness grows by 4 per frame."""
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for index in range(60):
        writer.write(np.full((48, 64, 3), 4 * index, dtype=np.uint8))
    writer.release()
    return VideoFileSource(path)


def frame_at(source: VideoFileSource, t: float) -> tuple[float, int] | None:
    source.seek(t)
    frame = source.read()
    if frame is None or frame.image is None:
        return None
    return round(frame.media_time_s or 0.0, 3), round(float(frame.image.mean()) / 4)


def test_a_seek_gives_exactly_the_frame_of_that_time(video: VideoFileSource) -> None:
    assert video.seekable
    for number in (30, 10, 11, 10, 59, 0):
        assert frame_at(video, number / 25) == (number / 25, number)
    following = video.read()
    assert following is not None
    assert following.media_time_s == pytest.approx(1 / 25)


def test_a_seek_behind_the_end_ends_the_video_and_one_back_goes_on(video: VideoFileSource) -> None:
    assert frame_at(video, 3.0) is None
    assert video.read() is None
    assert frame_at(video, 2.0) == (2.0, 50)


class LandsLate:
    """A VideoCapture of frames at irregular times; like OpenCV it seeks as if all lasted equally long."""

    def __init__(self, times_s: list[float]) -> None:
        self.times_s, self.at = times_s, -1

    def set(self, _prop: int, value: float) -> None:
        self.at = round(value / 100) - 1

    def get(self, prop: int) -> float:
        at = min(max(self.at, 0), len(self.times_s) - 1)
        return 1000 * self.times_s[at] if prop == cv2.CAP_PROP_POS_MSEC else 10.0

    def grab(self) -> bool:
        self.at += 1
        return self.at < len(self.times_s)

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.full((4, 4, 3), self.at, np.uint8)


def test_where_frames_last_differently_a_seek_finds_the_frame_all_the_same(video: VideoFileSource) -> None:
    times_s = [0.0, 0.1, 0.4, 0.8, 1.2, 1.3, 1.4, 1.9, 2.4, 2.5]
    video.close()
    video.fps = 10.0
    video._capture = LandsLate(times_s)  # type: ignore[assignment]
    for number in (5, 4, 9, 1, 8, 0):
        video.seek(times_s[number])
        found = video.read()
        assert found is not None
        assert found.media_time_s == pytest.approx(times_s[number])
    video.seek(99.0)
    assert video.read() is None


def test_the_demo_can_be_wound() -> None:
    source = DemoSource("demo:160x160")
    source.seek(5.0)
    found = source.read()
    assert found is not None
    assert found.media_time_s == 5.0
    source.seek(1e9)
    assert source.read() is None
    source.seek(0.0)
    assert source.read() is not None
