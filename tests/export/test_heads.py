"""Exports of networks with several heads."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch

from fer_edge.errors import ContractError, DataError
from fer_edge.network.classifier import Classifier
from fer_export.checks.truths import find_truths, labeled_by_votes
from fer_export.cli import ThresholdsType
from fer_export.graph.classifier import classifier_contract
from fer_train.data import FER2013_CLASSES, FERPLUS_CLASSES, FERPLUS_COLUMNS, FaceData
from fer_train.evaluation.metrics import fit_temperature, softmax
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
    shown = fer_export("inspect", tmp_path / "m.onnx").stdout
    assert ["own", "2", "2", "0.3", "-", "-"] in [line.split() for line in shown.splitlines()]
    assert [head["name"] for head in json.loads((tmp_path / "m.export.json").read_text())["heads"]] == ["own", "faces"]


def test_a_head_that_has_learned_from_all_faces_keeps_its_cross_validated_accuracy(
    checkpoint: Checkpoint, faces: FaceData, fer_export: Callable, tmp_path: Path
) -> None:
    metrics = {"split": "cross-validation, 5 folds", "images": 50, "accuracy": 0.84}
    learned = replace(checkpoint, heads=(replace(checkpoint.heads[0], truth="labels of own", metrics=metrics),))
    own = replace(learned, heads=(*learned.heads, Head("more", ("a", "b"))))
    assert [head.accuracy for head in classifier_contract(own, "").heads] == [
        {"truth": "labels of own"} | metrics,
        None,
    ]
    found, notes = find_truths(replace(faces, held_out=True), learned)
    assert (found, len(notes)) == ({}, 1)
    assert "has learned from all faces; cross-validation, 5 folds, found 84.0% of 50" in notes[0]
    assert find_truths(faces, learned)[0].keys() == {"faces"}, "faces of a test part are new to it"
    save_checkpoint(learned, tmp_path / "best.pt")
    assert fer_export(tmp_path / "best.pt", "--out", tmp_path / "m.onnx").code == 0
    assert Classifier(tmp_path / "m.onnx").contract.accuracy == metrics


def test_a_file_knows_the_name_of_its_single_head_if_that_was_chosen(
    several: Checkpoint, checkpoint: Checkpoint, faces_csv: Path, fer_export: Callable, tmp_path: Path
) -> None:
    for file, model, named in (("own", several, ["--head", "own"]), ("one", checkpoint, ["--head", "faces"]),
                               ("plain", checkpoint, [])):  # fmt: skip
        save_checkpoint(model, tmp_path / f"{file}.pt")
        assert fer_export(tmp_path / f"{file}.pt", "--out", tmp_path / f"{file}.onnx", *named).code == 0
    own, plain = (Classifier(tmp_path / f"{file}.onnx") for file in ("own", "plain"))
    assert [(head.name, head.output) for head in own.contract.heads] == [("own", "probabilities")]
    assert Classifier(tmp_path / "own.onnx", head="own").labels == own.labels == ("focused", "bored")
    reports = {file: json.loads((tmp_path / f"{file}.export.json").read_text()) for file in ("own", "plain")}
    assert [head["name"] for head in reports["own"]["heads"]] == ["own"] and "heads" not in reports["plain"]
    with pytest.raises(ContractError, match="no head 'faces': choose one of own"):
        Classifier(tmp_path / "own.onnx", head="faces")
    assert plain.contract.heads == (), "files without --head stay as they were"
    compared = fer_export("compare", tmp_path / "one.onnx", tmp_path / "plain.onnx", "--data", faces_csv)
    assert compared.code == 0 and "100.00" in compared.stdout
    scored = fer_export("evaluate", tmp_path / "one.onnx", "--head", "faces", "--data", faces_csv)
    assert scored.code == 0, scored.stderr


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


@pytest.fixture
def voted(faces: FaceData) -> FaceData:
    """The drawn faces with votes for their labels."""
    columns = [FERPLUS_COLUMNS.index(name) for name in
               ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")]  # fmt: skip
    votes = np.zeros((len(faces), 10), np.float32)
    votes[np.arange(len(faces)), np.array(columns)[faces.labels]] = 10
    return replace(faces, votes=votes)


@pytest.mark.parametrize("said", [{"truth": "FER+ majority labels of PublicTest"},
                                  {"dataset": "faces.csv with FER+ majority labels"}])  # fmt: skip
def test_a_head_on_majority_labels_is_measured_against_these(
    checkpoint: Checkpoint, voted: FaceData, said: dict[str, str]
) -> None:
    head = replace(checkpoint.heads[0], **said)
    relabeled = replace(checkpoint, heads=(head,))
    votes = voted.votes.copy()
    votes[-2:] = [[0, 9] + [0] * 8, [3, 3] + [0] * 8]  # happy where the label says otherwise, and a tie
    data = replace(voted, votes=votes)
    found, notes = find_truths(data, relabeled)
    test = found[head.name].data.split("PublicTest")
    expected = [*voted.split("PublicTest").labels[:-2], FER2013_CLASSES.index("happy")]
    assert not notes
    assert test.labels.tolist() == expected
    assert found[head.name].description == "FER+ majority labels of PublicTest"
    without = "accuracy of faces not measured: it learned FER+ majority labels: give "
    assert find_truths(replace(data, votes=None), relabeled) == ({}, [f"{without}--ferplus"])
    assert find_truths(replace(data, held_out=True), relabeled) == ({}, [f"{without}data with test faces"])


def people_of(faces: FaceData, count: int) -> FaceData:
    """`count` test faces, all named happy, as another data set."""
    kept = faces.split("PublicTest").rows(np.arange(42) < count)
    return replace(kept, labels=np.full(count, FER2013_CLASSES.index("happy")), path=Path("crowd"))


def test_people_kept_aside_are_a_truth_that_weighs_as_much_as_the_votes(
    checkpoint: Checkpoint, voted: FaceData
) -> None:
    head = replace(checkpoint.heads[0], name="people", truth="FER+ majorities of PublicTest")
    people = people_of(voted, 6)
    truths, notes = find_truths(voted, replace(checkpoint, heads=(head,)), people)
    truth = truths["people"]
    assert not notes and truth.description == "FER+ majorities of PublicTest and faces of crowd kept aside"
    test = truth.data.split("PublicTest")
    assert len(test) == 48
    np.testing.assert_allclose(truth.weights, [1 / 42] * 42 + [1 / 6] * 6)
    logits = predict_logits(checkpoint.network(), torch.from_numpy(test.images)).numpy()
    votes, crowd = truth.scores(softmax(logits, 1.25).astype(np.float32), 1.25)
    hits = logits.argmax(axis=1) == test.labels
    assert (votes["images"], crowd["images"], votes["temperature_weight"]) == (42, 6, 0.5)
    assert votes["accuracy"] == hits[:42].mean() and crowd["accuracy"] == hits[42:].mean()
    assert crowd["accuracy"] < votes["accuracy"] and crowd["ece"] > votes["ece"]
    both = fit_temperature(logits, test.labels, truth.weights)
    assert both > fit_temperature(logits, test.labels)  # wrong answers of few people count for more


def test_people_without_a_test_part_are_refused_and_their_absence_is_told(
    checkpoint: Checkpoint, voted: FaceData
) -> None:
    head = replace(checkpoint.heads[0], name="people", truth="FER+ majorities of PublicTest")
    asked = replace(checkpoint, heads=(head,))
    assert "--people adds people kept aside" in find_truths(voted, asked)[1][0]
    with pytest.raises(DataError, match="crowd has no faces kept aside"):
        find_truths(voted, asked, replace(people_of(voted, 6), usage=np.full(6, "Training")))


@pytest.mark.parametrize(
    ("value", "thresholds"), [("0.2", (0.2, 0.2)), ("own=0.5", (0.0, 0.5)), ("0.2,own=0", (0.2, 0.0)), (None, (0, 0.3))]
)
def test_each_head_has_its_threshold(several: Checkpoint, value: str | None, thresholds: tuple[float, float]) -> None:
    given = None if value is None else ThresholdsType().convert(value, None, None)
    assert tuple(head.min_confidence for head in classifier_contract(several, "", given).heads) == thresholds


@pytest.mark.parametrize("value", ["", "x", "1", "own=-1", "own=nan", "own=0.1,own=0.2", "own"])
def test_thresholds_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(click.BadParameter):
        ThresholdsType().convert(value, None, None)


def test_a_threshold_of_an_unknown_head_is_refused(several: Checkpoint, fer_export: Callable, tmp_path: Path) -> None:
    save_checkpoint(several, tmp_path / "best.pt")
    result = fer_export(tmp_path / "best.pt", "--out", tmp_path / "m.onnx", "--min-confidence", "votes=0.5")
    assert result.code == 1 and "no head 'votes': choose one of faces, own" in result.stderr


def test_evaluate_and_compare_take_a_head(
    several: Checkpoint, fer_export: Callable, faces_csv: Path, finished: Any, tmp_path: Path
) -> None:
    save_checkpoint(several, tmp_path / "best.pt")
    model, scores = tmp_path / "m.onnx", tmp_path / "scores.json"
    assert fer_export(tmp_path / "best.pt", "--out", model, "--head", "own", "--head", "faces").code == 0
    given = ["--head", "faces", "--data", faces_csv, "--overwrite", "--json", scores]
    assert fer_export("evaluate", model, *given).code == 0
    assert json.loads(scores.read_text())["accuracy"] == finished.report["accuracy"]["fp32"]
    plain = finished.folder / "m.onnx"  # without heads: the same network's first one
    result = fer_export("compare", model, plain, *given)
    stored = json.loads(scores.read_text())
    assert result.code == 0 and "m.onnx (fp32, head faces)" in result.stdout
    assert (stored["agreement"], stored["a"]["head"], stored["b"]["head"]) == (1.0, "faces", None)
    assert "no head 'votes': choose one of own, faces" in fer_export(
        "compare", model, plain, "--head", "votes", "--data", faces_csv
    ).stderr  # fmt: skip
    other = fer_export("evaluate", model, "--head", "own", "--data", faces_csv)
    assert other.code == 1 and f"but the head own of {model} was trained on focused, bored" in other.stderr
    refused = fer_export("compare", plain, plain, "--head", "faces", "--data", faces_csv)
    assert refused.code == 1 and "has heads: leave --head out" in refused.stderr
