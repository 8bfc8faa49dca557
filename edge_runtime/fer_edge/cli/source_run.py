"""One source of a run: through the pipeline into the outputs, watched by the main thread."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fer_edge.cli.outputs import Outputs
from fer_edge.cli.status import StatusLine
from fer_edge.cli.systemd import SystemdNotifier
from fer_edge.console import signals_deferred
from fer_edge.errors import FerError, Interrupted, Terminated
from fer_edge.pipeline.pipeline import Pipeline

WAIT_S = 0.05
STDOUT_CLOSED = "stdout closed"
WINDOW_CLOSED = "window closed"


@dataclass(frozen=True)
class Attendants:
    """What the main thread serves while sources run: the status line, systemd, and a report on request."""

    status: StatusLine
    notifier: SystemdNotifier
    report_if_requested: Callable[[], None]


class SourceRun:
    """One source's pipeline, from start to end. `outputs` has begun this source.

    last: no other source follows. duration_s: as in StreamOptions.
    """

    def __init__(self, pipeline: Pipeline, outputs: Outputs, last: bool, duration_s: float | None) -> None:
        self.pipeline = pipeline
        self._outputs, self._last, self._duration_s = outputs, last, duration_s
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.monotonic() - self._started

    def report(self) -> dict[str, Any]:
        """This source's entry in the report of several."""
        from fer_edge.cli.report import source_report  # not needed before the first results

        return source_report(self.pipeline, self.seconds)

    @property
    def nothing_read(self) -> bool:
        """True if the source turned out to be unreadable."""
        return isinstance(self.pipeline.error, FerError) and not self.pipeline.stats.processed

    def execute(self, attendants: Attendants) -> bool:
        """Process the source to its end; False if the whole run ends with it, because window or stdout is closed.

        After a signal, what is captured is processed before the signal's exception passes through.
        """
        goes_on = False
        try:
            self.pipeline.start()
            goes_on = self._watch(attendants)
        except (KeyboardInterrupt, Terminated) as stopped:
            self.pipeline.stop(Terminated.word if isinstance(stopped, Terminated) else Interrupted.word)
            raise
        finally:
            if self._last or not goes_on:
                attendants.notifier.stopping()
            attendants.status.clear()
            with signals_deferred():
                self._finish()
        return goes_on

    def _watch(self, attendants: Attendants) -> bool:
        """Wait for the end; meanwhile show the window, the status line and what else belongs to this thread."""
        pipeline, window, status = self.pipeline, self._outputs.window, attendants.status
        status.begin(pipeline)
        # Frame times end a run; this deadline is for a live source that sends no more frames.
        deadline = self._started + (self._duration_s or math.inf) + 1
        processed = 0
        while not pipeline.wait(0 if window else WAIT_S):
            if window is not None and not window.show(status.caption(), WAIT_S):
                return self._stop(WINDOW_CLOSED)
            if self._outputs.stdout_closed:
                return self._stop(STDOUT_CLOSED)
            if pipeline.source.live and time.monotonic() > deadline:
                return self._stop("duration")
            processed = self._attend(attendants, processed)
        self._attend(attendants, processed)
        # If images are only shown, the last one stays until the user closes it.
        while window is not None and pipeline.source.image_count and self._only_shown and window.show("", WAIT_S):
            pass
        return not self._outputs.stdout_closed

    @property
    def _only_shown(self) -> bool:
        return self._last and self._outputs.only_shown

    def _stop(self, reason: str) -> bool:
        self.pipeline.stop(reason)
        return False

    def _attend(self, attendants: Attendants, processed: int) -> int:
        """Serve status, report and systemd; return how many frames are processed, `processed` of which it knows."""
        attendants.status.update()
        attendants.report_if_requested()
        now = self.pipeline.stats.processed
        if now > processed:
            attendants.notifier.alive(first=not processed)
        return now

    def _finish(self) -> None:
        """Process what is captured."""
        since, pipeline = time.monotonic(), self.pipeline
        pipeline.release(while_waiting=lambda: self._outputs.abandon_hanging(since))
        if pipeline.error is not None:
            lost = isinstance(pipeline.error, FerError) and pipeline.source.live
            pipeline.exit_reason = "source lost" if lost else "error"
