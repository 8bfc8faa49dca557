"""Runs the event loop with uvicorn in a thread; signals stay with the main thread."""

import asyncio
import contextlib
import logging
import socket
import threading
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from fer_edge.serve.web.guard import MAX_HEADER_BYTES
from fer_edge.serve.web.live.hub import Hub
from fer_edge.serve.web.streams import LINK

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256  # more are closed at once; each costs a file descriptor
HEADERS_S = 10.0  # for the head of a request, from the connection or the last answer on
KEEP_ALIVE_S = 15
DATE_S = 1.0  # between two values of the header Date
STOP_S = 1  # for open answers at the end
JOIN_S = 2.5
SILENT_PEER_MS = 30_000  # after which a peer that acknowledges nothing is gone
MAX_UNSENT_BYTES = 65_536  # of a stream, in the kernel: one picture or two


Parser: Any = H11Protocol
with contextlib.suppress(ImportError):  # its parser is in C: a request takes half the time
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    Parser = HttpToolsProtocol


class Connection(Parser):  # type: ignore[misc]
    """One connection of a client, bounded in number and in the time and size that the head of a request may take."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._late: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        app: Any = self.app

        async def linked(scope: Any, receive: Any, send: Any) -> None:
            scope[LINK] = self
            await app(scope, receive, send)

        self.app: Any = linked

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        sock = transport.get_extra_info("socket")
        if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_PEER_MS)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if not self._is_idle:
            self._stop_waiting()
        elif self._head_bytes > 2 * MAX_HEADER_BYTES:  # and the head is not complete; guard.py refuses a complete one
            self.transport.abort()
        elif self._late is None:
            self._expect_head()

    # As a Link of streams

    def keep_short(self) -> None:
        """Buffer little: the kernel alone would hold megabytes, which are seconds of pictures on a slow network."""
        self.transport.set_write_buffer_limits(high=0)
        sock = self.transport.get_extra_info("socket")
        if sock is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT_BYTES)

    async def drained(self, timeout_s: float) -> None:
        """Wait until the kernel has taken everything."""
        if self.flow.write_paused:
            async with asyncio.timeout(timeout_s):
                await self.flow.drain()

    def abort(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    @property
    def _is_idle(self) -> bool:
        """True while no request is answered."""
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._late = self.loop.call_later(HEADERS_S, self._end)

    def _stop_waiting(self) -> None:
        self._head_bytes = 0
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _end(self) -> None:
        self._late = None
        if self._is_idle:
            self.transport.abort()


class _Server(uvicorn.Server):
    """uvicorn's loop looks ten times per second whether it should end; this one is told, which costs the run less."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ending = asyncio.Event()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # sets the header Date, too
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DATE_S):
                    await self.ending.wait()


class WebServer:
    """Serves `app` on a listening socket, in a thread, until `stop`."""

    def __init__(self, app: ASGIApp, listening: socket.socket, hub: Hub) -> None:
        self._hub, self._socket = hub, listening
        config = uvicorn.Config(
            app, http=Connection, ws="none", lifespan="off", loop="none", log_config=None, log_level="critical",
            access_log=False, server_header=False, proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_S,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES, timeout_graceful_shutdown=STOP_S,
        )  # fmt: skip
        self._server = _Server(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="fer-web", daemon=True)

    def start(self) -> None:
        """Begin to answer; connections wait until then."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """True while it answers."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - the run goes on
            log.warning("--serve failed and is abandoned: %s", " ".join(str(error).split()))

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _loop, context: log.debug("--serve: %s", context.get("message")))
        self._hub.attach(self._loop)
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        """End every stream, answer what is open and end the thread; soon, whatever clients do."""
        self._server.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._hub.close)
                self._loop.call_soon_threadsafe(self._server.ending.set)
        if self._thread.is_alive():
            self._thread.join(JOIN_S)
        self._socket.close()
