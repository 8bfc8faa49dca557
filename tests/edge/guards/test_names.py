"""Local files named by file:// URLs and with ~."""

import os
from pathlib import Path

import pytest

from fer_edge.errors import SourceError
from fer_edge.guards.names import expand_home, local_name


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("file:///a/b.mp4", "/a/b.mp4"),
        ("file:///a/my%20film%25.mp4", "/a/my film%.mp4"),
        ("FILE:///a/b.mp4", "/a/b.mp4"),
        ("file://localhost/a/b.mp4", "/a/b.mp4"),
        ("file://LOCALHOST/a%23b.mp4", "/a#b.mp4"),
        ("file:/a/b.mp4", "/a/b.mp4"),
        ("file:///a/b#c?d.mp4", "/a/b#c?d.mp4"),
        ("file:///caf%E9.mp4", os.fsdecode(b"/caf\xe9.mp4")),
        ("file:///caf%C3%A9.mp4", "/café.mp4"),
        ("file:///100%.mp4", "/100%.mp4"),
        ("~/a.mp4", "/home/me/a.mp4"),
        ("~", "/home/me"),
        ("~backup.mp4", "~backup.mp4"),
        ("a~/b", "a~/b"),
        ("12:30:05.mp4", "12:30:05.mp4"),
        ("rtsp://host/~/a", "rtsp://host/~/a"),
    ],
)
def test_a_name_means_this_path(given: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert local_name(given) == meant


def test_a_file_whose_own_name_has_an_escape_is_found(tmp_path: Path) -> None:
    (tmp_path / "a%20b.mp4").touch()
    assert local_name(f"file://{tmp_path}/a%20b.mp4") == f"{tmp_path}/a%20b.mp4"


def test_a_file_of_another_machine_is_refused() -> None:
    with pytest.raises(SourceError, match="file://nas/ is a file of another machine"):
        local_name("file://nas/a.mp4")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("~", "/home/me"),
        ("~/a b", "/home/me/a b"),
        ("--json=~/a", "/home/me/a"),
        ("--json=~", "/home/me"),
        ("--rotate-output=~no-such-user/a", "~no-such-user/a"),
        ("~backup.mp4", "~backup.mp4"),
        ("--json=a~/b", "a~/b"),
        ("./~/a", "./~/a"),
        ("--name==~/a", "=~/a"),
    ],
)
def test_a_word_of_the_command_line_may_start_with_the_home_folder(
    word: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expand_home(word) == word.partition("=")[0] * word.startswith("--") + "=" * word.startswith("--") + meant
