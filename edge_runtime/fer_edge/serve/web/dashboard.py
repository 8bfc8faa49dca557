"""The dashboard and REST of a run: a sink for its results, and a server for its clients."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_edge.errors import ConnectError
from fer_edge.privacy.intervals import Interval, IntervalAggregator
from fer_edge.privacy.modes import Aggregation
from fer_edge.recognizer import EmotionRecognizer
from fer_edge.serve.run_state import RunState
from fer_edge.serve.web.access import TOKEN_VARIABLE, Access, given_token
from fer_edge.serve.web.address import listen, resolve
from fer_edge.serve.web.api import Api
from fer_edge.serve.web.app import build_app, routes
from fer_edge.serve.web.guard import Guard, Hosts
from fer_edge.serve.web.live.hub import Hub
from fer_edge.serve.web.pages import Pages
from fer_edge.serve.web.server import WebServer
from fer_edge.serve.web.streams import Streams
from fer_edge.serve.web.uploads import ALONE, BESIDE_A_CAMERA, Uploads
from fer_edge.sinks.base import Published, Sink

log = logging.getLogger(__name__)


class ResultSink(Sink):
    """Hands results and their frames to the hub."""

    name = "serve"
    needs_image = never_waits = True

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def write(self, item: Published) -> None:
        self._hub.publish(item.frame, item.result)
        self.written += 1


class IntervalSink(Sink):
    """Hands counts per interval to the hub, and nothing else; the last one as the run ends."""

    name = "serve"
    needs_image, never_waits = False, True

    def __init__(self, hub: Hub, aggregation: Aggregation, labels: tuple[str, ...]) -> None:
        self._hub, self._aggregator = hub, IntervalAggregator(aggregation, labels)

    def write(self, item: Published) -> None:
        self._publish(self._aggregator.add(item.result))
        self.written += 1

    def close(self) -> None:
        self._publish(self._aggregator.end())

    def _publish(self, interval: Interval | None) -> None:
        if interval is not None:
            self._hub.publish_interval(json.dumps(interval.to_dict()))


class Dashboard:
    """Binds the port when it is made, answers from `start` to `stop`.

    serve: host and port. token_file, names: as in ConnectOptions. recognizer: opens one for images that clients send.
    Raises ConnectError if the address can't be used, or if others could reach it without a token.
    """

    def __init__(
        self,
        serve: tuple[str, int],
        token_file: Path | None,
        names: tuple[str, ...],
        state: RunState,
        recognizer: Callable[[], EmotionRecognizer] = EmotionRecognizer,
    ) -> None:
        token, address = given_token(token_file), resolve(*serve)
        if token is None and not address.loopback:
            raise ConnectError(
                f"--serve {serve[0]}:{serve[1]} can be reached from other machines: set {TOKEN_VARIABLE} or give "
                "--serve-token FILE, or serve at 127.0.0.1"
            )
        self._socket = listen(address)
        self.port: int = self._socket.getsockname()[1]
        self._url = f"http://{address.reached_at}:{self.port}/"
        self._hosts, self._access = Hosts(address, names), Access(token, self.port)
        self._state, self._hub = state, Hub()
        self._uploads = Uploads(recognizer, BESIDE_A_CAMERA if state.camera else ALONE)
        self.sink: Sink = ResultSink(self._hub)
        if state.aggregation is not None:
            self.sink = IntervalSink(self._hub, state.aggregation, state.labels)
        self._server: WebServer | None = None

    def start(self, report: Callable[[], dict[str, Any] | None]) -> None:
        """Begin to answer."""
        api = Api(self._state, self._hub, self._access, report)
        streams = Streams(self._hub, self._state, api.status)
        app = build_app(routes(api, streams, Pages(), self._uploads, self._state))
        self._server = WebServer(Guard(app, self._access, self._hosts), self._socket, self._hub)
        self._server.start()

    def announce(self) -> None:
        """Log where it answers."""
        verb = "watch" if self._state.camera else "ready"
        log.info("%s at %s%s", verb, self._url, "" if self._access.is_open else " with the token")

    @property
    def is_alive(self) -> bool:
        """True while it answers."""
        return self._server is not None and self._server.is_alive

    def stop(self) -> None:
        """End every stream and free the port."""
        if self._server is None:
            self._socket.close()
        else:
            self._server.stop()
        self._uploads.close()
