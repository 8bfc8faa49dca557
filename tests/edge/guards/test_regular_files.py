"""What is not a regular file is never opened, and reading is bounded."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_edge.guards import regular_files
from fer_edge.guards.limits import MAX_IMAGE_BYTES
from fer_edge.guards.regular_files import kind_of, open_regular, read_regular


@pytest.fixture
def odd_files(tmp_path: Path) -> Iterator[Path]:
    """A folder with one of each kind."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder.png").mkdir()
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as opened, contextlib.chdir(tmp_path):
        opened.bind("socket.png")
        yield tmp_path


def test_each_kind_has_a_name(odd_files: Path) -> None:
    kinds = {path.stem: kind_of(path) for path in odd_files.iterdir()}
    assert kinds == {
        "pipe": "a pipe", "zero": "a device", "loop": "a link to itself", "gone": "a link to nothing",
        "folder": "a folder", "socket": "a socket",
    }  # fmt: skip
    assert kind_of(Path(__file__)) == ""
    assert kind_of(odd_files / "no") == "missing"


def test_nothing_but_a_file_is_opened(odd_files: Path) -> None:
    for path in odd_files.iterdir():
        with pytest.raises(OSError, match=f"it is {kind_of(path)}"):
            open_regular(path)


def test_a_file_that_a_pipe_replaces_after_the_look_is_not_waited_for(
    odd_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regular_files, "kind_of", lambda _path: "")
    with pytest.raises(OSError, match="it is no longer a file"):
        open_regular(odd_files / "pipe.png")
    with pytest.raises(OSError, match=r"No such device|no file"):
        open_regular(odd_files / "socket.png")


def test_a_file_is_read_up_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", MAX_IMAGE_BYTES) == b"12345"
    monkeypatch.setenv(MAX_IMAGE_BYTES.variable, "5")
    assert read_regular(tmp_path / "a", MAX_IMAGE_BYTES) == b"12345"
    monkeypatch.setenv(MAX_IMAGE_BYTES.variable, "4")
    with pytest.raises(ValueError, match="more than 4 bytes: set FER_EDGE_MAX_IMAGE_BYTES"):
        read_regular(tmp_path / "a", MAX_IMAGE_BYTES)
