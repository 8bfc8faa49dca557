"""The command with names from strangers: bytes that are no text, control characters, ~ and file:// URLs."""

import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.demo.scene import draw_scene
from fer_edge.media.captures import open_writer

FRAMES = 3
STRANGE = os.fsdecode(b"a\x1b[31m\n\xe2\x80\xaeb\xe9")  # color, line break, right to left, Latin-1
RAW = re.compile("[\0-\x08\x0b-\x1f\x7f\u202e]")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "v.mp4"
    writer = open_writer(path, cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    for number in range(FRAMES):
        writer.write(np.full((48, 64, 3), 40 * number, dtype=np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("variables", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}])
def test_sources_and_outputs_have_any_name(
    fer_edge, video: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    folder = video.parent / STRANGE
    folder.mkdir()
    shutil.copy(video, folder / f"{STRANGE}.mp4")
    shutil.copy(video, folder / "12:30:05.mp4")
    (folder / "é.jpg").write_bytes(cv2.imencode(".jpg", draw_scene(0.5))[1].tobytes())
    ran = fer_edge(
        f"{STRANGE}/{STRANGE}.mp4", f"{STRANGE}/12:30:05.mp4", f"{STRANGE}/é.jpg", "--json", f"{STRANGE}/{STRANGE}",
        "--output", f"{STRANGE}/out", "--report", f"{STRANGE}/%d", "--csv", "-",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert RAW.findall(ran.stderr) == RAW.findall(ran.stdout) == []
    assert len((folder / STRANGE).read_text().splitlines()) == 2 * FRAMES + 1
    assert json.loads((folder / "%d").read_text())["frames"]["processed"] == 2 * FRAMES + 1
    assert len(list((folder / "out").iterdir())) == 3


def test_a_tilde_behind_the_equals_sign_is_the_home_folder(
    fer_edge, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(video, home)
    monkeypatch.setenv("HOME", str(home))
    ran = fer_edge("--source=~/v.mp4", "--headless", "--json=~/a.jsonl", "--output=~/out.mp4", "--report=~/no/r.json")
    assert ran.returncode == 1
    assert "home/no is not a folder" in ran.stderr
    ran = fer_edge("--source=~/v.mp4", "--headless", "--json=~/a.jsonl", "--output=~/out.mp4", "--report=~/r.json")
    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in home.iterdir()} == {"v.mp4", "a.jsonl", "out.mp4", "r.json"}
    assert not (tmp_path / "~").exists()


def test_a_file_url_is_the_file(fer_edge, video: Path, tmp_path: Path) -> None:
    film = video.rename(tmp_path / "my film.mp4")
    url = f"file://localhost{tmp_path}/my%20film.mp4"
    ran = fer_edge(url, "--headless", "--json", "-")
    assert ran.stdout.count('"frame"') == FRAMES
    before = film.read_bytes()
    ran = fer_edge(url, "--headless", "--output", "my film.mp4", "--overwrite")
    assert ran.returncode == 2
    assert "can't share" in ran.stderr
    assert film.read_bytes() == before


def test_outputs_of_long_names_are_shortened(fer_edge, video: Path, tmp_path: Path) -> None:
    long, umlauts = "x" * 251, "ü" * 125  # with their suffixes, 255 bytes
    video.rename(tmp_path / f"{long}.mkv")
    for name in (f"{long}.gif", f"{umlauts}.jfif"):
        (tmp_path / name).write_bytes(cv2.imencode(".jpg", draw_scene(0.5))[1].tobytes())
    ran = fer_edge(f"{long}.mkv", f"{umlauts}.jfif", "--headless", "--output", "out")
    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{long}.mp4", "ü" * 125 + ".png"}


def test_a_name_too_long_for_rotation_is_refused_before_the_run(fer_edge, tmp_path: Path) -> None:
    for option, name in (("--json", "x" * 246), ("--output", "ü" * 122 + ".mp4")):
        ran = fer_edge("demo:160x120", "--headless", option, name, "--rotate-output", "1kB")
        assert ran.returncode == 1
        assert "its name is too long for --rotate-output" in ran.stderr
        assert len(ran.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
