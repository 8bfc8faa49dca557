"""The sections about what was seen: in words, shares, over time, face by face."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fer_edge.analysis.findings import Findings
from fer_edge.analysis.report import charts, html
from fer_edge.analysis.report.axes import axis_title, elapsed, time_marks
from fer_edge.analysis.report.html import Markup, element
from fer_edge.analysis.summaries import UNSURE
from fer_edge.analysis.tables import PROBABILITY
from fer_edge.analysis.timelines import GROUP, SHARE, Axis, axis_of, timeline
from fer_edge.analysis.words import by_share, clock, percent, sentences, span
from fer_edge.sentences import duration

MAX_FACES_DRAWN = 8
MAX_FACES_IN_TABLE = 50
GROUP_POINTS, FACE_POINTS, TABLE_POINTS, MAP_POINTS = 300, 200, 24, 150
LONG_S = 600.0  # longer runs get a heat map
MAX_IMAGES_IN_TABLE = 200
MAX_RUNS_IN_TABLE = 50
CAUTION = (
    "These are names that a network gave to facial expressions. They do not say what a person felt, and the network is "
    "often wrong."
)


def summary_section(found: Findings) -> Markup:
    """What happened, in sentences, and what the files lack."""
    words = [element("p", sentence, class_="lead") for sentence in sentences(found.summary)]
    notes = [element("li", note) for note in found.results.notes]
    lacking = [element("p", "About the files:"), element("ul", *notes)] if notes else []
    return html.section("Summary", *words, element("p", CAUTION, class_="caution"), *lacking)


def legend(labels: Sequence[str]) -> Markup:
    """What color stands for which emotion."""
    entries = []
    for label in (*labels, UNSURE):
        red, green, blue = (round(255 * value) for value in charts.rgb(label, labels))
        style = None if label == UNSURE else f"background:rgb({red},{green},{blue})"
        swatch = element("span", class_="swatch unsure" if label == UNSURE else "swatch", style=style)
        entries.append(element("li", swatch, label))
    gap = element("li", element("span", class_="swatch gap"), "no face seen")
    return element("ul", *entries, gap, class_="legend", aria_label="Colors")


def shares_section(found: Findings) -> Markup:
    """Share and seconds of every emotion with intervals."""
    rows = by_share(found.summary)
    what = "Share of every emotion in all faces of all frames; the line is the 95 % interval"
    timed = found.summary["seconds"] is not None
    head = ["emotion", "share", "95 % interval", *(["time"] if timed else []), "rows"]
    body = [
        [name, percent(row["share"]), span(row["low"], row["high"]),
         *([duration(row["seconds"])] if timed else []), f"{row['rows']:,}"]
        for name, row in rows
    ]  # fmt: skip
    table = html.table(head, body, "Shares of the emotions")
    method = (
        "A row is one face in one frame. The intervals are of a block bootstrap: frames that follow one another say "
        "nearly the same, so stretches of time are drawn, not frames "
        f"(about {found.summary['interval_blocks']:.0f} independent stretches here)."
    )
    return html.section(
        "Shares and times",
        html.figure(charts.share_bars(found.summary, rows, what), what),
        table,
        element("p", method, class_="small"),
    )


def time_sections(found: Findings) -> list[Markup]:
    """The group over time, then face by face."""
    results, labels = found.results, found.results.labels
    axis = axis_of(results.frames)
    marks, title = time_marks(axis), axis_title(axis)
    table = timeline(results, faces=0, points=TABLE_POINTS)
    group = timeline(results, faces=0, points=GROUP_POINTS)
    every = _every(group)
    what = f"All faces together: shares, and below what was shown most; {title}, in steps of {_length(every)}"
    figures = [
        html.figure(
            charts.share_timeline(group, labels, every, marks, axis.length_s, axis.starts_s, what),
            what,
            _share_table(table, labels, axis, "Shares of all faces over time"),
        )
    ]
    if axis.length_s >= LONG_S:
        figures.append(_heat_map(found, axis, title))
    what = f"Mean probability of each emotion over all faces, and one standard deviation around it; {title}"
    curve = charts.probability_curves(group, labels, every, marks, axis.length_s, what)
    figures.append(html.figure(curve, what, _probability_table(table, labels, axis)))
    key = legend(labels)
    runs = [_runs_table(found, axis)] if found.summary["runs"] > 1 else []
    return [html.section("Over time", *runs, key, *figures), _faces_section(found, axis, key)]


def _runs_table(found: Findings, axis: Axis) -> Markup:
    """Which run is of which source, and where it lies on the axis."""
    groups = found.results.frames.groupby("run")
    table = groups.agg(file=("file", "first"), first=("t", "min"), last=("t", "max"), frames=("t", "size"))
    table["begin"] = table["first"] + axis.offset_s
    body = []
    for number, row in zip(range(MAX_RUNS_IN_TABLE), table.to_dict("records"), strict=False):
        name = "" if pd.isna(row["file"]) else row["file"]
        begin = elapsed(row["begin"])
        if axis.start is not None:
            begin = (axis.start + pd.Timedelta(row["begin"], "s")).strftime("%Y-%m-%d %H:%M:%S")
        body.append([f"run {number + 1}", begin, duration(row["last"] - row["first"]), name])
    more = len(table) - len(body)
    caption = "The runs: each start of fer-edge, and each source" + (f" ({more:,} more)" if more else "")
    return html.table(["run", "from", "length", "source"], body, caption, numbers_from=9)


def _heat_map(found: Findings, axis: Axis, title: str) -> Markup:
    labels = found.results.labels
    day = 86400.0
    days = max(1, math.ceil(axis.length_s / MAP_POINTS / day))
    every_s = next((nice for nice in (60.0, 3600.0) if axis.length_s / nice <= MAP_POINTS), days * day)
    unit = {60.0: "minute", 3600.0: "hour", day: "day"}.get(every_s, f"{days} days")
    part = timeline(found.results, every=every_s, faces=0)
    what = f"Shares by {unit}: the stronger the color, the larger the share; {title}"
    drawing = charts.heat_map(part, labels, every_s, time_marks(axis), axis.length_s, what)
    return html.figure(drawing, what, _share_table(part, labels, axis, f"Shares by {unit}"))


def _faces_section(found: Findings, axis: Axis, key: Markup) -> Markup:
    results, labels = found.results, found.results.labels
    parts = timeline(results, faces=MAX_FACES_DRAWN, points=FACE_POINTS)
    coarse = timeline(results, faces=MAX_FACES_DRAWN, points=TABLE_POINTS)
    marks, every = time_marks(axis), _every(parts[parts["who"] == GROUP])
    figures = []
    for who in parts["who"].unique():
        if who == GROUP:
            continue
        part = parts[parts["who"] == who]
        what = f"{who[0].upper()}{who[1:]}, seen for {duration(float(part['seconds'].sum()))}"
        drawing = charts.share_timeline(part, labels, every, marks, axis.length_s, axis.starts_s, what)
        numbers = _share_table(_while_seen(coarse[coarse["who"] == who]), labels, axis, f"Shares of {who} over time")
        figures.append(html.figure(drawing, what, numbers))
    about = "A face that was lost and found again may count as a new one."
    if found.summary["faces"] > MAX_FACES_DRAWN:
        about += f" Drawings are of the {MAX_FACES_DRAWN} faces seen longest, of {found.summary['faces']:,}."
    return html.section("Face by face", element("p", about), _tracks_table(found), key, *figures)


def _while_seen(part: pd.DataFrame) -> pd.DataFrame:
    """The rows from the first to the last in which the face was seen."""
    seen = np.flatnonzero(part[SHARE + UNSURE].notna())
    return part.iloc[seen[0] : seen[-1] + 1] if len(seen) else part


def _tracks_table(found: Findings) -> Markup:
    tracks = found.summary["tracks"][:MAX_FACES_IN_TABLE]
    several = found.summary["runs"] > 1
    timed = any("first_time" in track for track in tracks)
    head = ["face", "seen for", "first seen", "last seen", "shown most", "of its time", "unsure"]
    body = []
    for track in tracks:
        name = f"run {track['run'] + 1}, face {track['id']}" if several else f"face {track['id']}"
        if track["id"] < 0:
            name = name.replace("face -1", "no number")
        ends = (
            [clock(track[key]) if key in track else "" for key in ("first_time", "last_time")]
            if timed
            else [elapsed(track[key]) for key in ("first_t", "last_t")]
        )
        seconds, total = track["emotion_seconds"], track["seconds"] or 1.0
        most, unsure = seconds.get(track["emotion"], 0.0) / total, seconds.get(UNSURE, 0.0) / total
        shown = "" if track["emotion"] == UNSURE else track["emotion"]
        body.append([name, _brief(track["seconds"]), *ends, shown, percent(most) if shown else "", percent(unsure)])
    left = found.summary["faces"] - len(tracks)
    caption = "The faces, those seen longest first" + (f" ({left:,} more are in the table of --csv)" if left else "")
    return html.table(head, body, caption)


def images_section(findings: Findings) -> Markup:
    """Single images: a row per image."""
    faces = findings.results.faces
    shown = faces["emotion"].astype(object).where(~faces["unsure"], UNSURE)
    names = faces["file"].astype(object).where(faces["file"].notna(), "row " + (faces["frame"] + 1).astype(str))
    groups = shown.groupby(names, sort=False)
    body = [
        [name, str(len(found)), ", ".join(f"{count} {label}" for label, count in found.value_counts().items())]
        for name, found in list(groups)[:MAX_IMAGES_IN_TABLE]
    ]
    more = groups.ngroups - len(body)
    caption = "Images with faces" + (f" ({more:,} more are in the table of --csv)" if more else "")
    return html.section("Images", html.table(["image", "faces", "emotions"], body, caption))


def _every(part: pd.DataFrame) -> float:
    """Length of the intervals of a timeline; of a single one, a second."""
    return float(part["start"].iloc[1] - part["start"].iloc[0]) if len(part) > 1 else 1.0


def _length(every: float) -> str:
    """The length of an interval: "30 s"."""
    return f"{every:g} s" if every < 60 else duration(every).removesuffix(" 0 s").removesuffix(" 0 min")


def _brief(seconds: float) -> str:
    """How long a face was seen: "0.04 s" of a single frame."""
    return duration(seconds) if seconds >= 0.1 else f"{seconds:.2f} s"


def _when(row: Mapping[Any, Any], axis: Axis, every: float) -> str:
    if axis.start is not None:
        return str(row["time"].strftime("%m-%d %H:%M:%S"))
    return elapsed(row["start"], every)


def _share_table(part: pd.DataFrame, labels: Sequence[str], axis: Axis, caption: str) -> Markup:
    names, every = (*labels, UNSURE), _every(part)
    body = []
    for row in part.to_dict("records"):
        gap = pd.isna(row[SHARE + UNSURE])
        cells = ["" if gap else f"{100 * row[SHARE + name]:.0f} %" for name in names]
        body.append([_when(row, axis, every), "no face" if gap else duration(row["seconds"]), *cells])
    return html.table(["from", "seen", *names], body, caption)


def _probability_table(part: pd.DataFrame, labels: Sequence[str], axis: Axis) -> Markup:
    every = _every(part)
    body = [
        [_when(row, axis, every),
         *("" if pd.isna(row[PROBABILITY + label]) else f"{row[PROBABILITY + label]:.2f}" for label in labels)]
        for row in part.to_dict("records")
    ]  # fmt: skip
    return html.table(["from", *labels], body, "Mean probabilities over time")
