"""Opens the connections that the options ask for, and closes them after the run."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fer_edge.console import extra_required
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.recognizer import EmotionRecognizer
from fer_edge.serve.actions.sink import ActionSink
from fer_edge.serve.options import ConnectOptions
from fer_edge.serve.run_state import RunState
from fer_edge.sinks.base import Sink

if TYPE_CHECKING:
    from fer_edge.serve.web.dashboard import Dashboard


class Connections:
    """What follows one run.

    Opening comes before the source is opened: a port that is taken, a missing package or a bad address ends the command
    before a camera starts. Each connection is a `Sink` in `sinks`; its thread gets every result that it has time for.

    overwrite: as --overwrite says. recognizer: opens a recognizer for images that clients send.

    Raises ConnectError or MissingExtraError if one can't be opened.
    """

    def __init__(
        self,
        options: ConnectOptions,
        state: RunState,
        overwrite: bool = False,
        recognizer: Callable[[], EmotionRecognizer] = EmotionRecognizer,
    ) -> None:
        self.state = state
        self.sinks: list[Sink] = []
        self._begun = False
        self._dashboard: Dashboard | None = None
        if options.serve is not None:
            with extra_required("fer-edge --serve", "web"):
                from fer_edge.serve.web import dashboard
            self._dashboard = dashboard.Dashboard(
                options.serve, options.serve_token, options.serve_host, state, recognizer
            )
            self.sinks.append(self._dashboard.sink)
        if options.metrics_file is not None:
            with extra_required("fer-edge --metrics-file", "web"):
                from fer_edge.serve.metrics_file import MetricsFileSink
            self.sinks.append(MetricsFileSink(options.metrics_file, state, overwrite))
        if options.mqtt is not None:
            with extra_required("fer-edge --mqtt", "mqtt"):
                from fer_edge.serve.mqtt.sink import open_mqtt
            self.sinks.append(open_mqtt(options, state))
        if options.on_change is not None:
            from fer_edge.serve.actions.command import CommandWorker, parse_command

            self.sinks.append(ActionSink(CommandWorker(parse_command(options.on_change)), state))
        if options.webhook is not None:
            from fer_edge.serve.actions.webhook import WebhookWorker, given_header, given_url

            worker = WebhookWorker(given_url(options.webhook), given_header(options.webhook_header_file))
            self.sinks.append(ActionSink(worker, state))

    def start(self, report: Callable[[], dict[str, Any] | None]) -> None:
        """Begin to answer. report: returns the run's report so far, from any thread."""
        if self._dashboard is not None:
            self._dashboard.start(report)

    def begin(self, pipeline: Pipeline) -> None:
        """The next source starts."""
        if self._dashboard is not None and not self._begun:
            self._dashboard.announce()
        self._begun = True
        self.state.begin(pipeline)

    def end(self, exit_reason: str) -> None:
        """The run is over; its sinks are closed after this."""
        self.state.end(exit_reason)
        if not self._begun:  # no source could be opened, so no thread feeds the sinks
            for sink in self.sinks:
                sink.close()

    def close(self) -> None:
        """End what still runs, after the sinks."""
        if self._dashboard is not None:
            self._dashboard.stop()
