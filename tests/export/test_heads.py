"""Exports of networks with several heads."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_edge.network.classifier import Classifier
from fer_export.truths import labeled_by_votes
from fer_train.data import FERPLUS_CLASSES, FERPLUS_COLUMNS, FaceData
from fer_train.evaluation.metrics import softmax
from fer_train.networks.checkpoint import Checkpoint, save_checkpoint
from fer_train.networks.heads import Head
from fer_train.networks.inference import predict_logits


@pytest.fixture(scope="module")
def several(checkpoint: Checkpoint) -> Checkpoint:
    """A second head of two classes, whose rows are the first head's last and first."""
    rows = torch.tensor([*range(7), 6, 0])
    state = dict(checkpoint.state_dict)
    for name in ("classifier.weight", "classifier.bias"):
        state[name] = state[name][rows]
    own = Head("own", ("focused", "bored"), temperature=2.0, min_confidence=0.3)
    return replace(checkpoint, heads=(*checkpoint.heads, own), state_dict=state)


def test_heads_become_outputs_and_the_contract_s_heads(
    several: Checkpoint, faces: FaceData, fer_export: Callable, tmp_path: Path
) -> None:
    save_checkpoint(several, tmp_path / "best.pt")
    arguments = [tmp_path / "best.pt", "--out", tmp_path / "m.onnx"]
    assert fer_export(*arguments, "--head", "own", "--head", "faces").code == 0
    logits = predict_logits(several.network(), torch.from_numpy(faces.images[:9])).numpy()
    for name, part, temperature in (("own", slice(7, 9), 2.0), ("faces", slice(0, 7), 1.25)):
        classifier = Classifier(tmp_path / "m.onnx", head=name)
        expected = softmax(logits[:, part], temperature)
        np.testing.assert_allclose(classifier.predict(faces.images[:9, None]), expected, atol=1e-5)
    contract = classifier.contract
    assert [head.output for head in contract.heads] == ["own", "faces_probabilities"]
    assert (contract.labels, contract.temperature, contract.min_confidence) == (("focused", "bored"), 2.0, 0.3)
    assert [head["name"] for head in json.loads((tmp_path / "m.export.json").read_text())["heads"]] == ["own", "faces"]


@pytest.mark.parametrize(
    ("heads", "says"), [(["votes"], "no head 'votes': choose one of faces, own"), (["own", "own"], "given twice")]
)
def test_heads_that_are_not_there_are_refused(
    several: Checkpoint, fer_export: Callable, tmp_path: Path, heads: list[str], says: str
) -> None:
    save_checkpoint(several, tmp_path / "best.pt")
    options = [part for head in heads for part in ("--head", head)]
    result = fer_export(tmp_path / "best.pt", "--out", tmp_path / "m.onnx", *options)
    assert result.code and says in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_votes_label_faces_by_the_majority_protocol(faces: FaceData) -> None:
    votes = np.zeros((len(faces), 10), np.float32)
    votes[:, FERPLUS_COLUMNS.index("happiness")] = 8
    votes[0], votes[-1] = 1, 1  # no majority: a training face, which stays, and a test face, which doesn't
    labeled = labeled_by_votes(replace(faces, votes=votes), FERPLUS_CLASSES)
    assert len(labeled) == len(faces) - 1
    assert {FERPLUS_CLASSES[label] for label in labeled.split("PublicTest").labels} == {"happy"}
