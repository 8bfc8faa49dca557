"""What `fer-train evaluate` measures."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np

from fer_train.evaluation.scoring import evaluate_predictor

from ..conftest import face_data

METRICS_SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "schemas" / "metrics.schema.json").read_text())


def test_ferplus_majorities_are_those_of_the_paper() -> None:
    """A majority is more than half of the votes after single ones; contempt is an error where it is no class."""
    data = face_data(train=1, test=1, votes=False)
    votes = 10 * np.eye(8, 10, dtype=np.int64)[[4, 5, 6, 1, 3, 2, 0]]  # angry ... neutral, in FER+'s order of columns
    votes[0] = [0, 0, 0, 0, 5, 5, 0, 0, 0, 0]  # a tie of anger and disgust
    votes[1] = [0, 4, 0, 0, 0, 5, 0, 0, 1, 0]  # disgust has 5 of 9
    votes[2] = [3, 0, 0, 2, 0, 0, 4, 0, 0, 0]  # fear is first, without a majority
    votes[6] = [4, 0, 0, 0, 0, 0, 0, 6, 0, 0]  # contempt, where the label is neutral
    voted = replace(data.split("PublicTest"), votes=votes.astype(np.float32))
    answers = np.eye(7, dtype=np.float32)[voted.labels]
    network = SimpleNamespace(
        classes=voted.classes, class_mapping={}, path=Path("m.pt"), temperature=1.0, sha256="", precision="fp32",
        head=None, predict=lambda *_: answers,
    )  # fmt: skip
    evaluation = evaluate_predictor(network, voted, "PublicTest")
    stored = evaluation.to_json()
    assert (stored["ferplus_majority_accuracy"], stored["ferplus_majority_images"]) == (4 / 5, 5)
    assert (stored["ferplus_accuracy"], stored["ferplus_images"]) == (1.0, 5), (
        "fear has the most votes; contempt is out"
    )
    assert "FER+ majority   80.00% (on the 5 faces where one class has more than half" in str(evaluation)
    jsonschema.validate(stored, METRICS_SCHEMA)
