"""OpenCV's FFmpeg gets a name that it can take, and opens nothing that a stranger's playlist names."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import OutputError, SourceError
from fer_edge.media import captures, library_messages
from fer_edge.media.captures import USUAL, VARIABLE, open_filtered, open_video, open_writer, plain_name, stream
from fer_edge.media.interlaced import has_interlaced_frames, open_deinterlaced
from fer_edge.media.playlists import is_playlist
from fer_edge.sources import open_source

FRAMES = 5
NAMES = [
    b"caf\xe9.mp4",
    b"12:30:05.mp4",
    b"http:film.mp4",
    b"a%03d.mp4",
    b"-f.mp4",
    b"it's [a]; b, c\\.mp4",
    b"two\nlines.mp4",
    "Übung 日本.mp4".encode(),
    b"no suffix \xff",
    b"\xe9" * 251 + b".mp4",
]


def write(path: Path) -> Path:
    writer = open_writer(path, cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    for number in range(FRAMES):
        writer.write(np.full((48, 64, 3), 40 * number, dtype=np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("video") / "v.mp4")


def frames_of(capture: cv2.VideoCapture) -> int:
    count = 0
    while capture.isOpened() and capture.grab():
        count += 1
    capture.release()
    return count


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the current one, so that names are relative."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("inside")
def test_a_video_of_any_name_is_read_and_written(video: Path, name: bytes) -> None:
    path = Path(os.fsdecode(name))
    shutil.copy(video, path)
    assert frames_of(open_video(path)) == FRAMES
    assert not has_interlaced_frames(path, 0.0)
    source = open_source(path)
    assert len(list(iter(source.read, None))) == FRAMES
    source.close()
    if path.suffix == ".mp4":
        path.write_bytes(b"")
        assert frames_of(open_video(write(path))) == FRAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("inside")
def test_filters_read_a_video_of_any_name(video: Path, name: bytes) -> None:
    if not open_filtered(video, "null").isOpened():
        pytest.skip("this OpenCV has no filters: it converts interlaced frames itself")
    path = Path(os.fsdecode(name))
    shutil.copy(video, path)
    assert frames_of(open_deinterlaced(path)) == FRAMES


def test_a_folder_of_any_name_is_entered(inside: Path, video: Path) -> None:
    folder = inside / os.fsdecode(b"a:b \xe9%d")
    folder.mkdir()
    shutil.copy(video, folder / "v.mp4")
    assert frames_of(open_video(folder / "v.mp4")) == FRAMES
    assert frames_of(open_video(write(folder / "out.mp4"))) == FRAMES


def test_the_bytes_of_a_name_count_not_what_the_locale_makes_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsencode", lambda path: str(path).encode("ascii", "surrogateescape"))  # as LC_ALL=C does
    with plain_name(Path("/films/caf\udcc3\udca9.mp4")) as name:
        assert name == "/films/café.mp4"


def test_nothing_is_left_behind(inside: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = inside / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    path = inside / os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(video, path)
    with plain_name(path) as name:
        assert Path(name).is_relative_to(temporary)
        assert temporary.stat().st_mode & 0o700
    assert list(temporary.iterdir()) == []
    assert os.environ[VARIABLE] == USUAL  # never removed: C would move the environment under other threads


def test_a_name_that_no_link_can_stand_for_is_one_line(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(inside / "gone"))
    path = Path(os.fsdecode(b"caf\xe9.mp4"))
    path.write_bytes(b"x")
    with pytest.raises(SourceError, match="not UTF-8, and No such file or directory: rename it, or set TMPDIR"):
        open_video(path)
    with pytest.raises(OutputError, match="not UTF-8"):
        open_writer(path, 0, 25, (64, 48))


PLAYLISTS = {
    "hls.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nv.ts\n#EXT-X-ENDLIST\n",
    "hls.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "concat.mp4": b"ffconcat version 1.0\nfile v.mp4\n",
    "concat.ffconcat": b"ffconcat version 1.0\nfile v.mp4\n",
    "camera.sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 96\r\n",
    "dash.mpd": b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "list.pls": b"[playlist]\nFile1=http://127.0.0.1/\n",
}


@pytest.mark.parametrize(("name", "content"), PLAYLISTS.items())
@pytest.mark.usefixtures("inside")
def test_a_playlist_opens_nothing_whatever_its_name(video: Path, name: str, content: bytes) -> None:
    shutil.copy(video, "v.mp4")
    Path(name).write_bytes(content)
    assert is_playlist(content)
    assert not open_video(Path(name)).isOpened()
    assert not open_deinterlaced(Path(name)).isOpened()
    with pytest.raises(SourceError, match="it is a playlist, which names other files: give those"):
        open_source(name)


@pytest.mark.parametrize("url", ["concat://a|b", "data://x", "gopher://h/", "file+http://h", "crypto://x", "x://y"])
def test_only_known_protocols_are_opened(url: str) -> None:
    with pytest.raises(ValueError, match="is not one of http, https, rtsp"):
        stream(url)
    with pytest.raises(SourceError, match="is not one of"):
        open_source(url)


def test_the_users_own_options_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "rtsp_transport;udp|protocol_whitelist;file,http")
    options = stream("rtsp://camera/").options
    assert options["rtsp_transport"] == "udp"
    assert options["protocol_whitelist"] == "rtsp,rtp,udp,tcp"


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """VideoCapture hangs for "hang" until the event is set, and gives its options for everything else."""
    end = threading.Event()

    def capture(name: str, *_: object) -> str | None:
        if name == "hang":
            end.wait()
        return os.environ.get(VARIABLE)

    monkeypatch.setattr(captures.cv2, "VideoCapture", capture)
    monkeypatch.setattr(captures, "HOLD_S", 0.01)
    yield end
    end.set()


def test_a_capture_that_hangs_while_it_opens_holds_up_no_other(
    hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "mine;1")
    thread = threading.Thread(target=captures._open_with, args=("hang", {"a": "1"}, None, 1))
    thread.start()
    assert str(captures._open_with("film", {"b": "x|y"}, None, 1)) == r"b;x\|y"
    assert captures._own_options() == {"mine": "1"}
    hanging.set()
    thread.join()
    assert os.environ[VARIABLE] == "mine;1"


@pytest.mark.skipif(library_messages._stream is None, reason="this C library's stderr can't be replaced")
def test_a_webm_is_opened_without_a_line_of_opencv(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    writer = open_writer(tmp_path / "a.webm", cv2.VideoWriter.fourcc(*"VP80"), 25, (64, 48))
    assert writer.isOpened()
    writer.release()
    assert capfd.readouterr().err == ""
