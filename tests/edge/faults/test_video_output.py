"""--output as H.264 while disks fill up, and while signals reach the whole process group or kill the run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import OutputError
from fer_edge.pipeline.frame import Frame
from fer_edge.results import FrameResult
from fer_edge.sinks import Published
from fer_edge.sinks.video import VideoSink

TIMEOUT_S = 60

pytestmark = pytest.mark.usefixtures("ffmpeg_program")


def write_noise(path: Path, frames: int) -> int:
    """The size in bytes of a video of noise; OutputError if it could not be written."""
    sink, rng = VideoSink(path, 25.0, gaps=False), np.random.default_rng(0)
    try:
        for index in range(frames):
            image = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
            sink.write(Published(FrameResult(index, index / 25, True), Frame(index, index / 25, 0.0, image)))
    finally:
        sink.close()
    return path.stat().st_size


@pytest.mark.parametrize("phase", ["the middle", "the last bytes", "the index", "the first byte"])
def test_a_disk_that_is_full_at_any_moment_leaves_no_video(small_disk: Path, tmp_path: Path, phase: str) -> None:
    size = write_noise(tmp_path / "fits.mp4", 12)
    free = {"the middle": size // 2, "the last bytes": size - 3000, "the index": size - 500, "the first byte": 0}[phase]
    capacity = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    (small_disk / "ballast").write_bytes(bytes(capacity - free // 4096 * 4096))
    with pytest.raises(OutputError):
        write_noise(small_disk / "out.mp4", 12)
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_a_disk_too_full_for_the_sound_keeps_the_silent_video(
    small_disk: Path, tmp_path: Path, fer_edge: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    command = [
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x120:duration=2", "-f", "lavfi",
        "-i", "anoisesrc=duration=2", "-c:v", "mpeg4", "-c:a", "aac", "-b:a", "256k", str(tmp_path / "in.mp4"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    alone = fer_edge("in.mp4", "--headless", "--output", "fits.mp4")
    assert alone.returncode == 0, alone.stderr
    sound = 2 * 256_000 // 8
    image_bytes = (tmp_path / "fits.mp4").stat().st_size - sound
    capacity = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    (small_disk / "ballast").write_bytes(bytes(capacity - 2 * image_bytes - sound // 2))
    done = fer_edge("in.mp4", "--headless", "--output", "small/out.mp4")
    assert done.returncode == 0, done.stderr
    assert "small/out.mp4 has no sound: is the disk full?" in done.stderr
    assert sorted(path.name for path in small_disk.iterdir()) == ["ballast", "out.mp4"]
    assert cv2.VideoCapture(str(small_disk / "out.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 50


@pytest.fixture
def started(model: Path, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """An endless run with --output out.mp4 in its own process group, with results and a growing video."""
    command = [
        sys.executable, "-m", "fer_edge", "--model", str(model), "demo:320x240,endless", "--headless",
        "--output", "out.mp4", "--report", "out.json",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # in the background
    )  # fmt: skip
    try:
        wait_for(lambda: any(part.stat().st_size > 10_000 for part in tmp_path.glob(".fer-*.part.mp4")))
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


def ffmpeg_of(process: "subprocess.Popen[str]") -> int:
    """The process id of its ffmpeg."""
    children = Path(f"/proc/{process.pid}/task").glob("*/children")
    [child] = {int(number) for file in children for number in file.read_text().split()}
    assert Path(f"/proc/{child}/comm").read_text().strip() == "ffmpeg"
    return child


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_every_process_completes_the_video(
    started: "subprocess.Popen[str]", tmp_path: Path, number: int, code: int
) -> None:
    encoder = ffmpeg_of(started)
    os.kill(encoder, number)  # systemd signals a service's every process, in any order
    os.killpg(started.pid, number)
    stderr = started.communicate(timeout=TIMEOUT_S)[1]
    assert started.returncode == code, stderr
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["sinks"]["output"] == {"written": report["frames"]["processed"], "lost": 0}
    frames = cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)
    assert frames == report["frames"]["processed"]
    assert not list(tmp_path.glob(".*"))
    wait_for(lambda: not Path(f"/proc/{encoder}").exists())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_run_that_is_killed_leaves_no_half_video_under_the_final_name(
    started: "subprocess.Popen[str]", tmp_path: Path, number: int, fer_edge: Callable[..., object]
) -> None:
    encoder = ffmpeg_of(started)
    os.killpg(started.pid, number)
    started.communicate(timeout=TIMEOUT_S)
    wait_for(lambda: not Path(f"/proc/{encoder}").exists())  # it ends with its input
    if (tmp_path / "out.mp4").exists():  # the signal is handled: the video is complete
        assert cv2.VideoCapture(str(tmp_path / "out.mp4")).read()[0]
    else:
        assert list(tmp_path.glob(".fer-*.part.mp4"))
    outputs = ("--output", "out.mp4", "--report", "out.json", "--overwrite")
    done = fer_edge("demo:160x160", "--headless", "--max-frames", "3", *outputs)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob(".*"))
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 3


@pytest.mark.slow
def test_a_dying_ffmpeg_fails_the_output_and_the_run_goes_on(started: "subprocess.Popen[str]", tmp_path: Path) -> None:
    os.kill(ffmpeg_of(started), signal.SIGKILL)
    wait_for(lambda: not list(tmp_path.glob(".fer-*")))  # at once, not at the end
    started.send_signal(signal.SIGINT)
    stderr = started.communicate(timeout=TIMEOUT_S)[1]
    assert stderr.count("--output failed and is abandoned: out.mp4 could not be completed") == 1, stderr
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["sinks"]["output"] == {"written": 0, "lost": report["frames"]["processed"]}
    assert report["exit_reason"] == "interrupted"
    assert not (tmp_path / "out.mp4").exists()


def test_a_run_without_ffmpeg_says_once_what_to_install(
    fer_edge: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("ffmpeg") is None
    done = fer_edge("demo:160x160", "--headless", "--max-frames", "5", "--output", "out.mp4")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("sudo apt-get install ffmpeg") == 1
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 5
