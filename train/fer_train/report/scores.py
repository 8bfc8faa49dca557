"""The sections of report.html: the figures of heads and their confusion, the data, the options, the pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge import __version__
from fer_train.data import FaceData
from fer_train.evaluation.metrics import recall_text, wilson_interval
from fer_train.networks.heads import Head
from fer_train.report.page import Html, cards, element, joined, picture, shaded, table, write_page

REPORT = "report.html"
CAPTIONS = {
    "curves.png": "Loss and accuracy per epoch; the star is the epoch that was kept.",
    "classes.png": "Faces per class and split.",
    "samples.png": "Random faces of each class.",
    "confusion.png": "Confusion matrix of the first head: a row per true class.",
    "reliability.png": "Accuracy against confidence: calibrated bars end on the diagonal.",
    "predictions.png": "Random test faces with the network's answers.",
    "mistakes.png": "The most confident mistakes.",
}


@dataclass(frozen=True)
class Scores:
    """The metrics of one head against one truth, with the keys of metrics.json. truth: in words."""

    head: str
    truth: str
    metrics: Mapping[str, Any]


def scores_of(heads: Sequence[Head]) -> list[Scores]:
    """The scores of every head against each of its truths; heads without metrics are left out."""
    found = []
    for head in heads:
        if "truths" in head.metrics:  # each says what it is
            found += [Scores(head.name, metrics["truth"], metrics) for metrics in head.metrics["truths"]]
        elif "confusion" in head.metrics:
            truth, split = head.truth, head.metrics["split"]
            found.append(Scores(head.name, truth if split in truth else f"{truth}, {split}".strip(", "), head.metrics))
    return found


def write_report(path: Path, title: str, scores: Sequence[Scores], sections: Sequence[tuple[str, Html]]) -> None:
    """Write report.html: the first scores in large, the figures of all, then `sections` (heading, content).

    Raises OutputError if that can't be done.
    """
    first = scores[0]
    parts = [
        element("h1", title),
        element("p", f"head {first.head}, {first.truth}: {first.metrics['images']:,} faces", kind="faint"),
        cards(list(_large(first.metrics))),
        element("h2", "Figures"),
        _figures(scores),
    ]
    for each in scores:
        parts += [element("h3", f"{each.head}: {each.truth}"), _per_class(each.metrics), _confusion(each.metrics)]
    for heading, content in sections:
        parts += [element("h2", heading), content]
    parts.append(element("p", f"Written by fer-train {__version__}.", kind="faint"))
    write_page(path, title, joined(parts))


def pictures(folder: Path, names: Sequence[str]) -> Html:
    """The plots `names` in `folder`, with captions."""
    return joined([picture(folder / name, CAPTIONS[name]) for name in names])


def data_section(faces: FaceData) -> Html:
    """Where the faces come from, how many there are per class and split, and what was changed while reading."""
    splits = [(split or "all", faces.rows(faces.usage == split).counts()) for split in faces.splits() or ("",)]
    rows = [[name, *(f"{counts[name]:,}" for _, counts in splits)] for name in faces.classes]
    rows.append(["all", *(f"{sum(counts.values()):,}" for _, counts in splits)])
    notes = [element("li", note) for note in faces.notes]
    return joined([
        element("p", faces.title), table(["class", *(split for split, _ in splits)], rows),
        *([element("ul", *notes)] if notes else []),
    ])  # fmt: skip


def options_section(options: Mapping[str, Any]) -> Html:
    """All options of a run, nested ones with their outer name."""
    return table([], list(_flat(options)), kind="text")


def _flat(options: Mapping[str, Any], outer: str = "") -> Iterator[tuple[str, str]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{outer}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{outer}{name}", ", ".join(map(str, value)) or "-"
        else:
            yield f"{outer}{name}", "-" if value in ("", None) else str(value)


def _large(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    low, high = wilson_interval(metrics["accuracy"], metrics["images"])
    yield f"accuracy (95 % interval {low:.1%} to {high:.1%})", f"{metrics['accuracy']:.2%}"
    yield "macro-F1", f"{metrics['macro_f1']:.3f}"
    yield "expected calibration error", f"{metrics['ece']:.3f}"


def _figures(scores: Sequence[Scores]) -> Html:
    header = ["head", "measured against", "faces", "accuracy", "95 % interval", "without copies", "macro-F1", "ECE"]
    rows = []
    for each in scores:
        metrics, new = each.metrics, each.metrics.get("accuracy_deduplicated")
        low, high = wilson_interval(metrics["accuracy"], metrics["images"])
        rows.append([
            each.head, each.truth, f"{metrics['images']:,}", f"{metrics['accuracy']:.2%}", f"{low:.1%} to {high:.1%}",
            "-" if new is None else f"{new:.2%}", f"{metrics['macro_f1']:.3f}", f"{metrics['ece']:.3f}",
        ])  # fmt: skip
    return table(header, rows)


def _per_class(metrics: Mapping[str, Any]) -> Html:
    rows = [
        [name, f"{row['precision']:.1%}", recall_text(row), f"{row['f1']:.3f}", f"{row['support']:,}"]
        for name, row in metrics["per_class"].items()
    ]
    return table(["class", "precision", "recall", "F1", "faces"], rows)


def _confusion(metrics: Mapping[str, Any]) -> Html:
    """Counts of faces: a row per true class, a column per answer."""
    counts = np.array(metrics["confusion"])
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = list(metrics["per_class"])
    rows = [
        [name, *(shaded(f"{count:,}", rate) for count, rate in zip(row, row_rates, strict=True))]
        for name, row, row_rates in zip(names, counts.tolist(), rates.tolist(), strict=True)
    ]
    caption = element("p", "Confusion: rows are the truth, columns the answers, in faces.", kind="faint")
    return caption + table(["truth", *names], rows)
