"""The metrics of a run for Prometheus: `metrics_text` for /metrics, `exposition` for a file of node_exporter."""

import math
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest as text_format
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_format
from prometheus_client.registry import Collector

from fer_edge.serve.changes import UNSURE
from fer_edge.serve.run_state import ENDED, RUNNING, RunState
from fer_edge.serve.totals import STAGE_BOUNDS_MS, Counts
from fer_edge.system import MEGABYTE, package_version, peak_rss_mb


def metrics_text(state: RunState) -> tuple[bytes, str]:
    """The metrics in the OpenMetrics text format, and its content type."""
    text: bytes = openmetrics_format(_registry(state))  # type: ignore[no-untyped-call]
    return text, CONTENT_TYPE_LATEST


def exposition(state: RunState) -> bytes:
    """The metrics in Prometheus' own text format, which node_exporter reads from files."""
    return text_format(_registry(state))


def _registry(state: RunState) -> CollectorRegistry:
    registry = CollectorRegistry()  # not the process-wide one, to which other libraries may add
    registry.register(RunCollector(state))
    return registry


class RunCollector(Collector):
    """Reads a run's state on request.

    No metric has a label per face. With --aggregate nothing is said about faces: not even how often one was classified.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Every metric with its current value."""
        counts = self._state.totals.counts()
        yield self._build_info()
        yield from self._gauges()
        yield _frames(counts)
        yield _stages(counts, with_faces=not self._state.aggregate)
        reconnects = CounterMetricFamily("fer_edge_reconnects", "How often a live source came back after a loss.")
        reconnects.add_metric([], counts.reconnects)
        yield reconnects
        if not self._state.aggregate:
            yield self._faces(counts)

    def _build_info(self) -> Metric:
        classifier = self._state.classifier
        info = InfoMetricFamily("fer_edge_build", "The version of fer-edge and the emotion network that it runs.")
        values = {
            "version": package_version(),
            "model": classifier.path.name,
            "head": classifier.head or "",
            "precision": classifier.precision,
        }
        info.add_metric([], values)
        return info

    def _gauges(self) -> Iterator[Metric]:
        snapshot = self._state.snapshot()
        ended = snapshot["state"] == ENDED
        yield GaugeMetricFamily(
            "fer_edge_source_up", "1 while the source gives frames, else 0.", float(snapshot["state"] == RUNNING)
        )
        rates = GaugeMetricFamily("fer_edge_fps", "Frames per second in the last seconds.", labels=["stage"])
        for stage, rate in snapshot.get("fps", {}).items():
            if rate is not None:
                rates.add_metric([stage], 0.0 if ended else rate)
        yield rates
        if snapshot["temperature_c"] is not None:
            yield GaugeMetricFamily(
                "fer_edge_temperature_celsius", "Temperature of the processor.", snapshot["temperature_c"]
            )
        yield GaugeMetricFamily(
            "fer_edge_peak_memory_bytes",
            "Most memory that the process has used so far.",
            (peak_rss_mb() or math.nan) * MEGABYTE,
        )

    def _faces(self, counts: Counts) -> Metric:
        faces = CounterMetricFamily(
            "fer_edge_faces_classified", "Faces, summed over processed frames, by emotion.", labels=["emotion"]
        )
        rows = dict.fromkeys((*self._state.labels, None), 0) | dict(counts.rows)
        for emotion, count in rows.items():
            faces.add_metric([UNSURE if emotion is None else emotion], count)
        return faces


def _frames(counts: Counts) -> Metric:
    frames = CounterMetricFamily(
        "fer_edge_frames", "Captured frames by what became of them; those in work are missing.", labels=["state"]
    )
    frames.add_metric(["processed"], counts.processed)
    frames.add_metric(["unreadable"], counts.unreadable)
    for cause, count in counts.dropped.items():
        frames.add_metric([f"dropped_{cause}"], count)
    return frames


def _stages(counts: Counts, with_faces: bool) -> Metric:
    stages = HistogramMetricFamily(
        "fer_edge_stage_seconds",
        "Time per frame: detect, classify (all faces of a frame), end_to_end (capture to result).",
        labels=["stage"],
    )
    bounds = [*(str(bound / 1000) for bound in STAGE_BOUNDS_MS), "+Inf"]
    for stage, times in counts.stages.items():
        if with_faces or stage != "classify":
            stages.add_metric([stage], list(zip(bounds, times.counts, strict=True)), times.sum_ms / 1000)
    return stages
