"""The main job of `fer-edge`: a source through the pipeline into the sinks, with status line and report."""

import contextlib
import logging
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_edge.classifier import Classifier
from fer_edge.console import CLEAR_LINE, Terminated, signals_deferred
from fer_edge.detectors import open_detector
from fer_edge.errors import FerError
from fer_edge.files import check_output, write_json
from fer_edge.flow import Flow, Frame, Limits
from fer_edge.opencv import cv2
from fer_edge.pipeline import Pipeline
from fer_edge.results import FrameResult
from fer_edge.service import Notifier
from fer_edge.sinks import Sink, SinkRunner
from fer_edge.sources import Source, open_source
from fer_edge.sources.live import Patience

if TYPE_CHECKING:
    from fer_edge.sinks.window import Window

log = logging.getLogger(__name__)

STATUS_INTERVAL_S = 1.0
STATUS_INTERVAL_LOG_S = 10.0  # where stderr is a file or a journal
WAIT_S = 0.05
STDOUT_CLOSED = "stdout closed"


@dataclass(frozen=True)
class AppOptions:
    """The command line of `fer-edge`, checked by click; None means the default."""

    source: str
    model: Path | None
    precision: str | None
    detector: str
    detector_model: Path | None
    headless: bool
    limits: Limits
    flow: Flow
    json: str | None
    csv: str | None
    output: Path | None
    report: Path | None
    threads: int
    min_face_px: int
    detect_size_px: int
    mirror: bool
    rotate_deg: int
    camera_size: tuple[int, int] | None
    give_up_s: float
    overwrite: bool


def run(options: AppOptions) -> None:
    """Run until the source ends, a limit is reached, the window is closed or a signal comes; then report.

    Raises FerError for what can't be opened and when a live source is lost; KeyboardInterrupt and
    Terminated pass through after everything captured is processed and every output is complete.
    """
    _check_outputs(options)
    cv2.setNumThreads(options.threads)
    model = options.model
    if model is None:
        from fer_models import default_model, model_path

        model = model_path(options.precision) if options.precision else default_model()
    classifier = Classifier(model, options.threads)
    detector = open_detector(options.detector, options.detector_model, options.min_face_px, options.detect_size_px)
    source = open_source(options.source, options.camera_size, Patience(give_up_s=options.give_up_s))
    try:
        lossless = not source.live if options.flow.lossless is None else options.flow.lossless
        sinks = [SinkRunner(sink, not lossless) for sink in _open_sinks(options, source, classifier)]
        window = _open_window(options)
    except BaseException:
        source.close()
        raise

    def publish(frame: Frame, result: FrameResult) -> None:
        for sink in sinks:
            sink.offer(frame, result)
        if window is not None:
            window.offer(frame, result)

    pipeline = Pipeline(
        source, detector, classifier, publish, options.limits, options.flow, options.mirror, options.rotate_deg
    )
    started = time.monotonic()
    try:
        pipeline.start()
        _watch(pipeline, sinks, window, options, started)
    except (KeyboardInterrupt, Terminated) as signalled:
        pipeline.stop("terminated" if isinstance(signalled, Terminated) else "interrupted")
        raise
    finally:
        with signals_deferred():
            _finish(pipeline, sinks, window, options, started)
    if pipeline.error is not None:
        raise pipeline.error


def _finish(
    pipeline: Pipeline, sinks: list[SinkRunner], window: "Window | None", options: AppOptions, started: float
) -> None:
    """Let what is captured be processed, complete every output, and report."""
    pipeline.release()
    if pipeline.error is not None:
        pipeline.exit_reason = "source lost" if isinstance(pipeline.error, FerError) else "error"
    for sink in sinks:
        sink.close()
    counts = {sink.name: (sink.written, sink.lost) for sink in sinks}
    if window is not None:
        window.close()
        counts["window"] = (window.shown, window.lost)
    from fer_edge.report import build_report, render_report  # not before the first results

    report = build_report(pipeline, time.monotonic() - started, counts)
    _tell(render_report(report))
    if options.report is not None:
        write_json(options.report, report)


def _check_outputs(options: AppOptions) -> None:
    # Before anything is opened: a camera takes seconds, and an output that is opened is truncated.
    for path in (options.json, options.csv, options.report):
        if path is not None and path != "-":
            check_output(Path(path), options.overwrite)
    if options.output is not None:
        from fer_edge.sinks.pictures import check_picture_output

        check_picture_output(options.output, options.overwrite)


def _open_window(options: AppOptions) -> "Window | None":
    if options.headless:
        return None
    from fer_edge.sinks.window import Window, screen_available

    if screen_available():
        return Window()
    log.info("no screen: running without a window (--headless says so from the start)")
    return None


def _open_sinks(options: AppOptions, source: Source, classifier: Classifier) -> list[Sink]:
    # Pictures are drawn and encoded by code that the rest does not need.
    sinks: list[Sink] = []
    if options.output is not None:
        from fer_edge.sinks.pictures import open_picture_sink

        single = 1 in (source.pictures, options.limits.max_frames)
        sinks.append(open_picture_sink(options.output, source, single))
    if options.json is not None or options.csv is not None:
        from fer_edge.sinks.text import CsvSink, JsonSink, PredictionSink

        if options.json is not None:
            sinks.append(JsonSink(options.json))
        if options.csv is not None:
            csv_sink = PredictionSink if source.framed else CsvSink
            sinks.append(csv_sink(options.csv, classifier.labels))
    return sinks


def _watch(
    pipeline: Pipeline, sinks: list[SinkRunner], window: "Window | None", options: AppOptions, started: float
) -> None:
    status = _StatusLine(pipeline, "-" in (options.json, options.csv))
    notifier, processed = Notifier(), 0
    # Frames' own times end a run; this is for a live source that has gone silent.
    deadline = started + (options.limits.duration_s or math.inf) + 1
    try:
        while not pipeline.wait(0 if window else WAIT_S):
            if window is not None and not window.show(status.caption(), WAIT_S):
                return pipeline.stop("window closed")
            if any(isinstance(sink.failure, BrokenPipeError) for sink in sinks):
                return pipeline.stop(STDOUT_CLOSED)
            if pipeline.source.live and time.monotonic() > deadline:
                return pipeline.stop("duration")
            status.update()
            processed = _notify(notifier, pipeline, processed)
        _notify(notifier, pipeline, processed)
        # Pictures that are shown and nothing else: the last one stays until the user closes it.
        alone = not sinks and options.report is None
        while window is not None and pipeline.source.pictures and alone and window.show("", WAIT_S):
            pass
    finally:
        notifier.stopping()
        status.clear()


def _notify(notifier: Notifier, pipeline: Pipeline, processed: int) -> int:
    """Tell systemd of frames beyond the first `processed`, if there are any; return how many there are now."""
    now = pipeline.stats.processed
    if now > processed:
        notifier.alive(first=not processed)
    return now


def _tell(text: str, end: str = "\n") -> None:
    """Write to stderr; that nobody reads it must not end the run."""
    with contextlib.suppress(OSError):
        click.echo(text + end, nl=False, err=True)


class _StatusLine:
    """One line on a terminal, renewed each second; a line now and then where stderr is a log."""

    def __init__(self, pipeline: Pipeline, results_on_stdout: bool) -> None:
        self._pipeline = pipeline
        # Result lines and a status line that rewrites itself don't share a terminal.
        self._in_place = bool(sys.stderr and sys.stderr.isatty()) and not (results_on_stdout and sys.stdout.isatty())
        self._interval_s = STATUS_INTERVAL_S if self._in_place else STATUS_INTERVAL_LOG_S
        self._last = time.monotonic()
        self._counts = (0, 0, 0)
        self._rates = (0.0, 0.0, 0.0)
        self._next_rates = self._last + STATUS_INTERVAL_S
        self._rates_from = self._last

    def _refresh_rates(self, now: float) -> None:
        stats = self._pipeline.stats
        counts = (stats.captured, stats.processed, stats.detect_rate.count)
        elapsed = max(now - self._rates_from, 1e-3)
        self._rates = tuple((new - old) / elapsed for new, old in zip(counts, self._counts, strict=True))  # type: ignore[assignment]
        self._counts, self._rates_from, self._next_rates = counts, now, now + STATUS_INTERVAL_S

    def caption(self) -> str:
        """What the window shows: frames processed and captured a second, in the last second; at first nothing."""
        if not any(self._rates):
            return ""
        return f"{self._rates[1]:.1f} FPS" + (f" of {self._rates[0]:.1f}" if self._pipeline.source.live else "")

    def update(self) -> None:
        """Renew the line if it is time."""
        now = time.monotonic()
        if now >= self._next_rates:
            self._refresh_rates(now)
        if now - self._last < self._interval_s:
            return
        self._last = now
        stats = self._pipeline.stats
        text = (
            f"capture {self._rates[0]:5.1f}  processed {self._rates[1]:5.1f}  detect {self._rates[2]:5.1f} frames/s"
            f"  | {stats.processed} frames, {stats.faces_seen} faces, {self._pipeline.dropped.total()} dropped"
        )
        if self._in_place:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            _tell(f"{CLEAR_LINE}{text[: width - 1]}", end="")
        else:
            _tell(text)

    def clear(self) -> None:
        """Take the line away."""
        if self._in_place:
            _tell(CLEAR_LINE, end="")
