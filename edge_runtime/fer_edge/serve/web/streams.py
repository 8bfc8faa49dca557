"""The routes that stream: what the dashboard shows, events, single images that a client waits for, endless ones."""

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from fer_edge.serve.run_state import RunState
from fer_edge.serve.web.api import whole_number
from fer_edge.serve.web.live.hub import Hub
from fer_edge.serve.web.live.images import Picture
from fer_edge.serve.web.live.mailbox import DRAWN, PICTURE, RESULT

STATUS_S = 2.0  # between two events of the run's state
LOOK_S = 0.5  # how often the state is compared with the last one
FRAME_S = 5.0  # how long a request waits for an image
SEND_S = 30.0  # a client that takes nothing for so long is dropped
MAX_PICTURES_PER_S = 10
BOUNDARY = "fer-edge-frame"
LINK = "fer_edge.link"  # in the scope: the Link of the client

Form = Callable[[str, str, Picture | None], bytes]
"""Writes an event as bytes: its name, its JSON, and the picture of a result."""


class Link(Protocol):
    """A client's connection."""

    def keep_short(self) -> None:
        """Hold little of what the client has not received yet: what it gets next is new."""

    async def drained(self, timeout_s: float) -> None:
        """Wait until all has been handed to the network. TimeoutError if that takes longer than `timeout_s`."""

    def abort(self) -> None:
        """End the connection at once."""


class Streams:
    """The live routes. status: returns the run's state as JSON knows it."""

    def __init__(self, hub: Hub, state: RunState, status: Callable[[], dict[str, Any]]) -> None:
        self._hub, self._state, self._status = hub, state, status
        self._watching: asyncio.Task[None] | None = None
        self._listeners = 0  # to events

    async def frame(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """One JPEG: the newest frame, or the next one that is not `after`; 204 if none comes in time."""
        after = whole_number(Request(scope), "after")
        tick = await self._hub.tick(after, PICTURE, FRAME_S)
        if tick is None or tick.picture is None:
            await _reply(send, 204, [], b"")
            return
        picture = tick.picture
        headers = [
            (b"content-type", b"image/jpeg"),
            (b"x-frame", b"%d" % tick.number),
            (b"x-size", b"%dx%d" % (picture.width, picture.height)),
        ]
        await _reply(send, 200, headers, picture.jpeg)

    async def mjpeg(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Frames with boxes and labels, one after the other, for programs that show such a stream."""
        await _stream(scope, receive, send, f"multipart/x-mixed-replace; boundary={BOUNDARY}", self._frames())

    async def _frames(self) -> AsyncIterator[bytes]:
        with self._hub.watch(DRAWN, viewer=True) as mailbox:
            self._hub.catch_up(mailbox)
            while not mailbox.closed:
                await mailbox.wait()
                tick, _, _ = mailbox.take()
                if tick is not None and tick.drawn is not None:
                    jpeg = tick.drawn.jpeg
                    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    yield head.encode() + jpeg + b"\r\n"

    async def events(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Results, changes of faces and the run's state as server-sent events; with --aggregate counts per interval."""
        await _stream(scope, receive, send, "text/event-stream", self._messages(_server_sent, RESULT))

    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The same events for the dashboard; a result comes together with the picture of its frame."""
        pictures = whole_number(Request(scope), "pictures", 0, MAX_PICTURES_PER_S)
        wants, rate = (PICTURE, pictures or math.inf) if pictures != 0 else (RESULT, math.inf)
        await _stream(scope, receive, send, "application/octet-stream", self._messages(_framed, wants, rate))

    async def _messages(self, form: Form, wants: str, pictures_per_s: float = math.inf) -> AsyncIterator[bytes]:
        with self._listening(), self._hub.watch(wants, pictures_per_s, viewer=True) as mailbox:
            events = [("status", json.dumps(self._status())), *(("interval", line) for line in self._hub.intervals)]
            yield b"".join(form(name, data, None) for name, data in events)
            self._hub.catch_up(mailbox)
            closed = False
            while not closed:
                await mailbox.wait()  # the state comes every STATUS_S, so a client is never left without a sign
                closed = mailbox.closed  # what came before the end is told, also if it came while the client was busy
                tick, notes, status = mailbox.take()
                parts = [] if tick is None else [form("result", tick.line, tick.picture)]
                parts += [form(name, data, None) for name, data in notes]
                parts += [] if status is None else [form("status", status, None)]
                yield b"".join(parts)
            yield form("status", json.dumps(self._status()), None)  # the last word: that the run has ended

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Announce the run's state during the block."""
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch_state())
        self._listeners += 1
        try:
            yield
        finally:
            self._listeners -= 1

    async def _watch_state(self) -> None:
        """Announce the run's state every STATUS_S and whenever it changes, while a client listens to events."""
        word, announced = self._state.word, time.monotonic()
        while self._listeners and not self._hub.closed:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            if self._state.word != word or now - announced >= STATUS_S:
                word, announced = self._state.word, now
                self._hub.announce(json.dumps(self._status()))


def _server_sent(name: str, data: str, _picture: Picture | None) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


def _framed(name: str, data: str, picture: Picture | None) -> bytes:
    """A line of JSON, and after it the bytes of the picture, whose number the line tells."""
    head = f'{{"event": "{name}", "data": {data}'
    if picture is None:
        return f"{head}}}\n".encode()
    jpeg, width, height = picture
    return f'{head}, "picture": {{"bytes": {len(jpeg)}, "width": {width}, "height": {height}}}}}\n'.encode() + jpeg


async def _reply(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    if status != 204:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(scope: Scope, receive: Receive, send: Send, kind: str, parts: AsyncIterator[bytes]) -> None:
    """Send `parts` until they end, the client leaves, or it takes nothing for SEND_S."""
    headers = [(b"content-type", kind.encode()), (b"x-accel-buffering", b"no"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["method"] == "HEAD":
        await send({"type": "http.response.body", "body": b""})
        return
    sending = asyncio.create_task(_send_all(scope[LINK], send, parts))
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not sending.done():  # the client has left, or the server ends and the client takes nothing
            scope[LINK].abort()
        for task in (sending, leaving):
            task.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)
    if not sending.cancelled() and (error := sending.exception()) is not None:
        raise error


async def _send_all(link: Link, send: Send, parts: AsyncIterator[bytes]) -> None:
    link.keep_short()
    try:
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await link.drained(SEND_S)  # the next part is taken only then: a slow client misses some and does not lag
        await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        link.abort()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
