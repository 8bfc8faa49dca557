"""Actions: a program per label change, one at a time and without a shell; and a webhook that keeps trying."""

import http.server
import json
import os
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fer_edge.errors import ConnectError, FerError
from fer_edge.guards.secrets import redact_text
from fer_edge.privacy.modes import Aggregation
from fer_edge.results import FrameResult
from fer_edge.serve.actions import command as command_module
from fer_edge.serve.actions import webhook
from fer_edge.serve.actions.command import CommandWorker, parse_command
from fer_edge.serve.actions.process import MAX_OUTPUT_BYTES, OK, run_program
from fer_edge.serve.actions.sink import ActionSink
from fer_edge.serve.actions.webhook import WebhookWorker, given_header, given_url
from fer_edge.sinks.base import Published
from tests.edge.serve.brokers import free_port, wait_for

pytestmark = pytest.mark.usefixtures("no_threads_left")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run on a busy machine."""
    monkeypatch.setattr(command_module, "CLOSE_TIMEOUT_S", 20.0)
    monkeypatch.setattr(command_module, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(webhook, "CLOSE_TIMEOUT_S", 20.0)


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], list[str]]:
    """A command that runs this shell code."""

    def make(code: str) -> list[str]:
        path = tmp_path / "script"
        path.write_text(f"#!/bin/sh\n{code}\n")
        path.chmod(0o755)
        return [str(path)]

    return make


def run(command: list[str], text: str = "{}", seconds: float = 20) -> tuple[str, str]:
    end = time.monotonic() + seconds
    return run_program(command, text, os.environ, lambda: end)


def test_a_program_gets_the_text_and_its_output_comes_back(script) -> None:
    assert run(script("cat; echo done >&2"), '{"a":1}') == (OK, '{"a":1}\ndone\n')


@pytest.mark.parametrize(
    ("code", "outcome"),
    [("exit 3", "exit code 3"), ("kill -9 $$", "ended by signal 9"), ("exec 0<&- 1>&- 2>&-; sleep 0.1", OK)],
)
def test_what_became_of_a_program_is_said_in_words(script, code: str, outcome: str) -> None:
    assert run(script(code)) == (outcome, "")


def test_a_program_that_can_not_be_started_is_no_exception(tmp_path: Path) -> None:
    assert run([str(tmp_path)]) == ("could not be started (Permission denied)", "")


def test_a_program_that_hangs_is_ended_with_its_children_and_reaped(script, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    outcome, output = run(
        script(f"trap '' TERM; echo started; sleep 60 & echo $$ $! > {pids}; wait; sleep 60"), seconds=0.5
    )
    assert (outcome, output) == ("took too long and was ended", "started\n")
    own, child = map(int, pids.read_text().split())
    with pytest.raises(ChildProcessError):
        os.waitpid(own, os.WNOHANG)
    wait_for(lambda: not is_running(child), "the child's end")


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_program_that_reads_nothing_and_one_that_talks_much_hold_up_nothing(script) -> None:
    assert run(script("true"), "x" * 1_000_000)[0] == OK
    outcome, output = run(script("head -c 3000000 /dev/zero | tr '\\0' x"))
    assert (outcome, len(output)) == (OK, MAX_OUTPUT_BYTES)


def test_a_background_process_that_keeps_the_output_open_is_not_waited_for(script) -> None:
    outcome, output = run(script("sleep 60 & echo $!"))
    os.kill(int(output), signal.SIGKILL)
    assert outcome == OK


def test_a_command_is_a_path_or_words_and_no_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert parse_command("sh -c 'exit 3'")[1:] == ["-c", "exit 3"]
    assert parse_command(f"echo {'a' * 5000}")[1:] == ["a" * 5000], "longer than a file's name may be"
    odd = tmp_path / "my script;x"
    odd.write_text("#!/bin/sh\n")
    odd.chmod(0o755)
    assert parse_command(str(odd)) == [str(odd)]
    monkeypatch.chdir(tmp_path)
    assert parse_command("my script;x") == ["./my script;x"], "a file of the folder, which is not on the PATH"
    assert not caplog.records
    parse_command("echo a > b")
    assert "runs no shell: > is an argument like any other" in caplog.text


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ConnectError, "--on-change is empty"),
        ("echo 'a", ConnectError, "has a quote that does not end"),
        ("no-such-program-here --x", FerError, "no-such-program-here is not a program that can be run: name"),
        ("plain.txt", FerError, "plain.txt is not a program that can be run: chmod"),
    ],
)
def test_a_wrong_command_is_refused_at_the_start(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: type[FerError], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.txt").touch(0o644)
    raised = command("--on-change", text).exception
    assert type(raised) is error
    assert message in str(raised)


def test_one_program_runs_at_a_time_and_the_newest_change_waits(
    script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(command_module, "MIN_INTERVAL_S", 0.01)
    caplog.set_level("INFO")
    heard, gate = tmp_path / "heard", tmp_path / "gate"
    worker = CommandWorker(script(f"cat >> {heard}; while [ ! -e {gate} ]; do sleep 0.02; done"))
    worker.offer("1")
    wait_for(lambda: heard.exists() and heard.read_text(), "the first run")
    for number in range(2, 6):
        worker.offer(str(number))
    gate.touch()
    worker.close()
    assert heard.read_text().split() == ["1", "5"]
    assert (worker.done, worker.lost) == (2, 3)
    assert caplog.messages == ["--on-change: 2 runs: 2 succeeded; 3 changes skipped for newer ones"]


def test_runs_are_not_more_frequent_than_the_limit(script, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[float] = []

    def started(*_details: object) -> tuple[str, str]:
        starts.append(time.monotonic())
        return OK, ""

    monkeypatch.setattr(command_module, "run_program", started)
    monkeypatch.setattr(command_module, "MIN_INTERVAL_S", 0.2)
    worker = CommandWorker(script("true"))
    for _ in range(2):
        worker.offer("x")
        wait_for(lambda: worker._waiting is None, "the start")
    worker.close()
    assert starts[1] - starts[0] >= 0.2


def test_failures_are_counted_and_logged_and_the_output_is_harmless(script, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    worker = CommandWorker(script(r"printf 'bad\033[31m\n'; exit 4"))
    worker.offer("x")
    worker.close()
    assert (worker.done, worker.lost) == (0, 1)
    assert caplog.messages == [
        r"--on-change: bad\x1b[31m", "--on-change script: exit code 4", "--on-change: 1 run: 1 exit code 4",
    ]  # fmt: skip


def test_a_program_that_hangs_at_the_end_does_not_hold_up_the_end(script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_module, "CLOSE_TIMEOUT_S", 0.3)
    worker = CommandWorker(script("sleep 60"))
    worker.offer("1")
    wait_for(lambda: worker._waiting is None, "the start")
    worker.offer("2")
    worker.close()
    assert (worker.done, worker.lost) == (0, 2)


def test_programs_do_not_get_our_secrets(script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "s3cret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/s3cret")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/s3cret")
    monkeypatch.setenv("KEPT", "kept")
    worker = CommandWorker(script(f"env > {tmp_path / 'env'}"))
    worker.offer("x")
    worker.close()
    given = (tmp_path / "env").read_text()
    assert "KEPT=kept" in given
    assert "s3cret" not in given


def test_the_command_runs_a_program_for_the_face_that_appears(command, script, tmp_path: Path) -> None:
    heard, report = tmp_path / "heard", tmp_path / "report.json"
    program = shlex.join([*script(f"cat >> {heard}"), "with words"])
    done = command("--max-frames", "5", "--on-change", program, "--report", report)
    assert done.exit_code == 0, done.output
    change = json.loads(heard.read_text())
    assert (change["change"], change["id"], change["t"]) == ("appeared", 0, 0.0)
    assert json.loads(report.read_text())["sinks"]["on-change"] == {"written": 1, "lost": 0}


def test_with_aggregation_actions_get_intervals_only(run_state, make_face, script, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    sink = ActionSink(CommandWorker(script(f"cat >> {heard}")), run_state(1, aggregation=Aggregation(60, at_least=1)))
    sink.write(Published(FrameResult(0, 0.0, True, (make_face(),)), None))
    sink.flush()
    assert not heard.exists()
    sink.close()
    assert json.loads(heard.read_text())["interval_s"] == 60
    assert sink.written == 1


class Receiver:
    """A server that answers with these codes, one after the other and then 204, and keeps what it gets."""

    def __init__(self, *codes: int, port: int = 0) -> None:
        self.requests: list[tuple[str, dict[str, str], str]] = []
        answers = iter(codes)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.requests.append((self.path, dict(self.headers), body))
                code = next(answers, 204)
                self.send_response(code)
                if 300 <= code < 400:
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - a redirect that is followed would come as GET

            def log_message(self, *_details: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def bodies(self) -> list[str]:
        return [body for _, _, body in self.requests]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Receiver]]:
    monkeypatch.setattr(webhook, "FIRST_RETRY_S", 0.02)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    receivers: list[Receiver] = []

    def start(*codes: int, port: int = 0) -> Receiver:
        receivers.append(Receiver(*codes, port=port))
        return receivers[-1]

    yield start
    for receiver in receivers:
        receiver.close()


def test_changes_are_posted_in_order_with_the_secret_header(receive) -> None:
    receiver = receive()
    worker = WebhookWorker(f"http://127.0.0.1:{receiver.port}/hook?key=1", ("X-Token", "s3cret"))
    for number in range(3):
        worker.offer(f'{{"n":{number}}}')
    worker.close()
    assert receiver.bodies == ['{"n":0}', '{"n":1}', '{"n":2}']
    path, headers, _ = receiver.requests[0]
    assert path == "/hook?key=1"
    assert (headers["Content-Type"], headers["X-Token"]) == ("application/json", "s3cret")
    assert (worker.done, worker.lost) == (3, 0)
    assert worker.target == f"http://127.0.0.1:{receiver.port}/***"


def test_a_server_that_is_busy_gets_the_same_again(receive, caplog: pytest.LogCaptureFixture) -> None:
    receiver = receive(503, 429, 500)
    worker = WebhookWorker(f"http://127.0.0.1:{receiver.port}/s3cret", None)
    worker.offer("1")
    wait_for(lambda: worker.done, "the delivery")
    worker.close()
    assert receiver.bodies == ["1"] * 4
    assert caplog.messages == [
        f"--webhook http://127.0.0.1:{receiver.port}/*** answers 503: tried again, up to 100 changes wait",
        f"--webhook http://127.0.0.1:{receiver.port}/*** works again",
    ]


@pytest.mark.parametrize(("code", "said"), [(404, "answers 404"), (302, "a redirect, which is not followed")])
def test_a_refusal_and_a_redirect_lose_the_change_and_only_it(
    receive, caplog: pytest.LogCaptureFixture, code: int, said: str
) -> None:
    receiver = receive(code)
    worker = WebhookWorker(f"http://127.0.0.1:{receiver.port}/", ("X-Token", "s3cret"))
    worker.offer("1")
    worker.offer("2")
    wait_for(lambda: worker.done, "the delivery")
    worker.close()
    assert [path for path, _, _ in receiver.requests] == ["/", "/"]
    assert (receiver.bodies, worker.done, worker.lost) == (["1", "2"], 1, 1)
    assert said in caplog.text


def test_a_server_that_is_away_gets_the_newest_changes_when_it_comes(receive, caplog) -> None:
    port = free_port()
    worker = WebhookWorker(f"http://127.0.0.1:{port}/", None)
    worker.offer("first")
    wait_for(lambda: "can't be reached (Connection refused): tried again" in caplog.text, "the message")
    for number in range(webhook.MAX_WAITING + 5):
        worker.offer(str(number))
    assert worker.lost == 5
    receiver = receive(port=port)
    wait_for(lambda: worker.done == webhook.MAX_WAITING + 1, "the delivery")
    worker.close()
    assert receiver.bodies == ["first", *(str(number) for number in range(5, webhook.MAX_WAITING + 5))]


def test_an_end_without_the_server_comes_soon_and_says_what_is_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(webhook, "FIRST_RETRY_S", 0.02)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(webhook, "CLOSE_TIMEOUT_S", 0.3)
    worker = WebhookWorker(f"http://127.0.0.1:{free_port()}/", None)
    worker.offer("1")
    worker.offer("2")
    worker.close()
    assert (worker.done, worker.lost) == (0, 2)
    assert "2 changes could not be delivered" in caplog.text


@pytest.mark.parametrize(
    "value",
    [
        "ftp://host/",
        "http://",
        "https:///x",
        "host/path",
        "http://a b/",
        "http://host:99999/",
        "http://[::1/",
        "http://ä/",
    ],
)
def test_what_is_no_address_is_refused(value: str) -> None:
    with pytest.raises(ConnectError, match="is not an address: write https://HOST") as refused:
        given_url(value)
    assert redact_text(str(refused.value)) == str(refused.value)  # or the hint would not be shown as it is


def test_a_login_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConnectError, match="must not hold a user or a password") as raised:
        given_url("https://me:s3cret@host/")
    assert "s3cret" not in str(raised.value)


def test_an_address_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://host/s3cret\n")
    assert given_url(f"@{tmp_path / 'url'}") == "https://host/s3cret"


@pytest.mark.parametrize(
    ("url", "warns"), [("http://example.com/", True), ("http://10.0.0.1/", False), ("https://a.com/", False)]
)
def test_what_strangers_can_read_is_a_warning(caplog: pytest.LogCaptureFixture, url: str, warns: bool) -> None:
    given_url(url)
    assert ("can be read on its way" in caplog.text) == warns


def test_the_secret_header_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "header"
    assert given_header(None) is None
    monkeypatch.setenv("FER_EDGE_WEBHOOK_SECRET", "s3cret")
    assert given_header(None) == ("Authorization", "Bearer s3cret")
    file.write_text("X-Token:  abc def \n")
    assert given_header(file) == ("X-Token", "abc def")
    for wrong in ("no header", "A b: c", ": x", "X: \x01"):
        file.write_text(wrong)
        with pytest.raises(FerError, match="is not a header: write one line"):
            given_header(file)
    monkeypatch.setenv("FER_EDGE_WEBHOOK_SECRET", "a\r\nX: b")
    with pytest.raises(FerError, match="is not a header"):
        given_header(None)


def test_a_webhook_option_alone_is_a_usage_error(command) -> None:
    done = command("--webhook-header-file", "x")
    assert done.exit_code == 2
    assert "--webhook-header-file is for --webhook: give it, too" in done.output


def test_the_command_posts_and_counts(command, receive, tmp_path: Path) -> None:
    receiver, report = receive(), tmp_path / "report.json"
    done = command(
        "--max-frames", "5", "--webhook", f"http://127.0.0.1:{receiver.port}/", "--report", report,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(receiver.bodies[0])["change"] == "appeared"
    assert json.loads(report.read_text())["sinks"]["webhook"] == {"written": 1, "lost": 0}


def test_aggregation_needs_a_way_out_but_not_a_file(command) -> None:
    done = command("--aggregate", "60s", "--at-least", "0")
    assert done.exit_code == 2
    assert "--aggregate needs --aggregate-out" in done.output
    assert command("--aggregate", "60s", "--at-least", "0", "--max-frames", "3", "--on-change", "true").exit_code == 0


def test_connections_end_at_the_same_time(command, receive, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2, timeout=20)  # one that ends before the other breaks it

    def wait_and(close: Callable[[object], None]) -> Callable[[object], None]:
        return lambda worker: (together.wait(), close(worker))

    for worker in (CommandWorker, WebhookWorker):
        monkeypatch.setattr(worker, "close", wait_and(worker.close))
    done = command(
        "--max-frames", "1", "--on-change", "true", "--webhook", f"http://127.0.0.1:{receive().port}/",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert not together.broken
