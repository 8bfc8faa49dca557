"""What systemd is told, over a datagram socket as its own."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_edge.cli.systemd import SystemdNotifier

WATCHDOG_US = 40_000


class Listener(socket.socket):
    """A bound datagram socket that is read all the time: a few messages fill it."""

    def __init__(self, address: str) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.bind(address)
        self._messages: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while (message := self.recv(100)) != b"that is all":
            self._messages.append(message.decode())

    def all(self) -> list[str]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"that is all", self.getsockname())
        self._reader.join(10)
        return self._messages


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", str(WATCHDOG_US))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with Listener(address) as listener:
        yield listener


def test_ready_is_said_once_with_the_first_frame(heard: Listener) -> None:
    notifier = SystemdNotifier()
    notifier.alive(first=True)
    notifier.alive(first=False)
    notifier.stopping()
    said = heard.all()
    assert said.count("READY=1") == 1
    assert said[0] == "READY=1"
    assert said[-1] == "STOPPING=1"


def test_the_watchdog_is_pinged_no_more_often_than_four_times_in_its_time(heard: Listener) -> None:
    notifier, started = SystemdNotifier(), time.monotonic()
    for _ in range(2000):
        notifier.alive(first=False)
    pings = heard.all().count("WATCHDOG=1")
    assert 1 <= pings <= 1 + (time.monotonic() - started) / (WATCHDOG_US / 4e6)


def test_without_a_watchdog_only_the_state_is_told(heard: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC")
    SystemdNotifier().alive(first=True)
    assert heard.all() == ["READY=1"]


def test_anothers_watchdog_is_left_alone(heard: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    SystemdNotifier().alive(first=True)
    assert heard.all() == ["READY=1"]


def test_an_address_in_the_abstract_namespace_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"fer-edge-test-{os.getpid()}"
    with Listener("\0" + name) as listener:
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        SystemdNotifier().stopping()
        assert listener.all() == ["STOPPING=1"]


def test_a_systemd_that_restarts_is_told_again(heard: Listener, tmp_path: Path) -> None:
    notifier, address = SystemdNotifier(), tmp_path / "notify"
    address.rename(tmp_path / "away")
    notifier.alive(first=False)  # nobody listens, and that is no error
    (tmp_path / "away").rename(address)
    notifier.stopping()
    assert heard.all() == ["STOPPING=1"]


def test_one_that_does_not_read_does_not_hold_us_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notifier = SystemdNotifier()
        talking = threading.Thread(target=lambda: [notifier.stopping() for _ in range(5000)], daemon=True)
        talking.start()
        talking.join(20)
        assert not talking.is_alive()


def test_a_run_says_ready_pings_and_says_stopping(heard: Listener, fer_edge) -> None:
    ran = fer_edge("--source", "demo:320x240", "--headless", "--realtime", "--duration", "0.8")
    assert ran.returncode == 0, ran.stderr
    said = heard.all()
    assert (said[0], said[-1]) == ("READY=1", "STOPPING=1")
    assert said.count("READY=1") == said.count("STOPPING=1") == 1
    assert said.count("WATCHDOG=1") >= 2


def test_a_run_of_one_picture_says_ready_too(heard: Listener, fer_edge) -> None:
    assert fer_edge("--source", "demo:160x160", "--headless", "--max-frames", "1").returncode == 0
    assert heard.all()[0] == "READY=1"


def test_while_no_frame_comes_the_watchdog_is_not_pinged(heard: Listener, fer_edge, tmp_path: Path) -> None:
    """Bad rows are captured, but nothing is processed: such a service must be restarted."""
    (tmp_path / "faces.csv").write_text("pixels\n" + "1 2 3\n" * 50)
    assert fer_edge("--source", "faces.csv", "--headless").returncode == 1
    assert heard.all() == ["STOPPING=1"]
