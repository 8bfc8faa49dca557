"""Is it right about people? Every head against FER2013's labels, FER+'s votes, and people that it has not seen.

Per head of a file, and per peer on the same faces:

- accuracy on FER2013's own labels (the words that photographs were searched by);
- accuracy by the majority protocol of FER+'s paper (Barsoum et al. 2016): votes of one are removed, faces count whose
  strongest class has more than half of the votes and is neither unknown nor "no face"; contempt is a class, so it is an
  error of heads without it. And agreement with the class that has the most votes, if only one has;
- people of press photographs kept aside: recall per emotion, the mean of angry, happy, sad, surprise and neutral, and
  how many calm faces are called angry or sad;
- calibration (ECE) and confusion on each; all once more without the faces that are pixel copies of training faces, and
  without other cuts of their photographs (harness.copies).

All with 95 % intervals.

    python -m benchmarks.accuracy.people --data fer2013.csv --ferplus fer2013new.csv --people people/ --plot people.png
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.accuracy.contestants import Contestant, contestants
from benchmarks.accuracy.people_scores import MISTAKEN, Measure, Scores, score_set
from benchmarks.harness.heads import EMOTIONS, heads_option
from benchmarks.harness.options import FILE, ferplus_option, peers_option, people_option, results_command
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.results import Results
from benchmarks.harness.tables import Table
from benchmarks.harness.timing import pin_threads, progress
from benchmarks.harness.truths import LABELS, MAJORITY, PEOPLE, UNIQUE_TOP, FaceSet, load_sets, own_truths, sampled
from fer_edge.console import run_main

Found = Mapping[str, Mapping[str, Scores]]
"""Scores by contestant and truth."""
WITHOUT = {  # fields of FaceSet, and how their tables are called
    "copies": "The same without pixel copies of training faces",
    "near_copies": "The same without other cuts of training faces' photographs, too",
}
NEUTRAL, FIVE_MEAN = "neutral", "mean of five"
# What the shipped heads are meant to reach: head, truth, name, what of the scores, ">=" or "<=", aim.
TARGETS: tuple[tuple[str, str, str, Callable[[Scores], Measure], str, float], ...] = (
    ("people", PEOPLE, "neutral", lambda scores: scores.recall[NEUTRAL], ">=", 0.86),
    ("people", PEOPLE, FIVE_MEAN, lambda scores: scores.five, ">=", 0.77),
    ("people", PEOPLE, "calm called angry", lambda scores: scores.calm["angry"], "<=", 0.05),
    ("people", PEOPLE, "ECE", lambda scores: scores.ece, "<=", 0.02),
    ("people", MAJORITY, "accuracy", lambda scores: scores.accuracy, ">=", 0.85),
    ("people", MAJORITY, "ECE", lambda scores: scores.ece, "<=", 0.02),
    ("ferplus", MAJORITY, "accuracy", lambda scores: scores.accuracy, ">=", 0.89),
    ("ferplus", MAJORITY, "ECE", lambda scores: scores.ece, "<=", 0.02),
    ("fer2013", LABELS, "accuracy", lambda scores: scores.accuracy, ">=", 0.703),
    ("fer2013", LABELS, "ECE", lambda scores: scores.ece, "<=", 0.02),
)


def main_table(found: Found, sets: Mapping[str, FaceSet], title: str) -> Table:
    """A row per contestant: accuracy against each truth, and what people look at first."""
    truths = [truth for truth in (LABELS, MAJORITY, UNIQUE_TOP) if truth in sets]
    columns = ["", *truths]
    if PEOPLE in sets:
        columns += ["people, neutral", f"people, {FIVE_MEAN}", *(f"calm called {name}" for name in MISTAKEN)]
    rows = []
    for name, scores in found.items():
        row = [name, *(str(scores[truth].accuracy) for truth in truths)]
        if PEOPLE in sets:
            people = scores[PEOPLE]
            neutral = people.recall.get(NEUTRAL)
            row += ["–" if neutral is None else str(neutral), str(people.five), *map(str, people.calm.values())]
        rows.append(row)
    counts = "; ".join(f"{truth}: {sizes(faces)}" for truth, faces in sets.items())
    return Table(title, columns, rows, f"In %, with 95 % intervals. Faces: {counts}.")


def sizes(faces: FaceSet) -> str:
    """How many faces, and of how many people where that is known."""
    people = len(np.unique(faces.people))
    return f"{len(faces)}" + (f" of {people} people" if people < len(faces) else "")


def recall_table(found: Found, faces: FaceSet, truth: str) -> Table:
    """Recall per emotion: a row per emotion that the set has, a column per contestant."""
    rows = []
    for index, emotion in enumerate(EMOTIONS):
        if (count := int((faces.labels == index).sum())) > 0:
            rows.append((emotion, str(count), *(str(scores[truth].recall[emotion]) for scores in found.values())))
    return Table(f"Recall, {truth}", ("", "faces", *found), rows, "In %, with 95 % intervals.")


def calibration_table(found: Found, taking_part: Sequence[Contestant], truths: Sequence[str]) -> Table:
    """The expected calibration error of each contestant on each set; * marks the truth that a head was trained for."""
    own = {each.name: own_truths(each.head) if each.ours else () for each in taking_part}
    rows = [
        (name, *(f"{scores[truth].ece}{' *' if truth in own[name] else ''}" for truth in truths))
        for name, scores in found.items()
    ]
    note = "Expected calibration error in points, with 95 % intervals. * a truth that the head was trained for."
    return Table("Calibration", ("", *truths), rows, note)


def confusion_table(name: str, truth: str, scores: Scores) -> Table:
    """How many faces of each emotion (rows) got which answer; emotions that occur nowhere are left out."""
    matrix = np.array(scores.confusion)
    shown = [index for index in range(len(EMOTIONS)) if matrix[index].any() or matrix[:, index].any()]
    rows = [(EMOTIONS[row], *(str(matrix[row, column]) for column in shown)) for row in shown if matrix[row].any()]
    title = f"Confusion of {name}, {truth}"
    return Table(title, ("truth \\ answer", *(EMOTIONS[column] for column in shown)), rows)


def target_rows(found: Found, taking_part: Sequence[Contestant]) -> list[dict[str, Any]]:
    """A record per target of a head that was measured: met, missed, or open if it lies inside the interval."""
    records = []
    for each in taking_part:
        for head, truth, name, pick, bound, aim in TARGETS:
            scores = found[each.name].get(truth)
            if each.head != head or scores is None or (truth == PEOPLE and NEUTRAL not in scores.recall):
                continue
            measure = pick(scores)
            records.append({
                "head": each.name, "truth": truth, "what": name, "aim": f"{bound} {100 * aim:g}", "value": measure,
                "verdict": verdict(measure, bound, aim),
            })  # fmt: skip
    return records


def verdict(measure: Measure, bound: str, aim: float) -> str:
    """met, open (missed, but the aim lies inside the interval) or missed."""
    low, high = measure.interval
    met = measure.value <= aim if bound == "<=" else measure.value >= aim
    return "met" if met else "open" if low <= aim <= high else "missed"


def measure(
    models: Sequence[Path], heads: Sequence[str], data: Path | None, ferplus: Path | None, people: Path | None,
    peers: Sequence[str], count: int, threads: int,
) -> Results:  # fmt: skip
    """Score all heads and peers on all sets, with and without copies of training faces."""
    results = Results("people", "Is it right about people?", pin_threads(threads))
    loaded = load_sets(data, ferplus, people, results.skip, find_near=True)
    sets = {truth: sampled(faces, count) for truth, faces in loaded.items()}
    kept = {
        kind: {truth: ~getattr(faces, kind) for truth, faces in sets.items() if not getattr(faces, kind).all()}
        for kind in WITHOUT
    }
    taking_part = list(contestants(models, heads, peers, threads, results.skip))
    found: dict[str, dict[str, Scores]] = {}
    without: dict[str, dict[str, dict[str, Scores]]] = {kind: {} for kind in WITHOUT}
    for each in progress(taking_part, "recognizers"):
        answers = {truth: each.predict(faces.images) for truth, faces in sets.items()}
        found[each.name] = {truth: score_set(answers[truth], faces) for truth, faces in sets.items()}
        for kind, chosen in kept.items():
            without[kind][each.name] = {
                truth: score_set(answers[truth][keep], sets[truth].rows(keep)) for truth, keep in chosen.items()
            }
    results.tables = [main_table(found, sets, "The protocol")]
    for kind, title in WITHOUT.items():
        if new := {truth: sets[truth].rows(keep) for truth, keep in kept[kind].items()}:
            results.tables.append(main_table(without[kind], new, title))
    results.tables += [recall_table(found, sets[truth], truth) for truth in (PEOPLE, MAJORITY) if truth in sets]
    results.tables.append(calibration_table(found, taking_part, list(sets)))
    results.tables += [
        confusion_table(each.name, truth, found[each.name][truth])
        for each in taking_part
        for truth in own_truths(each.head)
        if each.ours and truth in sets
    ]
    if targets := target_rows(found, taking_part):
        rows = [[*map(str, record.values())] for record in targets]
        note = "In % and points. Open: the aim lies inside the 95 % interval."
        results.tables.append(Table("Aims", ("", "truth", "what", "aim", "measured", ""), rows, note))
    results.tables[0] = with_preprocessing(results.tables[0], taking_part)
    results.values = {
        "scores": {
            each.name: {
                "head": each.head, "ours": each.ours, "detail": each.detail, "preprocessing": each.preprocessing,
                "file_mb": each.file_mb,
                "own_truths": own_truths(each.head) if each.ours else (),
                "all": {truth: scores.to_json() for truth, scores in found[each.name].items()},
                **{
                    f"without_{kind}": {truth: scores.to_json() for truth, scores in without[kind][each.name].items()}
                    for kind in WITHOUT
                },
            }
            for each in taking_part
        },
        "emotions": EMOTIONS,
    }  # fmt: skip
    results.plotted = found
    return results


def with_preprocessing(table: Table, taking_part: Sequence[Contestant]) -> Table:
    """The table with a note of what each peer does with a face."""
    notes = "".join(f" {each.name}: {each.preprocessing}." for each in taking_part if each.preprocessing)
    every = " Every answer counts: contempt is an error where the truth has none."
    return Table(table.title, table.columns, table.rows, table.note + every + notes)


def plot(results: Results) -> Any:
    """Recall of people by emotion (FER+ without people), then a confusion matrix per contestant."""
    found: Found = results.plotted
    truth = next(truth for truth in (PEOPLE, MAJORITY, LABELS) if truth in next(iter(found.values())))
    columns = min(3, len(found))
    lines = -(-len(found) // columns)
    canvas = new_figure(max(9, 4.2 * columns), 3.6 + 4.0 * lines)
    grid = canvas.add_gridspec(1 + lines, columns, height_ratios=[0.9, *[1.0] * lines])
    draw_recalls(canvas.add_subplot(grid[0, :]), found, truth)
    for number, (name, scores) in enumerate(found.items()):
        draw_confusion(canvas.add_subplot(grid[1 + number // columns, number % columns]), scores[truth], name)
    return canvas


def draw_recalls(axes: Any, found: Found, truth: str) -> None:
    """Draw recall per emotion as bars with their intervals, and the share of calm faces called angry and sad."""
    first = next(iter(found.values()))[truth]
    places = [name for name in EMOTIONS if name in first.recall]
    calm = [f"calm called\n{name}" for name in first.calm] if NEUTRAL in places else []
    width = 0.8 / len(found)
    for index, ((name, scores), color) in enumerate(zip(found.items(), COLORS * 4, strict=False)):
        measures = [scores[truth].recall[each] for each in places]
        measures += list(scores[truth].calm.values()) if calm else []
        values = np.array([100 * each.value for each in measures])
        ends = np.array([[100 * end for end in each.interval] for each in measures]).T
        errors = np.maximum(np.abs(ends - values), 0)
        x = np.arange(len(measures)) + (index - (len(found) - 1) / 2) * width
        axes.bar(x, values, width, color=color, label=name, yerr=errors, error_kw={"elinewidth": 0.8, "alpha": 0.6})
    counts = [f"{name}\n{first.recall[name].count}" for name in places]
    axes.set_xticks(range(len(counts) + len(calm)), [*counts, *calm], fontsize=8)
    axes.set(title=f"Recall, {truth}", ylabel="%", ylim=(0, 105))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))


def draw_confusion(axes: Any, scores: Scores, name: str) -> None:
    """Draw a confusion matrix in % of each row."""
    matrix = np.array(scores.confusion)
    rows = [index for index in range(len(EMOTIONS)) if matrix[index].any()]
    columns = [index for index in range(len(EMOTIONS)) if index in rows or matrix[:, index].any()]
    shares = 100 * matrix[np.ix_(rows, columns)] / matrix[rows].sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7,
                  color="white" if share > 55 else "black")  # fmt: skip
    axes.set_xticks(range(len(columns)), [EMOTIONS[index] for index in columns], rotation=45, ha="right", fontsize=7)
    axes.set_yticks(range(len(rows)), [EMOTIONS[index] for index in rows], fontsize=7)
    axes.set_title(name, fontsize=9)


@click.command(help=__doc__)
@click.argument("models", nargs=-1, type=click.Path(path_type=Path), metavar="[MODEL.onnx]...")
@heads_option
@click.option("--data", type=FILE, metavar="CSV", help="fer2013.csv; PublicTest is measured.")
@ferplus_option
@people_option()
@peers_option
@click.option("--faces", "count", default=0, metavar="N", help="Only N random faces of each set.  [default: all]")
@click.option("--threads", default=1, show_default=True, help="Threads of the networks and of OpenCV.")
@results_command(plot)
def main(**options: Any) -> Results:
    """Score, print, write, draw."""
    return measure(**options)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.people")
