"""Capture, detect and classify in a thread each, on different frames, and tell what became of every frame."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fer_edge.channel import Channel, Closed
from fer_edge.detectors.base import Detection, Detector
from fer_edge.framing import Framing, Image
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.pipeline.frame import Frame, TrackedFrame
from fer_edge.pipeline.options import LIVE_CLASSIFY_INTERVAL_S, Limits, Schedule, StreamOptions
from fer_edge.pipeline.stats import Stats
from fer_edge.results import FrameResult
from fer_edge.sources.base import Source, SourceFrame
from fer_edge.tracking.labels import EmotionLabeler
from fer_edge.tracking.tracker import FaceTracker, Track

log = logging.getLogger(__name__)

MAX_WARNINGS = 10
FILE_QUEUE = 4  # frames waiting for the detector; enough to ride out a slow frame, few enough to stay small
WHOLE_PICTURE = Framing(of_width=1.0)  # of faces that come framed
ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


Publish = Callable[[Frame, FrameResult], None]
"""Called in the classify thread with every processed frame and its result, in order; should return soon."""


class Pipeline:
    """One run of a source through detector and classifier.

    From a live source the newest frame wins: a frame that is still waiting when the next one comes is
    dropped and counted. From a file every frame is processed in order. `flow` can say otherwise.
    `mirror` and `rotate_deg` (0, 90, 180, 270, clockwise) are applied to every frame first.

    Use: start(), then wait() until it returns True; afterwards `error` is what ended it early, or None.
    """

    def __init__(
        self,
        source: Source,
        detector: Detector,
        classifier: Classifier,
        publish: Publish,
        limits: Limits = Limits(),
        flow: StreamOptions = StreamOptions(),
        mirror: bool = False,
        rotate_deg: int = 0,
    ) -> None:
        self.source, self.detector, self.classifier = source, detector, classifier
        self.stats = Stats()
        self.error: BaseException | None = None
        self.exit_reason = "end of source"
        self._publish, self._limits = publish, limits
        self._mirror, self._rotation = mirror, ROTATIONS.get(rotate_deg)
        self._flow = flow
        self.lossless = not source.live if flow.lossless is None else flow.lossless
        self._stop = threading.Event()
        self._captured: Channel[Frame] = Channel(FILE_QUEUE if self.lossless else 1, drop_oldest=not self.lossless)
        # The detector waits for the classifier, so that one frame is in each and at most one between them.
        self._followed: Channel[TrackedFrame] = Channel(1, drop_oldest=False)
        interval_s = flow.classify_interval_s
        if interval_s is None:
            interval_s = 0.0 if self.lossless else LIVE_CLASSIFY_INTERVAL_S
        # Pictures have nothing to do with each other: nothing is followed or smoothed from one to the next.
        self._apart = source.is_cropped or source.image_count is not None
        self._played_since: float | None = None
        self._labeler = EmotionLabeler(
            classifier,
            WHOLE_PICTURE if source.is_cropped else detector.framing,
            interval_s,
            0.0 if self._apart else flow.smooth_s,
        )
        self._threads = [
            threading.Thread(target=self._guard, args=(stage,), name=f"fer-{stage.__name__.strip('_')}", daemon=True)
            for stage in (self._capture, self._detect, self._classify)
        ]

    def start(self) -> None:
        """Start the threads, before a stream after a silent detection on a blank picture: it loads caches and code."""
        if not self._apart:
            self.detector.detect(np.zeros((240, 320), dtype=np.uint8))
        for thread in self._threads:
            thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Whether the run is over; waits up to `timeout_s` for that."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads[1:]:  # capture may hang in a dead device: it is a daemon and is left behind
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                return False
        return True

    def stop(self, reason: str) -> None:
        """Capture no more; what is captured is still processed. The first reason given stays."""
        if not self._stop.is_set():
            self.exit_reason = reason
            self._stop.set()

    def release(self, timeout_s: float = 2.0, while_waiting: Callable[[], None] = lambda: None) -> None:
        """Capture no more, process what is captured, free the source.

        A capture thread that hangs in its device is left behind after `timeout_s`. May be called at any
        time, also when start() was interrupted. while_waiting: called every second until all is processed; for
        whoever publishes to see to it that it ends.
        """
        self._stop.set()
        self.source.interrupt()
        capture, *others = self._threads
        if capture.ident is None:  # never started, so it won't close the source
            self.source.close()
        else:
            capture.join(timeout_s)
        self._captured.close()
        for thread in others:
            while thread.ident is not None and thread.is_alive():
                thread.join(1.0)
                while_waiting()

    @property
    def in_flight(self) -> int:
        """Frames captured and neither processed, dropped nor failed yet."""
        stats = self.stats
        return stats.captured - stats.processed - stats.errors - self.dropped.total()

    @property
    def dropped(self) -> Counter[str]:
        """Frames that never reached the detector, by cause: a newer one came, or the run was stopped."""
        return self.stats.dropped + Counter(newer_frame=self._captured.dropped)

    def _guard(self, stage: Callable[[], None]) -> None:
        # A stage that ends closes the channel it gives to and aborts those before it, so that all others end, too.
        try:
            stage()
        except Closed:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self.error = self.error or error
            self._stop.set()

    def _capture(self) -> None:
        try:
            first_t: float | None = None
            while not self._stop.is_set():
                if self.stats.captured == self._limits.max_frames:
                    self.stop("max frames")
                    break
                grab = self.source.read()
                if grab is None:
                    break
                at = grab.captured_at if grab.media_time_s is None else grab.media_time_s
                first_t = at if first_t is None else first_t
                if not self.lossless and not self.source.live:
                    grab = self._in_real_time(grab, at - first_t)
                if self._limits.duration_s is not None and at - first_t >= self._limits.duration_s:
                    self.stop("duration")
                    break
                self._take(grab, at - first_t)
        finally:
            self._captured.close()
            self.source.close()

    def _in_real_time(self, grab: SourceFrame, t: float) -> SourceFrame:
        """`grab` of a file when its time has come."""
        now = time.monotonic()
        if self._played_since is None:
            self._played_since = now - t
        self._stop.wait(max(0.0, self._played_since + t - now))
        return replace(grab, captured_at=time.monotonic())

    def _take(self, grab: SourceFrame, t: float) -> None:
        index = self.stats.captured
        self.stats.captured += 1
        self.stats.capture_rate.add(grab.captured_at)
        if grab.image is None:
            self.stats.errors += 1
            if self.stats.errors <= MAX_WARNINGS:
                log.warning("%s: %s: skipped", grab.file or f"frame {index}", grab.problem)
            return
        frame = Frame(index, t, grab.captured_at, self._turned(grab.image), grab.file)
        try:
            self._captured.put(frame)
        except Closed:
            self.stats.dropped["stopped"] += 1
            raise

    def _turned(self, image: Image) -> Image:
        if self._rotation is not None:
            image = np.asarray(cv2.rotate(image, self._rotation), dtype=np.uint8)
        if self._mirror:
            image = np.asarray(cv2.flip(image, 1), dtype=np.uint8)
        image = image.view()
        image.flags.writeable = False  # several threads look at it from here on
        return image

    def _detect(self) -> None:
        tracker = FaceTracker(self._flow.follow)
        schedule = Schedule(None if self._apart else self._flow.detect_hz)
        try:
            while True:
                frame = self._captured.get()
                if self._apart:
                    tracker.reset()
                detected = not self.source.is_cropped and schedule.is_due(frame.t)
                tracks = self._run_detector(frame, tracker) if detected else self._followed_without(frame, tracker)
                self.stats.tracks = tracker.count
                self._followed.put(TrackedFrame(frame, tracks, detected))
        finally:
            self._captured.abort()
            self._followed.close()

    def _followed_without(self, frame: Frame, tracker: FaceTracker) -> list[Track]:
        if not self.source.is_cropped:
            return tracker.follow(frame.gray, frame.t)
        height, width = frame.gray.shape
        return tracker.detected(frame.gray, [Detection((0.0, 0.0, float(width), float(height)), 1.0)], frame.t)

    def _run_detector(self, frame: Frame, tracker: FaceTracker) -> list[Track]:
        started = time.perf_counter()
        detections = self.detector.detect(frame.image if self.detector.needs_color else frame.gray)
        self.stats.detect_ms.add(1000 * (time.perf_counter() - started))
        self.stats.detect_rate.add(time.monotonic())
        return tracker.detected(frame.gray, detections, frame.t)

    def _classify(self) -> None:
        try:
            while True:
                self._classify_one(self._followed.get())
        finally:
            self._followed.abort()
            self._captured.abort()  # the detector may be waiting for a frame that never comes

    def _classify_one(self, followed: TrackedFrame) -> None:
        stats, frame = self.stats, followed.frame
        image = frame.gray if self.classifier.contract.color == "grey" else frame.image
        before = self._labeler.classified
        started = time.perf_counter()
        faces = self._labeler.label(image, followed.tracks, frame.t, frame.captured_at)
        classified = self._labeler.classified - before
        if classified:
            stats.classify_ms.add(1000 * (time.perf_counter() - started))
        now = time.monotonic()
        late_ms = 1000 * (now - frame.captured_at)
        faces = tuple(replace(face, age_ms=face.age_ms + late_ms) for face in faces)
        stats.flips = self._labeler.flips
        stats.faces_seen += len(faces)
        stats.faces_rate.add(now, classified)
        stats.end_to_end_ms.add(late_ms)
        stats.processed_rate.add(now)
        stats.processed += 1
        self._publish(frame, FrameResult(frame.index, frame.t, followed.detected, faces, frame.file))
