"""A real server on loopback, in this process, that follows a run of a few drawn frames."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_edge.network.classifier import Classifier
from fer_edge.pipeline.frame import Frame
from fer_edge.recognizer import EmotionRecognizer
from fer_edge.results import Face, FrameResult
from fer_edge.serve.run_state import RunState
from fer_edge.serve.web.dashboard import Dashboard
from fer_edge.sinks.base import Published

TOKEN = "a-token-of-enough-letters"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A dashboard with a port, and what a test does with it. feed: publishes the next result."""

    dashboard: Dashboard
    state: RunState
    frames: int = 0
    report: dict[str, Any] = field(default_factory=lambda: {"schema": 1})

    @property
    def port(self) -> int:
        return self.dashboard.port

    def request(self, method: str, path: str, body: Any = None, timeout_s: float = 10, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def feed(self, *faces: Face, image: np.ndarray | None = None, t: float | None = None) -> int:
        number = self.frames
        self.frames += 1
        t = number / 30 if t is None else t
        image = np.full((120, 160, 3), 90, dtype=np.uint8) if image is None else image
        result = FrameResult(number, t, True, faces)
        self.dashboard.sink.write(Published(result, Frame(number, t, time.monotonic(), image)))
        return number

    def fed_by(self, make: Callable[[], Any], times: int = 200, pause_s: float = 0.02) -> threading.Thread:
        """Feed from a thread while the test asks."""

        def run() -> None:
            for _ in range(times):
                if self._over.wait(pause_s):
                    return
                make()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def __post_init__(self) -> None:
        self._over = threading.Event()

    def stop(self) -> None:
        self._over.set()
        self.dashboard.stop()


@pytest.fixture
def serve(classifier: Classifier, model: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers and stops them after the test."""
    servers = []

    def start(token: str | None = None, names: tuple[str, ...] = (), host: str = "127.0.0.1", **state: Any) -> Server:
        file = None
        if token is not None:
            file = tmp_path / "token"
            file.write_text(token + "\n")
            file.chmod(0o600)
        run_state = RunState(classifier, **state)
        dashboard = Dashboard((host, 0), file, names, run_state, lambda: EmotionRecognizer(model))
        server = Server(dashboard, run_state)
        server.dashboard.start(lambda: server.report)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()


@pytest.fixture(scope="module")
def shared(classifier: Classifier) -> Iterator[Server]:
    """A server for requests that change nothing."""
    state = RunState(classifier)
    server = Server(Dashboard(("127.0.0.1", 0), None, ("Cam.example",), state), state)
    server.dashboard.start(lambda: server.report)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def locked(classifier: Classifier) -> Iterator[Server]:
    """The same with a token; too many wrong tokens would change it."""
    state = RunState(classifier)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_EDGE_TOKEN", TOKEN)
        server = Server(Dashboard(("127.0.0.1", 0), None, (), state), state)
    server.dashboard.start(lambda: server.report)
    yield server
    server.stop()
