"""The notifications that systemd receives, read from a datagram socket."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fer_edge.cli.source_run import Attendants, SourceRun
from fer_edge.cli.systemd import SystemdNotifier

WATCHDOG_US = 40_000


class Listener(socket.socket):
    """A bound datagram socket with a thread that reads it: a few messages would fill it."""

    def __init__(self, address: str) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.bind(address)
        self._messages: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while (message := self.recv(100)) != b"end":
            self._messages.append(message.decode())

    def all(self) -> list[str]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", self.getsockname())
        self._reader.join(10)
        return self._messages


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", str(WATCHDOG_US))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with Listener(address) as bound:
        yield bound


def test_ready_is_sent_once_with_the_first_frame(listener: Listener) -> None:
    notifier = SystemdNotifier()
    notifier.alive(first=True)
    notifier.alive(first=False)
    notifier.stopping()
    messages = listener.all()
    assert messages.count("READY=1") == 1
    assert messages[0] == "READY=1"
    assert messages[-1] == "STOPPING=1"


def test_the_watchdog_is_pinged_at_most_four_times_per_interval(listener: Listener) -> None:
    notifier, started = SystemdNotifier(), time.monotonic()
    for _ in range(2000):
        notifier.alive(first=False)
    pings = listener.all().count("WATCHDOG=1")
    assert 1 <= pings <= 1 + (time.monotonic() - started) / (WATCHDOG_US / 4e6)


def test_without_a_watchdog_only_the_state_is_sent(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC")
    SystemdNotifier().alive(first=True)
    assert listener.all() == ["READY=1"]


def test_the_watchdog_of_another_process_is_not_pinged(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    SystemdNotifier().alive(first=True)
    assert listener.all() == ["READY=1"]


def test_an_address_in_the_abstract_namespace_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"fer-edge-test-{os.getpid()}"
    with Listener("\0" + name) as listener:
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        SystemdNotifier().stopping()
        assert listener.all() == ["STOPPING=1"]


def test_a_restarted_systemd_is_notified_again(listener: Listener, tmp_path: Path) -> None:
    notifier, address = SystemdNotifier(), tmp_path / "notify"
    address.rename(tmp_path / "away")
    notifier.alive(first=False)  # no one listens, which is no error
    (tmp_path / "away").rename(address)
    notifier.stopping()
    assert listener.all() == ["STOPPING=1"]


def test_a_systemd_that_does_not_read_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unread:
        unread.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notifier = SystemdNotifier()
        sender = threading.Thread(target=lambda: [notifier.stopping() for _ in range(5000)], daemon=True)
        sender.start()
        sender.join(20)
        assert not sender.is_alive()


def test_a_run_sends_ready_pings_and_stopping(listener: Listener, fer_edge) -> None:
    ran = fer_edge("--source", "demo:320x240", "--headless", "--realtime", "--duration", "0.8")
    assert ran.returncode == 0, ran.stderr
    messages = listener.all()
    assert (messages[0], messages[-1]) == ("READY=1", "STOPPING=1")
    assert messages.count("READY=1") == messages.count("STOPPING=1") == 1
    assert messages.count("WATCHDOG=1") >= 2


def test_a_run_of_one_image_sends_ready_too(listener: Listener, fer_edge) -> None:
    assert fer_edge("--source", "demo:160x160", "--headless", "--max-frames", "1").returncode == 0
    assert listener.all()[0] == "READY=1"


def test_without_frames_the_watchdog_is_not_pinged(listener: Listener, fer_edge, tmp_path: Path) -> None:
    """Bad rows are captured but never processed: systemd must restart such a service."""
    (tmp_path / "faces.csv").write_text("pixels\n" + "1 2 3\n" * 50)
    assert fer_edge("--source", "faces.csv", "--headless").returncode == 1
    assert listener.all() == ["STOPPING=1"]


@pytest.mark.parametrize(("reconnecting", "expected"), [(True, ["WATCHDOG=1"]), (False, [])])
def test_a_lost_camera_that_is_opened_again_keeps_the_watchdog_quiet(
    listener: Listener, reconnecting: bool, expected: list[str]
) -> None:
    pipeline: Any = SimpleNamespace(
        source=SimpleNamespace(reconnecting=reconnecting), stats=SimpleNamespace(processed=5)
    )
    outputs: Any = None
    status: Any = SimpleNamespace(update=lambda: None)
    attendants = Attendants(status, SystemdNotifier(), lambda: None)
    assert SourceRun(pipeline, outputs, True, None, None)._attend(attendants, processed=5) == 5
    assert listener.all() == expected
