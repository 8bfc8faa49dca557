"""Fetch the image behind a URL, within the limits. FFmpeg gets streams and videos, by their first bytes.

FFmpeg would decode an image, too, but without its Exif orientation, and whatever size its header claims.
"""

import time
import urllib.parse
import zlib
from http.client import HTTPException
from typing import IO, cast

from fer_edge.guards.limits import MAX_IMAGE_BYTES
from fer_edge.media.formats import layout_of
from fer_edge.media.remote.redirects import is_http, open_http
from fer_edge.media.suffixes import IMAGE_SUFFIXES, UNREAD_SUFFIXES

MAX_SECONDS = 60  # for the whole image
HEAD_BYTES = 64  # enough to tell a format
PART_BYTES = 65_536
TYPES = ("image/", "application/octet-stream", "binary/octet-stream")


def may_be_image(url: str) -> bool:
    """True if the path of an HTTP URL ends as an image file does."""
    parts = urllib.parse.urlsplit(url)
    path = parts.path.lower()
    return is_http(url) and any(path.endswith(suffix) for suffix in (IMAGE_SUFFIXES | UNREAD_SUFFIXES) - {".gif"})


def fetch_image(url: str) -> bytes | None:
    """The bytes behind an HTTP URL if they are an image's; None for anything else and for what can't be fetched.

    Animated GIFs are left to FFmpeg. ValueError for an image with more bytes than the limit, one that does not
    arrive in time, and a redirect that may not be followed (`redirects`).
    """
    try:
        with open_http(url) as answer:
            kind = answer.headers.get("Content-Type", TYPES[0])
            if not kind.lower().startswith(TYPES):
                return None
            body = _unpacked(answer, answer.headers.get("Content-Encoding", ""))
            data = body.read(HEAD_BYTES)
            layout = layout_of(data)
            if layout is None or layout.format == "GIF":
                return None
            return _rest(body, data)
    except (OSError, HTTPException, EOFError, zlib.error):
        return None


def _unpacked(answer: IO[bytes], encoding: str) -> IO[bytes]:
    """The content of an answer, which some servers compress without being asked."""
    if encoding.strip().lower() not in ("gzip", "x-gzip"):
        return answer
    import gzip  # few servers do

    return cast(IO[bytes], gzip.GzipFile(fileobj=answer))


def _rest(answer: IO[bytes], data: bytes) -> bytes:
    deadline, parts, count = time.monotonic() + MAX_SECONDS, [data], len(data)
    while part := answer.read(PART_BYTES):
        parts.append(part)
        count += len(part)
        if count > MAX_IMAGE_BYTES.value:
            raise ValueError(f"it has more than {MAX_IMAGE_BYTES.value:,} bytes: set {MAX_IMAGE_BYTES.variable}")
        if time.monotonic() > deadline:
            raise ValueError(f"it takes longer than {MAX_SECONDS} s to arrive: download it first")
    return b"".join(parts)
