"""A server with the dashboard's API whose answers a test chooses: states that a real run reaches rarely or slowly."""

import asyncio
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fer_edge

STATIC = Path(fer_edge.__file__).parent / "serve" / "web" / "static"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
COLORS = ["#c32419", "#00af5e", "#b250ac", "#ffe92c", "#2f54e2", "#e2901a", "#d8f9e6"]
SIZE = (640, 480)


def face(number: int | None, emotion: str = "happy", confidence: float = 0.87, **values: Any) -> dict[str, Any]:
    """A face of a JSON line. unsure, box: as in one."""
    box = [40.0 + 140 * ((number or 0) % 4), 60.0 + 80 * ((number or 0) // 4), 100.0, 120.0]
    return {"id": number, "box": box, "emotion": emotion, "confidence": confidence, "unsure": False, **values}


def run_status(**values: Any) -> dict[str, Any]:
    """The answer of /api/v1/status; `values` replace its own."""
    return {
        "state": "running",
        "exit_reason": None,
        "uptime_s": 75.2,
        "source": "demo:",
        "live": True,
        "blur": None,
        "aggregate": False,
        "temperature_c": 48.3,
        "progress": None,
        "reconnects": 0,
        "frames": {"captured": 2000, "processed": 1990, "dropped": {"queue": 10}, "errors": 0},
        "fps": {"capture": 30.0, "processed": 29.8},
        "latency_ms": {"p50": 21.4, "p95": 33.0, "p99": 41.0, "max": 90.0},
        "version": "0.1.0",
        "viewers": 1,
        "model": {
            "file": "fer2013.int8.onnx",
            "precision": "int8",
            "head": "people",
            "labels": LABELS,
            "dataset": "FER+ votes on fer2013.csv",
            "accuracy": 0.877,
            "truth": "FER+ majorities of PublicTest",
        },
        "limits": ["It is right about 88 of 100 faces of its test set.", "Fear is missed in 1 of 6 cases."],
        **values,
    }


def interval(start_t: int, **values: Any) -> dict[str, Any]:
    """An interval of an aggregate run."""
    emotions = {label: {"rows": 30 * index, "seconds": 1.0 * index} for index, label in enumerate(LABELS)}
    line = {"schema": 1, "interval_s": 10, "start_t": start_t, "withheld": False, "partial": False, "frames": 300}
    return line | {"faces": 3, "emotions": emotions, "unsure": {"rows": 3, "seconds": 0.1}} | values


def event(kind: str, data: Any, jpeg: bytes = b"") -> bytes:
    """An event of /api/v1/live; with a picture if there is one."""
    picture = {"picture": {"bytes": len(jpeg), "width": SIZE[0], "height": SIZE[1]}} if jpeg else {}
    return json.dumps({"event": kind, "data": data} | picture).encode() + b"\n" + jpeg


class ScriptedServer:
    """Serves the page and what a test has put into the attributes.

    status, labels, report, history: the JSON answers. token: what login asks for. error: (status, sentence) to
    answer everything but the page with. delay_s: before a JSON answer. requests: how often each path was asked for.
    most_open: requests at once, the page's own files aside. pictures: how many per second the last page asked for.
    """

    def __init__(self) -> None:
        self.status = run_status()
        self.labels = {"labels": LABELS, "colors": dict(zip(LABELS, COLORS, strict=True)), "unsure_color": "#646464"}
        self.report: dict[str, Any] = {"summary": None}
        self.history: dict[str, Any] = {"step_s": 1, "from_t": 0, "faces": {}, "group": [], "count": []}
        self.token: str | None = None
        self.error: tuple[int, str] | None = None
        self.delay_s = 0.0
        self.requests = Counter[str]()
        self.open = self.most_open = 0
        self.pictures: str | None = None
        self.clients: set[asyncio.Queue[bytes | None]] = set()
        self._shown = b""  # the newest result with its picture
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.start()

    def start(self) -> None:
        """Serve; again after `stop`, at the same port."""
        import uvicorn

        if self._socket.fileno() < 0:
            self._socket = socket.create_server(("127.0.0.1", self.port))
        config = uvicorn.Config(
            self._answer, log_level="error", lifespan="off", timeout_graceful_shutdown=1, ws="none", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def _run(self) -> None:
        self._server.run([self._socket])

    def stop(self) -> None:
        """End at once, as a killed program does: open streams break off."""
        self._server.force_exit = self._server.should_exit = True
        self._thread.join()
        self._socket.close()
        self.clients.clear()

    def send(self, kind: str, data: Any) -> None:
        """An event to every page that listens; a status is the one asked for later, too."""
        if kind == "status":
            self.status = data
        self._call(self._put, event(kind, data))

    def end_streams(self) -> None:
        """Close the streams in good order."""
        self._call(self._put, None)

    def _put(self, part: bytes | None) -> None:
        for queue in self.clients:
            queue.put_nowait(part)

    def show(self, frame: int, faces: list[dict[str, Any]], jpeg: bytes = b"", t: float | None = None) -> None:
        """A result, and the picture of its frame if there is one; a page that comes later begins with it."""
        result = {"schema": 1, "frame": frame, "t": frame / 10 if t is None else t, "faces": faces}
        self._shown = event("result", result, jpeg)
        self._call(self._put, self._shown)

    def _call(self, function: Any, *values: Any) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(function, *values)

    # What follows runs in the server's thread.

    async def _answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        from starlette.requests import Request

        self._loop = asyncio.get_running_loop()
        request = Request(scope, receive)
        self.requests[request.url.path] += 1
        counted = request.url.path != "/" and not request.url.path.startswith("/static/")
        self.open += counted
        self.most_open = max(self.most_open, self.open)
        try:
            response = await self._respond(request)
            response.headers["Content-Security-Policy"] = CSP
            response.headers["Cache-Control"] = "no-store"
            await response(scope, receive, send)
        finally:
            self.open -= counted

    async def _respond(self, request: Any) -> Any:
        from starlette.responses import JSONResponse, Response, StreamingResponse

        path = request.url.path
        file = STATIC / ("index.html" if path == "/" else path.removeprefix("/static/"))
        if path == "/" or path.startswith("/static/"):
            return Response(file.read_bytes(), media_type=TYPES[file.suffix])
        if path == "/api/v1/login":
            right = (await request.json())["token"] == self.token
            answer = JSONResponse({} if right else {"error": "the token is wrong: send it"}, 200 if right else 401)
            if right:
                answer.set_cookie("token", "yes", httponly=True, samesite="strict")
            return answer
        if self.error is not None:
            return JSONResponse({"error": self.error[1]}, self.error[0])
        if self.token is not None and "token" not in request.cookies:
            return JSONResponse({"error": "this needs the token"}, 401)
        if path == "/api/v1/live":
            self.pictures = request.query_params.get("pictures")
            return StreamingResponse(self._live(), media_type="application/octet-stream")
        await asyncio.sleep(self.delay_s)
        return JSONResponse(getattr(self, path.rpartition("/")[2]))

    async def _live(self) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.clients.add(queue)
        try:
            yield event("status", self.status) + self._shown
            while (part := await queue.get()) is not None:
                yield part
        finally:
            self.clients.discard(queue)
