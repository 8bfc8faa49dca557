"""The routes that answer in JSON: the run's state, its results and its report."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fer_edge.serve.changes import UNSURE
from fer_edge.serve.run_state import RunState
from fer_edge.serve.web.about import about_labels, about_model, limits
from fer_edge.serve.web.access import Access
from fer_edge.serve.web.answers import Refusal, answer, read_body
from fer_edge.serve.web.guard import check_token, client_of
from fer_edge.serve.web.live.history import MAX_S
from fer_edge.serve.web.live.hub import Hub
from fer_edge.serve.web.live.mailbox import RESULT
from fer_edge.system import package_version

RESULT_S = 5.0  # how long a request waits for a result
DEFAULT_HISTORY_S = 60
MAX_LOGIN_BYTES = 10_000
OPENAPI = Path(__file__).parent / "openapi.json"

Report = Callable[[], dict[str, Any] | None]
"""The run's report so far, as --report writes it; None before the first source is open."""


class Api:
    """The JSON of one run."""

    def __init__(self, state: RunState, hub: Hub, access: Access, report: Report) -> None:
        self._state, self._hub, self._access, self._report = state, hub, access, report
        self._version = package_version()
        self._model, self._limits = about_model(state.classifier), limits(state)

    async def health(self, _request: Request) -> Response:
        """Open without a token."""
        return answer({"status": "ok"})

    def status(self) -> dict[str, Any]:
        """The run's state; `now` counts the faces of the newest result."""
        status = self._state.snapshot() | {
            "version": self._version,
            "viewers": self._hub.viewers,
            "model": self._model,
            "limits": self._limits,
        }
        if self._state.aggregate or not self._state.camera:
            return status
        newest = self._hub.newest
        faces = () if newest is None else newest.faces
        emotions = Counter(UNSURE if face.unsure else face.emotion for face in faces)
        return status | {"now": {"faces": len(faces), "emotions": dict(emotions)}}

    async def get_status(self, _request: Request) -> Response:
        """The run's state."""
        return answer(self.status())

    async def labels(self, _request: Request) -> Response:
        """The emotions and their colors."""
        return answer(about_labels(self._state.classifier))

    async def result(self, request: Request) -> Response:
        """The newest result; waits for one, or for one of another frame than `after`."""
        after, newest = whole_number(request, "after"), self._hub.newest
        if newest is not None and newest.frame != after:
            return answer(newest.to_dict())
        tick = await self._hub.tick(after, RESULT, RESULT_S)
        if tick is None:
            raise Refusal(503, f"no result came within {RESULT_S:g} s: try again", 1)
        return answer(tick.line)

    async def history(self, request: Request) -> Response:
        """Emotions per second, of every face and of the group."""
        seconds = whole_number(request, "seconds", 1, MAX_S)
        return answer(self._hub.history.last(DEFAULT_HISTORY_S if seconds is None else seconds))

    async def intervals(self, _request: Request) -> Response:
        """The last complete intervals of --aggregate, oldest first."""
        return answer(f'{{"intervals": [{", ".join(self._hub.intervals)}]}}')

    async def metrics(self, _request: Request) -> Response:
        """The run's metrics, as OpenMetrics text."""
        from fer_edge.serve.metrics import metrics_text  # takes a moment to import

        text, kind = await asyncio.to_thread(metrics_text, self._state)
        return Response(text, headers={"Content-Type": kind})

    async def openapi(self, _request: Request) -> Response:
        """The description of all paths."""
        described = json.loads(OPENAPI.read_text(encoding="utf-8"))
        described["info"]["version"] = self._version
        return answer(described)

    async def report(self, _request: Request) -> Response:
        """The report so far."""
        report = await asyncio.to_thread(self._report)
        if report is None:
            raise Refusal(503, "no source is open yet: try again", 1)
        return answer(report)

    async def login(self, request: Request) -> Response:
        """Exchange the token for a cookie, which scripts of a page can't read."""
        try:
            sent = json.loads(await read_body(request, MAX_LOGIN_BYTES, "the body"))
            token = sent["token"].encode()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise Refusal(400, 'send {"token": "…"} as JSON') from None
        check_token(self._access, token, client_of(request.scope))
        logged_in = answer({"status": "ok"})
        logged_in.set_cookie(
            self._access.cookie, self._access.open_session(), secure=_by_tls(request), httponly=True, samesite="strict"
        )
        return logged_in

    async def logout(self, request: Request) -> Response:
        """End the session."""
        self._access.close_session(dict(request.scope["headers"]))
        logged_out = answer({"status": "ok"})
        logged_out.delete_cookie(self._access.cookie, httponly=True, samesite="strict")
        return logged_out


def _by_tls(request: Request) -> bool:
    """True if the page came by https, through a proxy: then the cookie never travels without."""
    return request.headers.get("origin", "").startswith("https://")


def whole_number(request: Request, name: str, least: int = 0, most: int = 10**15) -> int | None:
    """A parameter of a request; None if it is not given, Refusal if it is not a number in that range."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII) or not least <= int(text) <= most:
        raise Refusal(400, f"{name} is a whole number from {least:,} to {most:,}")
    return int(text)
