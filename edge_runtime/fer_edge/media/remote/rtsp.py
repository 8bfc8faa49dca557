"""Redirects of RTSP servers, asked for before FFmpeg connects: it would follow them to any host, and has no option.

A server that redirects only FFmpeg, or only after a password, is not noticed: docs/limits.md says so.
"""

import contextlib
import re
import socket
import ssl
from urllib.parse import unquote, urljoin, urlsplit

from fer_edge.guards.hosts import PORTS, refusal
from fer_edge.media.remote.redirects import MAX_REDIRECTS, RedirectError, with_user

TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 65_536
STATUS = re.compile(rb"RTSP/1\.\d 3\d\d .*?^Location:\s*(\S+)", re.DOTALL | re.MULTILINE | re.IGNORECASE)


def rtsp_target(url: str) -> str:
    """Where an RTSP URL's redirects end; the URL itself if its server does not answer. RedirectError as of HTTP."""
    for _ in range(MAX_REDIRECTS):
        location = _location(url)
        if location is None:
            return url
        target = urljoin(url, location)
        reason = refusal(url, target)
        if reason is not None:
            raise RedirectError(reason)
        url = with_user(target, url)
    raise RedirectError("it leads from one address to the next without an end")


def _location(url: str) -> str | None:
    """Where the server says that `url` is, if it answers with a redirect."""
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    with contextlib.suppress(OSError, ValueError), _connected(parts.scheme, parts.hostname or "", parts.port) as server:
        for number, method in enumerate(("OPTIONS", "DESCRIBE"), start=1):
            server.sendall(f"{method} {bare} RTSP/1.0\r\nCSeq: {number}\r\nAccept: application/sdp\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer and len(answer) < MAX_ANSWER_BYTES:
                part = server.recv(4096)
                if not part:
                    break
                answer += part
            found = STATUS.match(answer)
            if found is not None:
                return found[1].decode("utf-8", "replace")
    return None


def _connected(scheme: str, host: str, port: int | None) -> socket.socket:
    plain = socket.create_connection((unquote(host), port or PORTS[scheme]), TIMEOUT_S)
    if scheme == "rtsp":
        return plain
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as FFmpeg does; nothing secret is sent
    return context.wrap_socket(plain, server_hostname=host)
