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

from fer_edge.errors import ConnectError
from fer_edge.guards.secrets import read_secret

TOKEN_VARIABLE = "FER_EDGE_TOKEN"
MIN_TOKEN_CHARS = 16
MAX_SESSIONS = 64
MAX_FAILURES, FAILURES_S = 10, 60.0  # wrong tokens per address, within that time
MAX_ADDRESSES = 1000


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

    def wait_s(self, address: str) -> float:
        """How long `address` must wait because of its wrong tokens; 0 if it need not."""
        failures = self._failures.get(address, deque())
        if len(failures) < MAX_FAILURES:
            return 0.0
        return max(0.0, failures[0] + FAILURES_S - time.monotonic())

    def is_token(self, given: bytes, address: str) -> bool:
        """Compare in constant time; a wrong token is counted for `address`."""
        if self._token is None or hmac.compare_digest(given, self._token):
            return True
        failures = self._failures.setdefault(address, deque(maxlen=MAX_FAILURES))
        failures.append(time.monotonic())
        self._failures.move_to_end(address)
        if len(self._failures) > MAX_ADDRESSES:
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
