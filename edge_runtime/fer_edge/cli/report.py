"""The final report: what was captured, what became of it, how fast and with what latency; as JSON and as text."""

import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.pipeline.stats import SHORT_RUN_FRAMES, WARMUP_FRAMES
from fer_edge.system import machine_info

SCHEMA = 1
MEGABYTE = 1e6


def peak_rss_mb() -> float:
    """The peak memory of this process in 10^6 bytes.

    VmHWM if /proc has it: ru_maxrss also counts what the parent process used before exec.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / MEGABYTE
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
    return peak * (1 if sys.platform == "darwin" else 1024) / MEGABYTE


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


def build_report(
    pipeline: Pipeline, seconds: float, sinks: Mapping[str, tuple[int, int]], settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The value of --report.

    seconds: wall time of the run. sinks: (written, lost) by name. settings: the settings that the run used.
    """
    stats, classifier = pipeline.stats, pipeline.classifier
    # Read in this order while the pipeline runs: later frames count as in flight, which never becomes negative.
    processed, errors, dropped = stats.processed, stats.errors, dict(pipeline.dropped)
    captured = stats.captured
    return {
        "schema": SCHEMA,
        "source": pipeline.source.name,
        "detector": None if pipeline.source.is_cropped else pipeline.detector.name,
        "model": {"file": classifier.path.name, "sha256": classifier.sha256, "precision": classifier.precision},
        "settings": dict(settings or {}),
        "seconds": round(seconds, 3),
        "frames": {
            "captured": captured,
            "processed": processed,
            "dropped": dropped,
            "errors": errors,
            "in_flight": captured - processed - errors - sum(dropped.values()),
        },
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
        "faces": {"seen": stats.faces_seen, "tracks": stats.tracks, "flips": stats.label_changes},
        "sinks": {name: {"written": written, "lost": lost} for name, (written, lost) in sinks.items()},
        "reconnects": pipeline.source.reconnects,
        "gaps_s": list(pipeline.source.gaps_s),
        "warmup_frames": WARMUP_FRAMES if processed > SHORT_RUN_FRAMES else 0,
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "exit_reason": pipeline.exit_reason,
        "machine": machine_info(),
    }


def render_report(report: Mapping[str, Any]) -> str:
    """The report as text for a person."""
    frames, fps = report["frames"], report["fps"]
    dropped = sum(frames["dropped"].values())
    lines = [
        f"{report['source']}  {report['exit_reason']} after {report['seconds']:.1f} s",
        f"  frames     {frames['captured']} captured = {frames['processed']} processed + {dropped} dropped "
        f"+ {frames['errors']} unreadable + {frames['in_flight']} in flight",
        f"  rate       capture {_number(fps['capture'])}, processed {_number(fps['processed'])}, "
        f"detect {_number(fps['detect'])} frames/s; {_number(fps['classify_faces'])} faces/s classified",
    ]
    for stage, figures in report["latency_ms"].items():
        lines.append(
            f"  {stage.replace('_', ' '):10} p50 {_number(figures['p50'])}, p95 {_number(figures['p95'])}, "
            f"p99 {_number(figures['p99'])}, max {_number(figures['max'])} ms"
        )
    lines.append(f"  faces      {_faces(report['faces'])}")
    for name, counts in report["sinks"].items():
        lines.append(f"  {name:10} {counts['written']} written, {counts['lost']} lost")
    if report["reconnects"]:
        longest_s = max(report["gaps_s"])
        lines.append(f"  gaps       {_counted(report['reconnects'], 'reconnect')}, the longest gap {longest_s:.1f} s")
    machine, model = report["machine"], report["model"]
    if machine["throttling"]:
        throttling = ", ".join(machine["throttling"])
        lines.append(f"  throttled  {throttling}: these rates are below what this machine can do")
    lines.append(
        f"  with       {report['detector'] or 'no detector'}, {model['file']} ({model['precision']}); "
        f"peak memory {report['peak_rss_mb']:.0f} MB; {machine['cpu']}, {_counted(machine['cores'], 'core')}"
    )
    return "\n".join(lines)


def _faces(faces: Mapping[str, int]) -> str:
    """Such as "1 face"; for a video "2 faces tracked in 240 boxes, 3 label changes"."""
    if faces["seen"] == faces["tracks"] and not faces["flips"]:
        return _counted(faces["tracks"], "face")
    boxes, changes = _counted(faces["seen"], "box", "boxes"), _counted(faces["flips"], "label change")
    return f"{_counted(faces['tracks'], 'face')} tracked in {boxes}, {changes}"


def _counted(count: int, noun: str, plural: str = "") -> str:
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
