"""Debian's mosquitto on a free port, and a client that keeps what it hears."""

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

TIMEOUT_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return once `condition` holds; fail the test if it never does."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.01)


class Broker:
    """A broker without persistence; `start` again after `kill` forgets everything retained."""

    def __init__(self, folder: Path, *settings: str) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed (Debian's package mosquitto)")
        self._program = program
        self.port, self._config = free_port(), folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "user root", *(settings or ["allow_anonymous true"])]
        self._config.write_text("\n".join([*lines, ""]))
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> "Broker":
        self._process = subprocess.Popen([self._program, "-c", self._config], stderr=subprocess.DEVNULL)
        wait_for(self._answers, "the broker")
        return self

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def pause(self) -> None:
        """Neither read nor answer, with all connections kept, until `kill`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Listener:
    """Hears every topic. messages: (topic, text, retained) in their order."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, str, bool]] = []
        subscribed = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_message = lambda _client, _data, message: self.messages.append(
            (message.topic, message.payload.decode(), bool(message.retain))
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert subscribed.wait(TIMEOUT_S)

    def texts(self, ending: str) -> list[str]:
        """What was said on the topics with this ending."""
        return [text for topic, text, _ in list(self.messages) if topic.endswith(ending)]

    def wait(self, ending: str, text: str | None = None, count: int = 1) -> str:
        """The last of at least `count` messages of a topic, those with `text` in them."""

        def heard() -> list[str]:
            return [each for each in self.texts(ending) if text is None or text in each]

        wait_for(lambda: len(heard()) >= count, f"{count} of {ending} {text or ''}")
        return heard()[count - 1]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
