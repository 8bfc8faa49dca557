"""Answers to requests: JSON, and errors as one sentence that says what to do."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MAX_BODY_S = 30.0  # for the whole body of a request
DRAIN_S = 2.0  # for the rest of a body that is too large: a client reads our answer only once it has sent its body


class Refusal(HTTPException):
    """Ends a request with `status` and one sentence that says what to do; wait_s: when to try again."""

    def __init__(self, status: int, sentence: str, wait_s: float | None = None, close: bool = False) -> None:
        headers = {} if wait_s is None else {"Retry-After": str(max(1, round(wait_s)))}
        super().__init__(status, sentence, headers | ({"Connection": "close"} if close else {}))


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON."""
    body = value if isinstance(value, str) else json.dumps(value)
    return Response(body + "\n", status, headers, "application/json")


def refused(error: HTTPException) -> Response:
    """The answer to a request that `error` ended."""
    return answer({"error": error.detail}, error.status_code, error.headers)


async def read_body(request: Request, limit: int, what: str) -> bytes:
    """The body of a request. Refusal if it has more than `limit` bytes or takes longer than MAX_BODY_S."""
    announced = request.headers.get("content-length", "0")
    body, chunks = bytearray(), _chunks(request)
    try:
        async with asyncio.timeout(MAX_BODY_S):
            if announced.isdigit() and int(announced) <= limit:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > limit:
                        break
                else:
                    return bytes(body)
    except TimeoutError:
        raise Refusal(408, f"the body took longer than {MAX_BODY_S:g} s: send it again", close=True) from None
    if "expect" not in request.headers:
        await _drain(chunks)
    raise Refusal(413, f"{what} is larger than {limit:,} bytes: send a smaller one", close=True)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """The parts of the body; Refusal if the client leaves."""
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "the body is cut short: send it again", close=True)
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Let the client send the rest, for a while: it reads no answer before, and would only see a broken connection."""
    with contextlib.suppress(TimeoutError, Refusal):
        async with asyncio.timeout(DRAIN_S):
            async for _ in chunks:
                pass
