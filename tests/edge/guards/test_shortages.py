"""What the libraries say when memory or threads are used up, and what is another error."""

import errno
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fer_edge.guards.shortages import shortage


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
    # In 3 % of the runs with 160 MB, OpenBLAS ends the process itself while numpy is imported, with a line of its own.
    ours = [line for line in lines if line.startswith((f"{command[0].replace('_', '-')}: ", "OpenBLAS error: "))]
    assert ours
    assert all("memory" in line.lower() for line in ours)
    assert "Traceback" not in ran.stderr
    assert not list(tmp_path.iterdir())
