"""What the libraries say when memory or threads are used up, and what is another error."""

import errno
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from fer_edge.cli import commands as cli
from fer_edge.console import run_main
from fer_edge.errors import ModelError
from fer_edge.guards.shortages import lacking_threads, shortage
from fer_edge.media import captures
from fer_edge.network.classifier import Classifier
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.sinks import SinkRunner
from fer_edge.sinks.text import JsonSink


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 4 GiB for an array with shape (40000, 40000)"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("OpenCV(4.12.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 48 bytes"),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer"),
        ImportError("libopenblas.so: failed to map segment from shared object"),
        SystemError("error return without exception set"),
        SystemError("<function _find_and_load at 0x7f> returned NULL without setting an exception"),
    ],
)
def test_used_up_memory_is_named(error: Exception) -> None:
    assert "memory is used up" in str(shortage(error))
    outer = ValueError("another message")
    outer.__cause__ = error
    assert "memory is used up" in str(shortage(outer))


@pytest.mark.parametrize("error", [
    RuntimeError("can't start new thread"), RuntimeError("pthread_create failed, error code: 11"),
    RuntimeError("Resource temporarily unavailable"),
])  # fmt: skip
def test_used_up_threads_are_named(error: Exception) -> None:
    assert "a thread can't be started" in str(shortage(error))


@pytest.mark.parametrize("error", [
    ValueError("x"), RuntimeError("x"), OSError(errno.ENOENT, "no such file"), ImportError("libGL.so.1: cannot open"),
])  # fmt: skip
def test_other_errors_are_no_shortage(error: Exception) -> None:
    assert shortage(error) is None


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")


RUNS = [
    *((["fer_edge", "demo:160x160", "--headless", "--max-frames", "3"], mib) for mib in (60, 160, 300, 500)),
    pytest.param(["fer_train", "--data", "no.csv", "--out", "run"], 400, marks=needs("torch")),
    pytest.param(["fer_export", "no.pt", "--out", "x.onnx"], 400, marks=needs("onnxscript")),
]


@pytest.mark.parametrize(("command", "mib"), RUNS)
def test_a_run_with_too_little_memory_ends_with_the_true_cause(tmp_path: Path, command: list[str], mib: int) -> None:
    shell = f'ulimit -v {mib * 1000}; exec "$@"'
    ran = subprocess.run(
        ["bash", "-c", shell, "-", sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 1
    lines = ran.stderr.splitlines()
    # In 3 % of the runs with 160 MB, OpenBLAS ends the process itself while numpy is imported, with its own line.
    ours = [line for line in lines if line.startswith((f"{command[0].replace('_', '-')}: ", "OpenBLAS error: "))]
    assert ours
    assert all("memory" in line.lower() for line in ours)
    assert "Traceback" not in ran.stderr
    assert not list(tmp_path.iterdir())


def test_used_up_files_are_named() -> None:
    assert "no more files can be opened" in str(shortage(OSError(errno.EMFILE, "Too many open files", "a.json")))


def test_a_current_folder_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    @click.command
    def main() -> None:
        Path.cwd()

    with pytest.raises(SystemExit) as ended:
        run_main(main, "fer-test", [])
    assert ended.value.code == 1
    assert capsys.readouterr().err == ("fer-test: the current folder does not exist any more: change to another one\n")


def no_more_threads(allowed: int = 0) -> Callable[[threading.Thread], None]:
    """A Thread.start that works `allowed` times."""
    real, left = threading.Thread.start, [allowed]

    def start(thread: threading.Thread) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
        real(thread)

    return start


def test_a_network_whose_threads_can_not_be_started_is_not_opened(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Classifier(model, threads=2)
    monkeypatch.setattr(threading.Thread, "start", no_more_threads(1))  # onnxruntime might wait for them for ever
    with pytest.raises(ModelError, match=r"tiny\.onnx can't be opened: a thread can't be started"):
        Classifier(model, threads=2)


@pytest.mark.parametrize("allowed", [0, 1])
def test_an_output_whose_thread_can_not_be_started_leaves_no_file(
    allowed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", no_more_threads(allowed))
    runners = []
    with pytest.raises(RuntimeError, match="can't start new thread"):
        for name in ("a.json", "b.json"):
            runners.append(SinkRunner(JsonSink(str(tmp_path / name)), live=False))
    assert len(runners) == allowed
    for runner in runners:
        runner.close()
        runner.discard()
    assert not list(tmp_path.iterdir())


def test_a_video_is_decoded_in_one_thread_where_no_more_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = cv2.VideoCapture
    writer = captures.open_writer(tmp_path / "a.avi", cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    writer.write(np.zeros((48, 64, 3), dtype=np.uint8))
    writer.release()

    def opened(name: str, backend: int, parameters: list[int]) -> cv2.VideoCapture:
        threads = parameters[parameters.index(cv2.CAP_PROP_N_THREADS) + 1]
        return real(name, backend, parameters) if threads == 1 else real()

    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr(cv2, "VideoCapture", opened)
    assert captures.open_video(tmp_path / "a.avi").isOpened()


def test_a_run_whose_threads_can_not_be_started_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    monkeypatch.setattr(Pipeline, "start", lambda _: no_more_threads()(threading.Thread()))
    output = tmp_path / "a.json"
    done = CliRunner().invoke(cli.edge, ["demo:", "--headless", "--json", str(output), "--model", str(model)])
    assert str(done.exception) == "can't start new thread"
    assert not output.exists()


def test_a_head_that_a_shipped_network_lacks_names_no_option_that_was_not_given(model: Path) -> None:
    done = CliRunner().invoke(cli.edge, ["demo:", "--headless", "--head", "foo"])
    assert str(done.exception).startswith("/")
    assert "fer2013.int8.onnx has no head 'foo': choose one of people" in str(done.exception)
    done = CliRunner().invoke(cli.edge, ["demo:", "--headless", "--head", "foo", "--model", str(model)])
    assert str(done.exception).startswith(f"--model {model} has no head 'foo'")


@pytest.mark.parametrize(("variable", "allowed", "lacks"), [("3", 9, False), ("3", 8, True), ("", 10_000, False)])
def test_threads_that_numpy_would_lack_are_named_before_its_import(
    variable: str, allowed: int, lacks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", variable)
    monkeypatch.setattr(threading.Thread, "start", no_more_threads(allowed))
    assert ("a thread can't be started" in str(lacking_threads())) == lacks
