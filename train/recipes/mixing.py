"""How accurate are two networks together? Teachers are worth training only if they beat each network alone.

    python train/recipes/mixing.py FIRST SECOND --data fer2013.csv --ferplus fer2013new.csv

Each head that both have is measured on PublicTest: `fer2013` against the labels, the others against FER+'s majorities.
The best share of SECOND is chosen on the same faces, so its accuracy is optimistic; that of half and half is not.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from fer_edge.console import run_main
from fer_edge.errors import DataError
from fer_train.data import FERPLUS_CLASSES, PUBLIC_TEST, FaceData, load_faces, majority_protocol
from fer_train.data.classes import canonical
from fer_train.evaluation.predictors import open_predictor
from fer_train.tables import aligned

SHARES = np.linspace(0, 1, 21)
LABELS_HEAD = "fer2013"
Answers = npt.NDArray[np.float64]
Truth = npt.NDArray[np.int64]
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def places(classes: Sequence[str], owner: str) -> list[int]:
    """Where each class is in FERPLUS_CLASSES; DataError, which names the owner, for one that FER+ lacks."""
    names = [canonical(name) for name in classes]
    if unknown := [name for name in names if name not in FERPLUS_CLASSES]:
        raise DataError(f"{owner} has the class {unknown[0]}, which FER+ lacks: name a network of FER2013's emotions")
    return [FERPLUS_CLASSES.index(name) for name in names]


def answers(path: Path, head: str, faces: FaceData) -> Answers:
    """Probabilities [N, 8] of FERPLUS_CLASSES that a head gives; 0 for classes that it doesn't have."""
    predictor = open_predictor(path, head=head)
    given = predictor.predict(faces.images, path.stem)
    found = np.zeros((len(faces), len(FERPLUS_CLASSES)))
    found[:, places(predictor.classes, str(path))] = given
    return found


def truth_of(head: str, faces: FaceData) -> Truth:
    """What a face shows, as an index into FERPLUS_CLASSES; -1 without a majority. DataError without the votes."""
    if head == LABELS_HEAD:
        return np.array(places(faces.classes, str(faces.path)))[faces.labels]
    if faces.votes is None:
        raise DataError(f"the head {head} is measured against FER+'s votes: give --ferplus, or --head {LABELS_HEAD}")
    return majority_protocol(faces.votes)


def mixed(first: Answers, second: Answers, truth: Truth) -> tuple[str, ...]:
    """The cells of a row: accuracy of each, half and half, the best share, the agreement, and where one is right."""
    known = truth >= 0
    first, second, truth = first[known], second[known], truth[known]
    right = [((1 - share) * first + share * second).argmax(1) == truth for share in SHARES]
    accuracy = [float(hits.mean()) for hits in right]
    best = int(np.argmax(accuracy))
    agree, either = first.argmax(1) == second.argmax(1), right[0] | right[-1]
    shown = (accuracy[0], accuracy[-1], accuracy[len(SHARES) // 2], accuracy[best])
    return (
        *(f"{value:.2%}" for value in shown), f"{SHARES[best]:.2f}", f"{agree.mean():.2%}", f"{either.mean():.2%}",
        str(len(truth)),
    )  # fmt: skip


@click.command(help=__doc__)
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@click.option("--data", required=True, type=FILE, metavar="CSV", help="fer2013.csv")
@click.option("--ferplus", type=FILE, metavar="CSV", help="fer2013new.csv")
@click.option("--head", "heads", multiple=True, default=(LABELS_HEAD, "ferplus"), show_default=True, help="Repeatable.")
def main(first: Path, second: Path, data: Path, ferplus: Path | None, heads: Sequence[str]) -> None:
    """Print a row per head."""
    faces = load_faces(data, ferplus).split(PUBLIC_TEST)
    rows: list[tuple[str, ...]] = [
        ("head", "first", "second", "half and half", "best mix", "share", "agree", "one is right", "faces")
    ]
    for head in heads:
        truth = truth_of(head, faces)
        rows.append((head, *mixed(answers(first, head, faces), answers(second, head, faces), truth)))
    click.echo("\n".join(aligned(rows)))


if __name__ == "__main__":
    run_main(main, "mixing.py")
