"""Images whose headers claim more than a machine should give: refused before they are decoded."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import SourceError
from fer_edge.guards.limits import MAX_DECODING_BYTES
from fer_edge.media.avif import coded_pixels
from fer_edge.media.door import decode_image, decoding_bytes, decoding_plan
from fer_edge.media.formats import layout_of
from fer_edge.sources import open_source

SIDE = 16_000
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side: int, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def tiff(width: int, *tags: tuple[int, int, int]) -> bytes:
    entries = [(256, 4, width), (257, 4, width), (258, 3, 8), (277, 3, 3), *tags]
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4)


def jpeg_2000(side: int, components: int = 3) -> bytes:
    stream = b"\xff\x4f\xff\x51" + struct.pack(">HHIIIIIIIIH", 0, 0, side, side, 0, 0, side, side, 0, 0, components)
    return b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I4sII", 22, b"ihdr", 8, 8) + bytes(6) + bytes(4) + stream


def jpeg(side: int, code: int = 0xC0, factors: tuple[int, ...] = (0x22, 0x11, 0x11), scan: int = 3) -> bytes:
    components = b"".join(bytes((index, factor, 0)) for index, factor in enumerate(factors))
    frame = struct.pack(">BHHB", 8, side, side, len(factors)) + components
    part = lambda marker, body: bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body  # noqa: E731
    return b"\xff\xd8" + part(code, frame) + part(0xDA, bytes((scan,)) + bytes(2 * scan + 3)) + b"\xff\xd9"


CLAIMS = {
    "png": png(SIDE),
    "animated png": png(SIDE, chunk(b"acTL", bytes(8))),
    "jpg": jpeg(SIDE),
    "gif": b"GIF89a" + struct.pack("<HH", SIDE, SIDE) + b"\0\0\0;",
    "webp": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + struct.pack("<I", SIDE - 1)[:3] * 2,
    "bmp": b"BM" + bytes(8) + struct.pack("<IIiiHHI", 54, 40, SIDE, SIDE, 1, 24, 1) + bytes(20),
    "tiff": tiff(SIDE),
    "ppm": b"P3 16000 16000 255 0 0 0 ",
    "pbm": b"P1 16000 16000 0 ",
    "jp2": jpeg_2000(SIDE),
    "avif": b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + struct.pack(">I4sIII", 20, b"ispe", 0, SIDE, SIDE),
}


@pytest.mark.parametrize("kind", CLAIMS)
def test_a_header_that_claims_too_many_pixels_is_enough_to_refuse_an_image(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    most = "210,000,000" if kind == "jpg" else "35,000,000"  # a JPEG can be decoded at a part of its size
    with pytest.raises(ValueError, match=f"it claims 16000 x 16000 pixels, more than {most}: set FER_EDGE_MAX_PIXELS"):
        decode_image(CLAIMS[kind])
    (tmp_path / "one").write_bytes(CLAIMS[kind])
    if kind != "gif":  # is read as a video
        with pytest.raises(SourceError, match=r"one can't be used: it claims .*; name another image$"):
            open_source(tmp_path / "one")


@pytest.mark.parametrize(
    ("data", "pixel_bytes"),
    [
        (jpeg(100), 6),
        (jpeg(100, 0xC2), 6),  # two chroma samples for four pixels
        (jpeg(100, 0xC2, (0x11, 0x11, 0x11)), 9),
        (jpeg(100, 0xC0, (0x11, 0x11, 0x11)), 6),
        (jpeg(100, 0xC0, (0x11, 0x11, 0x11), scan=1), 9),  # a scan per component
        (jpeg(100, 0xC2, (0x11, 0x11, 0x11, 0x11), scan=4), 11),
        (png(100), 6),
        (png(100, chunk(b"acTL", bytes(8))), 16),
        (jpeg_2000(100), 16),
        (jpeg_2000(100, components=200), 804),
        (tiff(100), 7),
        (tiff(100, (322, 4, 1000), (323, 4, 1000)), 700),  # a tile of 100 times the image
        (tiff(100, (258, 3, 64)), 7),  # the first tag of a kind counts
        (CLAIMS["gif"], 16),
        (CLAIMS["avif"], 16.8),
    ],
)
def test_the_memory_of_a_pixel_follows_from_the_header(data: bytes, pixel_bytes: float) -> None:
    layout = layout_of(data)
    assert layout is not None
    assert layout.pixel_bytes == pytest.approx(pixel_bytes)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (jpeg_2000(5000), "a JPEG 2000 takes 400 MB, more than 210: set FER_EDGE_MAX_DECODING_BYTES"),
        (jpeg(6000, 0xC2, (0x11, 0x11, 0x11)), "a JPEG takes 218 MB, more than 210: set FER_EDGE_MAX_DECODING_BYTES"),
        (tiff(100, (322, 4, 30000), (323, 4, 30000)), "a TIFF takes 6,300 MB, more than 210"),
    ],
)
def test_few_pixels_that_take_much_memory_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decoding_plan(data)


def test_photos_of_phones_are_not_refused() -> None:
    for width, height, kind in ((4032, 3024, 16.8), (4080, 3060, 16.0), (6000, 4000, 6.0), (5504, 4128, 9.0)):
        assert width * height * kind + 4e6 < MAX_DECODING_BYTES.default
    layout = decoding_plan(jpeg(5900)).layout
    assert decoding_bytes(layout, 1000) == 6 * 5900 * 5900 + 1000


def test_a_jpeg_of_thousands_of_scans_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    once = jpeg(100, 0xC2)
    scan = once[once.index(b"\xff\xda") : -2]
    with pytest.raises(ValueError, match="the JPEG has 1,001 scans, which would take very long: save it again"):
        decode_image(once[:-2] + scan * 1000 + b"\xff\xd9")


@pytest.mark.parametrize(
    "data",
    [
        b"\x59\xa6\x6a\x95" + struct.pack(">7I", 30_000, 30_000, 24, 0, 2, 0, 0),  # Sun raster
        b"PF\n30000 30000\n-1.0\n",
        b"P7\nWIDTH 30000\nHEIGHT 30000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n",
        b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n",
        b"II+\0\x08\0\0\0" + bytes(40),  # BigTIFF
    ],
)
def test_a_format_whose_size_is_not_known_is_never_decoded(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(ValueError, match="it is not an image, or is damaged"):
        decode_image(data)


def test_a_size_that_the_header_hides_is_no_way_around_the_limits() -> None:
    hidden = tiff(40).replace(struct.pack("<HHI", 256, 4, 1), struct.pack("<HHI", 256, 16, 1))  # 8 bytes
    with pytest.raises(ValueError, match="the TIFF is damaged"):
        decode_image(hidden)


def test_a_tag_with_millions_of_values_is_not_listed() -> None:
    many = tiff(40, (273, 4, 8)).replace(struct.pack("<HHI", 273, 4, 1), struct.pack("<HHI", 273, 4, 2**31))
    layout = layout_of(many + bytes(500_000))
    assert layout is not None
    assert layout.width == 40


def test_a_large_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(5_000_000_000)
    with pytest.raises(SourceError, match="more than 64,000,000 bytes: set FER_EDGE_MAX_IMAGE_BYTES"):
        open_source(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(bytes(cv2.imencode(".png", IMAGE)[1]))
    monkeypatch.setenv("FER_EDGE_MAX_IMAGE_BYTES", "100")
    with pytest.raises(SourceError, match="more than 100 bytes"):
        open_source(tmp_path / "a.png")


def claiming(data: bytes, width: int, height: int) -> bytes:
    """An AVIF whose boxes claim another size than its coded picture has."""
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


@pytest.mark.parametrize("claim", [(1, 1), (64, 64), (1024, 700)])
def test_an_avif_whose_boxes_claim_less_than_its_picture_has_is_refused(claim: tuple[int, int]) -> None:
    side = 1024
    data = bytes(cv2.imencode(".avif", np.zeros((side, side, 3), dtype=np.uint8))[1])
    assert coded_pixels(data) == side * side
    assert decode_image(data).image.shape == (side, side, 3)
    with pytest.raises(ValueError, match="the AVIF is damaged: its picture is larger than its header says"):
        decode_image(claiming(data, *claim))


def test_a_track_of_an_avif_counts_too() -> None:
    data = bytes(cv2.imencode(".avif", np.zeros((320, 320, 3), dtype=np.uint8))[1])
    place = data.index(b"mdat") + 4
    track = data.replace(b"iloc", b"free") + struct.pack(">4sIIQ", b"co64", 0, 1, place)
    assert coded_pixels(track) == 320 * 320
    assert coded_pixels(data.replace(b"iloc", b"free")) == 0


@pytest.mark.parametrize("place", range(30, 330, 7))
def test_a_damaged_avif_has_some_size_or_none(place: int) -> None:
    data = bytearray(cv2.imencode(".avif", np.zeros((64, 64, 3), dtype=np.uint8))[1])
    data[place : place + 4] = b"\xff\xff\xff\xff"
    assert coded_pixels(bytes(data)) >= 0
    assert coded_pixels(bytes(data[:place])) >= 0


def test_a_heic_is_never_decoded_whatever_it_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    for brand in (b"heic", b"mif1", b"hevc", b"msf1"):
        for claim in (1, SIDE, 2**32 - 1):
            head = struct.pack(">I4s4sI4s", 20, b"ftyp", brand, 0, b"heic")
            with pytest.raises(ValueError, match="OpenCV can't read HEIC: convert it to JPEG"):
                decode_image(head + struct.pack(">I4sIII", 20, b"ispe", 0, claim, claim))
