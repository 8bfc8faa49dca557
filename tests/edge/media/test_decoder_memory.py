"""Videos whose decoders keep many frames: fewer threads decode them, or they are refused by their headers."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_edge.errors import SourceError
from fer_edge.media.bitstream.parameters import kept_frames
from fer_edge.media.captures import open_video
from fer_edge.media.decoder_memory import bytes_of_pixel, decoder_bytes, decoder_threads, fitting_threads
from fer_edge.sources import open_source

Make = Callable[..., Path]
WIDTH, HEIGHT = 320, 240
H264, HEVC = 0.6, 0.8  # bytes that FFmpeg keeps of the motion of a pixel


@pytest.fixture
def make(ffmpeg_program: str, tmp_path: Path) -> Make:
    """Encode four frames with these arguments of ffmpeg."""

    def run(name: str, *arguments: str) -> Path:
        source = ["-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25:duration=0.16"]
        command = [ffmpeg_program, "-v", "error", "-y", *source, *arguments, name]
        subprocess.run(command, check=True, cwd=tmp_path)
        return tmp_path / name

    return run


def x264(refs: int, *more: str) -> list[str]:
    return ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-refs", str(refs), *more]


X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none:ref=5"]


@pytest.mark.parametrize(
    ("name", "arguments", "frames", "pixel_bytes"),
    [
        ("a.mp4", x264(16), 16, 1.5 + H264),
        ("b.mp4", x264(1), 1, 1.5 + H264),
        ("c.mp4", x264(3, "-bf", "2"), 6, 1.5 + H264),  # four references, as B frames are some; two may wait
        ("d.mp4", x264(4, "-pix_fmt", "yuv444p"), 4, 3 + H264),
        ("e.mkv", x264(16), 16, 1.5 + H264),
        ("f.ts", x264(16), 16, 1.5 + H264),
        ("g.h264", x264(16), 16, 1.5 + H264),
        ("h.flv", x264(16), 16, 1.5 + H264),
        ("i.avi", x264(16), 16, 1.5 + H264),
        ("j.mp4", [*X265, "-tag:v", "hvc1"], 6, 3 + HEVC),
        ("k.mkv", X265, 6, 3 + HEVC),
        ("l.ts", X265, 6, 3 + HEVC),
        ("m.webm", ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"], 7, 1.5),
        ("n.avi", ["-c:v", "mjpeg"], 2, 1.5),
        ("o.mkv", ["-c:v", "ffv1", "-pix_fmt", "yuv422p10le"], 2, 4.0),
    ],
)
def test_the_headers_say_what_a_decoder_keeps(
    make: Make, name: str, arguments: list[str], frames: int, pixel_bytes: float
) -> None:
    capture = open_video(make(name, *arguments))
    assert decoder_bytes(capture, 1) == pytest.approx((frames + 1) * pixel_bytes * WIDTH * HEIGHT, abs=1)
    assert decoder_bytes(capture, 3) == pytest.approx((frames + 4) * pixel_bytes * WIDTH * HEIGHT, abs=1)
    capture.release()


def test_a_decoder_that_keeps_many_frames_has_fewer_threads_or_is_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert decoder_threads() == 4
    path, frame = make("many.mp4", *x264(16)), 2.1 * WIDTH * HEIGHT
    source = open_source(path)
    assert source.decoder_bytes == pytest.approx(21.5 * frame, abs=1)
    source.close()
    monkeypatch.setenv("FER_EDGE_MAX_DECODING_BYTES", str(int(19 * frame)))
    source = open_source(path)
    assert source.decoder_bytes == pytest.approx(18.5 * frame, abs=1)
    assert len(list(iter(source.read, None))) == 4
    source.close()
    monkeypatch.setenv("FER_EDGE_MAX_DECODING_BYTES", str(int(16 * frame)))
    assert fitting_threads(open_video(path), 4) == 0
    with pytest.raises(SourceError, match="its decoder's frames take 3 MB, more than 3: set "):
        open_source(path)


@pytest.mark.parametrize(
    "parameters",
    [
        b"",
        b"\0\0\1",
        b"\0\0\1\x67",
        b"\0\0\1\x67" + bytes(400),
        b"\0\0\1\x67" + b"\xff" * 400,
        b"\1\x64\0\x34\xff\xff\xff\xff\x67",
        b"\1" * 30,
        b"\0\0\1\x42\1" + b"\xff" * 400,
        b"\0\0\1\x42\1" + bytes(100_000),
    ],
)
def test_parameters_that_are_damaged_say_nothing_or_little(parameters: bytes) -> None:
    for codec in ("h264", "hevc", "other"):
        kept = kept_frames(codec, parameters)
        assert kept is None or kept.frames <= 32


def test_the_format_of_pixels_is_known_by_its_code() -> None:
    assert [bytes_of_pixel(code) for code in (b"Y800", b"444P", b"Y4\x0b\x08", b"\xff\xff\xff\xff")] == [1, 3, 2.5, 4]
