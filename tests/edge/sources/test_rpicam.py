"""The ribbon camera, with a stand-in `rpicam-vid` on PATH that writes what the real one does."""

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import SourceError
from fer_edge.sources import open_source
from fer_edge.sources.reconnect import ReconnectPolicy
from fer_edge.sources.rpicam import RpicamSource

QUICK = ReconnectPolicy(open_s=5, silent_s=0.4, first_retry_s=0.01, max_retry_s=0.02, give_up_s=20)
# Frame n is gray 10 + n in its first column and 100 elsewhere; the padding is 255, the chroma 7.
STAND_IN = """#!{python}
import os, signal, sys, time
open({log!r}, "a").write(" ".join([str(os.getpid()), *sys.argv[1:]]) + chr(10))
run = open({log!r}).read().count(chr(10))
options = dict(zip(sys.argv[1:], sys.argv[2:]))
width, height = int(options["--width"]), int(options["--height"])
stride = -(-width // 64) * 64
def frame(n):
    row = bytes([10 + n]) + bytes([100]) * (width - 1) + bytes([255]) * (stride - width)
    return row * height + bytes([7]) * (stride * height // 2)
def write(data):
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
{script}
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Callable[[], list[list[str]]]]:
    """Put the script on PATH as a program; return a function that lists its runs: process id and arguments."""

    def install(script: str) -> Callable[[], list[list[str]]]:
        log, program = tmp_path / "runs", tmp_path / "bin" / "rpicam-vid"
        program.parent.mkdir()
        program.write_text(STAND_IN.format(python=sys.executable, log=str(log), script=script))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return lambda: [line.split() for line in log.read_text().splitlines()]

    return install


def is_gone(pid: str) -> bool:
    """True if the process has ended and was waited for; a zombie is not gone."""
    return not Path("/proc", pid).exists()


def wait_until(condition: Callable[[], bool]) -> bool:
    wait = threading.Event().wait
    return any(condition() or wait(0.02) for _ in range(500))


def test_the_image_is_the_luma_without_its_padding(stand_in) -> None:
    runs = stand_in("for n in range(3): write(frame(n))\ntime.sleep(60)")
    source = RpicamSource("rpicam:200x100@15")
    for n in range(3):
        image = source.read().image
        assert (image.shape, image.dtype) == ((100, 200), np.uint8)
        assert (image[:, 0] == 10 + n).all()
        assert (image[:, 1:] == 100).all()
    source.close()
    ((pid, *arguments),) = runs()
    assert " ".join(arguments) == "-n -t 0 --codec yuv420 --width 200 --height 100 --framerate 15 -o -"
    assert is_gone(pid)


def test_a_truncated_frame_is_dropped(stand_in) -> None:
    runs = stand_in("write(frame(0) + frame(1)[:5000])")
    source = RpicamSource("rpicam:200x100")
    assert source.read() is not None
    with pytest.raises(SourceError, match="gives no more frames"):
        source.read()
    source.close()
    assert is_gone(runs()[0][0])


def test_a_child_process_that_ignores_sigterm_is_killed(stand_in, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = stand_in("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwrite(frame(0))\ntime.sleep(60)")
    monkeypatch.setattr("fer_edge.sources.rpicam.STOP_TIMEOUT_S", 0.1)
    source = RpicamSource("rpicam:200x100")
    source.read()
    source.close()
    assert is_gone(runs()[0][0])


@pytest.mark.parametrize(
    "loss",
    ["time.sleep(60)", "sys.exit(1)", "write(frame(1)[:777]); time.sleep(60)", "write(frame(1)[:777]); sys.exit(0)"],
    ids=["silent", "ended", "silent in a frame", "ended in a frame"],
)
def test_a_silent_child_process_is_restarted_and_none_is_left_behind(stand_in, loss: str) -> None:
    runs = stand_in(
        f"write(frame(0))\nif run < 3:\n    {loss}\nfor n in range(1, 100): write(frame(n))\ntime.sleep(60)"
    )
    source = open_source("rpicam:200x100", reconnect_policy=QUICK)
    first = [int(source.read().image[0, 0]) for _ in range(5)]
    assert first == [10, 10, 10, 11, 12]
    assert source.reconnects == len(source.gaps_s) == 2
    source.close()
    pids = [run[0] for run in runs()]
    assert len(pids) == 3
    assert wait_until(lambda: all(map(is_gone, pids)))


def test_a_child_process_without_a_frame_is_an_error_and_is_ended(stand_in) -> None:
    runs = stand_in("time.sleep(60)")
    with pytest.raises(SourceError, match="gives no frame within"):
        open_source(
            "rpicam:", reconnect_policy=ReconnectPolicy(open_s=3)
        )  # the stand-in must have started, on slow machines too
    assert wait_until(lambda: is_gone(runs()[0][0]))


@pytest.mark.parametrize("uri", ["rpicam:640", "rpicam:641x480", "rpicam:640x480@", "rpicam:0x480"])
def test_a_malformed_size_is_refused(stand_in, uri: str) -> None:
    stand_in("")
    with pytest.raises(SourceError, match=r"rpicam:640x480@15|must be"):
        RpicamSource(uri)


def test_a_missing_program_is_an_error_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="apt-get install rpicam-apps"):
        RpicamSource("rpicam:")


def test_a_program_that_can_not_be_executed_is_an_error_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "rpicam-vid"
    program.write_bytes(b"\x7fELF, but cut short")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    expected = rf"^rpicam:: {program} can't be started \(Exec format error\): sudo apt-get install --reinstall"
    with pytest.raises(SourceError, match=expected):
        open_source("rpicam:", reconnect_policy=QUICK)


def test_a_run_passes_gray_frames_through_every_stage_and_ends_the_program(stand_in, fer_edge, tmp_path: Path) -> None:
    runs = stand_in("n = 0\nwhile True:\n    write(frame(n % 50)); n += 1; time.sleep(0.02)")
    ran = fer_edge(
        "--source", "rpicam:200x100", "--headless", "--lossless", "--max-frames", "10",
        "--json", "out.jsonl", "--output", "out.avi", "--report", "report.json",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"]["processed"] == report["sinks"]["output"]["written"] == 10
    assert (tmp_path / "out.avi").stat().st_size > 0
    assert wait_until(lambda: is_gone(runs()[0][0]))
