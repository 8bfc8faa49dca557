"""The main job of `fer-edge`: a source through the pipeline into the sinks, with status line and report."""

import contextlib
import dataclasses
import gc
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.cli.status import StatusLine, tell
from fer_edge.cli.systemd import SystemdNotifier
from fer_edge.console import Terminated, signals_deferred
from fer_edge.detectors import open_detector
from fer_edge.errors import FerError, OutputError
from fer_edge.files import check_writable, write_json
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.pipeline.frame import Frame
from fer_edge.pipeline.options import LIVE_CLASSIFY_INTERVAL_S, Limits, StreamOptions
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.results import FrameResult
from fer_edge.sinks import Sink, SinkRunner
from fer_edge.sources import Source, open_source
from fer_edge.sources.reconnect import ReconnectPolicy

if TYPE_CHECKING:
    from fer_edge.sinks.rotation import Rotation
    from fer_edge.sinks.window import Window

log = logging.getLogger(__name__)

WAIT_S = 0.05
RUNNING = "running"  # as exit reason, of a report on the way
STDOUT_CLOSED = "stdout closed"


@dataclass(frozen=True, eq=False, repr=False)  # the source may hold a password
class RunOptions:
    """The command line of `fer-edge`, checked by click; None means the default."""

    source: str
    model: Path
    detector: str
    detector_model: Path | None
    headless: bool
    limits: Limits
    flow: StreamOptions
    json: str | None
    csv: str | None
    output: Path | None
    report: Path | None
    threads: int
    min_face_px: int
    min_score: float
    detect_size_px: int
    mirror: bool
    rotate_deg: int
    camera_size: tuple[int, int] | None
    give_up_s: float
    overwrite: bool
    rotation: "Rotation | None"


def run(options: RunOptions) -> None:
    """Run until the source ends, a limit is reached, the window is closed or a signal comes; then report.

    Raises FerError for what can't be opened, when a live source is lost and when an output failed; KeyboardInterrupt
    and Terminated pass through after everything captured is processed and every output is complete.
    """
    gc.freeze()  # modules are never looked through again
    gc.enable()
    _check_outputs(options)
    cv2.setNumThreads(options.threads)
    classifier = Classifier(options.model, options.threads)
    detector = open_detector(
        options.detector,
        options.detector_model,
        options.min_face_px,
        options.detect_size_px,
        options.threads,
        options.min_score,
    )
    window = _open_window(options)
    looked_at = options.output is not None or window is not None
    gray = not looked_at and not detector.needs_color and classifier.contract.color == "grey"
    source = open_source(options.source, options.camera_size, ReconnectPolicy(give_up_s=options.give_up_s), gray)
    try:
        lossless = not source.live if options.flow.lossless is None else options.flow.lossless
        gaps = not lossless and source.image_count is None
        sinks = [SinkRunner(sink, not lossless) for sink in _open_sinks(options, source, classifier, gaps)]
    except BaseException:
        source.close()
        raise
    if window is None and not options.headless:
        log.info("no screen: running without a window (--headless says so from the start)")

    def publish(frame: Frame, result: FrameResult) -> None:
        for sink in sinks:
            sink.offer(frame, result)
        if window is not None:
            window.offer(frame, result)

    pipeline = Pipeline(
        source, detector, classifier, publish, options.limits, options.flow, options.mirror, options.rotate_deg
    )
    started = time.monotonic()

    def report(exit_reason: str | None = None) -> None:
        _report(pipeline, sinks, window, options, time.monotonic() - started, exit_reason)

    try:
        with _on_request(report) as report_if_asked:
            pipeline.start()
            _watch(pipeline, sinks, window, options, started, report_if_asked)
    except (KeyboardInterrupt, Terminated) as signalled:
        pipeline.stop("terminated" if isinstance(signalled, Terminated) else "interrupted")
        raise
    finally:
        with signals_deferred():
            _finish(pipeline, sinks, window)
            report()
    if pipeline.error is not None:
        raise pipeline.error
    failed = [f"--{sink.name}" for sink in sinks if sink.failure and not isinstance(sink.failure, BrokenPipeError)]
    if failed:
        raise OutputError(f"{' and '.join(failed)} failed, as told above: what is missing there is counted as lost")


def _finish(pipeline: Pipeline, sinks: list[SinkRunner], window: "Window | None") -> None:
    """Let what is captured be processed, and complete every output."""
    since = time.monotonic()

    def give_up_hanging() -> None:
        for sink in sinks:
            sink.give_up_if_hanging(since)

    pipeline.release(while_waiting=give_up_hanging)
    if pipeline.error is not None:
        lost = isinstance(pipeline.error, FerError) and pipeline.source.live
        pipeline.exit_reason = "source lost" if lost else "error"
    for sink in sinks:
        sink.close()
        if isinstance(pipeline.error, FerError) and not pipeline.stats.processed:  # nothing could be read
            sink.discard()
    if window is not None:
        window.close()


def _report(
    pipeline: Pipeline, sinks: list[SinkRunner], window: "Window | None", options: RunOptions, seconds: float,
    exit_reason: str | None,
) -> None:  # fmt: skip
    from fer_edge.cli.report import build_report, render_report  # not before the first results

    counts = {sink.name: (sink.written, sink.lost) for sink in sinks}
    if window is not None:
        counts["window"] = (window.shown, window.lost)
    report = build_report(pipeline, seconds, counts, _settings(options, pipeline))
    report["exit_reason"] = exit_reason or report["exit_reason"]
    tell(render_report(report))
    if options.report is not None:
        write_json(options.report, report)


@contextlib.contextmanager
def _on_request(report: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Have SIGUSR1 ask for the report of the run so far; yields what is to be called often, and gives it if asked."""
    asked = threading.Event()

    def report_if_asked() -> None:
        if asked.is_set():
            asked.clear()
            try:
                report(RUNNING)
            except OutputError as error:  # of a full disk, say: the run goes on
                log.warning("%s", error)

    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: asked.set())
    try:
        yield report_if_asked
    finally:
        signal.signal(signal.SIGUSR1, before)


def _settings(options: RunOptions, pipeline: Pipeline) -> dict[str, object]:
    """What the run was told or took by default, and what its source gave: without these no figure can be compared."""
    flow, rotation = options.flow, options.rotation
    default_interval_s = 0.0 if pipeline.lossless else LIVE_CLASSIFY_INTERVAL_S
    interval_s = default_interval_s if flow.classify_interval_s is None else flow.classify_interval_s
    return {
        "threads": options.threads,
        "lossless": pipeline.lossless,
        "detect_size_px": options.detect_size_px,
        "min_face_px": options.min_face_px,
        "min_score": options.min_score,
        "detect_hz": flow.detect_hz,
        "follow": flow.follow,
        "classify_interval_ms": 1000 * interval_s,
        "smooth_s": flow.smooth_s,
        "mirror": options.mirror,
        "rotate_deg": options.rotate_deg,
        "max_frames": options.limits.max_frames,
        "duration_s": options.limits.duration_s,
        "give_up_s": options.give_up_s,
        "rotate_output": None if rotation is None else dataclasses.asdict(rotation),
        "source": None if pipeline.source.properties is None else dict(pipeline.source.properties),
    }


def _check_outputs(options: RunOptions) -> None:
    # Before anything is opened: a camera takes seconds, and an output that is opened is truncated.
    # A rotated output puts aside what is there.
    may_exist = options.overwrite or options.rotation is not None
    for path in (options.json, options.csv):
        if path is not None and path != "-":
            check_writable(Path(path), may_exist)
    if options.report is not None:
        check_writable(options.report, options.overwrite)
    if options.output is not None:
        from fer_edge.sinks.images import FOURCC, check_image_output

        if options.rotation is not None and options.output.suffix.lower() not in FOURCC:
            raise OutputError(f"{options.output}: --rotate-output bounds --json, --csv and a video, but no pictures")
        check_image_output(options.output, may_exist)


def _open_window(options: RunOptions) -> "Window | None":
    if options.headless:
        return None
    from fer_edge.sinks.window import Window, screen_available

    if screen_available():
        return Window()
    return None


def _open_sinks(options: RunOptions, source: Source, classifier: Classifier, gaps: bool) -> list[Sink]:
    # Pictures are drawn and encoded by code that the rest does not need.
    sinks: list[Sink] = []
    if options.output is not None:
        from fer_edge.sinks.images import open_image_sink

        single = 1 in (source.image_count, options.limits.max_frames)
        sinks.append(open_image_sink(options.output, source, single, gaps, options.rotation))
    if options.json is not None or options.csv is not None:
        from fer_edge.sinks.text import CsvSink, JsonSink, PredictionSink

        if options.json is not None:
            sinks.append(JsonSink(options.json, options.rotation))
        if options.csv is not None:
            csv_sink = PredictionSink if source.is_cropped else CsvSink
            sinks.append(csv_sink(options.csv, classifier.labels, options.rotation))
    return sinks


def _watch(
    pipeline: Pipeline, sinks: list[SinkRunner], window: "Window | None", options: RunOptions, started: float,
    report_if_asked: Callable[[], None],
) -> None:  # fmt: skip
    status = StatusLine(pipeline, "-" in (options.json, options.csv))
    notifier, processed = SystemdNotifier(), 0
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
            report_if_asked()
            processed = _notify(notifier, pipeline, processed)
        _notify(notifier, pipeline, processed)
        # Pictures that are shown and nothing else: the last one stays until the user closes it.
        alone = not sinks and options.report is None
        while window is not None and pipeline.source.image_count and alone and window.show("", WAIT_S):
            pass
    finally:
        notifier.stopping()
        status.clear()


def _notify(notifier: SystemdNotifier, pipeline: Pipeline, processed: int) -> int:
    """Tell systemd of frames beyond the first `processed`, if there are any; return how many there are now."""
    now = pipeline.stats.processed
    if now > processed:
        notifier.alive(first=not processed)
    return now
