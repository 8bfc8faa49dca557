"""SIGINT and SIGTERM at any moment: the exit code, complete and readable outputs, and the report."""

import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

SIGNALS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
TIMEOUT_S = 40


@pytest.fixture
def started(model: Path, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the command in `tmp_path` with every output; kill it if the test leaves it running."""
    processes: list[subprocess.Popen[str]] = []

    def start(source: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [
            sys.executable, "-m", "fer_edge", "--model", str(model), "--source", source, "--headless",
            "--json", "out.jsonl", "--csv", "out.csv", "--output", "out.mp4", "--report", "out.json", *arguments,
        ]  # fmt: skip
        processes.append(
            subprocess.Popen(
                command, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # in the background
            )
        )  # fmt: skip
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code and stderr."""
    stderr = process.communicate(timeout=TIMEOUT_S)[1]
    assert "Traceback" not in stderr
    return process.returncode, stderr


def check_outputs(folder: Path) -> dict[str, object]:
    """The outputs are complete, agree with the returned report, and no temporary file is left."""
    report = json.loads((folder / "out.json").read_text())
    frames = report["frames"]
    assert frames["in_flight"] == 0
    assert frames["captured"] == frames["processed"] + sum(frames["dropped"].values()) + frames["errors"]
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert len(lines) == report["sinks"]["json"]["written"]
    assert (folder / "out.csv").read_text().endswith("\n")
    if report["sinks"]["output"]["written"]:
        assert cv2.VideoCapture(str(folder / "out.mp4")).read()[0]
    assert not list(folder.glob(".*part*"))
    return report


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
@pytest.mark.parametrize("library", ["cv2", "onnxruntime", "libav"])
def test_a_signal_during_the_start_ends_it_with_the_documented_code(
    started, tmp_path: Path, number: int, code: int, word: str, library: str
) -> None:
    process = started("demo:160x160,endless")
    maps = Path(f"/proc/{process.pid}/maps")
    wait_for(lambda: library in maps.read_text())
    process.send_signal(number)
    returned, stderr = ended(process)
    assert returned == code, stderr
    if (tmp_path / "out.json").exists():
        assert check_outputs(tmp_path)["exit_reason"] == word
    else:  # the run had not started
        assert not (tmp_path / "out.jsonl").exists() or not (tmp_path / "out.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
@pytest.mark.parametrize("delay_s", [0.0, 0.3])
def test_a_signal_during_the_run_completes_the_outputs(
    started, tmp_path: Path, number: int, code: int, word: str, delay_s: float
) -> None:
    process = started("demo:160x160,endless")
    wait_for(lambda: (tmp_path / "out.jsonl").exists() and (tmp_path / "out.jsonl").stat().st_size > 0)
    time.sleep(delay_s)
    process.send_signal(number)
    assert ended(process)[0] == code
    assert check_outputs(tmp_path)["exit_reason"] == word


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
def test_a_signal_during_a_reconnect_completes_the_outputs(
    started, mjpeg, jpegs, part, tmp_path: Path, number: int, code: int, word: str
) -> None:
    server = mjpeg(lambda _number: map(part, itertools.cycle(jpegs)))
    process = started(server.url)
    wait_for(lambda: (tmp_path / "out.jsonl").exists() and (tmp_path / "out.jsonl").stat().st_size > 0)
    server.die()
    assert process.stderr is not None
    assert "reconnecting" in process.stderr.readline()
    time.sleep(random.uniform(0, 1))
    process.send_signal(number)
    assert ended(process)[0] == code
    report = check_outputs(tmp_path)
    assert report["exit_reason"] == word
    assert server.url.rpartition("/")[0] in str(report["source"])


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
@pytest.mark.parametrize("silent", [False, True])
def test_a_signal_while_a_stream_is_read_completes_the_outputs(
    started, mjpeg, jpegs, part, tmp_path: Path, number: int, code: int, word: str, silent: bool
) -> None:
    images = jpegs if silent else itertools.cycle(jpegs)
    process = started(mjpeg(lambda _number: itertools.chain(map(part, images), [None])).url)
    wait_for(lambda: (tmp_path / "out.jsonl").exists() and (tmp_path / "out.jsonl").stat().st_size > 0)
    time.sleep(1 if silent else 0)
    process.send_signal(number)
    returned, stderr = ended(process)
    assert returned == code, stderr
    assert check_outputs(tmp_path)["exit_reason"] == word


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "_word"), SIGNALS)
def test_a_signal_while_a_silent_server_is_opened_ends_the_run_soon(
    started, mjpeg, number: int, code: int, _word: str
) -> None:
    server = mjpeg(lambda _number: iter([None]))
    process = started(server.url)
    wait_for(lambda: server.calls > 0)
    time.sleep(0.2)
    sent = time.monotonic()
    process.send_signal(number)
    assert ended(process)[0] == code
    assert time.monotonic() - sent < 5, "it waits for the server's timeout"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "_word"), SIGNALS)
def test_a_signal_while_the_outputs_are_completed_waits_for_them(
    started, tmp_path: Path, number: int, code: int, _word: str
) -> None:
    process = started("demo:640x480", "--max-frames", "30")
    wait_for(lambda: (tmp_path / "out.jsonl").exists() and len((tmp_path / "out.jsonl").read_text().splitlines()) >= 30)
    process.send_signal(number)
    returned, stderr = ended(process)
    assert returned in (0, code), stderr  # 0: it ended before the signal came
    assert check_outputs(tmp_path)["exit_reason"] == "max frames"


def test_sigusr1_requests_a_report_and_the_run_goes_on(started, tmp_path: Path) -> None:
    process = started("demo:160x160,endless", "--realtime")
    reports = []
    for count in range(3):
        wait_for(lambda: (tmp_path / "out.jsonl").exists() and (tmp_path / "out.jsonl").stat().st_size > 0)
        process.send_signal(signal.SIGUSR1)
        wait_for(lambda: (tmp_path / "out.json").exists())
        reports.append(json.loads((tmp_path / "out.json").read_text()))
        (tmp_path / "out.json").unlink()
        assert len(reports) == count + 1
    for report in reports:
        frames = report["frames"]
        assert report["exit_reason"] == "running"
        assert abs(report["summary"]["frames"] - frames["processed"]) <= 1
        assert 0 <= frames["in_flight"] <= 4
        settled = frames["processed"] + sum(frames["dropped"].values()) + frames["errors"]
        assert frames["captured"] == settled + frames["in_flight"]
    assert reports[0]["frames"]["captured"] <= reports[1]["frames"]["captured"] <= reports[2]["frames"]["captured"]
    process.send_signal(signal.SIGTERM)
    returned, stderr = ended(process)
    assert returned == 143
    assert stderr.count("running after") == 3
    assert check_outputs(tmp_path)["exit_reason"] == "terminated"


SIGNALED_WHILE_IMPORTING = """
import os, sys
module, number = sys.argv[1:]
class SignalSender:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), int(number))
sys.meta_path.insert(0, SignalSender())
from fer_edge.__main__ import main
sys.argv[1:] = ["--version"]
main()
"""


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
@pytest.mark.parametrize("module", ["fer_edge.cli.commands", "click", "logging"])
def test_a_signal_during_the_first_imports_is_one_line(number: int, code: int, word: str, module: str) -> None:
    command = [sys.executable, "-c", SIGNALED_WHILE_IMPORTING, module, str(int(number))]
    default = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **default)
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, "", f"fer-edge: {word}\n")


def test_a_signal_that_the_parent_ignores_stays_ignored() -> None:
    command = [sys.executable, "-c", SIGNALED_WHILE_IMPORTING, "click", str(int(signal.SIGINT))]
    ignored = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **ignored)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("fer-edge ")


def test_a_report_request_during_the_imports_is_ignored() -> None:
    command = [sys.executable, "-c", SIGNALED_WHILE_IMPORTING, "click", str(int(signal.SIGUSR1))]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("fer-edge ")
