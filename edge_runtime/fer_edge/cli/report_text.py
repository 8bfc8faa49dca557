"""The text at the end of a run: what was seen, where the outputs are, how fast it went."""

from collections.abc import Mapping
from typing import Any

from fer_edge.guards.text import printable
from fer_edge.sentences import counted, duration, summary_lines


def render_report(
    report: Mapping[str, Any], paths: Mapping[str, str] | None = None, *, verbose: bool = False, blocks: bool = True
) -> str:
    """The report as text for a person.

    paths: where the outputs are, by the name of their option. verbose: with all counts and latencies. blocks: as in
    summary_lines.
    """
    summary = report["summary"]  # None with --aggregate
    noun = "image" if summary is not None and summary["seconds"] is None else "frame"
    title = f"{printable(report['source'])}  {report['exit_reason']} after {duration(report['seconds'])}"
    lines = [] if summary is None else summary_lines(summary, blocks, noun)
    lines += _output_lines(report, paths or {}, noun)
    lines += _detail_lines(report) if verbose else [f"rate       {rate}"] if (rate := _rate(report, noun)) else []
    if report.get("not_started"):
        lines.append(f"sources    {report['not_started']:,} not started")
    if report["reconnects"]:
        longest_s = max(report["gaps_s"])
        lines.append(f"gaps       {counted(report['reconnects'], 'reconnect')}, the longest gap {longest_s:.1f} s")
    if report["machine"]["throttling"]:
        throttling = ", ".join(report["machine"]["throttling"])
        lines.append(f"throttled  {throttling}: these rates are below what this machine can do")
    return "\n  ".join([title, *lines])


def _output_lines(report: Mapping[str, Any], paths: Mapping[str, str], noun: str) -> list[str]:
    lines = []
    for name, path in paths.items():
        counts = report["sinks"].get(name)
        written = "" if counts is None else f": {_written(report, counts, noun)}{_lost(counts)}"
        lines.append(f"{name:9}  {printable(path)}{written}")
    return lines + [
        f"{name:9}  {counted(counts['written'], 'line')}{_lost(counts)}"
        for name, counts in report["sinks"].items()
        if name == "stdout" and counts["lost"]
    ]


def _written(report: Mapping[str, Any], counts: Mapping[str, int], noun: str) -> str:
    """Such as "300 frames"; of --aggregate-out "5 intervals, 2 of them withheld: fewer than 3 faces (--at-least)"."""
    if "intervals" not in counts:
        return counted(counts.get("frames", counts["written"]), noun)
    text = counted(counts["intervals"], "interval")
    if not counts["withheld"]:
        return text
    at_least = counted(report["settings"]["aggregate"]["at_least"], "face")
    return f"{text}, {counts['withheld']:,} of them withheld: fewer than {at_least} (--at-least)"


def _lost(counts: Mapping[str, int]) -> str:
    return f", {counts['lost']:,} lost" if counts["lost"] else ""


def _rate(report: Mapping[str, Any], noun: str) -> str:
    """Such as "206.3 frames/s; 298 of 300 frames, 2 dropped"; "" if there is nothing to say."""
    frames = report["frames"]
    missing = {
        "dropped": sum(frames["dropped"].values()), "unreadable": frames["errors"], "in flight": frames["in_flight"],
    }  # fmt: skip
    text = counted(frames["captured"], noun)
    if any(missing.values()):
        text = f"{frames['processed']:,} of {text}"
    text += "".join(f", {count:,} {what}" for what, count in missing.items() if count)
    per_second = report["fps"]["processed"]
    if per_second is None:
        return text if any(missing.values()) else ""
    return f"{per_second:.1f} {noun}s/s; {text}"


def _detail_lines(report: Mapping[str, Any]) -> list[str]:
    frames, fps, machine, model = report["frames"], report["fps"], report["machine"], report["model"]
    hidden = report["faces"] is None  # with --aggregate
    faces_per_s = "" if hidden else f"; {_number(fps['classify_faces'])} faces/s classified"
    lines = [
        f"frames     {frames['captured']} captured = {frames['processed']} processed "
        f"+ {sum(frames['dropped'].values())} dropped + {frames['errors']} unreadable "
        f"+ {frames['in_flight']} in flight",
        f"rate       capture {_number(fps['capture'])}, processed {_number(fps['processed'])}, "
        f"detect {_number(fps['detect'])} frames/s{faces_per_s}",
    ]
    for stage, figures in report["latency_ms"].items():
        if stage == "classify" and hidden:
            continue
        lines.append(
            f"{stage.replace('_', ' '):10} p50 {_number(figures['p50'])}, p95 {_number(figures['p95'])}, "
            f"p99 {_number(figures['p99'])}, max {_number(figures['max'])} ms"
        )
    if not hidden:
        lines.append(f"faces      {_faces(report['faces'])}")
    window = report["sinks"].get("window")
    if window is not None:
        lines.append(f"window     {window['written']} shown, {window['lost']} skipped")
    lines.append(
        f"with       {report['detector'] or 'no detector'}, {model['file']} ({model['precision']}); "
        f"{_memory(report['peak_rss_mb'])}{machine['cpu']}, {counted(machine['cores'], 'core')}"
    )
    return lines


def _memory(peak_mb: float | None) -> str:
    return "" if peak_mb is None else f"peak memory {peak_mb:.0f} MB; "


def _faces(faces: Mapping[str, int]) -> str:
    """Such as "1 face"; for a video "2 faces tracked in 240 boxes, 3 label changes"."""
    if faces["seen"] == faces["tracks"] and not faces["flips"]:
        return counted(faces["tracks"], "face")
    boxes, changes = counted(faces["seen"], "box", "boxes"), counted(faces["flips"], "label change")
    return f"{counted(faces['tracks'], 'face')} tracked in {boxes}, {changes}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
