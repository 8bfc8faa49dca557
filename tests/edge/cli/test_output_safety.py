"""Outputs stay whole, ours and private: locks, permissions, links to the source, closed streams."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from fer_edge.cli.commands import edge
from fer_edge.guards.locks import OutputLock

Run = Callable[..., "subprocess.CompletedProcess[str]"]
DEMO = ("demo:160x160", "--headless", "--max-frames", "3")


@pytest.fixture
def photos(tmp_path: Path, face_image: np.ndarray) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), face_image)
    return folder


def run_here(*arguments: str, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Run the command in this process: its exit code and, of an error, the message."""
    monkeypatch.chdir(cwd)
    monkeypatch.setenv("FER_EDGE_DEFAULTS", "")
    result = CliRunner().invoke(edge, [*arguments, "--headless"])
    message = str(result.exception) if result.exception and not isinstance(result.exception, SystemExit) else ""
    return result.exit_code, message + result.output


def test_results_are_private_and_a_replaced_file_keeps_its_permissions(fer_edge: Run, tmp_path: Path) -> None:
    names = ("o.jsonl", "o.csv", "o.mp4", "r.json")
    (tmp_path / "o.csv").touch()
    (tmp_path / "r.json").touch()
    (tmp_path / "o.csv").chmod(0o644)
    (tmp_path / "r.json").chmod(0o664)
    done = fer_edge(
        *DEMO, "--json", names[0], "--csv", names[1], "--output", names[2], "--report", names[3], "--overwrite"
    )
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in names] == [0o600, 0o644, 0o600, 0o664]
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("option", "name"),
    [("--json", "o"), ("--csv", "o"), ("--output", "o.mp4"), ("--output", "o.gif"), ("--output", "o"),
     ("--report", "o")],
)  # fmt: skip
def test_an_output_that_another_process_writes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, name: str
) -> None:
    lock = OutputLock(tmp_path / name)
    code, message = run_here(
        "demo:160x160", "--max-frames", "2", option, name, "--overwrite", cwd=tmp_path, monkeypatch=monkeypatch
    )
    lock.release()
    assert code == 1
    assert f"{name} is being written by process {os.getpid()}" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--json", "--csv", "--output", "--report"])
@pytest.mark.parametrize("source", ["photos", "photos/*.png", "photos/a.png"])
@pytest.mark.parametrize("linked", [True, False])
def test_an_output_that_is_an_image_of_the_source_is_refused(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, option: str, source: str, linked: bool
) -> None:
    before, output = (photos / "a.png").read_bytes(), photos / "a.png"
    if linked:
        output = tmp_path / "other.png"
        output.hardlink_to(photos / "a.png")
    arguments = (source, option, str(output), "--overwrite", "--max-frames", "1")
    code, message = run_here(*arguments, cwd=tmp_path, monkeypatch=monkeypatch)
    assert code in (1, 2)
    assert "share" in message or "is the source's file" in message, message
    assert (photos / "a.png").read_bytes() == before


def test_two_outputs_that_are_links_to_one_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    arguments = ("demo:160x160", "--json", "a", "--csv", "b", "--overwrite")
    code, message = run_here(*arguments, cwd=tmp_path, monkeypatch=monkeypatch)
    assert code == 2
    assert "--json and --csv can't share b" in message


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--rotate-output", "1MB"), "--rotate-output needs a file"),
        (("--rotate-output", "1MB", "--json", "-"), "--rotate-output needs a file"),
        (("--rotate-output", "1MB", "--report", "r"), "--rotate-output needs a file"),
        (("--json", "o", "--keep-output", "3"), "--keep-output needs --rotate-output"),
    ],
)
def test_rotation_without_an_output_that_rotates_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], expected: str
) -> None:
    code, message = run_here("demo:160x160", *arguments, cwd=tmp_path, monkeypatch=monkeypatch)
    assert code == 2
    assert expected in message


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "<&- >&-"])
def test_no_file_gets_the_number_of_a_closed_standard_stream(tmp_path: Path, model: Path, closed: str) -> None:
    command = (
        f"{sys.executable} -m fer_edge --model {model} demo:160x160 --headless --max-frames 3 --json o.jsonl "
        f"--output o.mp4 --verbose {closed}"
    )
    environment = os.environ | {"FER_EDGE_DEFAULTS": ""}
    assert (
        subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, check=False, timeout=120).returncode == 0
    )
    lines = (tmp_path / "o.jsonl").read_text().splitlines()
    assert len(lines) == 3
    assert all(line.startswith('{"schema"') for line in lines)
    assert cv2.VideoCapture(str(tmp_path / "o.mp4")).isOpened()
