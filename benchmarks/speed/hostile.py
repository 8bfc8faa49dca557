"""Inputs that would take gigabytes of memory if their headers were believed. Each is made in a moment."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np

from fer_edge.framing import Image
from fer_edge.opencv import cv2

Maker = Callable[[Path], Path]
"""Makes one input in an empty folder; returns the file or folder to read."""
BLOCK = 1_000_000


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side: int, *more: bytes, gray: bool = True) -> bytes:
    """A black PNG of side x side pixels, with further chunks before its pixels."""
    row, packer = bytes(1 + side * (1 if gray else 4)), zlib.compressobj(1)
    pixels = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0 if gray else 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _file(name: str, content: Callable[[], bytes]) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content())
        return folder / name

    return make


def _sparse(name: str, size: int, start: bytes = b"") -> Maker:
    def make(folder: Path) -> Path:
        with (folder / name).open("wb") as file:
            file.write(start)
            file.truncate(size)
        return folder / name

    return make


def _encoded(suffix: str, side: int, *parameters: int) -> bytes:
    image: Image = np.zeros((side, side, 3), dtype=np.uint8)
    image[::64] = 90
    return bytes(cv2.imencode(suffix, image, parameters)[1])


def _animated_png(side: int) -> bytes:
    control = struct.pack(">IIIIIHHBB", 0, side, side, 0, 0, 1, 10, 0, 0)
    return png(side, chunk(b"acTL", struct.pack(">II", 1, 0)), chunk(b"fcTL", control), gray=False)


def _many(name: str, count: int, content: bytes = b"") -> Maker:
    def make(folder: Path) -> Path:
        where = folder / "many"
        where.mkdir()
        for number in range(count):
            (where / f"{number}{name}").write_bytes(content)
        return where

    return make


def _claimed_jpeg(side: int) -> bytes:
    data = _encoded(".jpg", 64)
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", side, side) + data[at + 4 :]


def _exif(count: int) -> bytes:
    data = _encoded(".jpg", 64)
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + b"Exif\0\0" + bytes(65_527)
    return data[:2] + segment * count + data[2:]


def _profile(size: int) -> bytes:
    return png(64, chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(size), 9)))


def _video(name: str, fourcc: str, edit: Callable[[bytearray], None]) -> Maker:
    """A video of ten small frames, whose bytes are then changed."""

    def make(folder: Path) -> Path:
        path = folder / name
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*fourcc), 10, (64, 64))
        for number in range(10):
            writer.write(np.full((64, 64, 3), 20 * number, dtype=np.uint8))
        writer.release()
        data = bytearray(path.read_bytes())
        edit(data)
        path.write_bytes(data)
        return path

    return make


def _large_frames(data: bytearray) -> None:
    """Let an AVI and each JPEG in it claim 16,000 x 16,000 pixels."""
    struct.pack_into("<II", data, data.index(b"avih") + 8 + 32, 16_000, 16_000)
    struct.pack_into("<II", data, data.index(b"strf") + 8 + 4, 16_000, 16_000)
    at = data.find(b"\xff\xc0")
    while at >= 0:
        struct.pack_into(">HH", data, at + 5, 16_000, 16_000)
        at = data.find(b"\xff\xc0", at + 1)


def _large_samples(data: bytearray) -> None:
    """Let an MP4 list two thousand million frames of one size."""
    struct.pack_into(">III", data, data.index(b"stsz") + 4, 0, 1_000_000_000, 2_000_000_000)


def _members(count: int) -> bytes:
    """A zip with `count` empty members."""
    entry = b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0, 0, 0, 0, 8, 0)
    names = [b"%08d" % number for number in range(count)]
    directory = b"".join(
        b"PK\x01\x02" + struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0) + name
        for name in names
    )
    end = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, len(directory), len(entry) + 8)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, len(entry) + 8 + len(directory), 1)
    short = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65_535, 65_535, 2**32 - 1, 2**32 - 1, 0)
    return entry + names[0] + directory + end + locator + short


def _bomb(part: bytes, count: int, start: bytes = b"") -> bytes:
    """A gzip file that unpacks to `start` and `count` times `part`."""
    return gzip.compress(start) + gzip.compress(part, 9) * count


def _zip_bomb(name: str, size: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w") as member:
        for _ in range(size // BLOCK):
            member.write(bytes(BLOCK))
    return stream.getvalue()


def _photos(folder: Path) -> Path:
    data = png(5_100)
    for name in ("happy/1.png", "happy/2.png", "sad/1.png", "sad/2.png"):
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).write_bytes(data)
    return folder / "photos"


HEADER = b"emotion,pixels,Usage\n"
FOR_EDGE: dict[str, Maker] = {
    "JPEG that claims 16,000 x 16,000 pixels": _file("a.jpg", lambda: _claimed_jpeg(16_000)),
    "PNG of 30,000 x 30,000 pixels": _file("a.png", lambda: png(30_000)),
    "PNG of 5,900 x 5,900 pixels, decoded": _file("a.png", lambda: png(5_900)),
    "six of them in a folder, decoded": _many(".png", 6, png(5_900)),
    "progressive JPEG of 4,750 x 4,750 pixels, decoded": _file(
        "a.jpg",
        lambda: _encoded(".jpg", 4_750, cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111),
    ),
    "JPEG of 11,000 x 11,000 pixels, decoded at a half": _file("a.jpg", lambda: _encoded(".jpg", 11_000)),
    "progressive JPEG of 7,000 x 7,000 pixels, decoded at a half": _file(
        "a.jpg", lambda: _encoded(".jpg", 7_000, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    ),
    "AVIF of 3,500 x 3,500 pixels, decoded": _file("a.avif", lambda: _encoded(".avif", 3_500, 512, 50, 514, 10)),
    "JPEG 2000 of 3,600 x 3,600 pixels, decoded": _file("a.jp2", lambda: _encoded(".jp2", 3_600)),
    "animated PNG of 3,600 x 3,600 pixels, decoded": _file("a.png", lambda: _animated_png(3_600)),
    "JPEG with 60 MB of Exif": _file("a.jpg", lambda: _exif(900)),
    "PNG with a color profile of 500 MB": _file("a.png", lambda: _profile(500_000_000)),
    "image file of 5 GB": _sparse("a.png", 5_000_000_000, png(64)),
    "folder of 200,001 images": _many(".png", 200_001),
    "MJPEG video of 16,000 x 16,000 pixels": _video("a.avi", "MJPG", _large_frames),
    "MP4 that lists 2,000,000,000 frames": _video("a.mp4", "mp4v", _large_samples),
    "CSV of one row of 2 GB": _sparse("a.csv", 2_000_000_000, b"pixels\n"),
    "CSV of 1,000,000 columns": _file("a.csv", lambda: b"a," * 1_000_000 + b"pixels\n"),
}  # fmt: skip
FOR_TRAIN: dict[str, Maker] = {
    "four PNGs of 5,100 x 5,100 pixels, decoded": _photos,
    "gzip that unpacks to 1 GB": _file("a.csv.gz", lambda: _bomb(b" " * 90_000 + b"\n", 11_000, HEADER)),
    "zip that unpacks to 1 GB": _file("a.zip", lambda: _zip_bomb("happy/1.png", 1_000_000_000)),
    "zip of 1,000,000 members": _file("a.zip", lambda: _members(1_000_000)),
    "folder of 100,001 files": _many(".png", 100_001),
    "CSV of one row of 4 GB": _sparse("a.csv", 4_000_000_000, HEADER),
    "CSV of 1,000,000 columns": _file("a.csv", lambda: b"a," * 1_000_000 + HEADER),
    "image file of 5 GB": _sparse("a.png", 5_000_000_000, png(64)),
}


class EndlessStream(BaseHTTPRequestHandler):
    """Streams that never end a part: /part announces 2,000,000,000 bytes, /boundary none."""

    def do_GET(self) -> None:
        """Answer until the client leaves."""
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        length = b"Content-Length: 2000000000\r\n" if self.path == "/part" else b""
        try:
            self.wfile.write(b"--next\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n" + _encoded(".jpg", 64)[:-2])
            while True:
                self.wfile.write(b"\x55" * BLOCK)
        except OSError:
            pass

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""
