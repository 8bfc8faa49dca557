"""The dashboard and REST of a run: a sink for its results, and a server for its clients."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_edge.errors import ConnectError
from fer_edge.serve.run_state import RunState
from fer_edge.serve.web.access import TOKEN_VARIABLE, Access, given_token
from fer_edge.serve.web.address import listen, resolve
from fer_edge.serve.web.api import Api
from fer_edge.serve.web.app import build_app, routes
from fer_edge.serve.web.guard import Guard, Hosts
from fer_edge.serve.web.hub import Hub
from fer_edge.serve.web.pages import Pages
from fer_edge.serve.web.server import WebServer
from fer_edge.serve.web.streams import Streams
from fer_edge.sinks.base import Published, Sink

log = logging.getLogger(__name__)


class WebSink(Sink):
    """Hands results to the hub."""

    name = "serve"
    needs_image = True

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def write(self, item: Published) -> None:
        self._hub.publish(item.frame, item.result)
        self.written += 1


class Dashboard:
    """Binds the port when it is made, answers from `start` to `stop`.

    serve: host and port. token_file, names: as in ConnectOptions.
    Raises ConnectError if the address can't be used, or if others could reach it without a token.
    """

    def __init__(
        self, serve: tuple[str, int], token_file: Path | None, names: tuple[str, ...], state: RunState
    ) -> None:
        token, address = given_token(token_file), resolve(*serve)
        if token is None and not address.loopback:
            raise ConnectError(
                f"--serve {serve[0]}:{serve[1]} can be reached from other machines: set {TOKEN_VARIABLE} or give "
                "--serve-token FILE, or serve at 127.0.0.1"
            )
        self._socket = listen(address)
        self.port: int = self._socket.getsockname()[1]
        self._host = f"[{address.host}]" if ":" in address.host else address.host
        self._hosts, self._access = Hosts(address, names), Access(token, self.port)
        self._state, self._hub = state, Hub(state)
        self.sink = WebSink(self._hub)
        self._server: WebServer | None = None

    def start(self, report: Callable[[], dict[str, Any] | None]) -> None:
        """Begin to answer."""
        api = Api(self._state, self._hub, self._access, report)
        app = build_app(routes(api, Streams(self._hub, self._state, api.status), Pages()))
        self._server = WebServer(Guard(app, self._access, self._hosts), self._socket, self._hub)
        self._server.start()
        log.info("watch at http://%s:%d/%s", self._host, self.port, "" if self._access.is_open else "#token=…")

    def stop(self) -> None:
        """End every stream and free the port."""
        if self._server is None:
            self._socket.close()
        else:
            self._server.stop()
