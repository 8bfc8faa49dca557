"""One source of a run: through the pipeline into the outputs, watched by the main thread."""

import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge.cli.outputs import Outputs
from fer_edge.cli.status import StatusLine
from fer_edge.cli.systemd import SystemdNotifier
from fer_edge.errors import FerError, Interrupted, Stopped
from fer_edge.guards.signals import signals_deferred
from fer_edge.network import timed
from fer_edge.pipeline.pipeline import END_OF_SOURCE, Pipeline
from fer_edge.sinks.keys import Action

if TYPE_CHECKING:
    from fer_edge.cli.viewing import Viewing
    from fer_edge.sinks.views import View
    from fer_edge.sinks.window import Window

log = logging.getLogger(__name__)

WAIT_S = 0.05
HANGS_S = 5.0  # without a frame, a file is taken to hang
STDOUT_CLOSED = "stdout closed"
WINDOW_CLOSED = "window closed"
SKIPPED = "skipped"  # by a key
ERROR = "error"


class Attendants(NamedTuple):
    """What the main thread serves while sources run: the status line, systemd, and a report on request."""

    status: StatusLine
    notifier: SystemdNotifier
    report_if_requested: Callable[[], None]


class _Deadline:
    """When --duration ends a source whose frames don't: a live one that falls silent, or any one that hangs.

    at: monotonic seconds. A file is read as long as it gives frames, however slowly.
    """

    def __init__(self, pipeline: Pipeline, at: float) -> None:
        self._pipeline, self._at = pipeline, at
        self._seen = (0, 0)
        self._seen_at = time.monotonic()
        self._longest_s = HANGS_S / 2  # between two frames

    def is_over(self) -> bool:
        now, stats, playback = time.monotonic(), self._pipeline.stats, self._pipeline.playback
        seen = (stats.captured, stats.processed)
        waits = playback is not None and (playback.paused or playback.at_end)  # for a key
        if waits or seen != self._seen:
            self._longest_s = max(self._longest_s, now - self._seen_at)
            self._seen, self._seen_at = seen, now
        return now > self._at and (self._pipeline.source.live or now - self._seen_at > 2 * self._longest_s)


class SourceRun:
    """One source's pipeline, from start to end. `outputs` has begun this source.

    last: no other source follows. duration_s: as in StreamOptions. viewing: None without a window.
    """

    def __init__(
        self, pipeline: Pipeline, outputs: Outputs, last: bool, duration_s: float | None, viewing: "Viewing | None"
    ) -> None:
        self.pipeline = pipeline
        self._outputs, self._last, self._duration_s, self._viewing = outputs, last, duration_s, viewing
        self._window: Window | None = None if viewing is None else viewing.window
        self._view: View | None = None
        self._started = time.monotonic()
        self._ended: float | None = None
        self._signaled = False

    @property
    def seconds(self) -> float:
        """Wall time from the start to the end of the source."""
        return (self._ended or time.monotonic()) - self._started

    def report(self) -> dict[str, Any]:
        """This source's entry in the report of several."""
        from fer_edge.cli.report import source_report  # not needed before the first results

        return source_report(self.pipeline, self.seconds)

    @property
    def nothing_read(self) -> bool:
        """True if the source turned out to be unreadable."""
        return isinstance(self.pipeline.error, FerError) and not self.pipeline.stats.processed

    def execute(self, attendants: Attendants) -> Action:
        """Process the source to its end; QUIT if the whole run ends with it, because window or stdout is closed.

        After a signal, what is captured is processed before the signal's exception passes through.
        """
        action = Action.QUIT
        try:
            if self._viewing is not None:
                self._view = self._viewing.begin(self.pipeline)
            self.pipeline.start()
            action = self._watch(attendants)
        except (KeyboardInterrupt, Stopped) as stopped:
            self._signaled = True
            self.pipeline.stop(stopped.word if isinstance(stopped, Stopped) else Interrupted.word)
            raise
        except BaseException:
            self.pipeline.stop(ERROR)
            raise
        finally:
            if action is Action.QUIT or (self._last and action is not Action.PREVIOUS):
                attendants.notifier.stopping()
            attendants.status.clear()
            with signals_deferred():
                self._finish()
        return action

    def _watch(self, attendants: Attendants) -> Action:
        """Wait for the end; meanwhile show the window, the status line and what else belongs to this thread."""
        pipeline, status = self.pipeline, attendants.status
        status.begin(pipeline)
        deadline = _Deadline(pipeline, self._started + (self._duration_s or math.inf) + 1)
        processed = 0
        while not pipeline.wait(WAIT_S if self._window is None else 0):
            action = self._show(status.caption())
            if action is not Action.CONTINUE:
                return self._leave(action)
            if self._outputs.stdout_closed:
                return self._stop(STDOUT_CLOSED)
            if deadline.is_over():
                return self._stop("duration")
            if (error := timed.stuck_network()) is not None:
                pipeline.error = pipeline.error or error
                return self._stop(ERROR)
            if self._note_end():
                attendants.status.clear()
                attendants.report_if_requested()
            else:
                processed = self._attend(attendants, processed)
        self._attend(attendants, processed)
        return Action.QUIT if self._outputs.stdout_closed else self._stay(attendants)

    def _show(self, caption: str) -> Action:
        """Serve the window, if there is one; without a screen the run goes on as without a window."""
        if self._window is None:
            return Action.CONTINUE
        action = self._window.show(caption, WAIT_S)
        if self._window.gone:
            log.warning("the screen is gone: the run goes on without a window")
            self._window.end()
            self._window = None
            if self.pipeline.playback is not None:
                self.pipeline.playback.release()
        return action

    def _note_end(self) -> bool:
        """True while a file's end is held, from where the user may go back."""
        held = self.pipeline.playback is not None and self.pipeline.playback.at_end
        self._ended = (self._ended or time.monotonic()) if held else None
        return held

    def _leave(self, action: Action) -> Action:
        """End the source because of a key."""
        if self._note_end():
            self.pipeline.stop(END_OF_SOURCE)
        else:
            self.pipeline.stop(WINDOW_CLOSED if action is Action.QUIT else SKIPPED)
        return action

    def _stay(self, attendants: Attendants) -> Action:
        """Show what is not shown yet; where the last image stays, complete the output and wait for a key."""
        self._ended = self._ended or time.monotonic()
        action = Action.CONTINUE
        if self._view is not None:
            self._view.complete = True
            while action is Action.CONTINUE and self._window is not None and self._view.is_pending:
                action = self._show("")
        if self._viewing is None or not self._viewing.stays(self.pipeline):
            return action
        attendants.status.clear()
        if self._viewing.data:
            self._outputs.end(discard=False)
            log.info("done; a key in the window closes it")
        while action is Action.CONTINUE and self._window is not None and not self._outputs.stdout_closed:
            action = self._show("")
            attendants.report_if_requested()
        return action

    def _stop(self, reason: str) -> Action:
        self.pipeline.stop(reason)
        return Action.QUIT

    def _attend(self, attendants: Attendants, processed: int) -> int:
        """Serve status, report and systemd; return how many frames are processed, `processed` of which it knows."""
        attendants.status.update()
        attendants.report_if_requested()
        now = self.pipeline.stats.processed
        if now > processed or self.pipeline.source.reconnecting:  # its own limit, --give-up, ends that wait
            attendants.notifier.alive(first=now > processed == 0)
        return now

    def _finish(self) -> None:
        """Process what is captured."""
        since, pipeline = time.monotonic(), self.pipeline
        if self._window is not None:
            self._window.end()  # the pipeline may wait for it

        def gives_up() -> bool:
            self._outputs.abandon_hanging(since)
            timed.end_hanging_runs()
            error = timed.stuck_network()
            pipeline.error = pipeline.error or error
            return error is not None

        pipeline.release(gives_up=gives_up)
        if pipeline.error is not None and not self._signaled:
            lost = isinstance(pipeline.error, FerError) and pipeline.source.live
            pipeline.exit_reason = "source lost" if lost else ERROR
