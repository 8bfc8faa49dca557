"""Mutated contracts, pixel CSVs, raw videos and archives: an answer or one FerError of one line, and no other error.

Each target runs for FER_FUZZ_SECONDS (5 by default). The corpus is made here, small and valid.
"""

import io
import os
import random
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from fer_edge.demo.scene import draw_scene
from fer_edge.errors import FerError
from fer_edge.media.bitstream.changes import first_frames, parts_of
from fer_edge.media.ends import Delivered, changed_frames
from fer_edge.network.contract import Contract, parse_contract
from fer_edge.sources.factory import open_source
from fer_train.data import read_faces

SECONDS = float(os.environ.get("FER_FUZZ_SECONDS", "5"))
LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
TOKENS = (
    b"\0",
    b"\xff",
    b"\n",
    b'"',
    b",",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"[",
    b"{",
    b"9" * 40,
    b"..",
    b"\r\n\r\n",
)
MAX_FRAMES = 20

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """`data` with a few bytes replaced, removed, repeated, or replaced by a token."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at, length = rng.randrange(len(changed) + 1), rng.choice((1, 2, 8, 64, 512))
        piece = rng.choice((b"", rng.randbytes(length), rng.choice(TOKENS), bytes(changed[at : at + length]) * 3))
        changed[at : at + rng.choice((0, length))] = piece
    return bytes(changed)


def contract(data: bytes, _folder: Path) -> None:
    parse_contract(data.decode(errors="replace"), "fuzzed.onnx")


def stream(data: bytes, folder: Path, name: str) -> None:
    (folder / name).write_bytes(data)
    source = open_source(str(folder / name))
    try:
        for _ in range(MAX_FRAMES):
            if source.read() is None:
                break
    finally:
        source.close()


def parameters(data: bytes, folder: Path, name: str, codec: str) -> None:
    """What is said of the frames of a raw video, without FFmpeg."""
    first_frames(data)
    path = folder / name
    path.write_bytes(data)
    changed_frames(path, 2, Delivered(codec, (160, 128), 1.0, is_deinterlaced=True))
    for part in parts_of(path, codec):
        assert part.total
        assert part.frames.width
        assert part.frames.height


def archive(data: bytes, folder: Path) -> None:
    (folder / "faces.zip").write_bytes(data)
    read_faces(folder / "faces.zip", skip_bad=True)


def jpeg(t: float = 0.5) -> bytes:
    return cv2.imencode(".jpg", draw_scene(t, (64, 64)))[1].tobytes()


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for index in range(4):
            file.writestr(f"train/{('happy', 'sad')[index % 2]}/{index}.jpg", jpeg(index / 4))
    return made.getvalue()


CONTRACT = Contract(kind="classifier", labels=LABELS, input_size=(48, 48), color="grey", dataset="none").to_json()
ROWS = b"emotion,pixels,Usage\n" + b"".join(b"%d,%s,Training\n" % (row, b"7 " * 64) for row in range(3))
# Sequence parameters of 160 x 128 and of 64 x 320 pixels, each with a picture's parameters and the starts of frames.
H264 = b"".join(
    b"\0\0\1\x67" + bytes.fromhex(size) + b"\0\0\1\x68\xe0" + 3 * b"\0\0\1\x65\x88\x81"
    for size in ("4d001eda0a2120", "4d001eda105120")
)
TARGETS: dict[str, tuple[bytes, Callable[[bytes, Path], None]]] = {
    "contract": (CONTRACT.encode(), contract),
    "pixel CSV": (ROWS, lambda data, folder: stream(data, folder, "faces.csv")),
    "MJPEG parts": (jpeg() + jpeg(0.7) + jpeg(0.9), lambda data, folder: stream(data, folder, "parts.mjpeg")),
    "H.264 parameters": (H264, lambda data, folder: parameters(data, folder, "a.h264", "h264")),
    "MJPEG parameters": (jpeg() + jpeg(0.7), lambda data, folder: parameters(data, folder, "a.mjpeg", "mjpg")),
    "archive": (zipped(), archive),
}


@pytest.mark.parametrize("target", TARGETS)
def test_hostile_bytes_end_in_an_answer_or_one_line(target: str, tmp_path: Path) -> None:
    seed, run = TARGETS[target]
    run(seed, tmp_path)  # the corpus itself is accepted
    rng, deadline, tried, refused = random.Random(target), time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < deadline or tried < 20:
        data = mutated(seed, rng)
        tried += 1
        try:
            run(data, tmp_path)
        except FerError as error:
            refused += 1
            assert str(error), "an error says what is wrong"
        except Exception as error:
            (tmp_path / "failure.bin").write_bytes(data)
            raise AssertionError(f"{target}, input {tried}: {error!r} (kept as {tmp_path}/failure.bin)") from error
    print(f"{target}: {tried} inputs, {refused} refused, no other error")
    assert refused or target.endswith("parameters")
