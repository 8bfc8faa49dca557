"""--webhook: send each label change to an address over HTTP."""

import http.client
import logging
import os
import random
import re
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fer_edge.errors import ConnectError, FerError
from fer_edge.guards.secrets import read_secret, redact
from fer_edge.sentences import counted
from fer_edge.serve.hosts import is_local
from fer_edge.system import package_version

log = logging.getLogger(__name__)

SECRET_VARIABLE = "FER_EDGE_WEBHOOK_SECRET"
MAX_WAITING = 100  # records; the oldest are lost
TIMEOUT_S = 10.0
FIRST_RETRY_S, MAX_RETRY_S = 1.0, 60.0
MAX_ATTEMPTS = 10  # per record: about six minutes
CLOSE_TIMEOUT_S = 2.0
MAX_WARNINGS = 10
ADDRESS_HINT = "write https://HOST, with :PORT and /PATH if it has them"
BUSY = (408, 425, 429)  # and every 5xx: the same may work later
HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\x20-\x7e]+)", re.ASCII)
URL_TEXT = re.compile(r"[\x21-\x7e]+", re.ASCII)


def given_url(text: str) -> str:
    """The address of --webhook, or the one in the file that @FILE names.

    Raises ConnectError for an address that can't be used, FerError for a file that can't be read.
    """
    if text.startswith("@"):
        text = read_secret(Path(text[1:]), f"--webhook {text}", "the address", FerError)
    try:
        url = urlsplit(text)
        host, user, _port = url.hostname, url.username, url.port
    except ValueError:
        raise ConnectError(f"--webhook is not an address: {ADDRESS_HINT}") from None
    if "@" in url.netloc or user is not None:
        raise ConnectError(
            "--webhook must not hold a user or a password, which every user of this machine could read: put a header "
            f"into --webhook-header-file, or a token into {SECRET_VARIABLE}"
        )
    if url.scheme.lower() not in ("http", "https") or not host or not URL_TEXT.fullmatch(text) or url.fragment:
        raise ConnectError(f"--webhook {redact(text)} is not an address: {ADDRESS_HINT}")
    if url.scheme.lower() == "http" and not is_local(host):
        log.warning("--webhook %s: what is sent can be read on its way; use https", redact(text))
    return text


def given_header(file: Path | None) -> tuple[str, str] | None:
    """The header of --webhook-header-file, else a bearer token from FER_EDGE_WEBHOOK_SECRET; None without either.

    Raises FerError if it is not a header.
    """
    secret = os.environ.get(SECRET_VARIABLE)
    if file is None and not secret:
        return None
    where = SECRET_VARIABLE if file is None else f"--webhook-header-file {file}"
    line = f"Authorization: Bearer {secret}" if file is None else read_secret(file, where, "the header", FerError)
    found = HEADER.fullmatch(line)
    if found is None:
        what = "a secret of printable ASCII characters" if file is None else "one line, such as X-Token: SECRET"
        raise FerError(f"{where} is not a header: write {what}")
    return found[1], found[2].rstrip()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The secret must not go where an answer points."""

    def redirect_request(self, *_request: Any, **_others: Any) -> None:
        return None


class WebhookWorker:
    """POSTs records in order; one that fails is sent again with growing pauses, while the newest MAX_WAITING wait.

    A record is lost if it is refused, after MAX_ATTEMPTS, or if too many wait. Certificates are checked, and redirects
    are not followed. Failures are no failure of the run.
    """

    name = "webhook"

    def __init__(self, url: str, header: tuple[str, str] | None) -> None:
        self.target = redact(url)
        self.done = self.lost = 0
        self._url = url
        self._headers = {"Content-Type": "application/json", "User-Agent": f"fer-edge/{package_version()}"}
        if header is not None:
            self._headers[header[0]] = header[1]
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._changed = threading.Condition()
        self._waiting: deque[str] = deque()
        self._closing_at: float | None = None
        self._failing = False
        self._refusals = 0
        self._thread: threading.Thread | None = None

    def offer(self, record: str) -> None:
        with self._changed:
            if len(self._waiting) == MAX_WAITING:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(record)
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="fer-webhook", daemon=True)
            self._thread.start()

    def close(self) -> None:
        if self._thread is None:
            return
        with self._changed:
            self._closing_at = time.monotonic() + CLOSE_TIMEOUT_S
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S)
        with self._changed:
            self.lost += len(self._waiting) + self._thread.is_alive()  # and the one under way
            self._waiting.clear()
        self._thread = None
        if self.lost:
            log.warning("--webhook %s: %s could not be delivered", self.target, counted(self.lost, "change"))

    def _work(self) -> None:
        while (record := self._next()) is not None:
            delivered = self._deliver(record)
            self.done += delivered
            self.lost += not delivered

    def _next(self) -> str | None:
        with self._changed:
            while not self._waiting and self._closing_at is None:
                self._changed.wait()
            return self._waiting.popleft() if self._waiting and not self._is_over() else None

    def _is_over(self) -> bool:
        return self._closing_at is not None and time.monotonic() >= self._closing_at

    def _deliver(self, record: str) -> bool:
        """Send a record until it is taken; False if that is hopeless."""
        pause_s = FIRST_RETRY_S
        for _attempt in range(MAX_ATTEMPTS):
            reason, hopeless = self._post(record)
            if reason is None:
                if self._failing:
                    log.warning("--webhook %s works again", self.target)
                self._failing = False
                return True
            if hopeless:
                self._refusals += 1
                if self._refusals <= MAX_WARNINGS:
                    log.warning("--webhook %s %s: the change is lost", self.target, reason)
                return False
            if not self._failing:
                log.warning("--webhook %s %s: tried again, up to %d changes wait", self.target, reason, MAX_WAITING)
            self._failing = True
            if not self._pause(pause_s * random.uniform(0.5, 1)):
                return False
            pause_s = min(2 * pause_s, MAX_RETRY_S)
        return False

    def _pause(self, seconds: float) -> bool:
        """Wait; False if there is no time left."""
        until = time.monotonic() + seconds
        with self._changed:
            while (now := time.monotonic()) < until:
                if self._closing_at is not None:
                    until = min(until, now + FIRST_RETRY_S / 2)
                    if self._closing_at < until:
                        return False
                self._changed.wait(until - now)
        return True

    def _post(self, record: str) -> tuple[str | None, bool]:
        """Send a record once: why it was not taken, or None, and whether it never will be."""
        request = urllib.request.Request(self._url, record.encode(), self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=TIMEOUT_S):
                return None, False
        except urllib.error.HTTPError as error:
            with error:
                code = error.code
            if 300 <= code < 400:
                return f"answers {code}, a redirect, which is not followed (give the final address)", True
            return f"answers {code}", not (code >= 500 or code in BUSY)
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            return f"can't be reached ({' '.join(str(text).split())})", False
