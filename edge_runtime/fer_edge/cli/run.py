"""The main job of `fer-edge`: run every source through the pipeline into the outputs, then report."""

import contextlib
import gc
import logging
import signal
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from fer_edge.cli.job import Job
from fer_edge.cli.options import RunOptions
from fer_edge.cli.output_paths import check_outputs
from fer_edge.cli.outputs import Outputs, start_window
from fer_edge.cli.subcommands.analyze import check_extra
from fer_edge.console import option_named
from fer_edge.detectors import open_detector
from fer_edge.errors import Interrupted, OutputError, Stopped
from fer_edge.guards.portable import SIGUSR1
from fer_edge.guards.signals import last_words, signals_deferred
from fer_edge.media.ffmpeg_memory import own_process
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.pipeline.clock import is_future

if TYPE_CHECKING:
    from fer_edge.recognizer import EmotionRecognizer
    from fer_edge.serve.connections import Connections

log = logging.getLogger(__name__)

RUNNING = "running"  # exit reason of a report that is requested during the run


def run(options: RunOptions) -> None:
    """Run until the sources end, a limit is reached, the window is closed or a signal comes; then report.

    Raises FerError if something can't be opened or read, if a live source is lost or if an output failed.
    KeyboardInterrupt and Stopped pass through once everything captured is processed and every output is complete.
    """
    gc.freeze()  # imported modules stay: never collect them again
    gc.enable()
    check_outputs(options.outputs)
    if options.outputs.analyze is not None:
        check_extra("fer-edge --analyze")
    _log_start_time(options.stream.start_time)
    window = None if options.headless else start_window()  # it opens while the networks are loaded
    cv2.setNumThreads(options.threads)
    with option_named("--model", _given(options.model)):
        classifier = Classifier(options.model, options.threads, options.head)
    with option_named("--detector-model", options.detector_model):
        detector = open_detector(
            options.detector,
            options.detector_model,
            min_face_px=options.min_face_px,
            min_score=options.min_score,
            detect_size_px=options.detect_size_px,
            threads=options.threads,
        )
    if window is not None and not window.open():
        window = None
    connections = _open_connections(options, classifier)
    outputs = Outputs(options, classifier.labels, window, connections)
    job = Job(options, detector, classifier, outputs)
    if connections is not None:
        connections.start(lambda: job.build_report(RUNNING))
    with last_words(job.end_at_once), own_process():
        try:
            with _reports_on_request(job.report) as report_if_requested:
                job.run_sources(report_if_requested)
        except (KeyboardInterrupt, Stopped) as stopped:
            job.exit_reason = stopped.word if isinstance(stopped, Stopped) else Interrupted.word
            raise
        finally:
            with signals_deferred():
                job.close()
    job.raise_errors()


def _given(model: Path) -> Path | None:
    """`model` if the user gave it; None for a shipped one."""
    import fer_models

    return None if model.parent == Path(fer_models.__file__).parent else model


def _open_connections(options: RunOptions, classifier: Classifier) -> "Connections | None":
    """The connections that the options ask for; None, and nothing is imported, without any."""
    if not options.connect.given:
        return None
    from fer_edge.serve.connections import Connections
    from fer_edge.serve.run_state import RunState

    state = RunState(classifier, aggregation=options.aggregate, blur=options.stream.blur)
    return Connections(options.connect, state, options.outputs.overwrite, lambda: _recognizer(options))


def _recognizer(options: RunOptions) -> "EmotionRecognizer":
    """A separate recognizer, for images that clients send, with the run's settings."""
    from fer_edge.recognizer import EmotionRecognizer

    return EmotionRecognizer(
        options.model,
        options.detector,
        detector_model=options.detector_model,
        min_face_px=options.min_face_px,
        min_score=options.min_score,
        detect_size_px=options.detect_size_px,
        min_confidence=options.stream.min_confidence,
        head=options.head,
    )


def _log_start_time(start: datetime | None) -> None:
    """Log how a start time without a time zone is read, and warn if it is in the future."""
    if start is None:
        return
    if start.tzinfo is None:
        log.info("--start-time has no time zone: taken as local time, %s", start.astimezone().isoformat())
    if is_future(start):
        log.warning("--start-time %s is in the future: check the year and the time zone", start.isoformat())


@contextlib.contextmanager
def _reports_on_request(report: Callable[[str], object]) -> Iterator[Callable[[], None]]:
    """Make SIGUSR1 request a report of the run so far. Yields a function that writes it; call that often."""
    requested = False  # no Event: its lock could be held by the code that the handler interrupts

    def request(_number: int, _frame: FrameType | None) -> None:
        nonlocal requested
        requested = True

    def report_if_requested() -> None:
        nonlocal requested
        if requested:
            requested = False
            try:
                report(RUNNING)
            except OutputError as error:  # such as a full disk: the run goes on
                log.warning("%s", error)

    if SIGUSR1 is None:
        yield report_if_requested
        return
    before = signal.signal(SIGUSR1, request)
    try:
        yield report_if_requested
    finally:
        signal.signal(SIGUSR1, before)
