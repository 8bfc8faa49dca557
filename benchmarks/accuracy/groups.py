"""Is it equally right about all groups? People kept aside and PublicTest, split by what can be read off a photograph.

Light (mean gray level), contrast (its standard deviation) and sharpness (variance of the Laplacian) of each face; with
--tiles also the size of people's faces in their photographs and how far heads are turned. Each is split into thirds.
Age, glasses, sex, skin and culture are not measured: no labels say them.

    python -m benchmarks.accuracy.groups --data fer2013.csv --ferplus fer2013new.csv --people people/ --tiles faces/
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.people_scores import Measure, score_set
from benchmarks.harness.heads import EMOTIONS, Faces, Head, heads_option, open_heads
from benchmarks.harness.options import (
    FILE,
    ferplus_option,
    model_option,
    people_option,
    results_command,
    tiles_option,
)
from benchmarks.harness.photographs import is_in_the_middle
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.results import Results
from benchmarks.harness.tables import Table, number
from benchmarks.harness.timing import pin_threads, progress
from benchmarks.harness.truths import PEOPLE, UNIQUE_TOP, FaceSet, load_sets, photograph_of, sampled
from fer_edge.console import run_main
from fer_edge.errors import DataError
from fer_edge.opencv import cv2

NOT_MEASURED = "age, glasses, sex, skin and culture: no labels say them"
THIRDS = ("low", "middle", "high")
Values = npt.NDArray[np.float64]


def mean_gray(faces: Faces) -> Values:
    """Mean gray level of faces uint8 [N, H, W], [N]."""
    return np.asarray(faces.mean(axis=(1, 2)))


def contrast(faces: Faces) -> Values:
    """Standard deviation of the gray levels of each face, [N]."""
    return np.asarray(faces.std(axis=(1, 2)))


def sharpness(faces: Faces) -> Values:
    """Variance of the Laplacian of each face, [N]; blurred faces have a low one."""
    return np.array([cv2.Laplacian(face, cv2.CV_64F).var() for face in faces])


MEASURES: dict[str, Callable[[Faces], Values]] = {
    "light (gray level)": mean_gray, "contrast (gray levels)": contrast, "sharpness": sharpness,
}  # fmt: skip
SIZE, TURN = "height of the face (px of 128)", "turn (0 frontal, 0.5 profile)"


@dataclass(frozen=True)
class Group:
    """A third of a set of faces by one attribute; low and high are its lowest and highest value."""

    faces: FaceSet
    attribute: str
    third: str
    low: float
    high: float
    members: npt.NDArray[np.bool_]


def split_in_thirds(faces: FaceSet, attribute: str, values: Values) -> list[Group]:
    """Three groups of nearly equal size; faces whose value is NaN are in none, equal values are in one."""
    known = np.isfinite(values)
    bounds = np.quantile(values[known], [1 / 3, 2 / 3]) if known.any() else np.zeros(2)
    third_of = np.where(known, np.searchsorted(bounds, values, side="left"), -1)
    groups = []
    for index, third in enumerate(THIRDS):
        members = third_of == index
        if members.any():
            inside = values[members]
            groups.append(Group(faces, attribute, third, float(inside.min()), float(inside.max()), members))
    return groups


def size_and_turn(tiles: Path) -> dict[str, tuple[float, float]]:
    """The height of the face in the middle of each tile in pixels, and how far it is turned sideways, by its name.

    The turn is the distance of the nose from the middle between the eyes, in distances of the eyes. DataError if
    boxes.csv cannot be read.
    """
    found: dict[str, tuple[float, float, float]] = {}
    path = tiles / "boxes.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                x, y, width, height = (float(row[key]) for key in ("x", "y", "w", "h"))
                right, left, nose = (float(row[f"{part}_x"]) for part in ("right_eye", "left_eye", "nose"))
                area = width * height
                if is_in_the_middle((x, y, width, height)) and area > found.get(row["name"], (0.0,))[0]:
                    found[row["name"]] = area, height, abs(nose - (left + right) / 2) / max(abs(left - right), 1.0)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} can't be read ({error}): --tiles names a folder that lfw_tiles.py made") from error
    return {name: (height, turn) for name, (_, height, turn) in found.items()}


def groups_of(faces: FaceSet, tiles: Mapping[str, tuple[float, float]]) -> list[Group]:
    """All groups of a set of faces; by size and turn only where the tiles show their photographs."""
    groups = []
    if tiles and faces.truth == PEOPLE:
        known = [tiles.get(photograph_of(name), (np.nan, np.nan)) for name in faces.names.tolist()]
        for attribute, values in zip((SIZE, TURN), np.array(known, dtype=np.float64).T, strict=True):
            groups += split_in_thirds(faces, attribute, values)
    for attribute, measure_of in MEASURES.items():
        groups += split_in_thirds(faces, attribute, measure_of(faces.images))
    return groups


def group_records(head: Head, sets: Mapping[str, FaceSet], groups: Sequence[Group]) -> list[dict[str, Any]]:
    """A record per group: how often the head is right, and how often it names calm faces neutral."""
    answers = {truth: head.predict(faces.images) for truth, faces in sets.items()}
    records = []
    for group in groups:
        scores = score_set(answers[group.faces.truth][group.members], group.faces.rows(group.members))
        records.append({
            "head": head.title, "truth": group.faces.truth, "attribute": group.attribute, "third": group.third,
            "low": group.low, "high": group.high, "accuracy": scores.accuracy, "neutral": scores.recall.get("neutral"),
        })  # fmt: skip
    return records


def tables(records: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Per set how often each head is right, and how often it calls calm faces neutral: a row per group."""
    found = []
    for truth in dict.fromkeys(record["truth"] for record in records):
        of_truth = [record for record in records if record["truth"] == truth]
        found.append(table(f"Right, {truth}", of_truth, "accuracy"))
        found.append(table(f"Calm faces called neutral, {truth}", of_truth, "neutral"))
    return found


def table(title: str, records: Sequence[Mapping[str, Any]], measure: str) -> Table:
    """A row per group with the `measure` of each head."""
    heads = list(dict.fromkeys(record["head"] for record in records))
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["attribute"], record["third"]), []).append(record)
    rows = [
        [attribute, f"{number(of[0]['low'])} to {number(of[0]['high'])}", str(of[0]["accuracy"].count),
         *(str(record[measure] or "–") for record in of)]
        for (attribute, _), of in groups.items()
    ]  # fmt: skip
    note = f"In %, with 95 % intervals; thirds of the faces by each attribute. Not measured: {NOT_MEASURED}."
    return Table(title, ["", "from, to", "faces", *heads], rows, note)


def measure(
    model: Path | None, heads: Sequence[str], data: Path | None, ferplus: Path | None, people: Path | None,
    tiles: Path | None, count: int,
) -> Results:  # fmt: skip
    """Score every head on every group."""
    results = Results(
        "groups", "Is it equally right about all groups: by size, turn, light, contrast, sharpness?", pin_threads(1)
    )
    results.skip(NOT_MEASURED)
    sets = load_sets(data, ferplus, people, results.skip)
    sets = {truth: sampled(faces, count) for truth, faces in sets.items() if truth != UNIQUE_TOP}
    if people is not None and tiles is None:
        results.skip("people by the size and turn of their faces, which need --tiles")
    known = {} if tiles is None else size_and_turn(tiles)
    groups = [group for faces in sets.values() for group in groups_of(faces, known)]
    records = []
    for head in progress([head for head in open_heads(model, heads) if head.is_emotional], "heads"):
        records += group_records(head, sets, groups)
    results.tables = tables(records)
    results.values = {
        "groups": [
            {key: value.to_json() if isinstance(value, Measure) else value for key, value in record.items()}
            for record in records
        ],
        "not_measured": NOT_MEASURED,
        "emotions": EMOTIONS,
    }
    results.plotted = records
    return results


def plot(results: Results) -> Any:
    """How often each head is right per third, a panel per set and attribute."""
    records: Sequence[Mapping[str, Any]] = results.plotted
    panels_of = list(dict.fromkeys((record["truth"], record["attribute"]) for record in records))
    heads = list(dict.fromkeys(record["head"] for record in records))
    columns = 3
    lines = -(-len(panels_of) // columns)
    canvas = new_figure(11, 2.9 * lines)
    panels = canvas.subplots(lines, columns, squeeze=False).ravel()
    for axes, (truth, attribute) in zip(panels, panels_of, strict=False):
        for index, (head, color) in enumerate(zip(heads, COLORS * 4, strict=False)):
            of = [
                each for each in records if (each["head"], each["truth"], each["attribute"]) == (head, truth, attribute)
            ]
            values = np.array([100 * each["accuracy"].value for each in of])
            ends = np.array([[100 * end for end in each["accuracy"].interval] for each in of]).T
            axes.errorbar(np.arange(len(of)) + 0.08 * index, values, np.maximum(np.abs(ends - values), 0), fmt="o-",
                          color=color, markersize=4, linewidth=1, label=head)  # fmt: skip
        axes.set_xticks(range(len(of)), [f"{number(each['low'])}–{number(each['high'])}" for each in of], fontsize=8)
        axes.set_title(f"{truth}, {attribute}", fontsize=9)
        axes.set(ylim=(0, 100), ylabel="right (%)")
        axes.grid(alpha=0.3)
    for axes in panels[len(panels_of) :]:
        axes.remove()
    panels[0].legend(frameon=False, fontsize=7, loc="lower right")
    return canvas


@click.command(help=__doc__)
@model_option
@heads_option
@click.option("--data", type=FILE, metavar="CSV", help="fer2013.csv; PublicTest is measured.")
@ferplus_option
@people_option()
@tiles_option()
@click.option("--faces", "count", default=0, metavar="N", help="Only N random faces of each set.  [default: all]")
@results_command(plot)
def main(**options: Any) -> Results:
    """Measure, print, write, draw."""
    return measure(**options)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.groups")
