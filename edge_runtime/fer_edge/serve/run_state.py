"""The state of a run for those who watch it: its source, its speed and what it sees now, from any thread."""

import threading
import time
from typing import Any

from fer_edge.network.classifier import Classifier
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.privacy.modes import Aggregation
from fer_edge.serve.totals import Totals
from fer_edge.system import temperature_c

STARTING, RUNNING, RECONNECTING, ENDED = "starting", "running", "reconnecting", "ended"
READY = "ready"  # of a server without a camera
RATE_S = 2.0  # rates are means over at least this time


class RunState:
    """What connections may read of a run, whose sources follow each other.

    aggregation: how --aggregate counts: then only counts per interval may leave the program, and nothing about single
    faces is given out. None without it.
    blur: the mode of --blur, or None. camera: False for `fer-edge serve`, which has no source.
    totals: counters of all sources so far.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        aggregation: Aggregation | None = None,
        blur: str | None = None,
        camera: bool = True,
    ) -> None:
        self.camera = camera
        self.classifier, self.aggregation, self.blur = classifier, aggregation, blur
        self.totals = Totals()
        self._lock = threading.Lock()
        self._pipeline: Pipeline | None = None
        self._started = time.monotonic()
        self._exit_reason: str | None = None
        self._counted = (self._started, 0, 0)  # when rates were computed last: time, captured, processed
        self._rates: tuple[float | None, float | None] = (None, None)

    @property
    def aggregate(self) -> bool:
        """True if only counts per interval may leave the program."""
        return self.aggregation is not None

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions of the head that runs."""
        return self.classifier.labels

    @property
    def pipeline(self) -> Pipeline | None:
        """The current source's pipeline; None before the first source is open."""
        return self._pipeline

    def begin(self, pipeline: Pipeline) -> None:
        """The next source starts."""
        self.totals.begin(pipeline)
        with self._lock:
            self._pipeline = pipeline
            self._counted, self._rates = (time.monotonic(), 0, 0), (None, None)

    def end(self, exit_reason: str) -> None:
        """The run is over."""
        self._exit_reason = exit_reason

    @property
    def word(self) -> str:
        """The state in one word: starting, running, reconnecting or ended; ready without a camera."""
        if self._exit_reason is not None:
            return ENDED
        if not self.camera:
            return READY
        if self._pipeline is None:
            return STARTING
        return RECONNECTING if self._pipeline.source.reconnecting else RUNNING

    def snapshot(self) -> dict[str, Any]:
        """The state in numbers, as JSON knows them, without anything about single faces.

        fps: captured and processed frames per second in the last seconds; None in the first ones. frames: counts of the
        current source. latency_ms: from capture to result. temperature_c: of the processor; None if unknown.
        """
        pipeline = self._pipeline
        state: dict[str, Any] = {
            "state": self.word,
            "exit_reason": self._exit_reason,
            "uptime_s": round(time.monotonic() - self._started, 1),
            "source": None,
            "blur": self.blur,
            "aggregate": self.aggregate,
            "temperature_c": temperature_c(),
        }
        if pipeline is None:
            return state
        stats, source = pipeline.stats, pipeline.source
        processed, errors, dropped = stats.processed, stats.errors, dict(pipeline.dropped)  # later frames: in flight
        captured = stats.captured
        capture_fps, processed_fps = self._recent_rates(captured, processed)
        return state | {
            "source": source.name,
            "live": source.live,
            "progress": pipeline.progress,
            "reconnects": source.reconnects,
            "frames": {"captured": captured, "processed": processed, "dropped": dropped, "errors": errors},
            "fps": {"capture": capture_fps, "processed": processed_fps},
            "latency_ms": stats.end_to_end_ms.summary(),
        }

    def _recent_rates(self, captured: int, processed: int) -> tuple[float | None, float | None]:
        with self._lock:
            now, (then, captured_then, processed_then) = time.monotonic(), self._counted
            seconds = now - then
            if seconds >= RATE_S:
                self._counted = now, captured, processed
                self._rates = (
                    round((captured - captured_then) / seconds, 1),
                    round((processed - processed_then) / seconds, 1),
                )
            return self._rates
