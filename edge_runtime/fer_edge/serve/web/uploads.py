"""Recognize the faces of an image that a client sends, with separate networks: uploads can't stall the camera."""

import asyncio
import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from fer_edge.guards.exit_guard import native_calls
from fer_edge.guards.limits import MAX_UPLOAD_BYTES, MAX_UPLOAD_DECODING_BYTES, MAX_UPLOAD_PIXELS
from fer_edge.media.door import REDUCIBLE_TIMES, Picture, decode_image, decoding_bytes, reduction_for
from fer_edge.media.formats import layout_of
from fer_edge.recognizer import EmotionRecognizer
from fer_edge.results import JSON_SCHEMA
from fer_edge.serve.web.answers import Refusal, answer, read_body

FORMATS = ("JPEG", "PNG", "WebP")
MAX_PENDING = 4  # uploads that are received, wait or run: each may hold an image
NICE = 10  # of the worker's thread beside a camera, whose threads go first


class Rate(NamedTuple):
    """How many uploads are taken: `burst` at once, then `per_s` per second."""

    per_s: float
    burst: int


BESIDE_A_CAMERA, ALONE = Rate(2.0, 10), Rate(20.0, 40)


class Uploads:
    """The route POST /api/v1/recognize. make: opens the recognizer, once, in the thread that uses it."""

    def __init__(self, make: Callable[[], EmotionRecognizer], rate: Rate) -> None:
        self._make, self._rate = make, rate
        self._recognizer: EmotionRecognizer | None = None
        self._left, self._counted = float(rate.burst), time.monotonic()
        self._pending = 0
        self._worker = ThreadPoolExecutor(1, "fer-upload", _step_back if rate is BESIDE_A_CAMERA else None)

    async def recognize(self, request: Request) -> Response:
        """The faces of the image in the body."""
        self._check_kind(request)
        self._take_turn()
        if self._pending >= MAX_PENDING:
            raise Refusal(503, f"{self._pending} images are waiting: try again", 1, close=True)
        self._pending += 1
        try:
            data = await read_body(request, MAX_UPLOAD_BYTES.value, "the image")
            return answer(await asyncio.get_running_loop().run_in_executor(self._worker, self._faces, data))
        finally:
            self._pending -= 1

    def _check_kind(self, request: Request) -> None:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not kind.startswith("image/") and kind != "application/octet-stream":
            raise Refusal(415, "send the bytes of a JPEG, PNG or WebP with Content-Type: image/jpeg", close=True)

    def _take_turn(self) -> None:
        """Refusal if more uploads come than the rate allows."""
        now, per_s = time.monotonic(), self._rate.per_s
        self._left = min(self._rate.burst, self._left + per_s * (now - self._counted))
        self._counted = now
        if self._left < 1:
            wait_s = (1 - self._left) / per_s
            raise Refusal(429, f"more than {per_s:g} images per second: wait, then try again", wait_s, close=True)
        self._left -= 1

    def _faces(self, data: bytes) -> dict[str, Any]:
        """In the worker's thread."""
        with native_calls():
            picture = decoded(data)
        if self._recognizer is None:
            self._recognizer = self._make()
        image = picture.image
        faces = [face.scaled(*picture.scale) for face in self._recognizer.recognize(image)]
        width, height = picture.size or (image.shape[1], image.shape[0])
        numbered = [dataclasses.replace(face, track_id=number).to_dict() for number, face in enumerate(faces)]
        return {"schema": JSON_SCHEMA, "width": width, "height": height, "faces": numbered}

    def close(self) -> None:
        """Take no more; an image in work is finished."""
        self._worker.shutdown(wait=False, cancel_futures=True)


def decoded(data: bytes) -> Picture:
    """The image of an upload, upright. Refusal, before anything is decoded, if its header claims too many pixels."""
    layout = layout_of(data)
    if layout is None or layout.format not in FORMATS:
        raise Refusal(415, f"the body is not a supported image: send {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    most, memory = MAX_UPLOAD_PIXELS.value, MAX_UPLOAD_DECODING_BYTES.value
    pixels, limit = layout.width * layout.height, most * (1 if layout.kept_bytes is None else REDUCIBLE_TIMES)
    if pixels > limit:
        raise Refusal(413, f"the {layout.format} has {pixels:,} pixels, more than {limit:,}: send a smaller one")
    if layout.complete and reduction_for(layout, len(data), memory, most) is None:
        needed = decoding_bytes(layout, len(data))
        raise Refusal(
            413,
            f"decoding the {layout.format} takes {needed:,} bytes of memory, more than {memory:,}: send a smaller one",
        )
    try:
        return decode_image(data, memory=MAX_UPLOAD_DECODING_BYTES, pixels=MAX_UPLOAD_PIXELS)
    except ValueError as error:
        raise Refusal(422, f"the image can't be used: {error}") from error


def _step_back() -> None:
    """Let other threads go first; without the permission for that, stay."""
    with contextlib.suppress(OSError, AttributeError):  # Linux has priorities per thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
