"""The final report: what was seen, what was captured and what became of it, how fast and with what latency."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fer_edge.cli.options import RunOptions
from fer_edge.cli.output_paths import rotation_of
from fer_edge.detectors import DEFAULT_DETECT_SIZE_PX, IMAGE_DETECT_SIZE_PX
from fer_edge.errors import FerError
from fer_edge.guards.secrets import shown_source
from fer_edge.network.classifier import Classifier
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.pipeline.stats import SHORT_RUN_FRAMES, WARMUP_FRAMES, Stats
from fer_edge.sentences import counted
from fer_edge.sources import Source
from fer_edge.summary import total_summary
from fer_edge.system import machine_info, peak_rss_mb

SCHEMA = 1


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def source_report(pipeline: Pipeline, seconds: float) -> dict[str, Any]:
    """What the report says about one source. seconds: wall time of its run."""
    stats = pipeline.stats
    # Read in this order while the pipeline runs: later frames count as in flight, which never becomes negative.
    processed, errors, dropped = stats.processed, stats.errors, dict(pipeline.dropped)
    captured = stats.captured
    return {
        "source": pipeline.source.name,
        "detector": None if pipeline.source.is_cropped else pipeline.detector.name,
        "seconds": round(seconds, 3),
        "frames": {
            "captured": captured,
            "processed": processed,
            "dropped": dropped,
            "errors": errors,
            "in_flight": captured - processed - errors - sum(dropped.values()),
        },
        **_speed(stats),
        "faces": {"seen": stats.faces_seen, "tracks": stats.tracks, "flips": stats.label_changes},
        "summary": pipeline.summary.to_dict(),
        "reconnects": pipeline.source.reconnects,
        "gaps_s": list(pipeline.source.gaps_s),
        "warmup_frames": WARMUP_FRAMES if processed > SHORT_RUN_FRAMES else 0,
        "exit_reason": pipeline.exit_reason,
        "error": pipeline.unreadable or None if pipeline.error is None else str(pipeline.error),
        "properties": None if pipeline.source.properties is None else dict(pipeline.source.properties),
    }


def unopened_report(source: str, error: FerError) -> dict[str, Any]:
    """What the report says about a source, one of several, that could not be opened."""
    name = shown_source(source)
    frames = {"captured": 0, "processed": 0, "dropped": {}, "errors": 0, "in_flight": 0}
    return {"source": name, "frames": frames, "exit_reason": "error", "error": str(error)}


def _speed(stats: Stats) -> dict[str, Any]:
    return {
        "fps": {
            "capture": _rounded(stats.capture_rate.per_second()),
            "processed": _rounded(stats.processed_rate.per_second()),
            "detect": _rounded(stats.detect_rate.per_second()),
            "classify_faces": _rounded(stats.faces_rate.per_second()),
        },
        "latency_ms": {
            "detect": stats.detect_ms.summary(),
            "classify": stats.classify_ms.summary(),
            "end_to_end": stats.end_to_end_ms.summary(),
        },
    }


def build_report(
    pipeline: Pipeline, seconds: float, sinks: Mapping[str, tuple[int, int]], settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The value of --report for a run with one source.

    seconds: wall time of the run. sinks: (written, lost) by name. settings: the settings that the run used.
    """
    report = _with_run(source_report(pipeline, seconds), pipeline.classifier, sinks, settings or {})
    del report["error"], report["properties"]  # the error is the command's, the properties are among the settings
    return report


def build_total_report(
    sources: Sequence[Mapping[str, Any]], total: Stats, seconds: float, classifier: Classifier,
    sinks: Mapping[str, tuple[int, int]], settings: Mapping[str, Any], *, named: int, started: int,
) -> dict[str, Any]:  # fmt: skip
    """The value of --report for a run with several sources: their totals, and `sources` with an entry for each.

    sources: of source_report and unopened_report. total: the rates and latencies of all of them. named: how many
    sources the command line has. started: how many of them were opened, or could not be.
    """
    opened = [source for source in sources if "faces" in source]
    report = {
        "source": counted(named, "source"),
        "detector": opened[0]["detector"] if opened else None,
        "seconds": round(seconds, 3),
        "frames": _summed(source["frames"] for source in sources),
        **_speed(total),
        "faces": _summed(source["faces"] for source in opened),
        "summary": total_summary([source["summary"] for source in opened]),
        "reconnects": 0,  # several sources are never live
        "gaps_s": [],
        "warmup_frames": WARMUP_FRAMES if total.processed_rate.count > SHORT_RUN_FRAMES else 0,
        "exit_reason": "end of sources",
        "failed_sources": sum(source["error"] is not None for source in sources),
        "not_started": named - started,
    }
    return _with_run(report, classifier, sinks, settings) | {"sources": list(sources)}


def _summed(counts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of equal keys; of the values that are mappings, too."""
    total: dict[str, Any] = {}
    for one in counts:
        for name, value in one.items():
            if isinstance(value, Mapping):
                total[name] = _summed([total.get(name, {}), value])
            else:
                total[name] = total.get(name, 0) + value
    return total


def _with_run(
    report: dict[str, Any], classifier: Classifier, sinks: Mapping[str, tuple[int, int]], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """`report` with what holds for the whole run."""
    about = {"schema": SCHEMA, "source": report.pop("source"), "detector": report.pop("detector")}
    model = {
        "file": classifier.path.name, "sha256": classifier.sha256, "precision": classifier.precision,
        "head": classifier.head, "accuracy": classifier.accuracy, "confusion": classifier.confusion,
    }  # fmt: skip
    return {
        **about,
        "model": model,
        "settings": dict(settings),
        **report,
        "sinks": {name: {"written": written, "lost": lost} for name, (written, lost) in sinks.items()},
        "peak_rss_mb": None if (peak := peak_rss_mb()) is None else round(peak, 1),
        "machine": machine_info(),
    }


OF_A_RUN = (  # keys of a report that say nothing about faces
    "schema", "source", "detector", "model", "settings", "seconds", "frames", "fps", "latency_ms", "reconnects",
    "gaps_s", "warmup_frames", "exit_reason", "error", "failed_sources", "not_started", "sources", "sinks",
    "peak_rss_mb", "machine", "properties", "output",
)  # fmt: skip


def without_faces(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report of a run with --aggregate: null where a value depends on faces, since it might tell of an interval
    that is withheld. Keys that are not known to be harmless are left out.
    """
    hidden = {key: report[key] for key in OF_A_RUN if key in report}
    if "fps" in hidden:  # an unopened source has none
        hidden["fps"] = {**hidden["fps"], "classify_faces": None}
        classify = dict.fromkeys(hidden["latency_ms"]["classify"])
        hidden["latency_ms"] = {**hidden["latency_ms"], "classify": classify}
        hidden |= {"faces": None, "summary": None}
    if "sources" in hidden:
        hidden["sources"] = [without_faces(source) for source in hidden["sources"]]
    return hidden


def _default_detect_size(source: Source | None) -> int | None:
    """None for several sources: images have another size than videos."""
    if source is None:
        return None
    return DEFAULT_DETECT_SIZE_PX if source.image_count is None else IMAGE_DETECT_SIZE_PX


def run_settings(options: RunOptions, source: Source | None = None) -> dict[str, object]:
    """The report's settings: without them and what the source delivered, rates can't be compared.

    source: the only one; None if there are several, which are never live.
    """
    stream, rotation = options.stream.resolved(source is not None and source.live), rotation_of(options.outputs)
    properties = None if source is None else source.properties
    return {
        "threads": options.threads,
        "lossless": stream.lossless,
        "detect_size_px": options.detect_size_px or _default_detect_size(source),
        "min_face_px": options.min_face_px,
        "min_score": options.min_score,
        "detect_hz": stream.detect_hz,
        "follow": stream.track,
        "classify_interval_ms": 1000 * (stream.classify_interval_s or 0.0),
        "smooth_s": stream.smooth_s,
        "min_confidence": stream.min_confidence,
        "mirror": options.stream.mirror,
        "rotate_deg": options.stream.rotate_deg,
        "max_frames": options.stream.max_frames,
        "duration_s": options.stream.duration_s,
        "give_up_s": options.stream.give_up_s,
        "start_time": None if stream.start_time is None else stream.start_time.isoformat(),
        "recursive": stream.recursive,
        "blur": stream.blur,
        "aggregate": None if options.aggregate is None else dataclasses.asdict(options.aggregate),
        "headless": options.headless,
        "rotate_output": None if rotation is None else dataclasses.asdict(rotation),
        "source": None if properties is None else dict(properties),
    }
