"""An image behind a URL goes through the same door as a file; streams and videos do not."""

import contextlib
import gzip
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from fer_edge.errors import SourceError
from fer_edge.sources import open_source

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
Serve = Callable[..., str]


def jpeg(orientation: int = 6) -> bytes:
    data = bytes(cv2.imencode(".jpg", IMAGE)[1])
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve bytes at every path; the URL of `path`."""
    with contextlib.ExitStack() as stack:

        def run(
            data: bytes, path: str = "/photo.jpg", kind: str = "image/jpeg", user: str = "", encoding: str = ""
        ) -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    if user and not self.headers.get("Authorization"):
                        self.send_response(401)
                        self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                        return
                    self.send_response(200)
                    self.send_header("Content-Type", kind)
                    if encoding:
                        self.send_header("Content-Encoding", encoding)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    with contextlib.suppress(OSError):
                        self.wfile.write(data)

                def log_message(self, *_: object) -> None:
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"http://{user}127.0.0.1:{server.server_port}{path}"

        yield run


@pytest.mark.parametrize("path", ["/photo.jpg", "/photo.JPG?size=big", "/photo", "/cgi/snapshot.cgi"])
def test_a_jpeg_behind_a_url_is_one_upright_image(serve: Serve, path: str) -> None:
    source = open_source(serve(jpeg(), path))
    frames = list(iter(source.read, None))
    assert [frame.image.shape for frame in frames if frame.image is not None] == [(60, 40, 3)]
    assert (source.live, source.image_count) == (False, 1)
    assert frames[0].file == source.name


def test_an_image_that_a_server_compresses_is_one_image_within_the_limits(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(cv2.imencode(".png", IMAGE)[1])
    source = open_source(serve(gzip.compress(data), "/a.png", "image/png", encoding="gzip"))
    assert (source.live, source.image_count) == (False, 1)
    assert len(list(iter(source.read, None))) == 1
    monkeypatch.setenv("FER_EDGE_MAX_IMAGE_BYTES", "100_000")
    with pytest.raises(SourceError, match="it has more than 100,000 bytes: set FER_EDGE_MAX_IMAGE_BYTES"):
        open_source(serve(gzip.compress(data + bytes(10_000_000)), "/a.png", "image/png", encoding="gzip"))


def test_an_image_is_told_by_its_content(serve: Serve) -> None:
    source = open_source(serve(bytes(cv2.imencode(".png", IMAGE)[1]), "/photo.jpg", "application/octet-stream"))
    frame = source.read()
    assert frame is not None
    assert np.array_equal(frame.image, IMAGE)


def test_a_name_and_password_are_sent_where_the_server_asks(serve: Serve) -> None:
    source = open_source(serve(jpeg(), user="me:secret@"))
    assert source.image_count == 1
    assert "secret" not in source.name


@pytest.mark.parametrize(
    ("data", "reason"), [(jpeg()[:-300], "the JPEG is cut short"), (b"\xff\xd8\xff\xe0", "cut short")]
)
def test_a_damaged_image_behind_a_url_is_refused(serve: Serve, data: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        open_source(serve(data))


def test_the_bytes_of_an_image_are_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_IMAGE_BYTES", "1000")
    with pytest.raises(SourceError, match="more than 1,000 bytes: set FER_EDGE_MAX_IMAGE_BYTES"):
        open_source(serve(jpeg()))


def test_a_page_is_no_image(serve: Serve) -> None:
    with pytest.raises(SourceError, match="check the address"):
        open_source(serve(b"<html>not found</html>", kind="text/html"))
