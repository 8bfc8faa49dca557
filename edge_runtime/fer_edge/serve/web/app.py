"""The routes: which path answers what, and errors as JSON."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fer_edge.serve.run_state import RunState
from fer_edge.serve.web.answers import Refusal, refused
from fer_edge.serve.web.api import Api
from fer_edge.serve.web.pages import Pages
from fer_edge.serve.web.streams import Streams
from fer_edge.serve.web.uploads import Uploads


class _Live:
    """A route that speaks ASGI itself: a class tells starlette so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def routes(api: Api, streams: Streams, pages: Pages, uploads: Uploads, state: RunState) -> list[Route]:
    """Every path. Those that show faces are hidden with --aggregate, and those of a run without a camera."""
    always = [
        Route("/api/v1/health", api.health),
        Route("/api/v1/status", api.get_status),
        Route("/api/v1/labels", api.labels),
        Route("/api/v1/login", api.login, methods=["POST"]),
        Route("/api/v1/logout", api.logout, methods=["POST"]),
        Route("/api/v1/openapi.json", api.openapi),
        Route("/metrics", api.metrics),
    ]
    of_a_run = [
        Route("/", pages.index),
        Route("/static/{name:path}", pages.static),
        Route("/api/v1/report", api.report),
        Route("/api/v1/events", _Live(streams.events), methods=["GET"]),
        Route("/api/v1/live", _Live(streams.live), methods=["GET"]),
    ]
    of_faces = [
        Route("/frame.jpg", _Live(streams.frame), methods=["GET"]),
        Route("/stream.mjpg", _Live(streams.mjpeg), methods=["GET"]),
        Route("/api/v1/result", api.result),
        Route("/api/v1/history", api.history),
    ]
    of_intervals = [Route("/api/v1/intervals", api.intervals)]
    of_uploads = [Route("/api/v1/recognize", uploads.recognize, methods=["POST"])]
    if not state.camera:
        hidden = [*of_a_run, *of_faces, *of_intervals]
        return [*always, *of_uploads, *_hidden(hidden, "this server has no camera: POST an image to /api/v1/recognize")]
    if state.aggregate:
        sentence = "--aggregate reports nothing about single faces: see /api/v1/intervals"
        return [*always, *of_a_run, *of_intervals, *_hidden([*of_faces, *of_uploads], sentence)]
    sentence = "the run counts no intervals: start it with --aggregate"
    return [*always, *of_a_run, *of_faces, *of_uploads, *_hidden(of_intervals, sentence)]


def _hidden(paths: list[Route], sentence: str) -> list[Route]:
    """The same paths, each of which only says why it is not there."""

    async def refuse(_request: Request) -> Response:
        raise Refusal(404, sentence)

    return [Route(route.path, refuse, methods=list(route.methods or ["GET"])) for route in paths]


def build_app(paths: list[Route]) -> Starlette:
    """The application of those routes."""
    app = Starlette(routes=paths, exception_handlers={HTTPException: _refuse, Exception: _failed})
    app.router.redirect_slashes = False  # an absolute address, which is wrong behind a proxy
    return app


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error, Refusal):
        return refused(error)
    sentence = {404: "there is no such path: see /api/v1/openapi.json", 405: "this path has another method"}
    error.detail = sentence.get(error.status_code, error.detail)
    return refused(error)


async def _failed(_request: Request, _error: Exception) -> Response:
    """The guard logs the error."""
    return refused(Refusal(500, "the answer failed, see fer-edge's log"))
