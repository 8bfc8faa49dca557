import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_edge.sinks import window


def test_without_a_display_there_is_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(window.sys, "platform", "linux")
    assert not window.screen_available()


def test_a_dead_display_counts_as_no_screen_and_does_not_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":987")
    assert not window.screen_available()


def test_a_window_keeps_the_newest_result_and_counts_the_others() -> None:
    made = window.Window()
    for number in range(5):
        made.offer(f"frame {number}", f"result {number}")  # type: ignore[arg-type]
    assert made.lost == 4
    assert made._newest.get(0) == ("frame 4", "result 4")


def test_a_window_without_a_result_waits_and_stays_open() -> None:
    made = window.Window()
    assert made.show("", timeout_s=0.01)
    made.close()


@pytest.fixture
def screen() -> Iterator[str]:
    """The DISPLAY of a virtual screen."""
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb: apt-get install xvfb")
    read_end, write_end = os.pipe()
    command = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[write_end], stderr=subprocess.DEVNULL) as server:
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            number = pipe.readline().strip()
        yield f":{number}"
        server.terminate()


@pytest.mark.slow
def test_a_run_with_a_screen_shows_its_results_in_a_window(screen: str, model: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}
    ran = subprocess.run(
        [
            sys.executable, "-m", "fer_edge", "--model", model, "--source", "demo:320x240", "--realtime",
            "--duration", "3", "--report", "r.json",
        ],
        cwd=tmp_path, env=environment | {"DISPLAY": screen}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    shown = report["sinks"]["window"]
    assert shown["written"] > 0
    assert shown["written"] + shown["lost"] <= report["frames"]["processed"]
