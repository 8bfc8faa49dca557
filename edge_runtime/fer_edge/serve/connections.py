"""Opens the connections that the options ask for, and closes them after the run."""

from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.serve.options import ConnectOptions
from fer_edge.serve.run_state import RunState
from fer_edge.sinks.base import Sink


class Connections:
    """What follows one run.

    Opening comes before the source is opened: a port that is taken, a missing package or a bad address ends the command
    before a camera starts. Each connection is a `Sink` in `sinks`; its thread gets every result that it has time for.
    """

    def __init__(self, options: ConnectOptions, state: RunState) -> None:
        self.state = state
        self.sinks: list[Sink] = []
        self._options = options

    def begin(self, pipeline: Pipeline) -> None:
        """The next source starts."""
        self.state.begin(pipeline)

    def end(self, exit_reason: str) -> None:
        """The run is over; its sinks are closed after this."""
        self.state.end(exit_reason)
