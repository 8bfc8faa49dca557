"""HTTP requests whose redirects we follow ourselves, because FFmpeg would follow them to any host."""

import contextlib
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, NamedTuple

from fer_edge.guards.hosts import refusal
from fer_edge.media.playlists import HEAD_BYTES, is_playlist

TIMEOUT_S = 10.0  # for the connection and for each part
MAX_REDIRECTS = 5
PLAYLIST_TYPES = ("mpegurl", "dash+xml")


class RedirectError(ValueError):
    """A redirect that is not followed; the message says where it leads and what to do."""


class Target(NamedTuple):
    """Where a URL's redirects end, and whether a playlist is there."""

    url: str
    is_playlist: bool


def is_http(url: str) -> bool:
    """True for http:// and https://."""
    return url.lower().startswith(("http://", "https://"))


def target_of(url: str) -> Target:
    """Follow an HTTP URL; the URL itself if it does not answer. RedirectError for one that may not be followed."""
    with contextlib.suppress(OSError, HTTPException), open_http(url) as answer:
        kind = answer.headers.get("Content-Type", "").lower()
        listed = any(name in kind for name in PLAYLIST_TYPES) or is_playlist(answer.read1(HEAD_BYTES))
        return Target(with_user(answer.geturl(), url), listed)
    return Target(url, False)


def open_http(url: str, part: str = "") -> HTTPResponse:
    """The answer to a GET of an HTTP URL, whose user name and password are sent where its server asks for them.

    part: "bytes=0-99" asks for these alone, which servers may ignore.

    Raises RedirectError, OSError (of which URLError is one), HTTPException.
    """
    bare, opener = _opener(url)
    try:
        request = urllib.request.Request(bare, headers={"Range": part} if part else {})
        answer: HTTPResponse = opener.open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if 300 <= error.code < 400:
            raise RedirectError("it leads to an address that is not followed") from error
        raise
    return answer


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The next request; RedirectError if it may not be made."""
        reason = refusal(req.full_url, newurl)
        if reason is not None:
            fp.close()
            raise RedirectError(reason)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> tuple[str, urllib.request.OpenerDirector]:
    """The URL without user name and password, and an opener that answers with them where its server asks."""
    parts = urllib.parse.urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    bare = urllib.parse.urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    handlers: list[urllib.request.BaseHandler] = [_CheckedRedirects()]
    if user:
        name, _, word = user.partition(":")
        known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        server = f"{parts.scheme}://{host}/"
        known.add_password(None, server, urllib.parse.unquote(name), urllib.parse.unquote(word))
        handlers += [urllib.request.HTTPDigestAuthHandler(known), urllib.request.HTTPBasicAuthHandler(known)]
    return bare, urllib.request.build_opener(*handlers)


def with_user(target: str, url: str) -> str:
    """`target` with the user name and password of `url`, if it is on the same host and port."""
    old, new = urllib.parse.urlsplit(url), urllib.parse.urlsplit(target)
    user, at, host = old.netloc.rpartition("@")
    if not at or new.netloc.lower() != host.lower():
        return target
    return urllib.parse.urlunsplit(new._replace(netloc=f"{user}@{new.netloc}"))
