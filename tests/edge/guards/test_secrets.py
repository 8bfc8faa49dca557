"""Addresses are shown without their secrets, and can be given where no other user sees them."""

import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from fer_edge.cli.commands import edge
from fer_edge.console import run_main
from fer_edge.errors import FerError, SourceError
from fer_edge.guards.secrets import given_source, redact_text, shown_source

FORMS = [  # HOST is replaced by a host and port; what holds s3cret must not be shown
    "rtsp://user:s3cret@HOST/stream", "rtsp://user:s3cret@HOST", "rtsp://s3cret@HOST/stream",
    "rtsp://user:s3@cret@HOST/", "rtsp://user:s3cret/x@HOST/", "rtsp://user:x/s3cret@HOST/",
    "rtsp://user:x#s3cret@HOST/", "rtsp://user:x?s3cret@HOST/", "rtsp://user:x:s3cret@HOST/",
    "rtsp://user:x@s3cret/y@HOST/", "http://HOST/s3cret/video", "http://HOST/video;token=s3cret",
    "http://HOST/video#token=s3cret", "http://HOST/video?token=s3cret", "http://HOST?token=s3cret",
    "http://HOST/a@s3cret", "http://HOST/video?a=1&b=s3cret", "http://user%3As3cret%40HOST/",
    "http://user:%73s3cret@HOST/", "rtsp://user:s3cret@[::1]:1/stream", "rtsp:/user:s3cret@HOST/",
    "rtsp:/HOST/s3cret", "user:s3cret@HOST/stream", "user:s3cret@HOST", "//user:s3cret@HOST/stream",
    "HOST/s3cret", "host/video?token=s3cret", "user%3As3cret%40host/stream", "http://s3cret host/",
    "concat:http://user:s3cret@HOST/a|http://user:s3cret@HOST/b", "http://HOST\\s3cret",
    "RTSP://user:s3cret@HOST/", "s3cret@HOST", "srt://HOST?passphrase=s3cret",
]  # fmt: skip


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("form", FORMS)
def test_no_secret_of_an_address_is_shown(form: str) -> None:
    url = form.replace("HOST", "192.0.2.10:554")
    assert "s3cret" not in shown_source(url)
    assert shown_source(shown_source(url)) == shown_source(url)


@pytest.mark.parametrize("form", [form for form in FORMS if "://" in form and " " not in form])
def test_no_secret_of_an_address_inside_a_message_is_shown(form: str) -> None:
    url = form.replace("HOST", "192.0.2.10:554")
    assert "s3cret" not in redact_text(f"first '{url}', then {url}: check")


@pytest.mark.parametrize("form", [form for form in FORMS if "[::1]" not in form and "srt" not in form])
def test_the_command_shows_no_secret(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = form.replace("HOST", closed_port())
    done = CliRunner().invoke(edge, [url, "--headless", "--report", "report.json"])
    assert isinstance(done.exception, FerError)
    assert "s3cret" not in f"{done.exception!r} {done.output}"


def test_the_last_door_redacts_what_others_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_main(edge, "fer-edge", ["--source", "demo:", "rtsp://user:s3cret@host/x"])
    assert "s3cret" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://user:secret@host/path", "rtsp://***@host/***"),
        ("rtsp://user:sec@ret@host:554/", "rtsp://***@host:554/"),
        ("http://[2001:db8::1]:80/video", "http://[2001:db8::1]:80/***"),
        ("http://host", "http://host"),
        ("photos/img?.jpg", "photos/img?.jpg"),
        ("12:30:05.mp4", "12:30:05.mp4"),
        ("demo:160x160,endless", "demo:160x160,endless"),
    ],
)
def test_the_host_and_names_of_files_stay(url: str, shown: str) -> None:
    assert shown_source(url) == shown


def test_an_existing_file_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "me@home.mp4"
    path.touch()
    assert shown_source(str(path)) == str(path)


def test_a_source_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "source"
    path.write_text("demo:64x64\n")
    monkeypatch.delenv("FER_EDGE_SOURCE", raising=False)
    assert given_source(None) is None
    assert given_source(f"@{path}") == "demo:64x64"
    monkeypatch.setenv("FER_EDGE_SOURCE", f"@{path}")
    assert given_source(None) == "demo:64x64"
    assert given_source("other.mp4") == "other.mp4"
    path.write_text("missing-s3cret@host\n")
    done = CliRunner().invoke(edge, ["--headless"])
    assert str(done.exception).startswith("*** does not exist")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"", "is empty"), (b" \n", "is empty"), (b"a\nb\n", "one line"), (b"\xff", "one line"),
     (b"a\0b", "one line"), (b"a" * 9000, "one line")],
)  # fmt: skip
def test_a_file_without_a_source_is_refused(content: bytes | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "source"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=reason):
        given_source(f"@{path}")


def test_a_file_that_others_can_change_or_that_is_none_is_refused(tmp_path: Path) -> None:
    path, fifo = tmp_path / "source", tmp_path / "fifo"
    path.write_text("demo:")
    path.chmod(0o666)
    os.mkfifo(fifo)
    for name, reason in ((path, "chmod 600"), (fifo, "not a file"), (tmp_path, "not a file|directory")):
        with pytest.raises(SourceError, match=reason):
            given_source(f"@{name}")
