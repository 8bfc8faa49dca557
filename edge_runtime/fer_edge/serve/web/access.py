"""Who may see the run: a token, which programs send and browsers exchange for a cookie, and bounds on wrong ones."""

import base64
import binascii
import hmac
import os
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fer_edge.errors import ConnectError
from fer_edge.guards.secrets import read_secret

TOKEN_VARIABLE = "FER_EDGE_TOKEN"
MIN_TOKEN_CHARS = 16
MAX_SESSIONS = 64
MAX_FAILURES, FAILURES_S = 10, 60.0  # wrong tokens per client, within that time
MAX_PROXY_FAILURES = 100  # of all clients of a proxy, which may let them choose the address that it reports
MAX_COUNTED = 1000  # clients whose wrong tokens are remembered


def given_token(file: Path | None) -> str | None:
    """The token in the file of --serve-token or, without it, in FER_EDGE_TOKEN; None for neither.

    ConnectError if it can't be read or is too short to be safe.
    """
    if file is None:
        where, token = TOKEN_VARIABLE, os.environ.get(TOKEN_VARIABLE, "")
        if not token:
            return None
    else:
        where = f"--serve-token {file}"
        token = read_secret(file, where, "the token", ConnectError)
    if len(token) < MIN_TOKEN_CHARS or not (token.isascii() and token.isprintable()) or " " in token:
        raise ConnectError(
            f"{where}: a token has at least {MIN_TOKEN_CHARS} letters, digits and signs: make one with "
            "`openssl rand -hex 32`"
        )
    return token


class Client(NamedTuple):
    """Who sent a request. address: the IP address of the peer. behind: if that is a proxy, the one that it reports."""

    address: str
    behind: str | None = None

    @property
    def limits(self) -> dict[str, int]:
        """Under which names its wrong tokens are counted, and how many of each are allowed."""
        if self.behind is None:
            return {self.address: MAX_FAILURES}
        return {f"{self.address} {self.behind}": MAX_FAILURES, f"{self.address} *": MAX_PROXY_FAILURES}


class Access:
    """Decides by token or session whether a client may see the run.

    token: None lets everybody in. cookie: name of the cookie that holds a session. Cookies do not distinguish ports, so
    the name does: two servers on one machine would log each other out.
    """

    def __init__(self, token: str | None, port: int) -> None:
        self.cookie = f"fer_edge_{port}"
        self._token = None if token is None else token.encode()
        self._sessions: deque[bytes] = deque(maxlen=MAX_SESSIONS)
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    @property
    def is_open(self) -> bool:
        """True if no token is needed."""
        return self._token is None

    def wait_s(self, client: Client) -> float:
        """How long a client must wait because of wrong tokens; 0 if it need not."""
        failures = ((self._failures.get(name, deque()), most) for name, most in client.limits.items())
        until = max((times[0] + FAILURES_S for times, most in failures if len(times) >= most), default=0.0)
        return max(0.0, until - time.monotonic())

    def is_token(self, given: bytes, client: Client) -> bool:
        """Compare in constant time; a wrong token is counted for the client."""
        if self._token is None or hmac.compare_digest(given, self._token):
            return True
        for name, most in client.limits.items():
            self._failures.setdefault(name, deque(maxlen=most)).append(time.monotonic())
            self._failures.move_to_end(name)
        while len(self._failures) > MAX_COUNTED:
            self._failures.popitem(last=False)
        return False

    def open_session(self) -> str:
        """A new session, for a cookie; the oldest one ends if there are too many."""
        session = secrets.token_urlsafe(32)
        self._sessions.append(session.encode())
        return session

    def close_session(self, headers: Mapping[bytes, bytes]) -> None:
        """End the session of a request's cookie."""
        given = self._session_of(headers)
        for session in list(self._sessions):
            if given is not None and hmac.compare_digest(given, session):
                self._sessions.remove(session)

    def has_session(self, headers: Mapping[bytes, bytes]) -> bool:
        """True if a request has the cookie of a session."""
        given = self._session_of(headers)
        return given is not None and any(hmac.compare_digest(given, session) for session in self._sessions)

    def _session_of(self, headers: Mapping[bytes, bytes]) -> bytes | None:
        for pair in headers.get(b"cookie", b"").split(b";"):
            name, _, value = pair.strip().partition(b"=")
            if name == self.cookie.encode():
                return value
        return None


def sent_token(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The token of a request: `Bearer TOKEN`, or the password of Basic for programs that know only that; or None."""
    scheme, _, value = headers.get(b"authorization", b"").strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return None
