"""Which square around a face makes a head right about people: a grid of sides and heights, per head and detector.

A detector's framing turns its box into the square that FER2013 would show. A classifier file may ask for another one:
`framing` times the side, its center `framing_down` sides lower (negative: higher). This prints how often each head is
right about people kept aside, and the mean recall of five emotions, for each side and height, with luma's boxes and
with YuNet's (which come with the tiles); and, with --data, what that costs on faces that are framed as in FER2013.

    python -m benchmarks.accuracy.people_framing --tiles faces/ --labels labels.csv --people people/ --plot framing.png
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.people_scores import FIVE
from benchmarks.harness.heads import EMOTIONS, Head, as_emotions, heads_option, open_heads
from benchmarks.harness.intervals import bootstrap, resampled
from benchmarks.harness.options import (
    FILE,
    ferplus_option,
    labels_option,
    model_option,
    people_option,
    results_command,
    tiles_option,
)
from benchmarks.harness.photographs import Boxes, Photographs, detected, load_photographs
from benchmarks.harness.plots import new_figure
from benchmarks.harness.results import Results
from benchmarks.harness.tables import Table
from benchmarks.harness.timing import pin_threads, progress
from benchmarks.harness.truths import FaceSet, fer2013_sets, own_truths, sampled
from fer_edge.console import run_main
from fer_edge.detectors import open_detector
from fer_edge.detectors.yunet import YunetDetector
from fer_edge.framing import Framing, Image, Square, crop, normalize_light
from fer_train.evaluation.predictors import whole_square

SIDES = (0.95, 1.0, 1.05, 1.105, 1.15, 1.2)
DOWNS = (0.0, -0.03, -0.066, -0.1, -0.13)
TODAY, PROPOSED = (1.0, 0.0), (1.105, -0.066)  # the latter is 1.05 times YuNet's height, 6 % of it higher
LUMA, YUNET, FER2013 = "luma", "yunet", "FER2013"
MIN_FACE_PX = 20
Cell = tuple[float, float]
Right = npt.NDArray[np.bool_]


def moved(square: Square, cell: Cell) -> Square:
    """The square with its side and center changed as a contract's framing and framing_down do."""
    side, down = cell
    return Square(square.x, square.y + down * square.side, side * square.side)


def answers(head: Head, images: Sequence[Image], squares: Sequence[Square]) -> npt.NDArray[np.int64]:
    """The head's answers [N], indices into EMOTIONS, to a square of each image, with the light as fer-edge makes it."""
    size = head.classifier.contract.input_size
    faces = np.stack([crop(image, square, size) for image, square in zip(images, squares, strict=True)])
    for face in faces:
        normalize_light(face)
    batch = np.repeat(faces[:, None], head.classifier.contract.channels, axis=1)
    parts = [head.classifier.predict(batch[start : start + 256]) for start in range(0, len(batch), 256)]
    return np.asarray(as_emotions(np.concatenate(parts), head.classifier.labels).argmax(axis=1))


def five_mean(right: Right, labels: npt.NDArray[np.int64]) -> float:
    """Mean recall of FIVE, without those that the faces lack."""
    present = [labels == EMOTIONS.index(name) for name in FIVE if (labels == EMOTIONS.index(name)).any()]
    return float(np.mean([right[of].mean() for of in present])) if present else float("nan")


def difference(right: Right, base: Right, people: npt.NDArray[np.int64]) -> tuple[float, float, float]:
    """How much more often `right` than `base`, and its 95 % interval over people; fractions."""
    gained = right.astype(np.float32) - base
    low, high = bootstrap(lambda drawn: np.asarray((drawn @ gained) / drawn.sum(axis=1), np.float64), resampled(people))
    return float(gained.mean()), low, high


class Grid:
    """Which answers are right per cell, of one head on one set of faces with one kind of box."""

    def __init__(
        self, head: Head, images: Sequence[Image], squares: Sequence[Square], labels: npt.NDArray[np.int64],
        people: npt.NDArray[np.int64],
    ) -> None:  # fmt: skip
        self.labels, self.people = labels, people
        self.found: dict[Cell, npt.NDArray[np.int64]] = {
            (side, down): answers(head, images, [moved(square, (side, down)) for square in squares])
            for side in SIDES
            for down in DOWNS
        }

    def right(self, cell: Cell) -> Right:
        """Which answers are right in that cell."""
        return np.asarray(self.found[cell] == self.labels)

    def accuracy(self, cell: Cell) -> float:
        """The share of right answers in that cell."""
        return float(self.right(cell).mean())

    def five(self, cell: Cell) -> float:
        """The mean recall of five emotions in that cell."""
        return five_mean(self.right(cell), self.labels)

    def calm_called_angry(self, cell: Cell) -> float:
        """The share of calm faces that are called angry in that cell; NaN without a calm face."""
        calm = self.labels == EMOTIONS.index("neutral")
        return float((self.found[cell][calm] == EMOTIONS.index("angry")).mean()) if calm.any() else float("nan")


def grid_table(grid: Grid, title: str) -> Table:
    """A row per side, a column per height: accuracy, and the mean recall of five."""
    rows = [
        [
            f"{side:g}",
            *(f"{100 * grid.accuracy((side, down)):.1f} / {100 * grid.five((side, down)):.1f}" for down in DOWNS),
        ]
        for side in SIDES
    ]
    columns = ["framing", *(f"down {down:g}" for down in DOWNS)]
    return Table(title, columns, rows, f"Accuracy / mean recall of five, in %, on {len(grid.labels)} faces.")


def choice_table(grids: Mapping[str, Grid], proposed: Cell = PROPOSED) -> Table:
    """A row per head and kind of box: today's square, the proposed one and the best, with the gain over today's."""
    rows = []
    for name, grid in grids.items():
        best = max(grid.found, key=lambda cell: (grid.accuracy(cell), grid.five(cell)))
        for what, cell in (("today", TODAY), ("1.05 x YuNet's height, 6 % up", proposed), ("best of the grid", best)):
            gain, low, high = (100 * value for value in difference(grid.right(cell), grid.right(TODAY), grid.people))
            rows.append((
                name, what, f"{cell[0]:g}", f"{cell[1]:g}", f"{100 * grid.accuracy(cell):.1f}",
                f"{gain:+.1f} ({low:+.1f} to {high:+.1f})", f"{100 * grid.five(cell):.1f}",
                f"{100 * grid.calm_called_angry(cell):.1f}",
            ))  # fmt: skip
    columns = ("", "square", "framing", "framing_down", "accuracy", "gain", "mean of five", "calm called angry")
    note = (
        "In % and points; the gain is over today's square on the same faces, with its 95 % interval over people. The "
        "best cell was chosen on these faces, so its gain is an upper bound."
    )
    return Table("Which square", columns, rows, note)


def people_grids(head: Head, photographs: Photographs, boxes: Mapping[str, tuple[Boxes, Framing]]) -> dict[str, Grid]:
    """The grids of one head by the name of head and box."""
    grids = {}
    for kind, (found, framing) in boxes.items():
        kept = [index for index, box in enumerate(found) if box is not None]
        squares = [framing.square(box) for box in found if box is not None]
        images = [photographs.images[index] for index in kept]
        grids[f"{head.title}, {kind}"] = Grid(head, images, squares, photographs.labels[kept], photographs.people[kept])
    return grids


def fer2013_grid(head: Head, sets: Mapping[str, FaceSet], count: int) -> tuple[str, Grid] | None:
    """What other squares cost on faces that are framed as in FER2013; None without a set of the head's truth."""
    truth = next((truth for truth in own_truths(head.name) if truth in sets), None)
    if truth is None:
        return None
    faces = sampled(sets[truth], count)
    squares = [whole_square(image) for image in faces.images]
    return f"{head.title}, {FER2013}'s own crops ({truth})", Grid(
        head, list(faces.images), squares, faces.labels, faces.people
    )


def measure(
    model: Path | None, heads: Sequence[str], tiles: Path, labels: Path, people: Path, data: Path | None,
    ferplus: Path | None, count: int,
) -> Results:  # fmt: skip
    """All grids of all heads."""
    results = Results("people_framing", "Which square around a face makes a head right about people?", pin_threads(1))
    photographs = load_photographs(tiles, labels, people, count)
    luma = open_detector("luma", None, min_face_px=MIN_FACE_PX)
    boxes = {
        LUMA: (detected(luma, photographs.images), luma.framing), YUNET: (photographs.yunet, YunetDetector.framing),
    }  # fmt: skip
    for kind, (found, _) in boxes.items():
        if missed := sum(box is None for box in found):
            results.skip(f"{missed} photographs in which {kind} does not find the person")
    if data is None:
        results.skip("what other squares cost on FER2013's own crops, which needs --data (and --ferplus)")
    sets = {} if data is None else fer2013_sets(data, ferplus)
    grids: dict[str, Grid] = {}
    for head in progress([head for head in open_heads(model, heads) if head.is_emotional], "heads"):
        grids |= people_grids(head, photographs, boxes)
        if (cost := fer2013_grid(head, sets, count)) is not None:
            grids[cost[0]] = cost[1]
    results.tables = [choice_table(grids), *(grid_table(grid, name) for name, grid in grids.items())]
    results.values = {
        name: [
            {
                "framing": cell[0], "framing_down": cell[1], "accuracy": grid.accuracy(cell),
                "mean_of_five": grid.five(cell), "calm_called_angry": grid.calm_called_angry(cell),
            }
            for cell in grid.found
        ]
        for name, grid in grids.items()
    }  # fmt: skip
    results.plotted = grids
    return results


def plot(results: Results) -> Any:
    """Accuracy by side and height, a panel per head and kind of box."""
    grids: Mapping[str, Grid] = results.plotted
    columns = min(3, len(grids))
    lines = -(-len(grids) // columns)
    canvas = new_figure(4.2 * columns, 3.6 * lines)
    panels = canvas.subplots(lines, columns, squeeze=False).ravel()
    for axes, (name, grid) in zip(panels, grids.items(), strict=False):
        shares = np.array([[100 * grid.accuracy((side, down)) for down in DOWNS] for side in SIDES])
        axes.imshow(shares, cmap="viridis", aspect="auto")
        for (row, column), share in np.ndenumerate(shares):
            axes.text(column, row, f"{share:.1f}", ha="center", va="center", fontsize=7, color="white",
                      bbox={"facecolor": "black", "alpha": 0.35, "pad": 1, "linewidth": 0})  # fmt: skip
        axes.set_xticks(range(len(DOWNS)), [f"{down:g}" for down in DOWNS], fontsize=8)
        axes.set_yticks(range(len(SIDES)), [f"{side:g}" for side in SIDES], fontsize=8)
        axes.set_title(name, fontsize=8)
        axes.set(xlabel="framing_down", ylabel="framing")
    for axes in panels[len(grids) :]:
        axes.remove()
    return canvas


@click.command(help=__doc__)
@model_option
@heads_option
@tiles_option(required=True)
@labels_option(required=True)
@people_option(required=True)
@click.option("--data", type=FILE, metavar="CSV", help="fer2013.csv.")
@ferplus_option
@click.option("--faces", "count", default=0, metavar="N", help="Only N random faces.  [default: all]")
@results_command(plot)
def main(**options: Any) -> Results:
    """Measure, print, write, draw."""
    return measure(**options)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.people_framing")
