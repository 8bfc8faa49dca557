"""Systems without Linux's modules, signals, flags and calls: the command starts and reads files there.

A child process loses what Windows lacks before it imports fer_edge, so that each use without a guard fails.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import pytest

from fer_edge.demo.scene import draw_scene

HIDDEN = """
import importlib.metadata, os, signal, socket, subprocess, sys, tempfile
for module in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[module] = None
for owner, names in (
    (signal, ["SIGHUP", "SIGUSR1", "pthread_sigmask", "set_wakeup_fd"]),
    (socket, ["AF_UNIX", "MSG_DONTWAIT"]),
    (os, ["O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "fchmod", "geteuid", "getuid", "getpgid", "killpg", "mkfifo",
          "sched_getaffinity", "setpriority", "register_at_fork", "sysconf", "statvfs"]),
):
    for name in names:
        if hasattr(owner, name):
            delattr(owner, name)
"""


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command `program`, such as fer_edge.__main__, in a process that lacks what Windows lacks."""
    code = f"{HIDDEN}\nsys.argv[1:] = {list(arguments)!r}\nfrom {program} import main\nmain()"
    environment = os.environ | {"NOTIFY_SOCKET": "/nowhere"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, env=environment
    )


@pytest.mark.parametrize("options", [["--help"], ["--version"], ["--list-cameras"]])
def test_the_command_starts(options: Sequence[str]) -> None:
    ran = run("fer_edge.__main__", *options)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr


def test_images_and_videos_are_read_and_every_output_is_written(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), draw_scene(2.0, (320, 240)))
    ran = run("fer_edge.__main__", str(tmp_path / "face.png"), "--headless")
    assert (ran.returncode, ": 1 face: happy" in ran.stdout) == (0, True), ran.stderr
    names = ("lines.jsonl", "rows.csv", "drawn.mp4", "report.json")
    options = zip(("--json", "--csv", "--output", "--report"), names, strict=True)
    outputs = [part for option, name in options for part in (option, str(tmp_path / name))]
    ran = run("fer_edge.__main__", "demo:320x240", "--headless", "--max-frames", "5", *outputs)
    assert ran.returncode == 0, ran.stderr
    assert len((tmp_path / "lines.jsonl").read_text().splitlines()) == 5
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 6
    assert (tmp_path / "drawn.mp4").stat().st_size > 1000
    assert json.loads((tmp_path / "report.json").read_text())["frames"]["processed"] == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((*names, "face.png")), "no temporary file stays"


def test_python_recognizes(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), draw_scene(2.0, (320, 240)))
    code = (
        f"{HIDDEN}\nfrom fer_edge import EmotionRecognizer\nprint(EmotionRecognizer()({str(tmp_path / 'face.png')!r}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Face(happy" in ran.stdout, ran.stderr


@pytest.mark.parametrize("program", ["fer_train.cli", "fer_export.cli"])
def test_training_and_export_start(program: str) -> None:
    ran = run(program, "--help")
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
