"""One run of `fer-edge`: its sources one after the other, with shared networks and outputs, and one report."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.cli.options import RunOptions
from fer_edge.cli.outputs import STDOUT, Outputs
from fer_edge.cli.source_run import ERROR, WINDOW_CLOSED, Attendants, SourceRun
from fer_edge.cli.status import StatusLine, blocks_allowed, write_stderr
from fer_edge.cli.systemd import SystemdNotifier
from fer_edge.detectors.base import FramedDetector
from fer_edge.errors import FerError, SourceError
from fer_edge.files import write_json
from fer_edge.guards.signals import signals_deferred
from fer_edge.guards.text import printable
from fer_edge.network.classifier import Classifier
from fer_edge.pipeline.pipeline import END_OF_SOURCE, Pipeline
from fer_edge.pipeline.stats import Stats
from fer_edge.sentences import left_out_line, source_line
from fer_edge.sinks.keys import Action
from fer_edge.sources import Source, open_source
from fer_edge.sources.reconnect import ReconnectPolicy

if TYPE_CHECKING:
    from fer_edge.cli.viewing import Viewing

log = logging.getLogger(__name__)

REPORT_S = 0.3  # for the report after a second signal


class Job:
    """The sources of one run, one after the other, with shared networks and outputs and one report.

    exit_reason: why the run ended before its last source; None if it did not.
    """

    def __init__(self, options: RunOptions, detector: FramedDetector, classifier: Classifier, outputs: Outputs) -> None:
        self.exit_reason: str | None = None
        if options.stream.min_confidence is None:
            stream = replace(options.stream, min_confidence=classifier.min_confidence)
            options = options._replace(stream=stream)
        self._options, self._detector, self._classifier, self._outputs = options, detector, classifier, outputs
        self._several = len(options.sources) > 1
        self._started = time.monotonic()
        self._total = Stats()
        self._opened = False
        self._started_sources = 0
        self._current: SourceRun | None = None
        self._number = 0  # of the current source
        self._parts: dict[int, dict[str, Any]] = {}  # of the report: the sources that have ended, by number
        self._errors: list[FerError] = []
        self._report_due = threading.Lock()  # held by the thread that makes the final report

    def run_sources(self, report_if_requested: Callable[[], None]) -> None:
        """Run all sources. One of several that can't be read is logged and counted."""
        outputs, sources = self._options.outputs, self._options.sources
        status = StatusLine(outputs.use_stdout, len(sources), shows_faces=self._options.aggregate is None)
        attendants = Attendants(status, SystemdNotifier(), report_if_requested)
        number, step = 1, 1
        while number <= len(sources):
            status.source_number = number
            self._started_sources = max(self._started_sources, number)
            try:
                source = self._open(sources[number - 1])
            except SourceError as error:  # a single source's error is raised at the end
                self._add_unopened(number, sources[number - 1], error)
            else:
                action = self._run(source, number, attendants)
                if action is Action.QUIT:
                    break
                step = -1 if action is Action.PREVIOUS else 1
            number += step if number + step else 1

    def _add_unopened(self, number: int, uri: str, error: SourceError) -> None:
        from fer_edge.cli.report import unopened_report

        self._parts.setdefault(number, unopened_report(uri, error))
        self._add_error(error)

    def _open(self, uri: str) -> Source:
        """Open a source, then the outputs for it: if either fails, existing outputs are unchanged."""
        options = self._options
        shown = options.outputs.output is not None or self._outputs.window is not None or self._outputs.serves_images
        gray = not shown and not self._detector.needs_color and self._classifier.contract.color == "grey"
        policy, output = ReconnectPolicy(give_up_s=options.stream.give_up_s), options.outputs.output
        source = open_source(uri, options.stream.camera_size, policy, gray, options.stream.recursive, exclude=output)
        try:
            if options.aggregate is not None and (source.is_cropped or source.image_count is not None):
                kind = "cropped faces" if source.is_cropped else "single images"
                raise SourceError(
                    f"{source.name} holds {kind}, which have no time: --aggregate is for cameras and videos"
                )
            if self._several and (source.live or source.is_cropped):
                kind = "live" if source.live else "a CSV of face pixels"
                raise SourceError(f"{source.name} is {kind}: it must be the only source, so run it alone")
            if source.live and options.stream.start_time is not None:
                raise SourceError(f"{source.name} is live and has its own clock: leave out --start-time")
            if source.image_count is not None and options.stream.start_time is not None:
                raise SourceError(f"{source.name} holds single images, which --start-time can't time: leave it out")
            self._outputs.begin(source, bool(options.stream.resolved(source.live).lossless))
        except BaseException:
            source.close()
            raise
        shows_nothing = self._outputs.window is None and source.image_count is None  # of images, a line says it all
        if shows_nothing and not options.headless and not self._opened:
            log.info("no screen, so no window is shown (--headless turns this message off)")
        self._opened = True
        return source

    def _run(self, source: Source, number: int, attendants: Attendants) -> Action:
        """Run one source, the `number`th from 1; QUIT if the whole run ends with it."""
        options, last = self._options, number == len(self._options.sources)
        viewing, playback = self._viewing(number), None
        if viewing is not None:
            playback = viewing.playback(source, bool(options.stream.resolved(source.live).lossless))
        pipeline = Pipeline(
            source, self._detector, self._classifier, self._outputs.publish, options.stream,
            Stats.within(self._total), playback, self._outputs.pending_images,
        )  # fmt: skip
        if self._outputs.connections is not None:
            self._outputs.connections.begin(pipeline)
        self._number = number
        run = self._current = SourceRun(pipeline, self._outputs, last, options.stream.duration_s, viewing)
        try:
            action = run.execute(attendants)
        except BaseException:
            self.exit_reason = ERROR  # `run` replaces it after a signal
            raise
        finally:
            with signals_deferred():
                self._end(run, number)
        if pipeline.error is not None and not isinstance(pipeline.error, FerError):
            self.exit_reason = ERROR
            raise pipeline.error
        if action is Action.QUIT and not (last and pipeline.exit_reason == END_OF_SOURCE):
            ended = pipeline.exit_reason == END_OF_SOURCE
            self.exit_reason = WINDOW_CLOSED if ended else pipeline.exit_reason
        return action

    def _viewing(self, number: int) -> "Viewing | None":
        """What the window may do with a source; None without a window."""
        window = self._outputs.window
        if window is None or window.gone:
            return None
        from fer_edge.cli.viewing import Viewing

        return Viewing(window, self._outputs.data_options, number, len(self._options.sources))

    def _end(self, run: SourceRun, number: int) -> None:
        """Account for a source that has ended; of several, complete its own output."""
        error, source, stats = run.pipeline.error, run.pipeline.source, run.pipeline.stats
        # Of images, each has its own line.
        hidden = self._options.aggregate is not None  # what is left out is a face, too
        if not hidden and source.image_count is None and stats.left_out and stats.left_out >= stats.faces_seen:
            log.info("%s", left_out_line(source.name, stats.most_left_out, 0, per_frame=True))
        if self._several:
            self._outputs.end(discard=run.nothing_read)
            path = self._outputs.output_path
            part = run.report() | {"output": None if path is None else str(path)}
            before = self._parts.get(number)  # seen before: the user went back to it
            if before is None or before["frames"]["processed"] <= part["frames"]["processed"]:
                self._parts[number] = part
            if not hidden and run.pipeline.source.image_count is None and error is None:
                write_stderr(source_line(run.pipeline.source.name, part["summary"]))
            self._current = None
        if isinstance(error, FerError):
            self._add_error(error)
        elif error is None and run.pipeline.unreadable:
            self._add_error(SourceError(run.pipeline.unreadable))

    def _add_error(self, error: FerError) -> None:
        if str(error) in map(str, self._errors):  # a source that the user went back to
            return
        self._errors.append(error)
        if self._several:
            log.warning("%s", " ".join(str(error).split()))

    def close(self) -> None:
        """Complete every output, then report."""
        if self._outputs.connections is not None:
            self._outputs.connections.end(self.exit_reason or END_OF_SOURCE)
        read = any(part["frames"]["processed"] for part in self._all_parts())
        try:
            failed = bool(self._errors) or not self._opened or self.exit_reason == ERROR
            self._outputs.close(discard=failed and not read)
            if self._outputs.connections is not None:
                self._outputs.connections.close()
            report = self.report() if self._report_due.acquire(blocking=False) else None
            if report is not None and self._outputs.results is not None:
                self._analyze(report, self._outputs.results)
        finally:
            self._outputs.unlock()

    def end_at_once(self, reason: str, until: float) -> None:
        """After a second signal, in another thread: complete the outputs that don't hang, and report.

        until: monotonic seconds when the process ends.
        """
        if self._current is not None:
            self._current.pipeline.stop(reason)
        self._outputs.close_until(until - REPORT_S)
        if self._report_due.acquire(blocking=False):
            self.report(reason)
        self._outputs.unlock()

    def _analyze(self, report: Mapping[str, Any], results: Path) -> None:
        """Write the page of --analyze; without a result there is none."""
        from fer_edge.analysis.job import analyze_run

        page = self._options.outputs.analyze
        assert page is not None
        if not report["frames"]["processed"]:
            log.warning("--analyze: there is no result, so %s is not written", page)
            return
        try:
            analyze_run(results, report, page)
        except FerError as error:
            self._add_error(error)

    def _all_parts(self) -> list[dict[str, Any]]:
        parts = dict(self._parts)
        if self._current is not None:
            parts[self._number] = self._current.report()
        return [part for _, part in sorted(parts.items())]

    def report(self, exit_reason: str | None = None) -> dict[str, Any] | None:
        """Print the report so far, write it to --report and return it; None if no source could be opened."""
        report = self.build_report(exit_reason)
        if report is None:
            return None
        from fer_edge.cli.report_text import render_report  # not needed before the first results

        paths = self._outputs.paths()
        if self._options.verbose or not self._one_image:
            write_stderr(render_report(report, paths, verbose=self._options.verbose, blocks=blocks_allowed()))
            paths = {}
        if self._options.outputs.report is not None:
            write_json(self._options.outputs.report, report, private=True)
        if files := [printable(path) for path in paths.values() if path != STDOUT]:
            write_stderr(f"written to {', '.join(files)}")  # the image's own line shows its faces
        return report

    def build_report(self, exit_reason: str | None = None) -> dict[str, Any] | None:
        """The report so far, from any thread; None if no source is open yet."""
        if not self._opened:
            return None
        # Not needed before the first results.
        from fer_edge.cli.report import build_report, build_total_report, run_settings, without_faces

        sinks, run = self._outputs.counts(), self._current
        if not self._several and run is not None:
            settings = run_settings(self._options, run.pipeline.source)
            report = build_report(run.pipeline, run.seconds, sinks, settings)
        else:
            report = build_total_report(
                self._all_parts(), self._total, time.monotonic() - self._started,
                self._classifier, sinks, run_settings(self._options),
                named=len(self._options.sources), started=self._started_sources,
            )  # fmt: skip
            report["exit_reason"] = self.exit_reason or report["exit_reason"]
        report["exit_reason"] = exit_reason or report["exit_reason"]
        if self._outputs.frames_in_file is not None:
            report["sinks"]["output"]["frames"] = self._outputs.frames_in_file
        if self._options.aggregate is not None:
            report = without_faces(report)
            report["sinks"].get("aggregate", {}).update(self._outputs.interval_counts)
        return report

    @property
    def _one_image(self) -> bool:
        return not self._several and self._current is not None and self._current.pipeline.source.image_count == 1

    def raise_errors(self) -> None:
        """Raise what made a source or an output fail. Of several sources, each was logged."""
        sources = len(self._options.sources)
        if self._several and self._errors:
            raise SourceError(f"{len(self._errors)} of {sources} sources could not be read, see above")
        for error in self._errors:
            raise error
        self._outputs.raise_failures()
