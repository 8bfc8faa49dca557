"""Debian's nginx with the example of deploy/: TLS in front of a server."""

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from fer_edge.network.classifier import Classifier
from fer_edge.serve.run_state import RunState
from fer_edge.serve.web.dashboard import Dashboard
from fer_models import default_model

SITE = Path(__file__).parents[2] / "deploy" / "nginx" / "fer-edge"
NAME, TOKEN = "camera.example.org", "a-token-of-enough-letters"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None or shutil.which("openssl") is None, reason="nginx or openssl is not installed"),
]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def configured(folder: Path, site: str) -> Path:
    """A configuration of nginx for a user without rights, whose files all lie in `folder`."""
    path = folder / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path.write_text(f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
                    f"http {{\naccess_log off;\n{temporary}{site}}}\n")  # fmt: skip
    return path


def test_the_dashboard_is_reached_by_tls_and_its_cookie_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_EDGE_TOKEN", TOKEN)
    certificate, key, port = tmp_path / "cert.pem", tmp_path / "key.pem", free_port()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}",
         "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    server = Dashboard(("127.0.0.1", 0), None, (NAME,), RunState(Classifier(default_model())))
    server.start(lambda: None)
    site = SITE.read_text(encoding="utf-8").replace("443", str(port)).replace("8080", str(server.port))
    site = site.replace(f"/etc/ssl/certs/{NAME}.pem", str(certificate))
    site = site.replace(f"/etc/ssl/private/{NAME}.key", str(key))
    assert NGINX is not None
    asked: list[http.client.HTTPSConnection] = []
    nginx = subprocess.Popen([NGINX, "-p", tmp_path, "-c", configured(tmp_path, site)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        trusted = ssl.create_default_context(cafile=str(certificate))
        trusted.check_hostname = False  # we ask by number, but with the certificate's name

        def ask(method: str, path: str, body: str | None = None, **headers: str) -> http.client.HTTPResponse:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trusted)
            asked.append(connection)
            connection.request(method, path, body, {"Host": NAME, **headers})
            return connection.getresponse()

        assert ask("GET", "/").status == 200
        assert ask("GET", "/api/v1/status").status == 401
        login = ask("POST", "/api/v1/login", f'{{"token": "{TOKEN}"}}', Origin=f"https://{NAME}")
        cookie = login.headers["set-cookie"]
        assert "Secure" in cookie
        live = ask("GET", "/api/v1/live", Cookie=cookie.partition(";")[0])
        assert json.loads(live.readline())["event"] == "status"  # at once, not when a buffer is full
        assert ask("POST", "/api/v1/login", "{}", Origin="https://evil.example").status == 403
        live.close()
    finally:
        for connection in asked:
            connection.close()
        nginx.terminate()
        nginx.wait(10)
        server.stop()
