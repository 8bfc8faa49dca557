"""The connection to the broker: kept up in a thread, whatever the broker does."""

import logging
import math
import os
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fer_edge.errors import FerError
from fer_edge.serve.hosts import is_local
from fer_edge.serve.mqtt.address import Broker
from fer_edge.serve.mqtt.topics import BIRTH, OFFLINE, ONLINE, Topics

log = logging.getLogger(__name__)

KEEPALIVE_S = 30  # after one and a half times this without a sign, the broker publishes our last will
CONNECT_TIMEOUT_S = 5.0
MAX_RETRY_S = 30
CLOSE_TIMEOUT_S = 1.5  # for our last word; then for the end of the thread
MAX_UNACKNOWLEDGED = 100  # messages that the broker has not confirmed
MAX_WARNINGS = 10  # about lost connections
OWN_ECHO_S = 5.0  # the broker sends us our own status, at most so much later


class BrokerClient:
    """Our connection: `start`, then `publish` at any time, at last `stop`.

    The status topic says online while we are connected, and offline otherwise, by the last will if we are killed.
    announce: what is published with retain whenever somebody may need it, as (topic, payload). on_announced: called in
    the network's thread after that.

    Raises FerError if the certificates can't be used.
    """

    def __init__(
        self, broker: Broker, topics: Topics, ca: Path | None, announce: Callable[[], list[tuple[str, str]]],
        on_announced: Callable[[], None],
    ) -> None:  # fmt: skip
        self._broker, self._topics = broker, topics
        self._announce, self._on_announced = announce, on_announced
        self._thread: threading.Thread | None = None
        self._stopping = self._said_down = self._was_connected = self._greeted = False
        self._settled = threading.Event()  # the first attempt to connect has succeeded or failed
        self._losses = 0
        self._online_at = -math.inf  # when we said so last
        # Another client with our id would make the broker close our connection, and ours close its, without end.
        self._unacknowledged: deque[paho.MQTTMessageInfo] = deque()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"fer-edge-{topics.id[:32]}-{os.urandom(4).hex()}",
            protocol=paho.MQTTv311,
        )  # fmt: skip
        client = self._client
        client.username_pw_set(broker.user, broker.password)
        if broker.tls:
            client.tls_set_context(_tls_context(ca))
        client.will_set(topics.status, OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(1, MAX_RETRY_S)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_queued_messages_set(0)  # no limit: `publish` has one, which our status must not reach
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_connect_fail, client.on_message = self._unreachable, self._message

    @property
    def connected(self) -> bool:
        """True while the broker has accepted us."""
        return self._client.is_connected()

    def start(self) -> None:
        """Connect, and connect again after every loss, in a thread."""
        if self._broker.password is not None and not self._broker.tls and not is_local(self._broker.host):
            log.warning("--mqtt %s: the password travels unencrypted; use mqtts:// if the broker can", self._broker)
        self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S)
        self._thread = threading.Thread(target=self._run, name="fer-mqtt-network", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._client.loop_forever(retry_first_connection=True)
        except Exception as error:  # noqa: BLE001 - no error of the library may pass unseen
            log.warning("--mqtt %s failed and publishes nothing more: %s", self._broker, error)

    def wait(self) -> None:
        """Wait for the first attempt to connect, if it is still under way."""
        self._settled.wait(CLOSE_TIMEOUT_S)

    def publish(self, topic: str, payload: str, qos: int = 0) -> bool:
        """Hand a message over; False if we are not connected, or the broker confirms nothing."""
        sent = self._unacknowledged
        while sent and sent[0].is_published():
            sent.popleft()
        if not self.connected or len(sent) >= MAX_UNACKNOWLEDGED:
            return False
        message = self._client.publish(topic, payload, qos)
        if message.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        if qos:
            sent.append(message)
        return True

    @property
    def unconfirmed(self) -> int:
        """How many messages with qos 1 were handed over and not confirmed: after `stop` they may be lost."""
        return sum(not message.is_published() for message in self._unacknowledged)

    def stop(self) -> None:
        """Say offline and leave, within a few seconds."""
        if self._thread is None:
            return
        self._stopping = True
        if self.connected:
            last = self._client.publish(self._topics.status, OFFLINE, qos=1, retain=True)
            try:
                last.wait_for_publish(CLOSE_TIMEOUT_S)
            except (RuntimeError, ValueError):
                log.debug("the broker left first")  # and publishes our last will
        self._client.disconnect()
        self._thread.join(CLOSE_TIMEOUT_S)

    # Called in the network's thread.

    def _connected(
        self, client: paho.Client, _data: Any, _flags: paho.ConnectFlags, reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:  # fmt: skip
        if reason.is_failure:
            hint = "check --mqtt-user and the password" if self._broker.user else "give --mqtt-user and a password"
            self._say_down(f"refuses the connection ({reason}): {hint}; the run goes on and tries again")
            return
        if self._said_down:
            log.warning("--mqtt %s is back", self._broker)
        elif not self._was_connected:
            log.info("--mqtt %s: the topics are %s/%s/…", self._broker, self._topics.base, self._topics.id)
        self._said_down = False
        client.subscribe([(self._topics.status, 1), (BIRTH, 0)])
        self._say_hello()
        self._was_connected = True
        self._settled.set()

    def _say_hello(self) -> None:
        self._say_online()
        for topic, payload in self._announce():
            self._client.publish(topic, payload, qos=1, retain=True)
        self._on_announced()

    def _say_online(self) -> None:
        self._online_at = time.monotonic()
        self._client.publish(self._topics.status, ONLINE, qos=1, retain=True)

    def _message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if message.topic == BIRTH:
            if payload == ONLINE.encode() and not message.retain:  # a retained one is older than our hello
                self._say_hello()
        elif message.topic == self._topics.status:
            self._note_status(payload, message.retain)

    def _note_status(self, payload: bytes, is_old: bool) -> None:
        """What the status topic says, by us or by another who has the same id."""
        if payload == ONLINE.encode():
            is_own = time.monotonic() - self._online_at < OWN_ECHO_S
            if (is_old and not self._greeted) or not (is_old or is_own):
                log.warning(
                    "--mqtt: the id %s is online already: another fer-edge has it, or its connection broke a moment "
                    "ago; give each device its own --mqtt-id", self._topics.id,
                )  # fmt: skip
        elif payload == OFFLINE.encode() and not is_old and not self._stopping:
            self._say_online()  # another one with our id has ended, or the broker found our broken connection only now
        self._greeted = True

    def _disconnected(self, *_details: Any) -> None:
        if self._stopping or self._said_down:
            return
        if not self._was_connected:
            hint = "the port" if self._broker.tls else "the port, which may want mqtts instead of mqtt"
            self._say_down(f"ends the connection at once: check {hint}; the run goes on and tries again")
            return
        self._losses += 1
        if self._losses <= MAX_WARNINGS:
            self._say_down("is lost: the run goes on and connects again")

    def _unreachable(self, *_details: Any) -> None:
        error = sys.exception()  # paho calls this while it handles the exception
        reason = getattr(error, "strerror", None) or str(error or "no answer")
        hint = ", check --mqtt-ca" if isinstance(error, ssl.SSLError) else ""
        self._say_down(f"can't be reached ({' '.join(reason.split())}{hint}): the run goes on and tries again")

    def _say_down(self, text: str) -> None:
        """Say it once, until we are connected again."""
        self._settled.set()
        if not self._said_down and not self._stopping:
            self._said_down = True
            log.warning("--mqtt %s %s", self._broker, text)


def _tls_context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FerError(f"--mqtt-ca {ca} can't be used ({reason}): name a file of certificates in PEM") from error
