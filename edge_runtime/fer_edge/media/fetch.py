"""Fetch the image behind a URL, within the limits. Streams and videos are told by their first bytes and left to FFmpeg.

FFmpeg would decode an image, too, but without its Exif orientation, and whatever size its header claims.
"""

import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException, HTTPMessage
from typing import IO

from fer_edge.guards.limits import MAX_IMAGE_BYTES
from fer_edge.media.formats import layout_of
from fer_edge.media.suffixes import IMAGE_SUFFIXES, UNREAD_SUFFIXES

TIMEOUT_S = 10.0  # for the connection and for each part
MAX_SECONDS = 60  # for the whole image
HEAD_BYTES = 64  # enough to tell a format
PART_BYTES = 65_536
TYPES = ("image/", "application/octet-stream", "binary/octet-stream")


def may_be_image(url: str) -> bool:
    """True if the path of an HTTP URL ends as an image file does."""
    parts = urllib.parse.urlsplit(url)
    path = parts.path.lower()
    return is_http(url) and any(path.endswith(suffix) for suffix in (IMAGE_SUFFIXES | UNREAD_SUFFIXES) - {".gif"})


def is_http(url: str) -> bool:
    """True for http:// and https://."""
    return url.lower().startswith(("http://", "https://"))


def fetch_image(url: str) -> bytes | None:
    """The bytes behind an HTTP URL if they are an image's; None for anything else and for what can't be fetched.

    Animated GIFs are left to FFmpeg. Redirects lead only to the same host. ValueError for an image with more bytes than
    the limit, or that does not arrive in time.
    """
    try:
        request, opener = _opener(url)
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            kind = answer.headers.get("Content-Type", TYPES[0])
            if not kind.lower().startswith(TYPES):
                return None
            data = answer.read(HEAD_BYTES)
            layout = layout_of(data)
            if layout is None or layout.format == "GIF":
                return None
            return _rest(answer, data)
    except (OSError, HTTPException, urllib.error.URLError):
        return None


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


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects to the same host and port."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The next request, or None."""
        if urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> tuple[str, urllib.request.OpenerDirector]:
    """The URL without user name and password, and an opener that answers with them where a server asks."""
    parts = urllib.parse.urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    bare = urllib.parse.urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    handlers: list[urllib.request.BaseHandler] = [_SameHost()]
    if user:
        name, _, word = user.partition(":")
        known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        known.add_password(None, bare, urllib.parse.unquote(name), urllib.parse.unquote(word))
        handlers += [urllib.request.HTTPDigestAuthHandler(known), urllib.request.HTTPBasicAuthHandler(known)]
    return bare, urllib.request.build_opener(*handlers)
