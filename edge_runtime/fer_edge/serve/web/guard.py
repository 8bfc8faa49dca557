"""What every request passes before a route sees it: host, origin and token; and the headers of every answer."""

import ipaddress
import logging
import re
import socket
from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_edge.guards.text import printable
from fer_edge.serve.web.access import Access, Client, sent_token
from fer_edge.serve.web.address import Address
from fer_edge.serve.web.answers import Refusal, refused

log = logging.getLogger(__name__)

MAX_REQUESTS = 64  # that are answered at the same time, open streams included
MAX_HEADER_BYTES = 16_384
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+?)\.?(?::\d{1,5})?")
ORIGIN = re.compile(rb"https?://([^/]+)")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEALTH = "/api/v1/health"  # answers even if viewers have taken every place: a watchdog must not restart the run
OPEN_PATHS = ("/", HEALTH, "/api/v1/login")  # without a token; the page itself shows nothing of the run
OPEN_FOLDER = "/static/"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()",
}
ANSWER_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
NO_STORE = (b"cache-control", b"no-store")


class Hosts:
    """The names under which the server may be asked for.

    A foreign page can make a browser reach this server by a name of that page's site ("DNS rebinding"), and the request
    then says that name. names: further ones that the user allows.
    """

    def __init__(self, address: Address, names: Iterable[str]) -> None:
        bound = f"[{address.host}]" if ":" in address.host else address.host
        self.given = frozenset(name.lower().rstrip(".") for name in names)
        self._any = address.is_any
        own = socket.gethostname().lower()
        self._names = {*LOCAL_NAMES, bound, *self.given, *(() if address.loopback else (own, f"{own}.local"))}

    def allow(self, header: bytes) -> bool:
        """True for a request's Host header with one of the names; a number can't be rebound."""
        found = HOST.fullmatch(header)
        if found is None:
            return False
        name = found[1].decode().lower()
        return name in self._names or (self._any and _is_number(name))


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class Guard:
    """Refuses what must not reach a route, adds HEADERS to every answer, and turns a route's failure into one line."""

    def __init__(self, app: ASGIApp, access: Access, hosts: Hosts) -> None:
        self._app, self._access, self._hosts = app, access, hosts
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                headers += ANSWER_HEADERS
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(NO_STORE)
                message["headers"] = headers
            await send(message)

        self._requests += 1
        try:
            self._check(scope)
            await self._app(scope, receive, send_with_headers)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send_with_headers)
        except Exception as error:
            log.warning("--serve: the answer to %s failed: %s", printable(scope["path"]), " ".join(str(error).split()))
            log.debug("the failure", exc_info=error)
        finally:
            self._requests -= 1

    def _check(self, scope: Scope) -> None:
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            raise Refusal(431, f"the headers are larger than {MAX_HEADER_BYTES:,} bytes: send fewer", close=True)
        headers = dict(scope["headers"])
        path, method = scope["path"], scope["method"]
        if not self._hosts.allow(headers.get(b"host", b"")):
            raise Refusal(403, "this host name is not allowed: start fer-edge with --serve-host NAME")
        if self._requests > MAX_REQUESTS and path != HEALTH:
            raise Refusal(503, f"{MAX_REQUESTS} requests are open: close a viewer or try again", 2, close=True)
        if not _is_own_page(headers, path, method, self._hosts):
            raise Refusal(403, "a page of another site asked: use the dashboard's own address")
        if self._access.is_open or path in OPEN_PATHS or path.startswith(OPEN_FOLDER):
            return
        if not self._access.has_session(headers):
            check_token(self._access, sent_token(headers), client_of(scope))


def client_of(scope: Scope) -> Client:
    """Who sent a request. A proxy on this machine tells it last in X-Forwarded-For; other senders are not believed."""
    address = str(scope["client"][0]) if scope["client"] else ""
    headers = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    try:
        peer = ipaddress.ip_address(address)
        if headers and (getattr(peer, "ipv4_mapped", None) or peer).is_loopback:
            reported = headers[-1].decode("latin-1").rpartition(",")[2].strip()
            return Client(address, str(ipaddress.ip_address(reported)))
    except ValueError:
        pass
    return Client(address)


def check_token(access: Access, token: bytes | None, client: Client) -> None:
    """Refusal if a client's token is missing or wrong, or too many were wrong before."""
    if token is not None:
        wait_s = access.wait_s(client)
        if wait_s > 0:
            raise Refusal(429, "too many wrong tokens: wait, then try the right one", wait_s)
        if access.is_token(token, client):
            return
    sentence = "this needs the token" if token is None else "the token is wrong"
    refusal = Refusal(401, f"{sentence}: send Authorization: Bearer TOKEN, or open the dashboard with #token=TOKEN")
    refusal.headers = {"WWW-Authenticate": "Bearer"}
    raise refusal


def _is_own_page(headers: Mapping[bytes, bytes], path: str, method: str, hosts: Hosts) -> bool:
    """False if a browser says that a page of another site sent the request; other programs say nothing."""
    site = headers.get(b"sec-fetch-site", b"none")
    navigates = headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"
    if site not in (b"none", b"same-origin") and not (navigates and path == "/" and method == "GET"):
        return False
    origin = headers.get(b"origin")
    if method in SAFE_METHODS or origin is None:
        return True
    found = ORIGIN.fullmatch(origin)
    if found is None:
        return False
    if found[1] == headers.get(b"host"):
        return True
    name = HOST.fullmatch(found[1])  # behind a proxy, which may send another Host
    return name is not None and name[1].decode().lower() in hosts.given
