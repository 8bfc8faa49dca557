"""The main job of `fer-edge`: run a source through the pipeline into the outputs, with status line and report."""

import contextlib
import dataclasses
import gc
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator

from fer_edge.cli.options import RunOptions
from fer_edge.cli.outputs import Outputs, check_outputs, open_sinks, open_window, rotation_of
from fer_edge.cli.status import StatusLine, write_stderr
from fer_edge.cli.systemd import SystemdNotifier
from fer_edge.console import signals_deferred
from fer_edge.detectors import open_detector
from fer_edge.errors import FerError, Interrupted, OutputError, Terminated
from fer_edge.files import write_json
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.sources import open_source
from fer_edge.sources.reconnect import ReconnectPolicy

log = logging.getLogger(__name__)

WAIT_S = 0.05
RUNNING = "running"  # exit reason of a report that is requested during the run
STDOUT_CLOSED = "stdout closed"


def run(options: RunOptions) -> None:
    """Run until the source ends, a limit is reached, the window is closed or a signal comes; then report.

    Raises FerError if something can't be opened, if a live source is lost or if an output failed. KeyboardInterrupt and
    Terminated pass through once everything captured is processed and every output is complete.
    """
    gc.freeze()  # imported modules stay: never collect them again
    gc.enable()
    check_outputs(options.outputs)
    cv2.setNumThreads(options.threads)
    pipeline, outputs = _open(options)
    started = time.monotonic()

    def report(exit_reason: str | None = None) -> None:
        _report(pipeline, outputs, options, time.monotonic() - started, exit_reason)

    try:
        with _reports_on_request(report) as report_if_requested:
            pipeline.start()
            _watch(pipeline, outputs, options, started, report_if_requested)
    except (KeyboardInterrupt, Terminated) as stopped:
        pipeline.stop(Terminated.word if isinstance(stopped, Terminated) else Interrupted.word)
        raise
    finally:
        with signals_deferred():
            _finish(pipeline, outputs)
            report()
    if pipeline.error is not None:
        raise pipeline.error
    outputs.raise_failures()


def _open(options: RunOptions) -> tuple[Pipeline, Outputs]:
    """Open networks, window, source and, last, the sinks: if anything fails, existing outputs are unchanged."""
    classifier = Classifier(options.model, options.threads)
    detector = open_detector(
        options.detector,
        options.detector_model,
        min_face_px=options.min_face_px,
        min_score=options.min_score,
        detect_size_px=options.detect_size_px,
        threads=options.threads,
    )
    window = None if options.headless else open_window()
    shown = options.outputs.output is not None or window is not None
    gray = not shown and not detector.needs_color and classifier.contract.color == "grey"
    source = open_source(options.source, options.camera_size, ReconnectPolicy(give_up_s=options.give_up_s), gray)
    stream = options.stream.resolved(source.live)
    try:
        sinks = open_sinks(options.outputs, source, classifier.labels, bool(stream.lossless), options.limits.max_frames)
    except BaseException:
        source.close()
        raise
    if window is None and not options.headless:
        log.info("no screen, so no window is shown (--headless turns this message off)")
    outputs = Outputs(sinks, window)
    pipeline = Pipeline(
        source, detector, classifier, outputs.publish, options.limits, stream, options.mirror, options.rotate_deg
    )
    return pipeline, outputs


def _watch(
    pipeline: Pipeline, outputs: Outputs, options: RunOptions, started: float, report_if_requested: Callable[[], None]
) -> None:
    """Wait for the end of the run; meanwhile show the window, the status line and what else belongs to this thread."""
    window = outputs.window
    status = StatusLine(pipeline, "-" in (options.outputs.json, options.outputs.csv))
    notifier, processed = SystemdNotifier(), 0
    # Frame times end a run; this deadline is for a live source that sends no more frames.
    deadline = started + (options.limits.duration_s or math.inf) + 1
    try:
        while not pipeline.wait(0 if window else WAIT_S):
            if window is not None and not window.show(status.caption(), WAIT_S):
                return pipeline.stop("window closed")
            if outputs.stdout_closed:
                return pipeline.stop(STDOUT_CLOSED)
            if pipeline.source.live and time.monotonic() > deadline:
                return pipeline.stop("duration")
            status.update()
            report_if_requested()
            processed = _notify(notifier, pipeline, processed)
        _notify(notifier, pipeline, processed)
        # If images are only shown, the last one stays until the user closes it.
        only_shown = not outputs.sinks and options.outputs.report is None
        while window is not None and pipeline.source.image_count and only_shown and window.show("", WAIT_S):
            pass
    finally:
        notifier.stopping()
        status.clear()


def _notify(notifier: SystemdNotifier, pipeline: Pipeline, processed: int) -> int:
    """Notify systemd if more than `processed` frames are processed; return how many are."""
    now = pipeline.stats.processed
    if now > processed:
        notifier.alive(first=not processed)
    return now


def _finish(pipeline: Pipeline, outputs: Outputs) -> None:
    """Process what is captured and complete every output."""
    since = time.monotonic()
    pipeline.release(while_waiting=lambda: outputs.abandon_hanging(since))
    if pipeline.error is not None:
        lost = isinstance(pipeline.error, FerError) and pipeline.source.live
        pipeline.exit_reason = "source lost" if lost else "error"
    nothing_read = isinstance(pipeline.error, FerError) and not pipeline.stats.processed
    outputs.close(discard=nothing_read)


@contextlib.contextmanager
def _reports_on_request(report: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Make SIGUSR1 request a report of the run so far. Yields a function to call often: it writes it."""
    requested = threading.Event()

    def report_if_requested() -> None:
        if requested.is_set():
            requested.clear()
            try:
                report(RUNNING)
            except OutputError as error:  # such as a full disk: the run goes on
                log.warning("%s", error)

    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: requested.set())
    try:
        yield report_if_requested
    finally:
        signal.signal(signal.SIGUSR1, before)


def _report(pipeline: Pipeline, outputs: Outputs, options: RunOptions, seconds: float, exit_reason: str | None) -> None:
    from fer_edge.cli.report import build_report, render_report  # not needed before the first results

    report = build_report(pipeline, seconds, outputs.counts(), _settings(options, pipeline))
    report["exit_reason"] = exit_reason or report["exit_reason"]
    write_stderr(render_report(report))
    if options.outputs.report is not None:
        write_json(options.outputs.report, report)


def _settings(options: RunOptions, pipeline: Pipeline) -> dict[str, object]:
    """The report's settings: without them and what the source delivered, rates can't be compared."""
    stream, rotation = pipeline.options, rotation_of(options.outputs)
    return {
        "threads": options.threads,
        "lossless": stream.lossless,
        "detect_size_px": options.detect_size_px,
        "min_face_px": options.min_face_px,
        "min_score": options.min_score,
        "detect_hz": stream.detect_hz,
        "follow": stream.track,
        "classify_interval_ms": 1000 * (stream.classify_interval_s or 0.0),
        "smooth_s": stream.smooth_s,
        "mirror": options.mirror,
        "rotate_deg": options.rotate_deg,
        "max_frames": options.limits.max_frames,
        "duration_s": options.limits.duration_s,
        "give_up_s": options.give_up_s,
        "rotate_output": None if rotation is None else dataclasses.asdict(rotation),
        "source": None if pipeline.source.properties is None else dict(pipeline.source.properties),
    }
