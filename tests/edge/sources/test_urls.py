"""Where a camera may lead: redirects and playlists reach no other host or port and no file; interlaced streams."""

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import SourceError
from fer_edge.guards.hosts import ALLOW_VARIABLE, refusal
from fer_edge.media.captures import ffmpeg_follows_redirects
from fer_edge.media.remote.fetch import fetch_image
from fer_edge.media.remote.gate import Gate
from fer_edge.media.remote.redirects import RedirectError
from fer_edge.sources import open_source
from fer_edge.sources.base import SourceFrame
from fer_edge.sources.capture import INTERLACED
from fer_edge.sources.url import UrlSource
from fer_edge.sources.video import VideoFileSource

FRAMES = 12
PATTERN = ["-f", "lavfi", "-i", f"testsrc2=size=160x120:rate=25:duration={FRAMES / 25}"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "4"]
INTERLACE = ["-flags", "+ildct+ilme", "-vf", "setfield=tff", "-x264opts", "tff=1"]
REPEATS = 40  # of a clip in an endless stream


class Site:
    """A web server: the bytes at a path, or a redirect to an address. It remembers what it was asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, str | bytes] = {}
        self.endless: set[str] = set()
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _handler(site) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                page = site.pages.get(self.path, b"")
                self.send_response(302 if isinstance(page, str) else 200 if page else 404)
                if isinstance(page, str):
                    self.send_header("Location", page)
                    page = b""
                if self.path not in site.endless:
                    self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    for _ in range(REPEATS if self.path in site.endless else 1):
                        self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def camera() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def other(clips: dict[str, Path]) -> Iterator[Site]:
    """A server that no camera may lead to; it has a video at /v.mkv and /v.ts."""
    site = Site()
    site.pages = {f"/v{name.suffix}": name.read_bytes() for name in (clips["v.mkv"], clips["v.ts"])}
    yield site
    site.close()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    program = shutil.which("ffmpeg") or pytest.skip("ffmpeg is not installed")
    folder = tmp_path_factory.mktemp("clips")
    made = {"v.mkv": H264, "v.ts": H264, "interlaced.ts": [*H264, *INTERLACE], "interlaced.mkv": [*H264, *INTERLACE]}
    made["gray.mkv"] = [*H264, "-vf", "drawbox=color=gray:t=fill"]
    for name, arguments in made.items():
        subprocess.run([program, "-v", "error", *PATTERN, *arguments, name], check=True, cwd=folder)
    return {name: folder / name for name in made}


def playlist(*entries: str) -> bytes:
    items = "".join(f"#EXTINF:1,\n{entry}\n" for entry in entries)
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{items}#EXT-X-ENDLIST\n".encode()


def count(url: str) -> int:
    source = open_source(url)
    assert not source.live
    try:
        return len(list(iter(source.read, None)))
    finally:
        source.close()


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        ("http://a/x", "http://a/y", True),
        ("http://a/x", "http://A.:80/y", True),
        ("http://a/x", "https://a/y", True),
        ("http://a:8080/x", "https://a:8080/y", True),
        ("http://user:word@a/x", "http://a/y", True),
        ("https://a/x", "http://a/y", False),
        ("https://a:8443/x", "http://a:8443/y", False),
        ("http://a/x", "http://a:81/y", False),
        ("http://a:8080/x", "https://a/y", False),
        ("http://a/x", "http://b/x", False),
        ("http://a/x", "http://a@b/x", False),
        ("http://a/x", "http://a.b/x", False),
        ("http://a/x", "ftp://a/x", False),
        ("http://a/x", "rtsp://a/x", False),
        ("http://a/x", "file:///etc/passwd", False),
        ("http://a/x", "http://a:x/y", False),
        ("http://a/x", "http://[::1/y", False),
        ("http://a/x", "/y", False),
        ("rtsp://a/x", "rtsp://a/y", True),
        ("rtsp://a/x", "rtsps://a/y", True),
        ("rtsp://a/x", "rtsp://b/x", False),
        ("http://[::1]:80/x", "http://[::1]/y", True),
        ("http://a/x", "http://good:81/", True),
        ("http://a/x", "http://half:9/", True),
        ("http://a/x", "http://half:10/", False),
        ("https://a/x", "http://good/", False),
    ],
)
def test_a_step_is_made_only_to_the_same_host_and_port(
    before: str, after: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOW_VARIABLE, "Good, half:9")
    assert (refusal(before, after) is None) == allowed


def test_a_redirect_within_the_server_is_followed(camera: Site, clips: dict[str, Path]) -> None:
    camera.pages = {"/a": "/b", "/b": f"{camera.url}/v.mkv", "/v.mkv": clips["v.mkv"].read_bytes()}
    assert count(f"{camera.url}/a") == FRAMES


@pytest.mark.parametrize("old_ffmpeg", [False, True])
def test_a_redirect_to_another_server_is_refused(
    camera: Site, other: Site, old_ffmpeg: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ffmpeg_follows_redirects() and not old_ffmpeg:
        pytest.skip("this OpenCV's FFmpeg is an old one")
    monkeypatch.setattr("fer_edge.sources.url.ffmpeg_follows_redirects", lambda: old_ffmpeg)
    camera.pages = {"/a": f"{other.url}/v.mkv", "/a.jpg": f"{other.url}/v.mkv", "/b": "/a"}
    for path in camera.pages:
        with pytest.raises(SourceError, match=f"leads to {other.host}: name that address itself, or set FER_EDGE"):
            open_source(camera.url + path)
    assert other.asked == []
    monkeypatch.setenv(ALLOW_VARIABLE, other.host)
    assert count(f"{camera.url}/a") == FRAMES


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "rtsp://127.0.0.1/x", "a b:"]
)
def test_a_redirect_to_no_web_server_is_refused(camera: Site, address: str) -> None:
    camera.pages = {"/a": address}
    with pytest.raises(SourceError, match=r"not followed|check the address"):
        open_source(f"{camera.url}/a")


def test_redirects_without_an_end_are_given_up(camera: Site) -> None:
    camera.pages = {"/a": "/b", "/b": "/a"}
    with pytest.raises(SourceError):
        open_source(f"{camera.url}/a")
    assert len(camera.asked) < 30


def test_an_image_is_fetched_from_its_own_server_only(camera: Site, other: Site) -> None:
    camera.pages = {"/a.jpg": f"{other.url}/v.mkv"}
    with pytest.raises(RedirectError):
        fetch_image(f"{camera.url}/a.jpg")
    assert other.asked == []


def test_a_playlist_of_the_same_server_is_read(camera: Site, clips: dict[str, Path]) -> None:
    camera.pages = {
        "/a": "/deep/list.m3u8",
        "/deep/list.m3u8": playlist("v.ts", f"{camera.url}/deep/v.ts"),
        "/deep/v.ts": clips["v.ts"].read_bytes(),
        "/master.m3u8": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ndeep/list.m3u8\n",
    }
    assert count(f"{camera.url}/deep/list.m3u8") == 2 * FRAMES
    assert count(f"{camera.url}/a") == 2 * FRAMES
    assert count(f"{camera.url}/master.m3u8") == 2 * FRAMES


@pytest.mark.parametrize("no_proxy", ["", "127.0.0.1", "*"])
def test_a_playlist_reaches_no_other_server(
    camera: Site, other: Site, no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", no_proxy)
    there = f"{other.url}/v.ts"
    camera.pages = {
        "/v.m3u8": playlist(there),
        "/master.m3u8": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{other.url}/v.m3u8\n".encode(),
        "/key.m3u8": b'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=AES-128,URI="' + there.encode()
        + b'"\n#EXTINF:1,\nv.ts\n#EXT-X-ENDLIST\n',
        "/map.m3u8": b'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI="' + there.encode()
        + b'"\n#EXTINF:1,\nv.ts\n#EXT-X-ENDLIST\n',
        "/redirected.m3u8": playlist("there.ts"),
        "/there.ts": there,
        "/list": f"ffconcat version 1.0\nfile {there}\n".encode(),
        "/v.mpd": f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet><Representation '
        f'id="1"><BaseURL>{there}</BaseURL></Representation></AdaptationSet></Period></MPD>'.encode(),
        "/v.asx": f'<ASX version="3.0"><entry><ref href="{there}"/></entry></ASX>'.encode(),
    }  # fmt: skip
    for path in camera.pages:
        with pytest.raises(SourceError, match=r"leads to|playlist names|check the address"):
            open_source(camera.url + path)
    assert other.asked == []


@pytest.mark.parametrize(
    "entry", ["file://{}", "{}", "concat:{}", "subfile,,start,0,end,0,,:{}", "data:video/mp2t;base64,AAAA", "fd:0"]
)
def test_a_playlist_reads_no_file(camera: Site, clips: dict[str, Path], entry: str) -> None:
    camera.pages = {"/list.m3u8": playlist(entry.format(clips["v.ts"]))}
    with pytest.raises(SourceError, match="its playlist names nothing that can be read"):
        open_source(f"{camera.url}/list.m3u8")


def test_the_gate_is_for_its_own_ffmpeg_alone(camera: Site) -> None:
    gate = Gate(camera.url)
    port = int(gate.address.rpartition(":")[2])
    try:
        for request in (f"GET {camera.url}/ HTTP/1.1", f"CONNECT {camera.host} HTTP/1.1"):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(f"{request}\r\nProxy-Authorization: Basic ZmVyOg==\r\n\r\n".encode())
                assert b" 407 " in client.recv(1024)
    finally:
        gate.close()
    assert camera.asked == []


@pytest.fixture
def rtsp() -> Iterator[Callable[[bytes], tuple[str, list[bytes]]]]:
    """An RTSP server with one answer to every request: its URL and the requests."""
    with contextlib.ExitStack() as stack:

        def run(answer: bytes) -> tuple[str, list[bytes]]:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            stack.callback(listening.shutdown, socket.SHUT_RDWR)
            requests: list[bytes] = []

            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        client = stack.enter_context(listening.accept()[0])
                        while request := client.recv(4096):
                            requests.append(request)
                            number = request.partition(b"CSeq: ")[2].partition(b"\r")[0]
                            client.sendall(answer.replace(b"%d", number))

            threading.Thread(target=serve, daemon=True).start()
            return f"rtsp://127.0.0.1:{listening.getsockname()[1]}/live", requests

        yield run


def test_an_rtsp_redirect_to_another_server_is_refused(rtsp, monkeypatch: pytest.MonkeyPatch) -> None:
    there, asked = rtsp(b"RTSP/1.0 404 Not Found\r\nCSeq: %d\r\n\r\n")
    url, _ = rtsp(b"RTSP/1.0 302 Moved\r\nCSeq: %d\r\nLocation: " + there.encode() + b"\r\n\r\n")
    host = there[len("rtsp://") : -len("/live")]
    with pytest.raises(SourceError, match=f"leads to {host}"):
        UrlSource(url)
    assert asked == []
    monkeypatch.setenv(ALLOW_VARIABLE, host)
    with pytest.raises(SourceError, match="check the address"):
        UrlSource(url)
    assert asked


@pytest.mark.parametrize("name", ["interlaced.ts", "interlaced.mkv"])
@pytest.mark.parametrize("endless", [True, False])
def test_an_interlaced_stream_is_deinterlaced(camera: Site, clips: dict[str, Path], name: str, endless: bool) -> None:
    expected = VideoFileSource(clips["v.mkv"])
    camera.pages = {f"/{name}": clips[name].read_bytes()}
    camera.endless = {f"/{name}"} if endless else set()
    source = UrlSource(f"{camera.url}/{name}")
    for _ in range(FRAMES - 2):
        frame, truth = source.read(), expected.read()
        assert frame is not None
        assert truth is not None
        assert np.abs(pixels(frame) - pixels(truth)).mean() < 12
    source.close()
    expected.close()


def pixels(frame: SourceFrame) -> np.ndarray:
    assert frame.image is not None
    return frame.image.astype(np.int16)


def test_an_interlaced_stream_that_no_filter_reads_is_unreadable(
    camera: Site, clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_edge.sources.capture.has_interlaced_frames", lambda *_: True)
    monkeypatch.setattr("fer_edge.sources.capture.open_deinterlaced", lambda _: cv2.VideoCapture())
    camera.pages = {"/i.mkv": clips["gray.mkv"].read_bytes()}
    source = UrlSource(f"{camera.url}/i.mkv")
    frames = list(iter(source.read, None))
    source.close()
    assert [(frame.image, frame.problem) for frame in frames] == [(None, INTERLACED)] * FRAMES


def test_equal_frames_of_a_server_that_takes_no_second_connection_are_warned_about(
    camera: Site, clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fer_edge.sources.url.ffmpeg_follows_redirects", lambda: False)
    monkeypatch.setattr("fer_edge.sources.capture.has_interlaced_frames", lambda *_: None)
    monkeypatch.setattr(UrlSource, "look_factor", 2)
    camera.pages = {"/i.mkv": clips["gray.mkv"].read_bytes()}
    source = UrlSource(f"{camera.url}/i.mkv")
    assert len(list(iter(source.read, None))) == FRAMES
    source.close()
    assert len(caplog.records) == 1
    assert "many of its frames are equal, and it takes no second connection" in caplog.text
