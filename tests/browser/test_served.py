"""The dashboard of a real `fer-edge --serve`, in a real browser."""

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.conftest import Open
from tests.browser.test_dashboard import NOTICE, ROWS, wait_until

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-enough-letters"
START_S, END_S = 60, 30
DEMO = ("demo:320x240,endless", "--realtime")

Serve = Callable[..., "Run"]


class Run:
    """A running `fer-edge --serve`; port 0 is a free one."""

    def __init__(self, *arguments: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "fer_edge", *arguments, "--headless", "--serve", str(port)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
        )  # fmt: skip
        self.url = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"watch at (http://[^/]+/)", line):
                self.url = found[1]
                break
        assert self.url, "it did not start"
        assert "***" not in line  # the log hides what looks like a secret
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def status(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/api/v1/status")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=END_S)
        return self.process.returncode


@pytest.fixture
def serve() -> Iterator[Serve]:
    pytest.importorskip("uvicorn", reason="uvicorn is in the extra [web]")
    runs = []

    def serve(*arguments: str, port: int = 0) -> Run:
        runs.append(Run(*arguments, port=port))
        return runs[-1]

    yield serve
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
        run.process.communicate(timeout=END_S)


def test_a_run_is_watched_until_it_ends(serve: Serve, visit: Open) -> None:
    run = serve(*DEMO)
    page = visit(run.url)
    page.locator(ROWS).wait_for(timeout=1000 * START_S)
    wait_until(page, lambda: page.locator("#picture").get_attribute("data-frame") not in ("", None))
    page.locator("#change-rows li", has_text="→").first.wait_for(timeout=1000 * START_S)  # labels change
    wait_until(page, lambda: page.locator("#share-rows tr").count() > 1)
    assert page.locator("#model-facts", has_text="people").is_visible()
    assert page.locator("#limits li").count() > 1
    assert page.locator("#speed-facts", has_text="FPS").is_visible()
    assert run.end() == 130
    page.locator(NOTICE, has_text="The run has ended (interrupted).").wait_for()


def test_a_browser_closed_in_mid_stream_leaves_no_viewer(serve: Serve, visit: Open) -> None:
    run = serve(*DEMO)
    page = visit(run.url)
    page.locator(ROWS).wait_for(timeout=1000 * START_S)
    assert run.status()["viewers"] == 1
    other = visit(run.url)
    other.locator(ROWS).wait_for(timeout=1000 * START_S)
    assert run.status()["viewers"] == 2
    page.close()
    wait_until(other, lambda: run.status()["viewers"] == 1)
    assert run.end() == 130


def test_a_token_opens_a_session_of_the_browser(serve: Serve, visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_TOKEN", TOKEN)
    run = serve(*DEMO)
    page = visit(f"{run.url}#token={TOKEN}")
    page.locator(ROWS).wait_for(timeout=1000 * START_S)
    wait_until(page, lambda: page.locator("#picture").get_attribute("data-frame") not in ("", None))
    assert "token" not in page.url
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.reload()  # the session stays
    page.locator(ROWS).wait_for()
    page.context.clear_cookies()
    page.reload()
    page.locator("#login").wait_for()
    page.locator("#token").fill("wrong, " + TOKEN)
    page.locator("#login-form button").click()
    page.locator("#login-error", has_text="This token is wrong.").wait_for()
    assert run.end() == 130


def test_a_camera_that_is_lost_and_returns_is_told(serve: Serve, visit: Open) -> None:
    camera = serve(*DEMO)  # its stream is the other run's camera
    run = serve(f"{camera.url}stream.mjpg")
    page = visit(run.url)
    page.locator(ROWS).wait_for(timeout=1000 * START_S)
    assert "Camera on" in page.locator("#camera").inner_text()
    camera.end(signal.SIGKILL)
    page.locator(NOTICE, has_text="The source is lost.").wait_for(timeout=1000 * START_S)
    assert page.locator("#camera").inner_text().startswith("Camera lost")
    serve(*DEMO, port=camera.port)
    page.locator("#notice").wait_for(state="hidden", timeout=1000 * START_S)
    assert "Camera on" in page.locator("#camera").inner_text()
    assert run.end() == 130


def test_blurred_and_aggregated_runs_are_shown_as_such(serve: Serve, visit: Open) -> None:
    blurred = visit(serve(*DEMO, "--blur", "faces").url)
    blurred.locator("#chip-blur", has_text="Faces blurred").wait_for(timeout=1000 * START_S)
    sums = visit(serve(*DEMO, "--aggregate", "1s", "--at-least", "1").url)
    sums.locator("#interval-rows tr").first.wait_for(timeout=1000 * START_S)
    assert sums.locator("#live").is_hidden()
