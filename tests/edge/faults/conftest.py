"""A clip, servers that can be killed, silenced and made to send garbage, and a run in this process."""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from fer_edge.demo.scene import draw_scene
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.sources import open_source
from fer_edge.sources.reconnect import ReconnectPolicy

FPS = 15
QUICK = ReconnectPolicy(open_s=8, silent_s=1, first_retry_s=0.05, max_retry_s=0.2, give_up_s=25)
HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


def jpeg(t: float, size: tuple[int, int] = (320, 240)) -> bytes:
    """The drawn face at time `t` as JPEG."""
    return cv2.imencode(".jpg", draw_scene(t, size))[1].tobytes()


def part(image: bytes) -> bytes:
    """One image of a motion-JPEG stream."""
    return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(image), image)


class MjpegServer:
    """Motion JPEG over HTTP, as cameras serve it.

    `script` is called with each connection's number and yields its bytes piece by piece; None keeps the connection open
    in silence. `die` cuts every connection and refuses new ones until `start`.
    """

    def __init__(self, script: Callable[[int], Iterator[bytes | None]], pause_s: float = 1 / FPS) -> None:
        self._script, self._pause_s = script, pause_s
        self._lines: list[socket.socket] = []
        self._port = 0
        self.calls = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/video"

    def start(self) -> None:
        self._stopped = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, args=(self._listening, self._stopped), daemon=True).start()

    def die(self) -> None:
        self._stopped.set()
        for line in [self._listening, *self._lines]:
            with contextlib.suppress(OSError):  # closed already
                line.shutdown(socket.SHUT_RDWR)
            line.close()
        self._lines.clear()

    def _serve(self, listening: socket.socket, stopped: threading.Event) -> None:
        while True:
            try:
                line = listening.accept()[0]
            except OSError:
                return
            self._lines.append(line)
            self.calls += 1
            threading.Thread(target=self._send, args=(line, self.calls - 1, stopped), daemon=True).start()

    def _send(self, line: socket.socket, number: int, stopped: threading.Event) -> None:
        try:
            line.recv(4096)
            line.sendall(HEAD)
            for piece in self._script(number):
                if piece is None:
                    stopped.wait()
                    return
                line.sendall(piece)
                if stopped.wait(self._pause_s):
                    return
        except OSError:
            pass  # the client left, or we were killed
        finally:
            line.close()


@pytest.fixture
def mjpeg() -> Iterator[Callable[..., MjpegServer]]:
    """Make MjpegServers, which stop when the test ends."""
    servers: list[MjpegServer] = []

    def make(script: Callable[[int], Iterator[bytes | None]], **options: float) -> MjpegServer:
        servers.append(MjpegServer(script, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.die()


@pytest.fixture(scope="session")
def jpegs() -> list[bytes]:
    """A second of the drawn face."""
    return [jpeg(index / FPS) for index in range(FPS)]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the drawn face, 320 x 240, as a video file."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), FPS, (320, 240))
    for index in range(2 * FPS):
        writer.write(draw_scene(index / FPS, (320, 240)))
    writer.release()
    return path


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class FfmpegServer:
    """An ffmpeg that loops `clip` as MPEG-TS for one client, and can be killed."""

    def __init__(self, clip: Path, scheme: str) -> None:
        self.url = f"{scheme}://127.0.0.1:{_free_port()}" + ("/live.ts" if scheme == "http" else "")
        listen = ["-listen", "1", self.url] if scheme == "http" else [f"{self.url}?listen=1"]
        self._command = [
            "ffmpeg", "-v", "quiet", "-stream_loop", "-1", "-re", "-i", str(clip), "-c:v", "mpeg2video", "-g", "5",
            "-f", "mpegts", *listen,
        ]  # fmt: skip
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)

    def die(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def ffmpeg_server(clip: Path) -> Iterator[Callable[[str], FfmpegServer]]:
    """Serve the clip by "tcp" or "http"."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    servers: list[FfmpegServer] = []

    def make(scheme: str) -> FfmpegServer:
        servers.append(FfmpegServer(clip, scheme))
        return servers[-1]

    yield make
    for server in servers:
        server.die()


class Watched:
    """A pipeline of fakes on a real source; `until` waits for a condition."""

    def __init__(self, fakes, url: str, reconnect_policy: ReconnectPolicy) -> None:
        self.shapes: set[tuple[int, ...]] = set()
        self.url, self._reconnect_policy = url, reconnect_policy
        deadline = time.monotonic() + 10
        while True:  # the server may not listen yet
            try:
                source = open_source(url, reconnect_policy=reconnect_policy)
                break
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        detector = fakes.Detector()
        self.pipeline = Pipeline(source, detector, fakes.Classifier(), self._publish)
        self.pipeline.start()

    def _publish(self, frame, _result) -> None:
        self.shapes.add(frame.image.shape[:2])

    def until(self, condition: Callable[[Pipeline], bool], timeout_s: float = 25) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition(self.pipeline):
            assert time.monotonic() < deadline, "timed out"
            assert not self.pipeline.wait(0), f"the run has ended: {self.pipeline.error}"
            time.sleep(0.01)

    def more(self, frames: int) -> None:
        """Wait for this many more processed frames."""
        goal = self.pipeline.stats.processed + frames
        self.until(lambda pipeline: pipeline.stats.processed >= goal)

    def end(self) -> None:
        self.pipeline.stop("enough")
        self.pipeline.release()
        assert self.pipeline.error is None
        assert self.pipeline.in_flight == 0


@pytest.fixture
def watch(fakes) -> Iterator[Callable[..., Watched]]:
    runs: list[Watched] = []

    def make(url: str, reconnect_policy: ReconnectPolicy = QUICK) -> Watched:
        runs.append(Watched(fakes, url, reconnect_policy))
        return runs[-1]

    yield make
    for run in runs:
        run.pipeline.release()


@pytest.fixture(name="part")
def _part() -> Callable[[bytes], bytes]:
    return part


@pytest.fixture(name="jpeg")
def _jpeg() -> Callable[..., bytes]:
    return jpeg


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
