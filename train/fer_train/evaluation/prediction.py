"""Write a network's answers to faces without labels as a CSV."""

import csv
from pathlib import Path

import numpy as np

from fer_edge.files import atomic_write
from fer_edge.results import PROBABILITY_DECIMALS
from fer_train.data import UnlabeledFaces
from fer_train.evaluation.predictors import Predictor


def write_predictions(predictor: Predictor, faces: UnlabeledFaces, path: Path) -> dict[str, int]:
    """Write a row per face to `path`, whole or not at all, and count the answers by class.

    Columns: row, emotion, confidence, a column per label, and file for pictures.
    """
    probabilities = predictor.predict(faces.images, "predicting", good_light=True)
    answers = probabilities.argmax(axis=1)
    header = ["row", "emotion", "confidence", *predictor.classes] + ["file"] * (faces.files is not None)
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for place, (row, answer) in enumerate(zip(faces.rows.tolist(), answers.tolist(), strict=True)):
            shares = [round(share, PROBABILITY_DECIMALS) for share in probabilities[place].tolist()]
            name = [] if faces.files is None else [str(faces.files[place])]
            writer.writerow([row, predictor.classes[answer], shares[answer], *shares, *name])
    counts = np.bincount(answers, minlength=len(predictor.classes)).tolist()
    return dict(zip(predictor.classes, counts, strict=True))
