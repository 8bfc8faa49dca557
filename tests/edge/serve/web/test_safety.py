"""Who gets in, from where, and what no client can do."""

import base64
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_edge.errors import ConnectError
from fer_edge.serve.web import server as web_server
from fer_edge.serve.web.access import MAX_FAILURES, Access, Client, given_token
from fer_edge.serve.web.address import Address, listen, resolve
from fer_edge.serve.web.guard import HEADERS, MAX_REQUESTS, Hosts, client_of
from tests.edge.serve.web.conftest import TOKEN, Server
from tests.edge.serve.web.test_streams import open_stream

Serve = Callable[..., Server]
STATUS = "/api/v1/status"


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def login(server: Server, token: str = TOKEN, **headers: str) -> str:
    """The cookie of a login; fails if there is none."""
    found = server.request("POST", "/api/v1/login", f'{{"token": "{token}"}}', **headers)
    assert found.status == 200, found.body
    cookie = found.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    return cookie.partition(";")[0]


def test_with_a_token_nothing_of_the_run_is_open(locked: Server) -> None:
    for path in (STATUS, "/frame.jpg", "/stream.mjpg", "/api/v1/events", "/api/v1/result", "/metrics", "/nothing"):
        found = locked.get(path)
        assert (found.status, found.headers["www-authenticate"]) == (401, "Bearer"), path
        assert found.json["error"].startswith("this needs the token")
    assert locked.get("/").status == locked.get("/api/v1/health").status == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic"])
def test_the_token_lets_in(locked: Server, scheme: str) -> None:
    value = base64.b64encode(f"anybody:{TOKEN}".encode()).decode() if scheme == "Basic" else TOKEN
    assert locked.get(STATUS, Authorization=f"{scheme} {value}").status == 200


@pytest.mark.parametrize("value", ["Bearer", "Bearer wrong", "Basic !!!", f"Basic {TOKEN}", "Digest x", "Bearer \xe9"])
def test_another_token_does_not(locked: Server, value: str) -> None:
    assert locked.get(STATUS, Authorization=value).status == 401


def test_a_browser_exchanges_the_token_for_a_cookie_until_it_logs_out(locked: Server) -> None:
    cookie = login(locked)
    assert TOKEN not in cookie
    assert locked.get(STATUS, Cookie=f"other=1; {cookie}").status == 200
    assert locked.get(STATUS, Cookie=cookie.partition("=")[0] + "=x").status == 401
    assert locked.request("POST", "/api/v1/logout", Cookie=cookie).status == 200
    assert locked.get(STATUS, Cookie=cookie).status == 401


def test_two_servers_on_one_machine_do_not_share_their_cookie(serve: Serve) -> None:
    one, two = serve(TOKEN), serve(TOKEN)
    first, second = login(one), login(two)
    assert first.partition("=")[0] != second.partition("=")[0]
    both = f"{first}; {second}"
    assert [server.get(STATUS, Cookie=both).status for server in (one, two)] == [200, 200]


def test_the_cookie_of_a_page_by_https_never_travels_without(serve: Serve) -> None:
    server = serve(TOKEN, names=("cam.example",))
    headers = {"Origin": "https://cam.example", "Content_Type": "application/json"}
    found = server.request("POST", "/api/v1/login", f'{{"token": "{TOKEN}"}}', **headers)
    assert "; Secure" in found.headers["set-cookie"]


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"token": 1}', '{"token": null}', "[" * 9000, b"\xff"])
def test_a_login_without_a_token_is_refused(locked: Server, body: str | bytes) -> None:
    assert locked.request("POST", "/api/v1/login", body).status == 400


def test_many_wrong_tokens_must_wait_and_cookies_need_not(serve: Serve) -> None:
    server = serve(TOKEN)
    cookie = login(server)
    wrong = [server.request("POST", "/api/v1/login", '{"token": "wrong"}').status for _ in range(MAX_FAILURES)]
    assert wrong == [401] * MAX_FAILURES
    found = server.request("POST", "/api/v1/login", f'{{"token": "{TOKEN}"}}')
    assert found.status == 429
    assert 0 < int(found.headers["retry-after"]) <= 60
    assert server.get(STATUS, **bearer()).status == 429
    assert server.get(STATUS, Cookie=cookie).status == 200


def test_behind_a_proxy_wrong_tokens_lock_out_only_their_sender(serve: Serve) -> None:
    server = serve(TOKEN)
    for _ in range(MAX_FAILURES):
        assert server.get(STATUS, Authorization="Bearer wrong", X_Forwarded_For="198.51.100.7").status == 401
    by_path = {"X_Forwarded_For": "203.0.113.9, 198.51.100.7"}  # what a client claims comes before what the proxy adds
    assert server.get(STATUS, **bearer(), **by_path).status == 429
    assert server.get(STATUS, **bearer(), X_Forwarded_For="198.51.100.7, 203.0.113.9").status == 200
    assert server.get(STATUS, **bearer()).status == 200


def test_a_proxy_that_passes_on_made_up_addresses_is_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.serve.web.access.MAX_PROXY_FAILURES", 15)
    server = serve(TOKEN)
    for number in range(15):
        assert server.get(STATUS, Authorization="Bearer wrong", X_Forwarded_For=f"198.51.100.{number}").status == 401
    assert server.get(STATUS, **bearer(), X_Forwarded_For="203.0.113.9").status == 429


@pytest.mark.parametrize(
    ("peer", "header", "client"),
    [
        ("127.0.0.1", None, Client("127.0.0.1")),
        ("127.0.0.1", b"203.0.113.9", Client("127.0.0.1", "203.0.113.9")),
        ("::1", b"2001:DB8::0009", Client("::1", "2001:db8::9")),
        ("::ffff:127.0.0.1", b"203.0.113.9", Client("::ffff:127.0.0.1", "203.0.113.9")),
        ("127.0.0.1", b"unknown", Client("127.0.0.1")),
        ("127.0.0.1", b"\xff, ", Client("127.0.0.1")),
        ("192.0.2.5", b"203.0.113.9", Client("192.0.2.5")),  # no proxy of this machine
    ],
)
def test_only_a_proxy_on_this_machine_is_believed(peer: str, header: bytes | None, client: Client) -> None:
    headers = [] if header is None else [(b"x-forwarded-for", header)]
    assert client_of({"client": (peer, 40000), "headers": headers}) == client


def test_the_addresses_that_sent_wrong_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.serve.web.access.MAX_COUNTED", 3)
    access = Access(TOKEN, 80)
    for number in range(9):
        access.is_token(b"wrong", Client(f"10.0.0.{number}"))
    assert len(access._failures) == 3


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost@evil", "", "[::2]"]
)
def test_a_foreign_host_name_is_refused_everywhere(shared: Server, host: str) -> None:
    for path in (STATUS, "/", "/api/v1/health"):
        assert shared.get(path, Host=host).status == 403


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:80", "cam.example", "cam.example.:1"]
)
def test_own_names_and_given_ones_are_allowed(shared: Server, host: str) -> None:
    assert shared.get(STATUS, Host=host).status == 200


def test_a_server_for_all_addresses_can_be_asked_by_number() -> None:
    everywhere = Hosts(Address(socket.AF_INET, "0.0.0.0", 80, False), ())
    assert everywhere.allow(b"192.168.1.20:8080")
    assert everywhere.allow(b"[fe80::1]:8080")
    assert everywhere.allow(socket.gethostname().encode())
    assert not everywhere.allow(b"evil.example")
    assert not Hosts(Address(socket.AF_INET, "192.168.1.20", 80, False), ()).allow(b"192.168.1.21")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
    ],
)
def test_a_post_of_another_site_is_refused(shared: Server, headers: dict[str, str]) -> None:
    for path in ("/api/v1/login", "/api/v1/logout", "/api/v1/recognize"):
        assert shared.request("POST", path, b"{}", **headers).status == 403


def test_a_post_of_our_own_page_is_not(locked: Server) -> None:
    login(locked, Origin=f"http://127.0.0.1:{locked.port}", Sec_Fetch_Site="same-origin")


def test_another_site_can_link_to_the_page_and_embed_nothing(server: Server) -> None:
    server.feed()
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert server.get("/", **link).status == 200
    assert server.get("/frame.jpg", **link).status == 403
    assert server.get("/frame.jpg", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="image").status == 403
    assert server.get("/frame.jpg", Sec_Fetch_Site="same-origin", Sec_Fetch_Dest="image").status == 200


def test_every_answer_has_the_headers_and_none_allows_another_site(serve: Serve) -> None:
    server = serve(TOKEN)
    server.feed()
    answers = [
        server.get("/"), server.get("/static/x"), server.get(STATUS), server.get(STATUS, **bearer()),
        server.get("/", Host="evil.example"), server.get("/frame.jpg", **bearer()), server.get("/nothing", **bearer()),
        server.request("OPTIONS", STATUS, Origin="https://evil.example"),
    ]  # fmt: skip
    for found in answers:
        assert {name: found.headers[name.lower()] for name in HEADERS} == HEADERS
        assert not any(name.startswith("access-control") for name in found.headers)
        assert "server" not in found.headers
        assert found.headers["cache-control"] in ("no-store", "no-cache")


@pytest.mark.parametrize(
    "path", ["/static/../guard.py", "/static/..%2fguard.py", "/static/%2e%2e/guard.py", "/static//etc/passwd",
             "/static/....//guard.py", "/../../etc/passwd", "/static/index.html%00.js", "/static/\\..\\guard.py"],
)  # fmt: skip
def test_no_path_leads_out_of_the_static_files(shared: Server, path: str) -> None:
    with socket.create_connection(
        ("127.0.0.1", shared.port), timeout=10
    ) as connection:  # http.client would refuse some
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] in (b"404", b"400"), answer
    assert b"root:" not in answer
    assert b"class Guard" not in answer


def test_requests_beyond_the_bound_are_refused_and_served_again_later(server: Server) -> None:
    streams = [open_stream(server, "/api/v1/events") for _ in range(MAX_REQUESTS)]
    assert [stream.status for stream in streams] == [200] * MAX_REQUESTS
    refused = server.get(STATUS)
    assert (refused.status, refused.headers["retry-after"]) == (503, "2")
    assert server.get("/api/v1/health").status == 200
    for stream in streams:
        stream.close()
    deadline = time.monotonic() + 10
    while server.get(STATUS).status != 200 and time.monotonic() < deadline:
        server.feed()
    assert server.get(STATUS).json["viewers"] == 0


def test_of_200_connections_that_say_nothing_none_keeps_others_out(server: Server) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(200)]
    try:
        assert server.get(STATUS).status == 200
    finally:
        for connection in idle:
            connection.close()


def test_connections_beyond_the_bound_are_closed_at_once(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "MAX_CONNECTIONS", 3)
    server = serve()
    open_ones = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(5)]
    closed = 0
    for connection in open_ones[3:]:
        try:
            closed += connection.recv(1) == b""
        except ConnectionResetError:
            closed += 1
    assert closed == 2
    for connection in open_ones:
        connection.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: loc", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT"]
)
def test_a_client_that_does_not_finish_its_request_is_dropped(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(web_server, "HEADERS_S", 0.3)
    monkeypatch.setattr(web_server, "KEEP_ALIVE_S", 1)
    server = serve()
    with socket.create_connection(("127.0.0.1", server.port), timeout=8) as connection:
        connection.sendall(sent)
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass


def test_a_slow_body_ends_with_a_sentence(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.serve.web.answers.MAX_BODY_S", 0.3)
    server = serve()
    with socket.create_connection(("127.0.0.1", server.port), timeout=8) as connection:
        head = (
            "POST /api/v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\n"
        )
        connection.sendall(head.encode() + b"x")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b" 408 " in answer.splitlines()[0]


def test_large_headers_are_refused(shared: Server) -> None:
    assert shared.get(STATUS, X_Large="x" * 40_000).status == 431


def test_the_log_holds_no_token(
    serve: Serve, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(TOKEN)
    server.get(f"{STATUS}?token={TOKEN}", **bearer())
    login(server)
    server.request("POST", "/api/v1/login", b'{"token": "a-wrong-token-of-somebody"}')
    server.stop()
    written = caplog.text + "".join(capfd.readouterr())
    assert TOKEN not in written
    assert "a-wrong-token" not in written


def token_file(folder: Path, content: str, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(content)
    path.chmod(mode)
    return path


def test_a_token_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FER_EDGE_TOKEN", raising=False)
    assert given_token(None) is None
    monkeypatch.setenv("FER_EDGE_TOKEN", "from-the-environment")
    assert given_token(None) == "from-the-environment"
    assert given_token(token_file(tmp_path, TOKEN + "\r\n", 0o400)) == TOKEN


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        ("short", 0o600, "at least 16 letters"),
        ("", 0o600, "is empty"),
        ("one-line-of-a-token\nand another", 0o600, "not one line"),
        ("a token with spaces in it", 0o600, "at least 16"),
        ("tökens-of-other-letters", 0o600, "at least 16"),
        (TOKEN, 0o666, "can be changed by every user"),
    ],
)
def test_a_token_that_is_not_safe_is_refused(tmp_path: Path, content: str, mode: int, sentence: str) -> None:
    with pytest.raises(ConnectError, match=sentence) as error:
        given_token(token_file(tmp_path, content, mode))
    assert "--serve-token" in str(error.value)
    assert content[:9] not in str(error.value).replace(str(tmp_path), "") or not content


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match=r"missing can't be read: No such file"):
        given_token(tmp_path / "missing")


def test_other_machines_need_a_token(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FER_EDGE_TOKEN", raising=False)
    with pytest.raises(
        ConnectError, match=r"--serve 0\.0\.0\.0:0 can be reached from other machines: set FER_EDGE_TOKEN"
    ):
        serve(host="0.0.0.0")
    server = serve(TOKEN, host="0.0.0.0")
    assert server.get(STATUS).status == 401
    assert server.get(STATUS, **bearer()).status == 200


def test_a_port_that_is_taken_is_named_and_two_servers_run_beside_each_other(serve: Serve) -> None:
    one, two = serve(), serve()
    assert one.get(STATUS).status == two.get(STATUS).status == 200
    with pytest.raises(ConnectError, match=rf"127\.0\.0\.1 port {one.port} is taken by another program"):
        listen(resolve("127.0.0.1", one.port))


def test_addresses_that_are_not_ours_are_refused() -> None:
    with pytest.raises(ConnectError, match=r"192\.0\.2\.1 is not an address of this machine"):
        listen(resolve("192.0.2.1", 0))
    with pytest.raises(ConnectError, match=r"the host nothing\.invalid can't be used"):
        resolve("nothing.invalid", 80)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_server_for_all_addresses_is_announced_at_one_that_others_can_open(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve(host, 8080).reached_at not in ("0.0.0.0", "[::]")
    monkeypatch.setattr("fer_edge.serve.web.address._own_address", lambda _family: None)
    assert resolve(host, 8080).reached_at == socket.gethostname()
    own = {socket.AF_INET6: "2001:db8::7"}
    monkeypatch.setattr("fer_edge.serve.web.address._own_address", own.get)
    assert resolve(host, 8080).reached_at == ("[2001:db8::7]" if host == "::" else socket.gethostname())
    assert resolve("127.0.0.1", 8080).reached_at == "127.0.0.1"


def test_localhost_is_loopback_and_ipv6_works() -> None:
    assert resolve("localhost", 80)[1:] == ("127.0.0.1", 80, True)
    assert resolve("[::1]", 80).loopback
    assert not resolve("[::]", 80).loopback


def test_clients_that_leave_in_the_middle_cost_nothing(server: Server) -> None:
    for path in ("/api/v1/events", "/stream.mjpg"):
        server.fed_by(server.feed, times=40, pause_s=0.01)
        stream = open_stream(server, path)
        stream.read(200)
        stream.close()
    deadline = time.monotonic() + 10
    while server.get(STATUS).json["viewers"] and time.monotonic() < deadline:
        server.feed()
        time.sleep(0.02)
    assert server.get(STATUS).json["viewers"] == 0
    assert threading.active_count() < 40
