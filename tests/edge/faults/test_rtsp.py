"""RTSP from a real server: killed and restarted, frozen, and asked for an unknown path."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_edge.cli.report import build_report
from fer_edge.sources.reconnect import ReconnectPolicy

SERVER = Path(__file__).with_name("rtsp_server.py")
NEEDED = "apt-get install gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good python3-gi"
PROBE = """
import gi
gi.require_version("Gst", "1.0"), gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(Gst.ElementFactory.find(name) for name in ("videotestsrc", "jpegenc", "rtpjpegpay"))
"""
READ_S = 20.0

pytestmark = pytest.mark.slow


def _python_with_gi() -> str | None:
    # Debian's gi is built for Debian's own Python, which need not be the one that runs the tests.
    for python in dict.fromkeys((sys.executable, "/usr/bin/python3")):
        if Path(python).exists():
            ran = subprocess.run([python, "-c", PROBE], capture_output=True, check=False)
            if ran.returncode == 0:
                return python
    return None


class RtspServer:
    """A process that serves a moving ball; it can be killed, restarted on the same port, and frozen."""

    def __init__(self, python: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self.url = f"rtsp://viewer:secret@127.0.0.1:{self._port}/live"
        self._command = [python, str(SERVER), str(self._port)]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "serving\n"

    def freeze(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def die(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def rtsp() -> Iterator[RtspServer]:
    python = _python_with_gi()
    if python is None:
        pytest.skip(f"an RTSP server needs: {NEEDED}")
    server = RtspServer(python)
    yield server
    server.die()


def test_an_rtsp_server_that_is_killed_and_comes_back_is_reconnected(rtsp: RtspServer, watch) -> None:
    run = watch(rtsp.url)
    run.more(10)
    rtsp.die()
    rtsp.start()
    run.until(lambda pipeline: pipeline.source.reconnects == 1)
    run.more(10)
    run.end()
    report = build_report(run.pipeline, 1.0, {})
    assert report["reconnects"] == len(report["gaps_s"]) == 1
    assert 0 < report["gaps_s"][0] < READ_S
    assert report["frames"]["errors"] == 0
    assert "secret" not in report["source"]


def test_rtsp_frames_come_over_tcp(rtsp: RtspServer, watch) -> None:
    run = watch(rtsp.url)
    run.more(5)
    ours = {str(handle.readlink()) for handle in Path("/proc/self/fd").iterdir() if handle.is_symlink()}
    udp = {
        f"socket:[{line.split()[9]}]"
        for name in ("udp", "udp6")
        for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]
    }
    assert not ours & udp
    run.end()


def test_an_rtsp_server_that_freezes_is_given_up(rtsp: RtspServer, watch) -> None:
    run = watch(rtsp.url, ReconnectPolicy(open_s=8, silent_s=0.5, first_retry_s=0.05, max_retry_s=0.2))
    run.more(10)
    rtsp.freeze()
    run.until(lambda pipeline: pipeline.source._reader.source is None)  # a new reader waits for an answer
    run.until(lambda pipeline: pipeline.in_flight == 0)  # earlier frames are processed
    processed = run.pipeline.stats.processed
    time.sleep(0.3)
    assert run.pipeline.stats.processed == processed
    rtsp.thaw()
    run.until(lambda pipeline: pipeline.source.reconnects >= 1)
    run.more(10)
    run.end()


def test_an_unknown_rtsp_path_has_exit_code_1(rtsp: RtspServer, fer_edge) -> None:
    done = fer_edge("--source", rtsp.url.replace("live", "other"), "--headless")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "can't be opened" in done.stderr
    assert "secret" not in done.stderr


def test_the_command_reads_rtsp(rtsp: RtspServer, fer_edge) -> None:
    done = fer_edge("--source", rtsp.url, "--headless", "--max-frames", "40", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") > 2
    assert "rtsp://***@127.0.0.1" in done.stderr
