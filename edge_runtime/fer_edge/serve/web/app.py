"""The routes: which path answers what, and errors as JSON."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fer_edge.serve.web.answers import Refusal, refused
from fer_edge.serve.web.api import Api
from fer_edge.serve.web.pages import Pages
from fer_edge.serve.web.streams import Streams


class _Live:
    """A route that speaks ASGI itself: a class tells starlette so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def routes(api: Api, streams: Streams, pages: Pages) -> list[Route]:
    """Every path of a server that follows a run."""
    return [
        Route("/", pages.index),
        Route("/static/{name:path}", pages.static),
        Route("/frame.jpg", _Live(streams.frame), methods=["GET"]),
        Route("/stream.mjpg", _Live(streams.mjpeg), methods=["GET"]),
        Route("/api/v1/health", api.health),
        Route("/api/v1/status", api.get_status),
        Route("/api/v1/labels", api.labels),
        Route("/api/v1/result", api.result),
        Route("/api/v1/report", api.report),
        Route("/api/v1/history", api.history),
        Route("/api/v1/events", _Live(streams.events), methods=["GET"]),
        Route("/api/v1/login", api.login, methods=["POST"]),
        Route("/api/v1/logout", api.logout, methods=["POST"]),
    ]


def build_app(paths: list[Route]) -> Starlette:
    """The application of those routes."""
    return Starlette(routes=paths, exception_handlers={HTTPException: _refuse})


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error, Refusal):
        return refused(error)
    sentence = {404: "there is no such path: see /api/v1/openapi.json", 405: "this path has another method"}
    error.detail = sentence.get(error.status_code, error.detail)
    return refused(error)
