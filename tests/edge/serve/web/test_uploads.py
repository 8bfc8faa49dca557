"""Images that clients send."""

import struct
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from fer_edge.framing import Image, iou
from fer_edge.serve.web import uploads
from tests.edge.serve.web.conftest import Answer, Server

PATH = "/api/v1/recognize"


def encoded(image: Image, suffix: str) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def send(server: Server, body: bytes, kind: str = "image/jpeg", **headers: str) -> Answer:
    return server.request("POST", PATH, body, Content_Type=kind, **headers)


def png_that_claims(width: int, height: int) -> bytes:
    """A valid small PNG file with rows of zeros for that size: a few kB that would become gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(10**6))),
                     chunk(b"IEND", b"")])  # fmt: skip


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_faces_of_an_image_come_back(server: Server, face_image: Image, suffix: str) -> None:
    found = send(server, encoded(face_image, suffix), "application/octet-stream")
    assert found.status == 200
    assert (found.json["width"], found.json["height"]) == (320, 240)
    assert [face["id"] for face in found.json["faces"]] == [0]
    assert set(found.json["faces"][0]["probabilities"]) == set(server.state.labels)


@pytest.mark.parametrize(
    ("body", "kind", "status", "sentence"),
    [
        (b"hello", "image/jpeg", 415, "send JPEG, PNG or WebP"),
        (b"", "image/png", 415, "not a supported image"),
        (b"GIF89a" + bytes(20), "image/gif", 415, "not a supported image"),
        (b"hello", "text/plain", 415, "Content-Type"),
        (b"hello", "application/x-www-form-urlencoded", 415, "Content-Type"),
        (png_that_claims(50_000, 50_000), "image/png", 413, "2,500,000,000 pixels, more than 20,000,000"),
        (png_that_claims(100, 100)[:-20], "image/png", 422, "cut short"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "image/jpeg", 422, "can't be used"),
    ],
    ids=["text", "empty", "gif", "plain", "form", "bomb", "cut", "damaged"],
)
def test_what_is_no_usable_image_is_refused_in_one_sentence(
    server: Server, body: bytes, kind: str, status: int, sentence: str
) -> None:
    found = send(server, body, kind)
    assert found.status == status
    assert sentence in found.json["error"]


def test_a_bomb_is_refused_before_it_is_decoded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "decode_image", lambda *_args, **_kwargs: pytest.fail("it was decoded"))
    assert send(server, png_that_claims(50_000, 50_000), "image/png").status == 413


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_an_image_of_as_many_pixels_as_are_allowed_is_decoded(suffix: str) -> None:
    data = encoded(np.zeros((4472, 4472), np.uint8), suffix)
    assert uploads.decoded(data).image.shape == (4472, 4472, 3)


def test_a_large_photo_is_reduced_and_answered_in_its_own_pixels(
    server: Server, face_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = cv2.resize(face_image, (960, 720))
    whole = send(server, encoded(photo, ".jpg")).json
    monkeypatch.setenv("FER_EDGE_MAX_UPLOAD_PIXELS", "200_000")
    reduced = send(server, encoded(photo, ".jpg")).json
    assert (reduced["width"], reduced["height"]) == (whole["width"], whole["height"]) == (960, 720)
    assert iou(reduced["faces"][0]["box"], whole["faces"][0]["box"]) > 0.85
    monkeypatch.setenv("FER_EDGE_MAX_UPLOAD_PIXELS", "100_000")
    assert "691,200 pixels, more than 600,000" in send(server, encoded(photo, ".jpg")).json["error"]


def test_an_image_that_takes_too_much_memory_is_refused_with_what_the_client_can_do(
    server: Server, face_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_UPLOAD_DECODING_BYTES", "300000")
    found = send(server, encoded(face_image, ".png"), "image/png")
    assert found.status == 413
    assert found.json["error"].endswith("bytes of memory, more than 300,000: send a smaller one")


def test_a_huge_body_is_refused_by_its_announced_or_its_real_size(server: Server, monkeypatch: Any) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_UPLOAD_BYTES", "100000")
    for body in (bytes(300_000), iter([bytes(50_000)] * 6)):  # an iterator is sent in chunks, without a length
        found = send(server, body)  # type: ignore[arg-type]
        assert found.status == 413
        assert found.json["error"] == "the image is larger than 100,000 bytes: send a smaller one"


def test_more_images_than_the_rate_allows_must_wait(server: Server, face_image: Image, monkeypatch: Any) -> None:
    monkeypatch.setattr(server.dashboard._uploads, "_rate", uploads.Rate(0.5, 2))
    server.dashboard._uploads._left = 2
    body = encoded(face_image, ".jpg")
    assert [send(server, body).status for _ in range(2)] == [200, 200]
    refused = send(server, body)
    assert (refused.status, refused.headers["retry-after"]) == (429, "2")


def test_images_that_wait_are_bounded_and_do_not_hold_up_results(
    server: Server, make_face: Callable[..., Any], monkeypatch: Any
) -> None:
    release = threading.Event()
    monkeypatch.setattr(server.dashboard._uploads, "_faces", lambda _data: {"waited": release.wait(10)})
    answers: list[Answer] = []
    senders = [threading.Thread(target=lambda: answers.append(send(server, b"x"))) for _ in range(uploads.MAX_PENDING)]
    for sender in senders:
        sender.start()
    deadline = time.monotonic() + 5
    while server.dashboard._uploads._pending < uploads.MAX_PENDING and time.monotonic() < deadline:
        time.sleep(0.01)
    refused = send(server, b"x")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    number = server.feed(make_face())
    assert server.get("/api/v1/result").json["frame"] == number
    release.set()
    for sender in senders:
        sender.join()
    assert [answer.status for answer in answers] == [200] * uploads.MAX_PENDING


def test_a_server_without_a_camera_only_recognizes(serve: Callable[..., Server], face_image: Image) -> None:
    server = serve(camera=False)
    assert server.get("/api/v1/status").json["state"] == "ready"
    assert len(send(server, encoded(face_image, ".jpg")).json["faces"]) == 1
    for path in ("/", "/frame.jpg", "/stream.mjpg", "/api/v1/result", "/api/v1/events", "/api/v1/report"):
        found = server.get(path)
        assert (found.status, found.json["error"]) == (
            404, "this server has no camera: POST an image to /api/v1/recognize",
        )  # fmt: skip


def test_an_image_is_upright_by_its_exif_orientation(server: Server, face_image: Image) -> None:
    jpeg = encoded(np.rot90(face_image).copy(), ".jpg")  # turned to the left: orientation 6 turns it back
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    exif = b"Exif\x00\x00" + tiff
    found = send(server, jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    assert (found.json["width"], found.json["height"], len(found.json["faces"])) == (320, 240, 1)
