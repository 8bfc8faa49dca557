"""Videos at HTTP URLs that end before their stated time: those of longer sound are whole, cut ones are not."""

import contextlib
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fer_edge.media.remote import wholeness
from fer_edge.media.remote.wholeness import is_whole
from fer_edge.sources.url import UrlSource

FRAMES = 25
VIDEO = ["-f", "lavfi", "-i", f"testsrc2=size=160x120:rate=25:duration={FRAMES / 25}"]
LONG_SOUND = ["-f", "lavfi", "-i", "sine=duration=4"]
CODECS = {
    "a.mkv": ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"],
    "a.flv": ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"],
    "a.ts": ["-c:v", "mpeg2video", "-c:a", "mp2"],
    "a.webm": ["-c:v", "libvpx", "-c:a", "libvorbis"],
}


class Site:
    """A web server of one file. has_ranges: it gives parts. cut: bytes that each of the next answers stops at."""

    def __init__(self) -> None:
        self.data, self.has_ranges = b"", True
        self.cut: list[int] = []
        self.asked = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/a"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _handler(site) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked += 1
                first, last = 0, len(site.data) - 1
                part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if site.has_ranges else None
                if part:
                    first, last = int(part[1]), min(last, int(part[2] or last))
                self.send_response(206 if part else 200)
                if part:
                    self.send_header("Content-Range", f"bytes {first}-{last}/{len(site.data)}")
                self.send_header("Content-Length", str(last - first + 1))
                self.end_headers()
                stop = site.cut.pop(0) if site.cut else len(site.data)
                with contextlib.suppress(OSError):
                    self.wfile.write(site.data[first : min(last + 1, stop)])

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


Make = Callable[[str], bytes]


@pytest.fixture
def make(ffmpeg_program: str, tmp_path: Path) -> Make:
    """A video of FRAMES whose sound is three seconds longer."""

    def run(name: str) -> bytes:
        codecs = [*CODECS[name], "-pix_fmt", "yuv420p", tmp_path / name]
        subprocess.run([ffmpeg_program, "-v", "quiet", *VIDEO, *LONG_SOUND, *codecs], check=True)
        return (tmp_path / name).read_bytes()

    return run


def read(url: str) -> tuple[int, int]:
    source = UrlSource(url)
    try:
        return len(list(iter(source.read, None))), source.missing
    finally:
        source.close()


@pytest.mark.parametrize("name", CODECS)
def test_sound_that_is_longer_is_no_loss(site: Site, make: Make, name: str) -> None:
    site.data = make(name)
    assert read(site.url) == (FRAMES, 0)


def test_sound_that_is_longer_is_no_loss_where_a_server_gives_no_parts(site: Site, make: Make) -> None:
    site.data, site.has_ranges = make("a.mkv"), False
    assert read(site.url) == (FRAMES, 0)


def test_a_connection_that_is_cut_once_is_told(site: Site, make: Make) -> None:
    site.data, site.has_ranges = make("a.mkv"), False
    site.cut = 2 * [site.data.rindex(b"\x1fC\xb6u") + 20_000]  # the first answer only says what is there
    count, missing = read(site.url)
    assert 0 < count < FRAMES
    assert missing > 0


def test_a_file_that_is_cut_is_told(site: Site, make: Make) -> None:
    site.data = make("a.mkv")[:-10_000]
    assert read(site.url)[1] > 0
    assert not is_whole(site.url)


@pytest.mark.parametrize("has_ranges", [False, True])
def test_a_file_is_whole_if_all_of_it_can_be_had(
    site: Site, make: Make, has_ranges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wholeness, "BLOCK_BYTES", 5000)
    site.data, site.has_ranges = make("a.flv"), has_ranges
    assert is_whole(site.url)
    site.cut = 30 * [len(site.data) - 1]
    assert not is_whole(site.url)
    site.cut = []
    monkeypatch.setattr(wholeness, "LIMIT_S", -1.0)
    assert not is_whole(site.url)


def test_what_takes_too_much_is_not_called_whole(site: Site, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    site.data = make("a.mkv")
    monkeypatch.setattr(wholeness, "BLOCK_BYTES", 100)
    monkeypatch.setattr(wholeness, "MAX_REQUESTS", 3)
    assert not is_whole(site.url)
    assert site.asked == 3
    site.has_ranges = False
    monkeypatch.setattr(wholeness, "MAX_BYTES", 1000)
    assert not is_whole(site.url)
    assert site.asked == 4
    assert not is_whole("http://127.0.0.1:1/a")
