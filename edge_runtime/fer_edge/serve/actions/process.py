"""One run of another program: text to its stdin, its output kept within bounds, ended in time and always reaped."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

OK = "succeeded"
MAX_OUTPUT_BYTES = 4096  # the rest is read and forgotten, so that the program does not wait for us
POLL_S = 0.05
TERMINATE_S = 0.5  # from SIGTERM to SIGKILL


def run_program(
    command: Sequence[str], text: str, environment: Mapping[str, str], deadline: Callable[[], float]
) -> tuple[str, str]:
    """Run `command` and return what became of it, in words, and the start of its output.

    It gets `text` as a line on stdin, and its own process group, which a Ctrl-C at our terminal does not reach.
    deadline: the monotonic time at which the group is ended; asked again and again, because it may come closer.
    """
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return f"could not be started ({getattr(error, 'strerror', None) or error})", ""
    with process:
        output = _talk(process, f"{text}\n".encode(), deadline)
        late = process.poll() is None
        if late:
            _end(process)
    if late:
        return "took too long and was ended", output
    code = process.returncode
    if code < 0:
        return f"ended by signal {-code}", output
    return (f"exit code {code}" if code else OK), output


def _talk(process: "subprocess.Popen[bytes]", data: bytes, deadline: Callable[[], float]) -> str:
    """Write `data`, and read until the program ends or the deadline has come; returns the start of its output."""
    assert process.stdin is not None
    assert process.stdout is not None
    output = b""
    with selectors.DefaultSelector() as selector:
        for stream, event in ((process.stdin, selectors.EVENT_WRITE), (process.stdout, selectors.EVENT_READ)):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, event)
        while process.poll() is None and (left_s := deadline() - time.monotonic()) > 0:
            if not selector.get_map():  # it has closed both and works on
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(min(POLL_S, left_s))
                continue
            for key, _ in selector.select(min(POLL_S, left_s)):
                if key.fileobj is process.stdin:
                    data = _write(key.fd, data)
                    if not data:
                        selector.unregister(process.stdin)
                        _close(process.stdin)
                else:
                    chunk = _read(key.fd)
                    output = (output + (chunk or b""))[:MAX_OUTPUT_BYTES]
                    if chunk == b"":
                        selector.unregister(process.stdout)
    while len(output) < MAX_OUTPUT_BYTES and (chunk := _read(process.stdout.fileno())):  # its last words
        output += chunk
    _close(process.stdin)
    return output[:MAX_OUTPUT_BYTES].decode(errors="replace")


def _write(descriptor: int, data: bytes) -> bytes:
    """Write what fits; returns the rest, or nothing if the reader is gone."""
    try:
        return data[os.write(descriptor, data) :]
    except BlockingIOError:
        return data
    except OSError:  # the program has closed its stdin, which is its right
        return b""


def _read(descriptor: int) -> bytes | None:
    """What is there; None if nothing is, and nothing at the end."""
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return None


def _close(stream: object) -> None:
    with contextlib.suppress(OSError):
        stream.close()  # type: ignore[attr-defined]


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the program and what it has started."""
    _signal_group(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(TERMINATE_S)
    _signal_group(process, signal.SIGKILL)  # those that ignore SIGTERM, its children too
    process.wait()


def _signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
