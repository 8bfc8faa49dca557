"""Lines that C libraries print while an image is decoded: none reaches our stderr, and some mean damage."""

import ctypes
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from fer_edge.media import library_messages as module
from fer_edge.media.door import decode_image
from fer_edge.media.library_messages import library_messages

pytestmark = pytest.mark.skipif(module._stream is None, reason="this C library's stderr can't be replaced")
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
PNG, JPEG = (bytes(cv2.imencode(suffix, IMAGE)[1]) for suffix in (".png", ".jpg"))


def say(text: str) -> None:
    """Let C print a line to its stderr."""
    ctypes.CDLL(None).perror(text.encode())


def with_profile(png: bytes) -> bytes:
    """`png` with a color profile of which libpng warns."""
    content = b"iCCPx\0\0" + zlib.compress(bytes(200))
    chunk = (len(content) - 4).to_bytes(4, "big") + content + zlib.crc32(content).to_bytes(4, "big")
    return png[:33] + chunk + png[33:]


def test_what_c_prints_is_kept_in_the_block_and_passes_behind_it(capfd: pytest.CaptureFixture[str]) -> None:
    with library_messages() as messages:
        say("inside")
        assert messages().startswith("inside: ")
    say("behind")
    err = capfd.readouterr().err
    assert err.startswith("behind: ")
    assert err.count("\n") == 1


def test_each_thread_gets_its_own_messages(capfd: pytest.CaptureFixture[str]) -> None:
    def decode(number: int) -> str:
        with library_messages() as messages:
            for _ in range(50):
                say(f"thread {number}")
            return messages()

    with ThreadPoolExecutor(4) as pool:
        for number, text in enumerate(pool.map(decode, range(8))):
            assert text.count("\n") == text.count(f"thread {number}: ") == 50
    assert capfd.readouterr().err == ""


def test_warnings_of_libpng_are_not_ours(capfd: pytest.CaptureFixture[str]) -> None:
    assert np.array_equal(decode_image(with_profile(PNG)).image, IMAGE)
    damaged = PNG.replace(b"IDAT" + PNG[41:45], b"IDAT" + bytes(4))
    with pytest.raises(ValueError, match="the PNG is damaged"):
        decode_image(damaged)
    assert capfd.readouterr().err == ""


def test_a_jpeg_that_is_cut_and_ended_again_is_cut_short(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="the JPEG is cut short: copy or download it again"):
        decode_image(JPEG[: len(JPEG) // 2] + b"\xff\xd9")
    assert decode_image(JPEG).image.shape == IMAGE.shape
    assert capfd.readouterr().err == ""
