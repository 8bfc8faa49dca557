"""Names from strangers in every command that prints them: folders, files and class names."""

import os
import re
from pathlib import Path

import pytest

from ..conftest import run_fer_train, write_images

FOLDER = os.fsdecode(b"a\x1b[31m\x07\n\xe2\x80\xaeb\xe9")  # color, bell, line break, right to left, Latin-1
CLASSES = ("$\\frac$", "<b>&x", "=cmd|'x'!A1")
RAW = re.compile("[\0-\x08\x0b-\x1f\x7f\u202e\udc80-\udcff]")


def assert_printable(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, in which no line starts in the middle of a name."""
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert RAW.findall(text) == []
    assert not re.search(r"^\\u202e", text, re.MULTILINE)
    return text


def test_names_are_printed_as_one_printable_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strange = tmp_path / FOLDER
    data = write_images(strange / "faces", CLASSES, count=8)
    (data / CLASSES[0] / "no\n\x1bphoto.png").write_bytes(b"x")
    for arguments in (
        ["summary", "--data", data, "--out", strange / "summary"],
        ["convert", "--data", data, "--out", strange / "faces.csv", "--skip-bad-rows"],
        ["--data", data, "--out", strange / "run", "--epochs", 1, "--batch-size", 8, "--skip-bad-rows"],
        ["evaluate", strange / "run" / "best.pt", "--data", data, "--skip-bad-rows", "--out", strange / "scores"],
    ):
        assert run_fer_train(*arguments) == 0
        assert r"\x1b[31m\x07\n\u202eb\xe9" in assert_printable(capsys)
    for arguments in (
        ["convert", "--data", data, "--out", tmp_path / "faces.csv"],
        ["summary", "--data", strange / "gone"],
        ["evaluate", strange / "faces.csv", "--data", data],
        ["head", "--data", data, "--name", "x", "--out", strange / "head", "--checkpoint", strange / "gone.pt"],
        [f"--{FOLDER}"],
    ):
        assert run_fer_train(*arguments) != 0
        assert len(assert_printable(capsys).splitlines()) == 1
