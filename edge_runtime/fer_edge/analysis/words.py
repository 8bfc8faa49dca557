"""A summary in sentences, and as lines for a terminal."""

from collections.abc import Mapping
from typing import Any

from fer_edge.analysis.bootstrap import MIN_BLOCKS
from fer_edge.analysis.summaries import UNSURE
from fer_edge.sentences import counted, duration

MAX_NAMED = 3  # emotions in a sentence


def percent(share: float) -> str:
    """A share with one decimal: "45.2 %"."""
    return f"{100 * share:.1f} %"


def span(low: float, high: float) -> str:
    """An interval of shares: "38.1 to 52.0 %"."""
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def by_share(summary: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The emotions, the most frequent first, unsure last."""
    rows = sorted(summary["emotions"].items(), key=lambda row: -row[1]["rows"])
    return [*rows, (UNSURE, summary[UNSURE])]


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """What happened, in sentences.

    >>> sentences({"rows": 0, "frames": 3, "seconds": 0.0, "watched_seconds": 2.0})
    ['No face was seen in 3 frames over 2.0 s.']
    """
    still = summary["seconds"] is None
    noun = "image" if still else "frame"
    over = "" if still else f" over {duration(summary['watched_seconds'])}"
    if not summary["frames"]:
        return ["No face was seen."]  # a CSV has no rows for frames without a face
    if not summary["rows"]:
        return [f"No face was seen in {counted(summary['frames'], noun)}{over}."]
    lines = [_seen(summary, noun, still), _called(summary)]
    if summary["changes_per_minute"] is not None:
        per_minute = summary["changes_per_minute"]
        lines.append(f"The emotion shown by a face changed {per_minute:.1f} times per minute that the face was seen.")
    if not summary["intervals_reliable"] and still:
        lines.append("There are so few images that the intervals may be too narrow.")
    elif not summary["intervals_reliable"]:
        lines.append(
            f"The material holds fewer than {MIN_BLOCKS} stretches of time that are independent of each other, "
            "so the intervals may be too narrow."
        )
    return lines


def _seen(summary: Mapping[str, Any], noun: str, still: bool) -> str:
    faces = counted(summary["faces"], "face")
    were = "was" if summary["faces"] == 1 else "were"
    if still:
        return f"{faces} {were} seen in {counted(summary['frames'], noun)}."
    text = f"{faces} {were} seen for {duration(summary['seconds'])} in all, over {duration(summary['watched_seconds'])}"
    if summary["first_time"] is not None:
        text += f" from {clock(summary['first_time'])} to {clock(summary['last_time'])} UTC"
    without = summary["frames"] - summary["frames_with_faces"]
    return text + (f"; {without:,} of {counted(summary['frames'], noun)} show no face." if without else ".")


def _called(summary: Mapping[str, Any]) -> str:
    """Such as "The network called most of it happy (...), then sad (...)."."""
    found = [(name, row) for name, row in by_share(summary) if row["rows"] and name != UNSURE]
    unsure = summary[UNSURE]["share"]
    if not found:
        return "The network was unsure of all of it."
    (first, row), *others = found[:MAX_NAMED]
    text = f"The network called {percent(row['share'])} of it {first} (95 % interval {span(row['low'], row['high'])})"
    if others:
        text += ", then " + " and ".join(f"{percent(other['share'])} {name}" for name, other in others)
    return text + (f"; it was unsure of {percent(unsure)}." if unsure else ".")


def clock(time: str) -> str:
    """A time of the summary for people: "2026-05-01 12:30:00"."""
    return time[:19].replace("T", " ")


def lines(summary: Mapping[str, Any]) -> list[str]:
    """The sentences, then a table of the emotions, for a terminal."""
    found = sentences(summary)
    if not summary["frames"]:
        return ["No face was seen."]  # a CSV has no rows for frames without a face
    if not summary["rows"]:
        return found
    width = max(len(name) for name, _ in by_share(summary))
    head = f"{'emotion':{width}}  {'share':>7}  {'95 % interval':>15}  {'time':>10}"
    rows = []
    for name, row in by_share(summary):
        lasted = "" if row["seconds"] is None else duration(row["seconds"])
        rows.append(f"{name:{width}}  {percent(row['share']):>7}  {span(row['low'], row['high']):>15}  {lasted:>10}")
    return [*found, "", head, *rows]
