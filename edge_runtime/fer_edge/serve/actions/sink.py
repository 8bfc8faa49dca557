"""The sink of an action: gives its worker what changed."""

from typing import Protocol

from fer_edge.serve.records import Records
from fer_edge.serve.run_state import RunState
from fer_edge.sinks.base import Published, Sink


class Worker(Protocol):
    """Does something with records, in its own thread.

    name: of the option, without dashes. target: what it acts on, without secrets. done, lost: records so far.
    """

    name: str
    target: str
    done: int
    lost: int

    def offer(self, record: str) -> None:
        """Take a record, one line of JSON; returns at once."""

    def close(self) -> None:
        """Finish what can be finished within a few seconds."""


class ActionSink(Sink):
    """written, lost_records: records that the worker has finished, and those that it has not."""

    needs_image = False

    def __init__(self, worker: Worker, state: RunState) -> None:
        self.name, self.target = worker.name, worker.target
        self.lost_records: int = 0
        self._worker, self._records = worker, Records(state)

    def write(self, item: Published) -> None:
        self._offer(self._records.add(item.result))

    def flush(self) -> None:
        self._offer([])

    def close(self) -> None:
        self._offer(self._records.end())
        self._worker.close()
        self._offer([])

    def _offer(self, records: list[str]) -> None:
        for record in records:
            self._worker.offer(record)
        self.written, self.lost_records = self._worker.done, self._worker.lost
