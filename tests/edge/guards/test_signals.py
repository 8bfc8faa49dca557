"""The first signal ends a command in order, the second one at once, whatever the main thread does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fer_edge.errors import Terminated
from fer_edge.guards import signals
from fer_edge.guards.signals import signals_deferred

ENDINGS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "hung up")]
TIMEOUT_S = 40
COMMAND = """
import hashlib, os, signal, sys, threading, time
import click
from fer_edge.console import run_main
from fer_edge.guards import signals

def in_c():
    threading.Timer(0.1, os.write, (1, b"ready\\n")).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)

@click.command()
def job():
    {job}

run_main(job, "job")
"""


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a command, and wait until it prints a line. ignored: the signal that its parent ignores."""
    processes = []

    def start(job: str, ignored: int | None = None) -> "subprocess.Popen[str]":
        def prepare() -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if ignored is not None:
                signal.signal(ignored, signal.SIG_IGN)

        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND.format(job=job)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=prepare,
        )  # fmt: skip
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def twice(process: "subprocess.Popen[str]", number: int, then: int | None = None) -> tuple[int, str]:
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    process.send_signal(number if then is None else then)
    return process.wait(TIMEOUT_S), process.communicate()[1]


@pytest.mark.parametrize(("number", "code", "word"), ENDINGS)
def test_the_second_signal_ends_a_command_whose_main_thread_is_in_c(start, number: int, code: int, word: str) -> None:
    assert twice(start("in_c()"), number) == (code, f"job: {word}\n")


def test_two_different_signals_count_as_two(start) -> None:
    assert twice(start("in_c()"), signal.SIGINT, signal.SIGTERM) == (143, "job: terminated\n")


def test_the_second_signal_ends_a_command_that_defers_signals(start) -> None:
    deferring = "with signals.signals_deferred():\n        in_c()"
    assert twice(start(deferring), signal.SIGTERM) == (143, "job: terminated\n")


def twice_at_once(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """As timeout(1) does: to the process, and to its group."""
    process.send_signal(signal.SIGTERM)
    time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    return process.wait(TIMEOUT_S), process.communicate()[1]


def test_a_signal_that_comes_twice_at_once_gets_more_time(start) -> None:
    job = (
        "with signals.signals_deferred():\n        print('ready', flush=True); threading.Event().wait(1.5)\n"
        "        print('completed', file=sys.stderr)"
    )
    assert twice_at_once(start(job)) == (143, "completed\njob: terminated\n")


def test_a_signal_that_comes_twice_at_once_ends_the_command_all_the_same(start) -> None:
    assert twice_at_once(start("signals.TWIN_GRACE_S = 0.2; in_c()")) == (143, "job: terminated\n")


def test_last_words_are_said_before_the_end(start) -> None:
    job = "with signals.last_words(lambda word, until: print(word, file=sys.stderr)):\n        in_c()"
    assert twice(start(job), signal.SIGTERM) == (143, "terminated\njob: terminated\n")


def test_last_words_that_fail_or_hang_do_not_stop_the_end(start) -> None:
    job = "with signals.last_words(lambda *_: time.sleep(1000)), signals.last_words(lambda *_: 1 / 0):\n        in_c()"
    assert twice(start(job), signal.SIGTERM) == (143, "")


def test_signals_that_the_parent_ignores_do_not_count(start) -> None:
    process = start("in_c()", ignored=signal.SIGHUP)
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
    assert twice(process, signal.SIGTERM) == (143, "job: terminated\n")
    process = start("with signals.signals_deferred():\n        in_c()", ignored=signal.SIGHUP)
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
    assert twice(process, signal.SIGTERM) == (143, "job: terminated\n")


def test_signals_of_a_forked_child_do_not_count(start) -> None:
    forks = (
        "import warnings; warnings.simplefilter('ignore')  # Python 3.12 warns: other threads don't live on\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "        signal.raise_signal(signal.SIGTERM); signal.raise_signal(signal.SIGTERM); os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    in_c()"
    )
    assert twice(start(forks), signal.SIGTERM) == (143, "job: terminated\n")


def test_only_one_thread_prints_the_last_line() -> None:
    for _ in range(2):
        with signals.second_signal_ends("job"):
            assert [signals.claim_last_line() for _ in range(3)] == [True, False, False]


def test_a_signal_that_is_handled_is_one_line_without_a_wait(start) -> None:
    process = start("print('ready', flush=True); threading.Event().wait()")
    process.send_signal(signal.SIGTERM)
    assert (process.wait(TIMEOUT_S), process.communicate()[1]) == (143, "job: terminated\n")


def test_an_interrupt_inside_exec_keeps_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(COMMAND.format(job="exec('raise KeyboardInterrupt')"))
    command = [sys.executable, "-m", "job"]
    assert subprocess.run(command, cwd=tmp_path, check=False, timeout=TIMEOUT_S, capture_output=True).returncode == 130


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_deferred_signals_take_effect_at_the_end_of_the_block(number: int, raised: type) -> None:
    def terminate(_number: int, _frame: object) -> None:
        raise Terminated

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, terminate),
              signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}  # fmt: skip
    steps = []
    try:
        with pytest.raises(raised), signals_deferred():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            steps.append("done")
    finally:
        for old_number, handler in before.items():
            signal.signal(old_number, handler)
    assert steps == ["done"]


EARLY = """
import os, sys
module, number, package = sys.argv[1:]
class SignalSender:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), int(number))
sys.meta_path.insert(0, SignalSender())
sys.argv[1:] = ["--version"]
__import__(package + ".__main__")
sys.modules[package + ".__main__"].main()
"""


@pytest.mark.parametrize("package", ["fer_train", "fer_export"])
@pytest.mark.parametrize(("number", "code", "word"), ENDINGS)
def test_a_signal_while_a_command_is_imported_is_one_line(package: str, number: int, code: int, word: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", EARLY, "click", str(int(number)), package], capture_output=True, text=True,
        timeout=TIMEOUT_S, check=False, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    name = package.replace("_", "-")
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, "", f"{name}: {word}\n")
