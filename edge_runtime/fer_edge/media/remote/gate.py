"""A gate for playlists: FFmpeg makes every request of one through it, and it lets through those to the same host.

A playlist changes while it plays, and so do the redirects of what it names. So each request is checked when it is made.
The gate is an HTTP proxy on the loopback interface, which only asks for a password that FFmpeg alone knows.
"""

import base64
import hmac
import os
import secrets
import select
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from fer_edge.guards.hosts import refusal

TIMEOUT_S = 10.0  # without a byte
PART_BYTES = 65_536
PROXY_VARIABLES = ("no_proxy", "NO_PROXY")


class Gate:
    """A proxy that makes requests for a stream of the server at `url`; `address` is its own URL, for FFmpeg."""

    def __init__(self, url: str) -> None:
        # FFmpeg goes past a proxy for the hosts that this names. Only C code stops seeing it: os.environ keeps it.
        for name in PROXY_VARIABLES:
            os.unsetenv(name)
        word = secrets.token_hex(16)
        self._server = _Server(url, "Basic " + base64.b64encode(f"fer:{word}".encode()).decode())
        self.address = f"http://fer:{word}@127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.2,), name="gate", daemon=True).start()

    @property
    def refused(self) -> str | None:
        """Why the first request that was refused was; None if none was."""
        return self._server.refused

    def close(self) -> None:
        """Stop taking requests."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key
        self.refused: str | None = None
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: FFmpeg notices that its request failed."""


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_S
    server: _Server

    def do_GET(self) -> None:
        """Make one request, without keeping the connection, so that its bytes need no reading."""
        parts = urlsplit(self.path)
        if not self._may_pass(self.path) or parts.scheme != "http":
            return
        path = parts._replace(scheme="", netloc="").geturl() or "/"
        kept = [(name, text) for name, text in self.headers.items() if not _is_of_connection(name)]
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {text}" for name, text in kept), "Connection: close", "", ""]
        with self._connected(parts.hostname or "", parts.port or 80) as there:
            there.sendall("\r\n".join(lines).encode("latin-1"))
            self._relay(there)

    def do_CONNECT(self) -> None:
        """Open a tunnel for TLS."""
        host, _, port = self.path.rpartition(":")
        if not self._may_pass(f"https://{self.path}"):
            return
        with self._connected(host.strip("[]"), int(port)) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            self._relay(there)

    def _may_pass(self, url: str) -> bool:
        key = self.headers.get("Proxy-Authorization", "")
        if not hmac.compare_digest(key.encode(), self.server.key.encode()):
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="fer"')
        elif (reason := refusal(self.server.url, url)) is not None:
            self.server.refused = self.server.refused or reason
            self.send_response(403)
        else:
            return True
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def _connected(self, host: str, port: int) -> socket.socket:
        self.close_connection = True
        return socket.create_connection((host, port), TIMEOUT_S)

    def _relay(self, there: socket.socket) -> None:
        """Copy bytes both ways until one side ends or is silent."""
        other = {self.connection: there, there: self.connection}
        while ready := select.select(list(other), [], [], TIMEOUT_S)[0]:
            for side in ready:
                part = side.recv(PART_BYTES)
                if not part:
                    return
                other[side].sendall(part)

    def log_message(self, *_: object) -> None:
        """Log nothing: URLs may hold secrets."""


def _is_of_connection(name: str) -> bool:
    return name.lower() in ("connection", "proxy-connection", "proxy-authorization", "keep-alive")
