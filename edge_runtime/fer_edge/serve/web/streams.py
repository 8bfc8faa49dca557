"""The routes that stream: events, single images that a client waits for, and an endless one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from fer_edge.serve.run_state import RunState
from fer_edge.serve.web.api import whole_number
from fer_edge.serve.web.live.hub import DRAWN, PICTURE, RESULT, Hub

STATUS_S = 2.0  # between two events of the run's state
LOOK_S = 0.25  # how often the state is compared with the last one
FRAME_S = 5.0  # how long a request waits for an image
SEND_S = 30.0  # a client that takes nothing for so long is dropped
BOUNDARY = "fer-edge-frame"
ABORT = "fer_edge.abort"  # in the scope: a function that ends the connection at once


class Streams:
    """The live routes. status: returns the run's state as JSON knows it."""

    def __init__(self, hub: Hub, state: RunState, status: Callable[[], dict[str, Any]]) -> None:
        self._hub, self._state, self._status = hub, state, status
        self._watching: asyncio.Task[None] | None = None
        self._events_open = 0

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
        tick = await self._hub.tick(None, DRAWN, FRAME_S)
        with self._hub.watch(DRAWN, viewer=True) as mailbox:
            while not mailbox.closed:
                if tick is not None and tick.drawn is not None:
                    jpeg = tick.drawn.jpeg
                    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    yield head.encode() + jpeg + b"\r\n"
                await mailbox.wait()
                tick, _, _ = mailbox.take()

    async def events(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Results, changes of faces and the run's state as server-sent events; with --aggregate counts per interval."""
        await _stream(scope, receive, send, "text/event-stream", self._messages())

    async def _messages(self) -> AsyncIterator[bytes]:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch_state())
        self._events_open += 1
        try:
            with self._hub.watch(RESULT, viewer=True) as mailbox:
                intervals = [_event("interval", line) for line in self._hub.intervals]
                yield b"".join([b"retry: 2000\n\n", _event("status", json.dumps(self._status())), *intervals])
                while not mailbox.closed:
                    if not await mailbox.wait(15):
                        yield b": still here\n\n"
                        continue
                    tick, notes, status = mailbox.take()
                    parts = [] if tick is None else [_event("result", tick.line)]
                    parts += [_event(name, data) for name, data in notes]
                    parts += [] if status is None else [_event("status", status)]
                    yield b"".join(parts)
                yield _event("status", json.dumps(self._status()))  # the last word: that the run has ended
        finally:
            self._events_open -= 1

    async def _watch_state(self) -> None:
        """Announce the run's state every STATUS_S and whenever it changes, while a client listens to events."""
        word, announced = self._state.word, time.monotonic()
        while self._events_open and not self._hub.closed:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            if self._state.word != word or now - announced >= STATUS_S:
                word, announced = self._state.word, now
                self._hub.announce(json.dumps(self._status()))


def _event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


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
    sending = asyncio.create_task(_send_all(scope, send, parts))
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)
    if not sending.cancelled() and (error := sending.exception()) is not None:
        raise error


async def _send_all(scope: Scope, send: Send, parts: AsyncIterator[bytes]) -> None:
    try:
        async for part in parts:
            async with asyncio.timeout(SEND_S):
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        scope[ABORT]()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
