"""The pipeline: capture, detect and classify in a thread each, working on different frames at the same time."""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fer_edge.channel import Channel, Closed
from fer_edge.detectors.base import Detection, FramedDetector
from fer_edge.detectors.filter import Found
from fer_edge.detectors.search import search_of
from fer_edge.framing import Box, Framing, Image
from fer_edge.guards.exit_guard import responsive
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.pipeline.clock import frame_clock
from fer_edge.pipeline.frame import Frame, TrackedFrame
from fer_edge.pipeline.options import Schedule, StreamOptions
from fer_edge.pipeline.playback import Playback
from fer_edge.pipeline.stats import Stats
from fer_edge.privacy.blur import Blur
from fer_edge.results import FrameResult, LeftOut
from fer_edge.sources.base import Source, SourceFrame
from fer_edge.summary import RunSummary
from fer_edge.system import return_free_memory
from fer_edge.tracking.labels import EmotionLabeler
from fer_edge.tracking.tracker import FaceTracker

log = logging.getLogger(__name__)

MAX_WARNINGS = 10
END_OF_SOURCE = "end of source"  # an exit reason
FILE_QUEUE = 4  # frames that may wait for the detector: enough to ride out one slow frame, few enough to stay small
IN_FLIGHT_BYTES = 100_000_000  # of the images of a file's frames: large ones go one at a time
USUAL_DECODER_BYTES = 110_000_000  # of a 4K video with few references
POLL_S = 0.002
WHOLE_IMAGE = Framing(of_width=1.0)  # for sources whose images are cropped faces
ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}

Publish = Callable[[Frame, FrameResult], None]
"""Called in the classify thread with every processed frame and its result, in order; it should return soon."""


class Pipeline:
    """One run of a source through detector and classifier.

    The newest frame of a live source wins: a frame that still waits when the next one comes is dropped and counted.
    Every frame of a file is processed, in order. `options.lossless` overrides this.
    Every frame is rotated and mirrored first, as the options say.
    `options.blur` hides faces, or all, in every frame that is published.
    playback: plays a file at its own speed and controls it; None reads it as fast as it is processed.
    pending: how many published frames are still held elsewhere; they count as in work.
    ValueError, and the source is closed, if a live source is given a start time.

    Use: start(), then wait() until it returns True, then release(). `error` is what ended the run early, or None.
    """

    def __init__(
        self,
        source: Source,
        detector: FramedDetector,
        classifier: Classifier,
        publish: Publish,
        options: StreamOptions = StreamOptions(),
        stats: Stats | None = None,
        playback: Playback | None = None,
        pending: Callable[[], int] = lambda: 0,
    ) -> None:
        self.source, self.detector, self.classifier = source, detector, classifier
        self.options = options.resolved(source.live)
        self.stats = stats or Stats()
        self.error: BaseException | None = None
        self.exit_reason = END_OF_SOURCE
        still = source.is_cropped or source.image_count is not None
        self.summary = RunSummary(classifier.labels, still)
        self._publish, self._pending = publish, pending
        self._blur = None if options.blur is None else Blur(options.blur, hold=not still)
        try:
            self._time_of = frame_clock(source.live, not source.is_cropped, options.start_time)
        except ValueError:
            source.close()
            raise
        self._rotation = ROTATIONS.get(options.rotate_deg)
        self._stop = threading.Event()
        lossless = bool(self.options.lossless)
        if playback is None and not lossless and not source.live:
            playback = Playback(catch_up=True)
        self.playback = playback
        self._seeks = self._skipped = 0
        self._captured: Channel[Frame] = Channel(FILE_QUEUE if lossless else 1, drop_oldest=not lossless)
        # The detector waits for the classifier, so that one frame is in each and at most one in between.
        self._tracked: Channel[TrackedFrame] = Channel(1, drop_oldest=False)
        # Separate images have nothing in common: nothing is tracked or smoothed from one to the next.
        self._separate = still
        self._search = search_of(detector, stream=not still)
        self._labeler = EmotionLabeler(
            classifier,
            WHOLE_IMAGE if source.is_cropped else detector.framing,
            self.options.classify_interval_s or 0.0,
            0.0 if self._separate else self.options.smooth_s,
            self.options.min_confidence,
        )
        self._threads = [
            threading.Thread(target=self._guard, args=(stage,), name=f"fer-{stage.__name__.strip('_')}", daemon=True)
            for stage in (self._capture, self._detect, self._classify)
        ]

    def start(self) -> None:
        """Start the threads; before a stream, run the detector once on a blank image to load its code and caches.

        Meanwhile a file's first frames are read. Those of a live source would be too old.
        """
        capture, *others = self._threads
        if not self.source.live:
            capture.start()
        if not self._separate:
            responsive(lambda: self._search(np.zeros((240, 320), dtype=np.uint8)))
        for thread in (capture, *others) if self.source.live else others:
            thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` seconds for the end of the run; True if it is over."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads[1:]:  # capture may hang in a dead device: it is a daemon thread and is abandoned
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                return False
        return True

    def stop(self, reason: str) -> None:
        """Stop capturing; captured frames are still processed. The first `reason` becomes the exit reason."""
        if not self._stop.is_set():
            self.exit_reason = reason
            self._stop_capture()

    def _stop_capture(self) -> None:
        self._stop.set()
        if self.playback is not None:
            self.playback.release()

    def release(
        self, timeout_s: float = 2.0, gives_up: Callable[[], bool] = lambda: False, limit_s: float = math.inf
    ) -> None:
        """Stop capturing, process the captured frames, free the source.

        A capture thread that hangs in its device is abandoned after `timeout_s` seconds. May be called at any time,
        even if start() was interrupted. gives_up: called every second until all frames are processed, to unblock what
        the threads wait for; once it returns True, they are abandoned. limit_s: how long to wait for all threads.
        Called in one of them, which happens if the garbage collector runs there, it does not wait: they end once it
        returns.
        """
        if threading.current_thread() in self._threads:
            limit_s = 0.0
        deadline = time.monotonic() + limit_s
        self._stop_capture()
        self.source.interrupt()
        capture, *others = self._threads
        if capture.ident is None:  # it never started, so it won't close the source
            self.source.close()
        elif limit_s > 0:
            capture.join(min(timeout_s, limit_s))
        self._captured.close()
        for thread in others:
            while thread.ident is not None and thread.is_alive() and (left_s := deadline - time.monotonic()) > 0:
                thread.join(min(1.0, left_s))
                if thread.is_alive() and gives_up():
                    return

    @property
    def in_flight(self) -> int:
        """Captured frames that are not yet processed, dropped or failed."""
        stats = self.stats
        return stats.captured - stats.processed - stats.errors - self.dropped.total()

    @property
    def progress(self) -> float | None:
        """The processed part of what the source and the limits allow, 0 to 1; None if its length is unknown."""
        source, options, finished = self.source, self.options, self.stats.captured - self.in_flight
        parts = [finished / options.max_frames] if options.max_frames else []
        if source.frame_count:
            position = self.summary.t * source.fps if self._seeks and source.fps else finished
            parts.append(position / source.frame_count)
        if options.duration_s is not None:
            parts.append(self.summary.t / options.duration_s)
        done = max(parts, default=math.inf)
        return done if done <= 1 else None  # some files hold more frames than they announce

    @property
    def dropped(self) -> Counter[str]:
        """Frames that never reached the detector, by cause: "newer_frame", "seek" or "stopped"."""
        stopped = Counter(self.stats.dropped)  # a copy in one step: capture may add a key meanwhile
        return stopped + Counter(newer_frame=self._captured.dropped, seek=self._skipped)

    def _guard(self, stage: Callable[[], None]) -> None:
        # A stage that ends closes the channel it writes to and aborts those it reads from, so that the others end, too.
        try:
            stage()
        except Closed:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self.error = self.error or error
            self._stop_capture()

    def _capture(self) -> None:
        try:
            first_t: float | None = None
            while not self._stop.is_set():
                if self.stats.captured == self.options.max_frames:
                    self.stop("max frames")
                    break
                self._seek(first_t)
                grabbed = self.source.read()
                if grabbed is None:
                    if self.playback is not None and self.playback.wait_at_end():
                        continue
                    self._count_missing()
                    break
                at = grabbed.captured_at if grabbed.media_time_s is None else grabbed.media_time_s
                first_t = at if first_t is None else first_t
                if self.playback is not None:
                    if not self.playback.wait_until_due(at - first_t):
                        continue
                    grabbed = replace(grabbed, captured_at=time.monotonic())
                if self.options.duration_s is not None and at - first_t >= self.options.duration_s:
                    self.stop("duration")
                    break
                self._put(grabbed, at - first_t)
                del grabbed  # not kept while the next one is decoded
        finally:
            self._captured.close()
            self.source.close()

    def _count_missing(self) -> None:
        """Count frames that the source owed and could not give as captured and unreadable."""
        self.stats.captured += self.source.missing
        self.stats.errors += self.source.missing

    @property
    def unreadable(self) -> str:
        """What of a source that is no live one could not be read, or not rightly, in one line; "" if all could."""
        errors, captured = self.stats.errors, self.stats.captured
        if self.source.live or not (errors or self.source.misread):
            return ""
        if errors == self.source.missing:
            return f"{self.source.name}: {self.source.missing_reason}"
        noun = "frames" if self.source.image_count is None and not self.source.is_cropped else "images"
        return f"{self.source.name}: {errors:,} of {captured:,} {noun} could not be read"

    def _seek(self, first_t: float | None) -> None:
        """Continue elsewhere if playback asks for it. first_t: time of the first frame, in the source's clock."""
        target = None if self.playback is None else self.playback.take_target()
        if target is not None:
            t, self._seeks = target
            self.source.seek((first_t or 0.0) + t)

    def _put(self, grabbed: SourceFrame, t: float) -> None:
        """Count a captured frame and queue it for the detector."""
        index = self.stats.captured
        self.stats.captured += 1
        self.stats.capture_rate.add(grabbed.captured_at)
        if grabbed.image is None:
            self.stats.errors += 1
            if self.stats.errors <= MAX_WARNINGS:
                log.warning("%s: %s: skipped", grabbed.file or f"frame {index}", grabbed.problem)
            return
        size = grabbed.size[::-1] if grabbed.size is not None and self.options.rotate_deg in (90, 270) else grabbed.size
        frame = Frame(index, t, grabbed.captured_at, self.oriented(grabbed.image), grabbed.file, self._seeks, size)
        try:
            self._captured.put(frame)
        except Closed:
            self.stats.dropped["stopped"] += 1
            raise
        if self.options.lossless:
            most = self._most_in_work(grabbed.image)
            while self.in_flight + self._pending() >= most and not self._stop.wait(POLL_S):
                pass
            if most == 1:
                return_free_memory()

    def _most_in_work(self, image: Image) -> int:
        """How many frames like `image` may be in work at one time: fewer if the source's decoder keeps many."""
        taken = max(0, self.source.decoder_bytes - USUAL_DECODER_BYTES)
        return max(1, (IN_FLIGHT_BYTES - taken) // max(1, image.nbytes))

    def oriented(self, image: Image) -> Image:
        """`image` rotated and mirrored, read-only."""
        if self._rotation is not None:
            image = np.asarray(cv2.rotate(image, self._rotation), dtype=np.uint8)
        if self.options.mirror:
            image = np.asarray(cv2.flip(image, 1), dtype=np.uint8)
        image = image.view()
        image.flags.writeable = False  # several threads read it from here on
        return image

    def _detect(self) -> None:
        tracker, hidden_tracker = FaceTracker(self.options.track), FaceTracker(self.options.track)
        schedule = Schedule(None if self._separate else self.options.detect_hz)
        seeks = 0
        try:
            while True:
                frame = self._captured.get()
                if self.playback is not None and frame.seeks < self.playback.seeks:
                    self._skipped += 1
                    continue
                if self._separate or frame.seeks > seeks:
                    tracker.reset()
                    hidden_tracker.reset()
                    seeks = frame.seeks
                detected = not self.source.is_cropped and schedule.is_due(frame.t)
                left_out = LeftOut()
                if detected:
                    detections, left_out = self._run_detector(frame)
                    tracks = tracker.update(frame.gray, detections, frame.t)
                elif self.source.is_cropped:
                    tracks = tracker.update(frame.gray, [_whole_image(frame)], frame.t)
                else:
                    tracks = tracker.predict(frame.gray, frame.t)
                self.stats.tracks = tracker.count
                hidden = self._hidden_boxes(frame, left_out, detected, hidden_tracker)
                self._tracked.put(TrackedFrame(frame, tracks, detected, left_out, hidden))
                del frame  # not kept while the next one is waited for
        finally:
            self._captured.abort()
            self._tracked.close()

    def _hidden_boxes(self, frame: Frame, left_out: LeftOut, detected: bool, tracker: FaceTracker) -> dict[int, Box]:
        """The boxes of faces that are left out, by number, if blur must hide them; tracked like the other faces."""
        if self.options.blur != "faces":
            return {}
        if self._separate:
            return dict(enumerate(left_out.boxes))
        if detected:
            tracks = tracker.update(frame.gray, [Detection(box, 0.0) for box in left_out.boxes], frame.t)
        else:
            tracks = tracker.predict(frame.gray, frame.t)
        return {track.track_id: track.box for track in tracks}

    def _run_detector(self, frame: Frame) -> Found:
        started = time.perf_counter()
        found = self._search(frame.image if self.detector.needs_color else frame.gray)
        self.stats.detect_ms.add(1000 * (time.perf_counter() - started))
        self.stats.detect_rate.add(time.monotonic())
        return found

    def _classify(self) -> None:
        try:
            while True:
                self._classify_frame(self._tracked.get())
        finally:
            self._tracked.abort()
            self._captured.abort()  # the detector may wait for a frame that never comes

    def _classify_frame(self, tracked: TrackedFrame) -> None:
        stats, frame = self.stats, tracked.frame
        image = frame.gray if self.classifier.contract.color == "grey" else frame.image
        started = time.perf_counter()
        labeled = self._labeler.label(image, tracked.tracks, frame.t, frame.captured_at)
        if labeled.classified:
            stats.classify_ms.add(1000 * (time.perf_counter() - started))
        now = time.monotonic()
        latency_ms = 1000 * (now - frame.captured_at)
        faces = tuple(replace(face, age_ms=face.age_ms + latency_ms) for face in labeled.faces)
        if self.source.image_count is not None:  # each image numbers its own faces
            faces = tuple(replace(face, track_id=number) for number, face in enumerate(faces))
        stats.label_changes += labeled.changes
        stats.faces_seen += len(faces)
        stats.left_out += len(tracked.left_out)
        stats.most_left_out = max(stats.most_left_out, tracked.left_out, key=len)
        stats.faces_rate.add(now, labeled.classified)
        stats.end_to_end_ms.add(latency_ms)
        stats.processed_rate.add(now)
        result = FrameResult(
            frame.index, frame.t, tracked.detected, faces, frame.file, self._time_of(frame), left_out=tracked.left_out
        )
        self.summary.add(result)
        if self._blur is not None:  # here, so that no output can get the original
            frame = replace(frame, image=self._blur(frame.image, faces, frame.t, tracked.hidden))
        if self.options.lossless and self._most_in_work(frame.image) == 1:
            return_free_memory()  # an output may need it for a copy
        self._publish(frame, frame.in_picture(result))
        stats.processed += 1  # now: until here, it is in work


def _whole_image(frame: Frame) -> Detection:
    height, width = frame.gray.shape
    return Detection((0.0, 0.0, float(width), float(height)), 1.0)
