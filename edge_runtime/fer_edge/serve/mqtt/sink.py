"""--mqtt: which results are published, and when."""

import time
from collections import deque

from fer_edge.serve.mqtt.address import Broker, given_broker
from fer_edge.serve.mqtt.client import BrokerClient
from fer_edge.serve.mqtt.discovery import discovery
from fer_edge.serve.mqtt.state import StateFeed
from fer_edge.serve.mqtt.topics import Topics, device_id
from fer_edge.serve.options import ConnectOptions
from fer_edge.serve.records import Records, to_json
from fer_edge.serve.run_state import RunState
from fer_edge.sinks.base import Published, Sink
from fer_edge.system import temperature_c

MAX_WAITING = 100  # records that wait for the broker; the oldest are lost


def open_mqtt(options: ConnectOptions, state: RunState) -> "MqttSink":
    """The sink of --mqtt. Raises ConnectError or FerError for options that can't be used."""
    broker = given_broker(options)
    return MqttSink(state, Topics(broker.base, device_id(options.mqtt_id)), options, broker)


class MqttSink(Sink):
    """Publishes label changes at once and the state from time to time; with --aggregate, only complete intervals.

    It connects when the first source is open. Records (changes or intervals) that the broker can't take wait for it,
    the newest MAX_WAITING; a state does not wait.
    written, lost_records: records that were handed to the broker, and those that were not; after `close`, those that
    the broker has confirmed, and all others.
    """

    name, needs_image = "mqtt", False

    def __init__(self, state: RunState, topics: Topics, options: ConnectOptions, broker: Broker) -> None:
        self.target = str(broker)
        self.lost_records: int = 0
        self._state, self._topics = state, topics
        self._feed, self._records = StateFeed(state), Records(state)
        self._waiting: deque[str] = deque()
        self._announced = False
        self._started = self._closed = False
        self._client = BrokerClient(broker, topics, options.mqtt_ca, self._announcement, self._note_announced)

    def _announcement(self) -> list[tuple[str, str]]:
        message = discovery(self._state, self._topics, has_temperature=temperature_c() is not None)
        return [(self._topics.discovery, to_json(message))]

    def _note_announced(self) -> None:  # in the network's thread
        self._announced = True

    def write(self, item: Published) -> None:
        self._start()
        self._feed.update(item.result)
        self._add(self._records.add(item.result))
        self._send()

    def flush(self) -> None:
        self._start()
        self._send()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._client.start()

    def _add(self, records: list[str]) -> None:
        for record in records:
            if len(self._waiting) == MAX_WAITING:
                self._waiting.popleft()
                self.lost_records += 1
            self._waiting.append(record)

    def _send(self) -> None:
        """Publish what waits and what is due."""
        topic = self._topics.interval if self._state.aggregate else self._topics.face
        while self._waiting and self._client.publish(topic, self._waiting[0], qos=1):
            self._waiting.popleft()
            self.written += 1
        if self._state.aggregate or not self._client.connected:
            return
        if self._announced:
            self._announced = False
            self._feed.forget()
        message = self._feed.due(time.monotonic())
        if message is not None:
            self._client.publish(self._topics.state, to_json(message))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self._started:
            return
        self._add(self._records.end())
        if self._waiting:  # a short run may end before the connection is there
            self._client.wait()
        self._send()
        self._client.stop()
        unconfirmed = self._client.unconfirmed
        self.written -= unconfirmed
        self.lost_records += unconfirmed + len(self._waiting)
