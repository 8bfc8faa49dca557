"""Where, what and when --mqtt publishes, without a broker: addresses, ids, pacing, the description for homes."""

import json
import os
import stat
import sys
from pathlib import Path

import jinja2
import pytest

from fer_edge.errors import ConnectError, FerError, MissingExtraError
from fer_edge.guards.secrets import redact_text
from fer_edge.privacy.intervals import IntervalAggregator
from fer_edge.privacy.modes import Aggregation
from fer_edge.results import FrameResult
from fer_edge.serve.connections import Connections
from fer_edge.serve.mqtt import topics
from fer_edge.serve.mqtt.address import Broker, parse_broker
from fer_edge.serve.mqtt.discovery import discovery
from fer_edge.serve.mqtt.state import MIN_INTERVAL_S, REFRESH_S, StateFeed
from fer_edge.serve.mqtt.topics import Topics, device_id
from fer_edge.serve.options import ConnectOptions

DOOR = Topics("fer-edge", "door")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mqtt://broker", Broker("broker", 1883, False)),
        ("MQTTS://broker.lan/", Broker("broker.lan", 8883, True)),
        ("mqtt://192.168.1.2:1884/home/door/", Broker("192.168.1.2", 1884, False, "home/door")),
        ("mqtt://[::1]:99/a%20b", Broker("::1", 99, False, "a b")),
        ("mqtt://cam:p%40ss@broker", Broker("broker", 1883, False, "fer-edge", "cam", "p@ss")),
    ],
)
def test_an_address_is_read(text: str, expected: Broker) -> None:
    assert parse_broker(text) == expected
    assert "p@ss" not in f"{expected} {expected!r}"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("mqtt://cam:s3cret@broker", "--mqtt must not hold a user or a password"),
        ("mqtt://s3cret@broker", "FER_EDGE_MQTT_PASSWORD or --mqtt-password-file"),
        ("http://broker", "http://broker is not the address of a broker: write mqtt://HOST"),
        ("broker:1883", "is not the address of a broker"),
        ("mqtt://", "is not the address of a broker"),
        ("mqtt://broker:0", "has no port from 1 to 65535"),
        ("mqtt://broker:70000", "has no port from 1 to 65535"),
        ("mqtt://broker:x", "is not the address of a broker"),
        ("mqtt://broker/a/#", "has an impossible base topic"),
        ("mqtt://broker/a+", "has an impossible base topic"),
        ("mqtt://broker/a//b", "has an impossible base topic"),
        ("mqtt://broker/$SYS", "has an impossible base topic"),
        ("mqtt://broker/" + "a" * 201, "has an impossible base topic"),
        (f"mqtt://{'a' * 64}.lan", "has no valid host name"),
    ],
)
def test_a_wrong_address_is_refused(command, value: str, message: str) -> None:
    error = command("--mqtt", value).exception
    assert isinstance(error, ConnectError)
    assert message in str(error)
    assert "s3cret" not in str(error)
    assert redact_text(str(error)) == str(error)  # or the hint would not be shown as it is


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mqtt-id", "a/b"], "--mqtt-id 'a/b' is not a valid id"),
        (["--mqtt-id", ""], "is not a valid id"),
        (["--mqtt-ca", "ca.pem"], "write mqtts instead of mqtt in --mqtt"),
    ],
)
def test_options_that_do_not_fit_are_refused(command, options: list[str], message: str) -> None:
    error = command("--mqtt", "mqtt://broker", *options).exception
    assert isinstance(error, ConnectError)
    assert message in str(error)


@pytest.mark.parametrize("option", ["--mqtt-user", "--mqtt-password-file", "--mqtt-ca", "--mqtt-id"])
def test_an_option_of_mqtt_alone_is_a_usage_error(command, option: str) -> None:
    done = command(option, "x")
    assert done.exit_code == 2
    assert f"{option} is for --mqtt: give it, too" in done.output


def test_a_password_without_a_user_is_refused(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "s3cret")
    error = command("--mqtt", "mqtt://broker").exception
    assert isinstance(error, ConnectError)
    assert "MQTT has no password without a user" in str(error)


def test_files_that_can_not_be_used_are_named(command, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    arguments = ["--mqtt", "mqtts://broker", "--mqtt-user", "cam"]
    done = command(*arguments, "--mqtt-password-file", secret)
    assert isinstance(done.exception, FerError)
    assert str(done.exception) == f"--mqtt-password-file {secret} can't be read: No such file or directory"
    secret.write_text("")
    assert "is empty: write the password into it" in str(command(*arguments, "--mqtt-password-file", secret).exception)
    secret.write_text("s3cret")
    secret.chmod(secret.stat().st_mode | stat.S_IWOTH)
    assert "chmod 600 it" in str(command(*arguments, "--mqtt-password-file", secret).exception)
    secret.chmod(0o600)
    done = command(*arguments, "--mqtt-ca", secret)
    assert "secret can't be used" in str(done.exception)
    assert "name a file of certificates in PEM" in str(done.exception)
    assert "--mqtt @nowhere can't be read" in str(command("--mqtt", "@nowhere").exception)


def test_a_missing_package_is_named_with_its_extra(run_state, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sink", "client"):
        monkeypatch.delitem(sys.modules, f"fer_edge.serve.mqtt.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "paho", None)
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtraError, match=r"fer-edge --mqtt needs .*'fer-edge\[mqtt\]'"):
        Connections(ConnectOptions(mqtt="mqtt://broker"), run_state())


def test_the_id_is_the_machine_s_and_does_not_give_its_secret_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "machine-id"
    file.write_text("0123456789abcdef0123456789abcdef\n")
    monkeypatch.setattr(topics, "MACHINE_ID_FILES", [str(tmp_path / "none"), str(file)])
    first = device_id(None)
    assert topics.ID.fullmatch(first)
    assert first == device_id(None)
    assert first not in file.read_text()
    file.write_text("another\n")
    assert device_id(None) != first
    file.write_text("")
    by_name = device_id(None)
    monkeypatch.setattr(topics.socket, "gethostname", lambda: "other")
    assert device_id(None) != by_name, "without an id, the host's name tells machines apart"


@pytest.fixture
def result(make_face):
    def make(*emotions: str, number: int = 0) -> FrameResult:
        faces = tuple(make_face(emotion=emotion, track_id=track) for track, emotion in enumerate(emotions))
        return FrameResult(number, number / 10, True, faces)

    return make


def test_a_state_comes_on_change_but_not_more_often_than_homes_can_take(run_state, result, monkeypatch) -> None:
    monkeypatch.setattr("fer_edge.serve.run_state.RunState.snapshot", lambda _self: dict(SNAPSHOT))
    feed = StateFeed(run_state(1))
    feed.update(result("happy"))
    assert feed.due(100.0)["emotion"] == "happy"
    feed.update(result("sad"))
    assert feed.due(100.0 + MIN_INTERVAL_S - 0.1) is None
    assert feed.due(100.0 + MIN_INTERVAL_S)["emotion"] == "sad", "the newest, as soon as it may"
    assert feed.due(150.0) is None, "nothing has changed"
    feed.update(result("sad", "sad"))
    assert feed.due(150.5)["faces"] == 2
    feed.forget()
    assert feed.due(151.0)["faces"] == 2, "somebody new listens"
    assert feed.due(151.0 + REFRESH_S - 1) is None
    assert feed.due(151.0 + REFRESH_S) is not None


SNAPSHOT = {"state": "running", "fps": {"processed": 30.0}, "temperature_c": 50.0}


@pytest.mark.parametrize(
    ("changed", "due"),
    [
        ({"fps": {"processed": 29.0}}, False),
        ({"fps": {"processed": 20.0}}, True),
        ({"fps": {"processed": None}}, True),
        ({"temperature_c": 50.9}, False),
        ({"temperature_c": 51.0}, True),
        ({"temperature_c": None}, True),
        ({"state": "reconnecting"}, True),
    ],
)
def test_rates_and_temperatures_that_hardly_change_make_no_state(
    run_state, result, monkeypatch: pytest.MonkeyPatch, changed: dict, due: bool
) -> None:
    snapshot = dict(SNAPSHOT)
    monkeypatch.setattr("fer_edge.serve.run_state.RunState.snapshot", lambda _self: dict(snapshot))
    feed = StateFeed(run_state(1))
    feed.update(result("happy"))
    assert feed.due(100.0) is not None
    snapshot |= changed
    assert (feed.due(110.0) is not None) == due


def test_the_main_expression_is_that_of_most_faces_and_shares_are_of_all(run_state, result) -> None:
    state = run_state(1)
    feed = StateFeed(state)
    feed.update(result("sad", "happy", "happy", "fear"))
    message = feed.due(0.0)
    assert (message["faces"], message["emotion"]) == (4, "happy")
    assert message["shares"] == dict.fromkeys((*state.labels, "unsure"), 0.0) | {
        "happy": 0.5,
        "sad": 0.25,
        "fear": 0.25,
    }
    feed.update(result())
    message = feed.due(10.0)
    assert (message["faces"], message["emotion"], set(message["shares"].values())) == (0, None, {0.0})


def rendered(device: dict, key: str, message: dict) -> str:
    """What Home Assistant would take an entity's value for."""
    return jinja2.Template(device["cmps"][key]["value_template"]).render(value_json=json.loads(json.dumps(message)))


def test_a_home_finds_every_entity_and_reads_its_value(run_state, result) -> None:
    state = run_state(1)
    device = discovery(state, DOOR, has_temperature=True)
    entities = device["cmps"]
    assert set(entities) == {"faces", "emotion", "fps", "temperature", "share_unsure"} | {
        f"share_{label}" for label in state.labels
    }
    assert len({entity["unique_id"] for entity in entities.values()}) == len(entities)
    assert {entity["state_topic"] for entity in entities.values()} == {DOOR.state}
    assert device["avty"] == [{"t": DOOR.status}]
    assert entities["emotion"]["device_class"] == "enum"
    assert [key for key, entity in entities.items() if entity.get("enabled_by_default") is False] == [
        key for key in entities if key.startswith("share_")
    ]
    feed = StateFeed(state)
    feed.update(result("happy", "sad", "happy"))
    message = feed.due(0.0)
    assert rendered(device, "faces", message) == "3"
    assert rendered(device, "emotion", message) in entities["emotion"]["options"]
    assert rendered(device, "share_happy", message) == "66.7"
    assert rendered(device, "share_fear", message) == "0.0"
    assert rendered(device, "temperature", message | {"temperature_c": 51.2}) == "51.2"
    unknown = message | {"faces": None, "emotion": None, "shares": dict.fromkeys(message["shares"])}
    assert {rendered(device, key, unknown) for key in ("faces", "emotion", "share_happy")} == {"None"}
    assert "temperature" not in discovery(state, DOOR, has_temperature=False)["cmps"]


def test_labels_of_strangers_can_not_break_a_template(run_state, result) -> None:
    state = run_state(1)
    labels = ('a"b', "{{ 1/0 }}", "\\'", "\U0001f600", "é")
    state.classifier.labels = labels
    device = discovery(state, DOOR, has_temperature=False)
    feed = StateFeed(state)
    feed.update(result(*labels))
    message = feed.due(0.0)
    shares = [key for key in device["cmps"] if key.startswith("share_") and key != "share_unsure"]
    assert len(shares) == len(labels)
    assert [rendered(device, key, message) for key in shares] == ["20.0"] * len(labels)


def test_with_aggregation_the_entities_are_those_of_an_interval(run_state, result) -> None:
    state = run_state(1, aggregation=Aggregation(1, at_least=2))
    device = discovery(state, DOOR, has_temperature=True)
    assert {entity["state_topic"] for entity in device["cmps"].values()} == {DOOR.interval}
    aggregator = IntervalAggregator(state.aggregation, state.labels)
    for number in range(11):
        done = aggregator.add(result("sad", "happy", "happy", number=number))
    message = done.to_dict()
    assert rendered(device, "faces", message) == "3"
    assert rendered(device, "emotion", message) == "happy"
    assert rendered(device, "share_sad", message) == "33.3"
    assert rendered(device, "share_unsure", message) == "0.0"
    withheld = {"schema": 1, "interval_s": 1, "start_t": 1, "withheld": True}
    assert {rendered(device, key, withheld) for key in device["cmps"]} == {"None"}


def test_secrets_are_in_no_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "FER_EDGE_MQTT_PASSWORD", "s3cret")
    assert "s3cret" not in repr(ConnectOptions(mqtt="mqtt://a:s3cret@b"))
