"""MQTT with a real broker: what a home hears, whatever happens to the run and to the broker."""

import json
import os
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fer_edge.privacy.modes import Aggregation
from fer_edge.results import FrameResult
from fer_edge.serve.mqtt import client, state
from fer_edge.serve.mqtt.sink import MAX_WAITING, MqttSink, open_mqtt
from fer_edge.serve.options import ConnectOptions
from fer_edge.sinks.base import Published
from tests.edge.serve.brokers import Broker, Listener, wait_for

pytestmark = pytest.mark.usefixtures("no_threads_left")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run on a busy machine."""
    monkeypatch.setattr(client, "CLOSE_TIMEOUT_S", 20.0)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    started = Broker(tmp_path).start()
    yield started
    started.kill()


@pytest.fixture
def hangs_up() -> Iterator[int]:
    """The port of a server that ends each connection after the first bytes, as TLS does with what is no TLS."""

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), HangUp) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def listen() -> Iterator[Callable[[Broker], Listener]]:
    listeners: list[Listener] = []

    def start(broker: Broker) -> Listener:
        listeners.append(Listener(broker.port))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


@pytest.fixture
def open_sink(run_state) -> Iterator[Callable[..., MqttSink]]:
    """A sink with the id door, connected or about to be."""
    sinks: list[MqttSink] = []

    def start(
        broker: Broker | None, url: str | None = None, aggregation: Aggregation | None = None, **options
    ) -> MqttSink:
        given = ConnectOptions(mqtt=url or (broker and broker.url), **{"mqtt_id": "door", **options})
        sinks.append(open_mqtt(given, run_state(1, aggregation=aggregation)))
        sinks[-1].flush()
        return sinks[-1]

    yield start
    for sink in sinks:
        sink.close()


@pytest.fixture
def show(make_face) -> Callable[..., None]:
    """Give a sink a result with one face per emotion."""

    def write(sink: MqttSink, number: int, *emotions: str, time: str | None = None) -> None:
        faces = tuple(make_face(emotion=emotion, track_id=track) for track, emotion in enumerate(emotions))
        sink.write(Published(FrameResult(number, number / 10, True, faces, time=time), None))

    return write


def connected(sink: MqttSink) -> bool:
    return sink._client.connected


def test_who_comes_late_knows_status_and_device_and_hears_every_change(broker, listen, open_sink, show) -> None:
    early = listen(broker)
    sink = open_sink(broker)
    early.wait("/config")
    late = listen(broker)
    assert late.wait("fer-edge/door/status") == "online"
    device = json.loads(late.wait("homeassistant/device/door/config"))
    assert {"dev", "o", "cmps", "avty"} <= set(device)
    assert all(retained for _, _, retained in late.messages)
    show(sink, 0, "happy", "sad")
    state = json.loads(late.wait("fer-edge/door/state"))
    assert (state["state"], state["faces"], state["shares"]["sad"]) == ("running", 2, 0.5)
    assert state["emotion"] in ("happy", "sad")
    show(sink, 1, "happy", "fear")
    change = json.loads(late.wait("fer-edge/door/face", '"changed"'))
    assert (change["id"], change["before"], change["emotion"]) == (1, "sad", "fear")
    sink.close()
    late.wait("/status", "offline")
    assert (sink.written, sink.lost_records) == (3, 0)
    assert not [topic for topic, _, retained in listen(broker).messages if topic.endswith(("state", "face"))]


def test_a_run_that_is_killed_is_offline_by_its_will(broker, listen, model: Path) -> None:
    listener = listen(broker)
    command = [
        sys.executable, "-m", "fer_edge", "demo:320x240", "--realtime", "--headless", "--model", str(model),
        "--mqtt", f"{broker.url}/home/cameras", "--mqtt-id", "door",
    ]  # fmt: skip
    run = subprocess.Popen(command, env={**os.environ, "FER_EDGE_DEFAULTS": ""}, stderr=subprocess.DEVNULL)
    try:
        listener.wait("home/cameras/door/status", "online")
        listener.wait("home/cameras/door/state")
        run.send_signal(signal.SIGKILL)
        listener.wait("home/cameras/door/status", "offline")
    finally:
        run.kill()
        run.wait()


def test_a_home_that_starts_again_gets_device_and_state_again(broker, listen, open_sink, show) -> None:
    listener = listen(broker)
    sink = open_sink(broker)
    show(sink, 0, "happy")
    listener.wait("/config")
    wait_for(lambda: connected(sink), "the connection")
    sink.flush()
    listener.wait("/state")
    listener.client.publish("homeassistant/status", "online", qos=1)
    listener.wait("/config", count=2)
    wait_for(lambda: sink._announced, "the note")
    sink.flush()
    listener.wait("/state", count=2)
    listener.client.publish("homeassistant/status", "offline", qos=1)
    listener.wait("homeassistant/status", "offline")
    assert len(listener.texts("/config")) == 2


def test_with_aggregation_only_status_device_and_intervals_are_published(broker, listen, open_sink, show) -> None:
    listener = listen(broker)
    sink = open_sink(broker, aggregation=Aggregation(1, at_least=2))
    for number in range(10):
        show(sink, number, "happy", "happy")
    for number in range(10, 20):
        show(sink, number, "sad")
    sink.close()
    listener.wait("/status", "offline")
    assert {topic for topic, _, _ in listener.messages} == {
        "fer-edge/door/status", "homeassistant/device/door/config", "fer-edge/door/interval",
    }  # fmt: skip
    first, second = map(json.loads, listener.texts("/interval"))
    assert (first["start_t"], first["faces"], first["emotions"]["happy"]["rows"]) == (0, 2, 20)
    assert second == {"schema": 1, "interval_s": 1, "start_t": 1, "withheld": True}


def test_a_broker_that_comes_later_is_said_once_and_gets_everything(
    tmp_path, listen, open_sink, show, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    broker = Broker(tmp_path)
    sink = open_sink(broker)
    wait_for(lambda: caplog.records, "a message")
    show(sink, 0, "happy")
    broker.start()
    try:
        wait_for(lambda: connected(sink), "the connection")
        listener = listen(broker)
        sink.flush()
        assert json.loads(listener.wait("/face"))["change"] == "appeared", "it has waited"
        listener.wait("/config")
        sink.close()
    finally:
        broker.kill()
    assert [record.getMessage() for record in caplog.records] == [
        f"--mqtt {broker.url} can't be reached (Connection refused): the run goes on and tries again",
        f"--mqtt {broker.url} is back",
    ]


def test_a_port_that_hangs_up_is_said(open_sink, hangs_up: int, caplog: pytest.LogCaptureFixture) -> None:
    sink = open_sink(None, f"mqtt://127.0.0.1:{hangs_up}")
    wait_for(lambda: caplog.records, "a message")
    sink.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"--mqtt mqtt://127.0.0.1:{hangs_up} ends the connection at once: check the port, which may want mqtts instead "
        "of mqtt; the run goes on and tries again"
    ]


def test_a_broker_that_dies_and_comes_back_is_told_again(
    broker, listen, open_sink, show, caplog: pytest.LogCaptureFixture
) -> None:
    sink = open_sink(broker)
    wait_for(lambda: connected(sink), "the connection")
    broker.kill()
    wait_for(lambda: not connected(sink), "the loss")
    for number in range(MAX_WAITING + 20):
        show(sink, number, *(["happy"] if number % 2 else ["sad"]))
    assert sink.lost_records == 20, "the oldest"
    broker.start()
    wait_for(lambda: connected(sink), "the connection")
    listener = listen(broker)
    assert listener.wait("door/status") == "online"
    listener.wait("/config")
    sink.flush()
    assert json.loads(listener.wait("/face", count=MAX_WAITING))["t"] == 11.9
    assert [record.getMessage() for record in caplog.records] == [
        f"--mqtt {broker.url} is lost: the run goes on and connects again",
        f"--mqtt {broker.url} is back",
    ]


def test_a_short_run_waits_for_its_connection(broker, listen, run_state, show) -> None:
    listener = listen(broker)
    sink = open_mqtt(ConnectOptions(mqtt=broker.url, mqtt_id="door"), run_state(1))
    show(sink, 0, "happy")
    sink.close()
    assert (sink.written, sink.lost_records) == (1, 0)
    listener.wait("/face", "appeared")
    listener.wait("/status", "offline")


def test_an_end_without_a_broker_is_no_failure_and_counts_what_is_lost(tmp_path, open_sink, show) -> None:
    sink = open_sink(Broker(tmp_path))
    show(sink, 0, "happy")
    sink.close()
    assert (sink.written, sink.lost_records) == (0, 1)


def test_what_the_broker_has_not_confirmed_is_lost(broker, open_sink, show) -> None:
    sink = open_sink(broker)
    wait_for(lambda: connected(sink), "the connection")
    show(sink, 0, "happy")
    wait_for(lambda: not sink._client.unconfirmed, "the confirmation")
    broker.pause()
    show(sink, 1, "sad")
    sink.close()
    assert (sink.written, sink.lost_records) == (1, 1)


def test_two_devices_with_one_id_are_told_and_stay_online(
    broker, listen, open_sink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client, "OWN_ECHO_S", 0.0)
    listener = listen(broker)
    open_sink(broker)
    listener.wait("/config")
    caplog.clear()
    second = open_sink(broker)
    listener.wait("/config", count=2)
    wait_for(lambda: len(caplog.records) >= 2, "both messages")
    assert all("the id door is online already" in record.getMessage() for record in caplog.records)
    before = len(listener.texts("/status"))
    second.close()
    wait_for(lambda: listener.texts("/status")[before:][:2] == ["offline", "online"], "the first one's answer")


def test_a_password_is_asked_for_and_used(
    tmp_path, open_sink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    passwords = tmp_path / "passwords"
    broker = Broker(tmp_path, "allow_anonymous false", f"password_file {passwords}")
    passwords.touch(0o600)
    subprocess.run(["mosquitto_passwd", "-b", passwords, "cam", "s3cret"], check=True, capture_output=True)
    broker.start()
    try:
        open_sink(broker)
        wait_for(lambda: caplog.records, "a message")
        assert "refuses the connection (Not authorized): give --mqtt-user and a password" in caplog.text
        monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "s3cret")
        by_environment = open_sink(broker, mqtt_user="cam")
        wait_for(lambda: connected(by_environment), "the connection")
        (tmp_path / "secret").write_text("s3cret\n")
        monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "wrong")
        by_file = open_sink(broker, mqtt_user="cam", mqtt_password_file=tmp_path / "secret")
        wait_for(lambda: connected(by_file), "the connection")
        (tmp_path / "address").write_text(f"mqtt://cam:s3cret@127.0.0.1:{broker.port}\n")
        monkeypatch.delenv("FER_EDGE_MQTT_PASSWORD")
        by_address = open_sink(broker, url=f"@{tmp_path / 'address'}")
        wait_for(lambda: connected(by_address), "the connection")
    finally:
        broker.kill()
    assert "s3cret" not in caplog.text


@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")  # paho leaves refused ones to be collected
def test_an_encrypted_connection_checks_the_broker_s_certificate(
    tmp_path, open_sink, caplog: pytest.LogCaptureFixture
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    broker = Broker(tmp_path, "allow_anonymous true", f"certfile {certificate}", f"keyfile {key}").start()
    try:
        open_sink(broker, url=f"mqtts://localhost:{broker.port}")
        wait_for(lambda: caplog.records, "a message")
        assert "certificate verify failed" in caplog.text
        assert "check --mqtt-ca" in caplog.text
        trusting = open_sink(broker, url=f"mqtts://localhost:{broker.port}", mqtt_ca=certificate)
        wait_for(lambda: connected(trusting), "the connection")
        other_name = open_sink(broker, url=f"mqtts://127.0.0.1:{broker.port}", mqtt_ca=certificate)
        wait_for(lambda: "IP address mismatch" in caplog.text, "the refusal")
        assert not connected(other_name)
    finally:
        broker.kill()


def test_the_command_publishes_and_its_report_counts(broker, listen, command, tmp_path: Path) -> None:
    listener = listen(broker)
    report = tmp_path / "report.json"
    done = command("--max-frames", "5", "--mqtt", broker.url, "--report", report)
    assert done.exit_code == 0, done.output
    assert json.loads(report.read_text())["sinks"]["mqtt"] == {"written": 1, "lost": 0}
    listener.wait("/status", "offline")
    assert len(listener.texts("/face")) == 1


def test_a_source_that_is_lost_is_unknown_and_not_what_was_seen_last(
    broker, listen, open_sink, show, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen(broker)
    sink = open_sink(broker)
    wait_for(lambda: connected(sink), "the connection")
    sink._state.pipeline.source.reconnecting = True
    show(sink, 0, "happy")
    monkeypatch.setattr(state, "MIN_INTERVAL_S", 0.0)  # one of before may have been sent already
    wait_for(lambda: sink.flush() or "reconnecting" in "".join(listener.texts("/state")), "the state")
    last = json.loads(listener.texts("/state")[-1])
    assert (last["state"], last["faces"], last["emotion"]) == ("reconnecting", None, None)


def test_topics_may_hold_any_label(broker, listen, open_sink, make_face) -> None:
    listener = listen(broker)
    sink = open_sink(broker)
    face = replace(make_face(), emotion='<b>"é\u202e')
    sink.write(Published(FrameResult(0, 0.0, True, (face,)), None))
    wait_for(lambda: connected(sink), "the connection")
    sink.flush()
    assert json.loads(listener.wait("/face"))["emotion"] == '<b>"é\u202e'


def test_a_broker_that_confirms_nothing_gets_no_more_than_it_may_lose_and_the_status_first_thing(
    broker, listen, open_sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_UNACKNOWLEDGED", 3)
    sink = open_sink(broker)
    wait_for(lambda: connected(sink), "the connection")
    own = sink._client
    monkeypatch.setattr(client.paho.MQTTMessageInfo, "is_published", lambda _self: False)
    assert [own.publish("a", "b", qos=1) for _ in range(5)] == [True] * 3 + [False] * 2
    monkeypatch.undo()
    own._say_online()
    assert own.publish("a", "b", qos=1)
    listen(broker).wait("/status", "online")
