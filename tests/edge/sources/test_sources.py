import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import SourceError
from fer_edge.sources import Source, capture, open_source
from fer_edge.sources.base import SourceFrame
from fer_edge.sources.reconnect import ReconnectPolicy


def read_all(source: Source) -> list[SourceFrame]:
    frames = list(iter(source.read, None))
    source.close()
    return frames


def write_video(path: Path, frames: int, fourcc: str = "MJPG", fps: float = 25.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*fourcc), fps, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 10 * number % 256, dtype=np.uint8))
    writer.release()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for number, name in enumerate(("c.png", "a.png", "b.PNG")):
        cv2.imwrite(str(tmp_path / "images" / name), np.full((10, 12, 3), 50 * number, dtype=np.uint8))
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    (tmp_path / "images" / "folder.png").mkdir()
    return tmp_path / "images"


def test_a_folder_gives_its_images_sorted_by_name(folder: Path) -> None:
    source = open_source(str(folder))
    assert source.image_count == 3
    frames = read_all(source)
    assert [Path(frame.file or "").name for frame in frames] == ["a.png", "b.PNG", "c.png"]
    assert [int(frame.image[0, 0, 0]) for frame in frames if frame.image is not None] == [50, 100, 0]


def test_a_pattern_gives_the_matching_images_sorted(folder: Path) -> None:
    frames = read_all(open_source(str(folder / "[a-c].png")))
    assert [Path(frame.file or "").name for frame in frames] == ["a.png", "c.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a[1].png"), np.zeros((5, 5, 3), np.uint8))
    assert len(read_all(open_source(str(tmp_path / "a[1].png")))) == 1


@pytest.mark.parametrize(
    ("shape", "dtype"), [((7, 9), "uint8"), ((7, 9, 4), "uint8"), ((7, 9, 3), "uint16"), ((1, 1, 3), "uint8")]
)
def test_every_image_format_becomes_eight_bit_bgr(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    cv2.imwrite(str(tmp_path / "p.png"), np.full(shape, np.iinfo(dtype).max, dtype=dtype))
    (frame,) = read_all(open_source(str(tmp_path / "p.png")))
    assert frame.image is not None
    assert frame.image.shape == (*shape[:2], 3)
    assert frame.image.dtype == np.uint8
    assert (frame.image == 255).all()


def test_a_damaged_image_among_good_ones_is_returned_as_unreadable(folder: Path) -> None:
    (folder / "b.PNG").write_text("broken")
    assert [frame.image is None for frame in read_all(open_source(str(folder)))] == [False, True, False]


def test_a_folder_of_damaged_images_is_an_error_at_the_end(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("broken")
    with pytest.raises(SourceError, match="none of its 2 images"):
        read_all(open_source(str(tmp_path)))


def test_a_video_gives_every_frame_in_order_with_its_time(tmp_path: Path) -> None:
    source = open_source(str(write_video(tmp_path / "v.avi", 12)))
    assert not source.live
    assert source.fps == 25
    frames = read_all(source)
    assert [round(float(frame.image.mean()) / 10) for frame in frames if frame.image is not None] == list(range(12))
    assert [frame.media_time_s for frame in frames] == pytest.approx([number / 25 for number in range(12)])


@pytest.mark.parametrize("name", ["text.mp4", "text.txt", "noise.mkv", "empty.mp4"])
def test_a_file_that_is_not_a_video_is_refused(tmp_path: Path, name: str) -> None:
    contents = {"text": b"one line\n" * 400, "noise": os.urandom(5000), "empty": b""}[name.partition(".")[0]]
    (tmp_path / name).write_bytes(contents)
    reason = "is empty" if name.startswith("empty") else "damaged, cut short or not a video"
    with pytest.raises(SourceError, match=rf"{name}.*{reason}"):
        open_source(str(tmp_path / name))


@pytest.mark.parametrize("name", ["a.jpg", "a.mp4", "a.csv", "folder"])
def test_an_unreadable_source_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    else:
        path.write_text("x")
    monkeypatch.setattr("fer_edge.sources.factory.os.access", lambda *_: False)  # root may read anything
    with pytest.raises(SourceError, match="permissions"):
        open_source(str(path))


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("x")
    for uri in ("missing.mp4", "no*.jpg", ".", "broken.jpg"):
        with pytest.raises(SourceError):
            open_source(str(tmp_path / "empty") if uri == "." else str(tmp_path / uri))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no images"):
        open_source(str(tmp_path / "empty"))


@pytest.mark.parametrize("camera", [63, "63", "/dev/video63"])
def test_a_missing_camera_is_refused_with_advice(camera: str | int) -> None:
    with pytest.raises(SourceError, match=r"63 can't be opened: .*--list-cameras"):
        open_source(camera)


def test_the_demo_is_ten_seconds_of_drawn_frames() -> None:
    source = open_source("demo:160x160")
    first, second = source.read(), source.read()
    assert first is not None
    assert second is not None
    assert (first.media_time_s, second.media_time_s) == (0, pytest.approx(1 / 30))
    assert first.image is not None
    assert first.image.shape == (160, 160, 3)
    assert not source.live
    source._next = 300  # type: ignore[attr-defined] - drawing them all takes seconds
    assert source.read() is None


def test_the_endless_demo_repeats() -> None:
    source = open_source("demo:160x160,endless")
    source._next = 300  # type: ignore[attr-defined]
    assert source.read() is not None


@pytest.mark.parametrize(
    "uri", ["demo:12", "demo:0x0", "demo:99999x160", "demo:160x160endless", "demo:,endless", "demo:x", "demo:endless,"]
)
def test_a_malformed_demo_uri_is_refused(uri: str) -> None:
    with pytest.raises(SourceError, match="demo:"):
        open_source(uri)


def test_an_unreachable_url_is_refused_without_showing_credentials() -> None:
    with pytest.raises(SourceError) as caught:
        open_source("http://user:secret@127.0.0.1:9/x.mkv")
    assert "secret" not in str(caught.value)


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path != "/live":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(6):
            jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 40 * number, dtype=np.uint8))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")
        return None

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    handler = functools.partial(_Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_every_frame_of_a_video_url_is_read(server: str, tmp_path: Path) -> None:
    write_video(tmp_path / "v.mkv", 10, "mp4v")
    source = open_source(f"{server}/v.mkv")
    assert not source.live
    assert len(read_all(source)) == 10


@pytest.mark.parametrize("name", ["v.mkv", "v.avi"])
def test_a_video_url_that_ends_before_its_time_is_not_read_in_silence(server: str, tmp_path: Path, name: str) -> None:
    write_video(tmp_path / name, 120, "mp4v")
    whole = open_source(f"{server}/{name}")
    assert (len(read_all(whole)), whole.missing) == (120, 0)
    data = (tmp_path / name).read_bytes()
    (tmp_path / f"cut{name}").write_bytes(data[: len(data) // 2])
    source = open_source(f"{server}/cut{name}")
    count = len(read_all(source))
    assert source.missing == 120 - count > 40
    assert source.missing_reason.startswith(f"it ended after {count / 25:.1f} of {120 / 25:.1f} s: the connection was")


def test_the_bound_of_memory_leaves_room_for_an_index_that_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "INDEX_FRAMES", 10)
    bounds: list[float] = []
    monkeypatch.setattr(capture, "lower_bound", lambda _user, block_bytes: bounds.append(block_bytes))
    monkeypatch.setattr(capture, "block_bytes", lambda _: 0.0)
    write_video(tmp_path / "v.avi", 35, "mp4v")
    monkeypatch.setattr("fer_edge.sources.video.INDEX_SHARE", 0.0)
    assert len(read_all(open_source(str(tmp_path / "v.avi")))) == 35
    assert sorted({bound / capture.INDEX_ENTRY_BYTES for bound in bounds} & {30.0, 40.0, 50.0}) == [30.0, 40.0, 50.0]


def test_a_video_url_that_needs_seeking_is_refused_if_the_server_cannot_seek(server: str, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 25, (320, 240))
    for _ in range(40):  # noise, so that it is large and the index far away
        writer.write(np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8))
    writer.release()
    with pytest.raises(SourceError, match="opens but gives no frame"):
        open_source(f"{server}/v.mp4", reconnect_policy=ReconnectPolicy(open_s=15))


def test_a_jpeg_stream_is_live_and_is_reopened_when_it_ends(server: str) -> None:
    source = open_source(f"{server}/live", reconnect_policy=ReconnectPolicy(first_retry_s=0.05))
    assert source.live
    for _ in range(100):
        frame = source.read()
        assert frame is not None
        assert frame.media_time_s is None
        if source.reconnects == 2:
            break
    assert source.reconnects == len(source.gaps_s) == 2
    assert all(gap_s > 0 for gap_s in source.gaps_s)
    source.close()
