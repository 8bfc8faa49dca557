from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import OutputError
from fer_edge.opencv import cv2
from fer_edge.pipeline.frame import Frame
from fer_edge.results import FrameResult
from fer_edge.sinks import animation
from fer_edge.sinks.animation import AnimationSink
from fer_edge.sinks.base import Published
from fer_edge.sinks.images import check_image_output

pytestmark = pytest.mark.skipif(not hasattr(cv2, "imencodeanimation"), reason="this OpenCV writes no animations")


def published(index: int, t: float, size: tuple[int, int] = (120, 160)) -> Published:
    image = np.full((*size, 3), 2 * index % 256, dtype=np.uint8)
    return Published(FrameResult(index, t, True), Frame(index, t, 0.0, image))


def read(path: Path) -> cv2.Animation:
    read, found = cv2.imreadanimation(str(path))
    assert read
    return found


@pytest.mark.parametrize("suffix", animation.SUFFIXES)
def test_an_animation_has_ten_frames_per_second_at_the_speed_of_its_source(tmp_path: Path, suffix: str) -> None:
    sink = AnimationSink(tmp_path / f"a{suffix}", stills=False)
    for index in range(60):
        sink.write(published(index, index / 30))
    assert sink.written == 0  # nothing is in the file yet
    sink.close()
    assert sink.written == 60
    found = read(tmp_path / f"a{suffix}")
    assert len(found.frames) == sink.frames_in_file == 20
    assert sum(found.durations) == pytest.approx(2000, abs=50)
    assert found.frames[10].mean() > found.frames[0].mean() + 30
    assert list(tmp_path.iterdir()) == [tmp_path / f"a{suffix}"]


def test_large_frames_are_scaled_down_and_odd_ones_fitted(tmp_path: Path) -> None:
    sink = AnimationSink(tmp_path / "a.webp", stills=True)
    for index, size in enumerate([(1080, 1920), (1920, 1080), (10, 10)]):
        sink.write(published(20 + 40 * index, 0.0, size))
    sink.close()
    found = read(tmp_path / "a.webp")
    assert [frame.shape[:2] for frame in found.frames] == [(270, 480)] * 3
    assert list(found.durations) == [1000, 1000, 1000]


def test_an_animation_is_bounded_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(animation, "MAX_FRAMES", 5)
    sink = AnimationSink(tmp_path / "a.gif", stills=False)
    with caplog.at_level("INFO"):
        for index in range(100):
            sink.write(published(index, index / 10))
    sink.close()
    assert len(read(tmp_path / "a.gif").frames) == 5
    assert sink.written == 5
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'a.gif'} has 5 frames and takes no more: name an .mp4 for a longer video"
    ]


@pytest.mark.parametrize("suffix", animation.SUFFIXES)
def test_a_long_outage_becomes_a_still_of_ten_seconds(tmp_path: Path, suffix: str) -> None:
    sink = AnimationSink(tmp_path / f"a{suffix}", stills=False)
    for index, t in enumerate((0.0, 1.0, 3601.0)):
        sink.write(published(20 * index, t))
    sink.close()
    assert sink.written == 3
    assert list(read(tmp_path / f"a{suffix}").durations) == [1000, 10_000, 100]


def test_closing_may_take_longer_the_more_frames_there_are(tmp_path: Path) -> None:
    sink = AnimationSink(tmp_path / "a.webp", stills=True)
    assert sink.extra_call_s == 0
    for index in range(6):
        sink.write(published(index, 0.0))
    assert sink.extra_call_s == 3
    sink.close()
    assert sink.extra_call_s == 0


def test_without_frames_there_is_no_file(tmp_path: Path) -> None:
    AnimationSink(tmp_path / "a.gif", stills=False).close()
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_not_utf8_works(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.gif"
    sink = AnimationSink(path, stills=False)
    sink.write(published(0, 0.0))
    sink.close()
    assert path.read_bytes().startswith(b"GIF89a")


def test_an_opencv_that_writes_no_animations_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "imencodeanimation")
    with pytest.raises(OutputError, match=r"a\.gif: OpenCV .* writes no moving \.gif: name an \.mp4"):
        check_image_output(tmp_path / "a.gif")


def test_the_demo_leaves_a_moving_image(fer_edge, tmp_path: Path) -> None:
    ran = fer_edge("demo:320x240", "--headless", "--duration", "1", "--output", "demo.webp")
    assert ran.returncode == 0, ran.stderr
    assert len(read(tmp_path / "demo.webp").frames) == 10
    still = fer_edge("demo:320x240", "--headless", "--max-frames", "1", "--output", "still.webp")
    assert still.returncode == 0, still.stderr
    assert len(read(tmp_path / "still.webp").frames) == 1
    assert fer_edge("demo:", "--headless", "--output", "demo.webp").returncode == 1  # it exists
