"""USB cameras, with stand-ins for the kernel and for cv2.VideoCapture."""

import errno
import fcntl
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.demo.scene import draw_scene
from fer_edge.errors import SourceError
from fer_edge.framing import Image
from fer_edge.sources import open_source, v4l2, video
from fer_edge.sources.reconnect import ReconnectPolicy
from fer_edge.sources.video import CameraSource

SIZE = (320, 240)


def as_sent(bgr: Image, letters: str) -> Image:
    """`bgr` as a V4L2 camera delivers it in the format `letters`, unconverted."""
    if letters == "MJPG":
        return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].reshape(1, -1)
    if letters == "YU12":
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    if letters == "YUYV":
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_YUY2)
    if letters == "UYVY":
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_UYVY)
    assert letters == "GREY"
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


class Capture:
    """A stand-in for cv2.VideoCapture on a V4L2 camera of format `letters`, unplugged after `frames` frames."""

    letters, frames, damaged = "MJPG", 10**9, frozenset[int]()
    opened: list["Capture"]

    def __init__(self, camera: int | str, backend: int) -> None:
        assert backend == cv2.CAP_V4L2
        self.camera, self.grabbed, self.released = camera, 0, False
        self.set_to: dict[int, float] = {cv2.CAP_PROP_CONVERT_RGB: 1}
        Capture.opened.append(self)

    def isOpened(self) -> bool:  # noqa: N802 - cv2's name
        return True

    def set(self, key: int, value: float) -> bool:
        self.set_to[key] = value
        return True

    def get(self, key: int) -> float:
        given = {
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*self.letters),
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_FRAME_WIDTH: SIZE[0],
            cv2.CAP_PROP_FRAME_HEIGHT: SIZE[1],
        }
        return given.get(key, 0.0)  # as OpenCV answers what a backend does not know

    def grab(self) -> bool:
        self.grabbed += 1
        return self.grabbed <= self.frames and not self.released

    def retrieve(self) -> tuple[bool, Image]:
        bgr = draw_scene(self.grabbed / 30, SIZE)
        if self.set_to[cv2.CAP_PROP_CONVERT_RGB]:
            return True, bgr
        sent = as_sent(bgr, self.letters)
        return True, sent[:, :5] if self.grabbed in self.damaged else sent

    def release(self) -> None:
        self.released = True


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[Capture]:
    class Fresh(Capture):
        pass

    Capture.opened = []
    monkeypatch.setattr(video.cv2, "VideoCapture", Fresh)
    monkeypatch.setattr(video.sys, "platform", "linux")
    return Fresh


def luma(index: int) -> Image:
    return np.asarray(cv2.cvtColor(draw_scene(index / 30, SIZE), cv2.COLOR_BGR2GRAY))


@pytest.mark.parametrize("letters", ["MJPG", "YU12", "YUYV", "UYVY", "GREY"])
def test_only_the_luma_is_decoded_where_gray_is_enough(camera: type[Capture], letters: str) -> None:
    camera.letters = letters
    source = CameraSource(0, gray=True)
    assert source.properties == {"size": [320, 240], "format": letters, "fps": 30.0}
    grabs = [source.read() for _ in range(3)]
    for index, grab in enumerate(grabs, 1):
        assert grab is not None
        assert grab.image is not None
        assert grab.image.shape == (240, 320)
        expected = luma(index).astype(float)
        if letters in ("YU12", "YUYV", "UYVY"):  # cv2 converts to video range, 16 to 235
            expected = 16 + expected * 219 / 255
        assert np.abs(grab.image - expected).mean() < 2


def test_color_frames_are_requested_where_color_is_needed(camera: type[Capture]) -> None:
    grab = CameraSource(0).read()
    assert grab is not None
    assert grab.image is not None
    assert grab.image.shape == (240, 320, 3)
    asked = camera.opened[0].set_to
    assert asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert asked[cv2.CAP_PROP_BUFFERSIZE] == 1


def test_a_format_without_luma_stays_in_color(camera: type[Capture]) -> None:
    camera.letters = "BGR3"
    grab = CameraSource(0, gray=True).read()
    assert grab is not None
    assert grab.image is not None
    assert grab.image.ndim == 3


def test_a_damaged_jpeg_from_a_camera_is_an_error_and_the_stream_goes_on(camera: type[Capture]) -> None:
    camera.damaged = frozenset({2, 3})
    source = CameraSource(0, gray=True)
    readable = []
    for _ in range(5):
        grab = source.read()
        assert grab is not None
        readable.append(grab.image is not None)
    assert readable == [True, False, False, True, True]


def test_an_unplugged_camera_that_comes_back_is_reopened(camera: type[Capture]) -> None:
    camera.frames = 4
    source = open_source(0, reconnect_policy=ReconnectPolicy(first_retry_s=0.01, max_retry_s=0.02), gray=True)
    for _ in range(10):
        grab = source.read()
        assert grab is not None
        assert grab.image is not None
        assert grab.image.ndim == 2
    assert source.reconnects == len(source.gaps_s) >= 2
    assert source.properties == {"size": [320, 240], "format": "MJPG", "fps": 30.0}
    source.close()
    assert all(opened.released for opened in camera.opened)


def test_an_unplugged_camera_that_stays_away_is_an_error(camera: type[Capture]) -> None:
    camera.frames = 4
    source = open_source(
        "/dev/video77", reconnect_policy=ReconnectPolicy(first_retry_s=0.01, max_retry_s=0.02, give_up_s=0.2)
    )
    camera.isOpened = lambda _self: False  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="/dev/video77 is lost: no frame for"):
        for _ in range(10):
            source.read()


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device that another program streams from, according to the kernel."""
    device = tmp_path / "video0"
    device.touch()

    def refuse(_descriptor: int, request: int, argument: bytes) -> bytes:
        assert request == 0xC0145608  # VIDIOC_REQBUFS on every 32- and 64-bit Linux
        assert len(argument) == 20
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    return device


def test_a_camera_in_use_is_refused_at_once_naming_the_program(busy: Path) -> None:
    with busy.open() as device, subprocess.Popen(["sleep", "60"], stdin=device) as other:
        with pytest.raises(SourceError, match=rf"camera 0 is in use by sleep \(process {other.pid}\): end that"):
            v4l2.check_free(busy, "camera 0")
        other.kill()


def test_a_camera_in_use_by_an_invisible_process_is_refused(busy: Path) -> None:
    with pytest.raises(SourceError, match="camera 0 is in use: end that program, or name another camera"):
        v4l2.check_free(busy, "camera 0")


@pytest.mark.parametrize("path", ["/dev/null", "/dev/does-not-exist", "/"])
def test_a_device_that_is_not_a_camera_is_left_to_opencv(path: str) -> None:
    v4l2.check_free(Path(path), "it")


def test_a_device_that_is_not_a_camera_is_refused_in_one_line(fer_edge: Callable[..., object]) -> None:
    ran = fer_edge("--source", "/dev/null", "--headless")
    assert ran.returncode == 1
    assert ran.stderr == (
        "fer-edge: /dev/null can't be opened: fer-edge --list-cameras lists the cameras; the source demo: needs none\n"
    )


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(v4l2, "Path", lambda text: tmp_path if text == "/sys/class/video4linux" else Path(text))
    return tmp_path


def test_cameras_are_listed_by_number_without_their_metadata_devices(sysfs: Path) -> None:
    for number, name, index in [(10, "Late", "0"), (0, "Webcam", "0"), (1, "Webcam", "1")]:
        (sysfs / f"video{number}").mkdir()
        (sysfs / f"video{number}" / "name").write_text(f"{name}\n")
        (sysfs / f"video{number}" / "index").write_text(f"{index}\n")
    (sysfs / "video3").mkdir()  # it is being unplugged
    assert v4l2.list_cameras() == [(0, "Webcam"), (10, "Late")]


@pytest.mark.parametrize(
    ("arguments", "gray"),
    [
        (["--headless"], True),
        (["--headless", "--output", "pictures"], False),
    ],
)
def test_a_run_requests_gray_frames_unless_images_are_written(
    camera: type[Capture],
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    gray: bool,
) -> None:
    from click.testing import CliRunner

    from fer_edge.cli.commands import edge

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_EDGE_DEFAULTS", "")
    ran = CliRunner().invoke(
        edge, ["--camera", "5", "--model", str(model), "--max-frames", "20", "--report", "r.json", *arguments]
    )
    assert ran.exit_code == 0, ran.output
    assert camera.opened[0].set_to[cv2.CAP_PROP_CONVERT_RGB] == (0 if gray else 1)
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["settings"]["source"] == {"size": [320, 240], "format": "MJPG", "fps": 30.0}
    assert report["faces"]["seen"] > 0
