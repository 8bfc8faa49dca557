"""Plots of one evaluation: its scores, its predictions and its most confident mistakes."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_train.evaluation.scoring import Evaluation
from fer_train.plots.scores import plot_confusion, plot_reliability
from fer_train.plots.style import RIGHT, WRONG, face_sheet, save

EVALUATION_PLOTS = ("confusion.png", "reliability.png", "predictions.png", "mistakes.png")
COLUMNS, ROWS = 10, 5
MAX_NAME_SHOWN = 20  # characters
MAX_LABEL_SHOWN = 14  # characters: longer ones would run into their neighbors


def plot_evaluation(evaluation: Evaluation, folder: Path, metrics: dict[str, Any] | None = None) -> None:
    """Write EVALUATION_PLOTS to `folder`.

    metrics: those whose confusion matrix and calibration errors are shown, by default the evaluation's own. A training
    run gives those of metrics.json, which another pass, in another numeric format, may miss by a face.
    """
    accuracy = evaluation.accuracy
    plot_confusion(metrics or accuracy.metrics | {"split": accuracy.split}, folder / "confusion.png")
    plot_reliability(
        evaluation.uncalibrated, evaluation.probabilities, evaluation.faces.labels, evaluation.temperature,
        folder / "reliability.png", metrics,
    )  # fmt: skip
    plot_predictions(evaluation, folder / "predictions.png")
    plot_mistakes(evaluation, folder / "mistakes.png")


def plot_predictions(evaluation: Evaluation, path: Path) -> None:
    """Plot random faces with their predictions: green if right, red with the true class if wrong."""
    count = len(evaluation.faces)
    chosen = np.sort(np.random.default_rng(0).permutation(count)[: COLUMNS * ROWS])
    right = int((evaluation.probabilities[chosen].argmax(axis=1) == evaluation.faces.labels[chosen]).sum())
    title = f"{right} of {len(chosen)} right, chosen at random from {_scored_on(evaluation)}"
    _save_sheet(evaluation, chosen, title, path)


def plot_mistakes(evaluation: Evaluation, path: Path) -> None:
    """Plot the mistakes with the highest confidence, highest first, with the place of each face in the data."""
    wrong = evaluation.probabilities.argmax(axis=1) != evaluation.faces.labels
    by_confidence = np.argsort(-np.where(wrong, evaluation.probabilities.max(axis=1), -1), kind="stable")
    chosen = by_confidence[: min(int(wrong.sum()), COLUMNS * ROWS)]
    title = f"The {len(chosen)} most confident of {int(wrong.sum()):,} mistakes on {_scored_on(evaluation)}"
    _save_sheet(evaluation, chosen, title, path, show_names=True)


def _scored_on(evaluation: Evaluation) -> str:
    return f"{len(evaluation.faces):,} faces ({evaluation.faces.title}, {evaluation.accuracy.split})"


def _save_sheet(
    evaluation: Evaluation, chosen: npt.NDArray[np.int64], title: str, path: Path, show_names: bool = False
) -> None:
    faces = evaluation.faces
    captions = []
    for row in chosen:
        answer, truth = int(evaluation.probabilities[row].argmax()), int(faces.labels[row])
        color = RIGHT if answer == truth else WRONG
        given, labeled = _shorten_label(faces.classes[answer]), _shorten_label(faces.classes[truth])
        lines = [(f"{given} {100 * evaluation.probabilities[row, answer]:.0f} %", color)]
        lines.append((f"labeled {labeled}" if answer != truth else "", "black"))
        if show_names and faces.names is not None:
            lines.append((_shorten(str(faces.names[row])), "#777777"))
        captions.append(lines)
    save(face_sheet(faces.images[chosen], COLUMNS, captions, title), path)


def _shorten_label(label: str) -> str:
    return label if len(label) <= MAX_LABEL_SHOWN else f"{label[: MAX_LABEL_SHOWN - 3]}..."


def _shorten(name: str) -> str:
    last = name.rpartition("/")[2]
    return last if len(last) <= MAX_NAME_SHOWN else f"...{last[-MAX_NAME_SHOWN + 3 :]}"
