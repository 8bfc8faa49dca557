"""A whole int8 export of a network with several heads, and what every command makes of its files."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import Contract
from fer_edge.network.contract import Head as ContractHead
from fer_export.classifier import ClassifierExport, ClassifierExportOptions
from fer_export.graph.classifier import classifier_contract, classifier_to_onnx
from fer_export.graph.onnx_file import save, with_contract
from fer_train.cli import train
from fer_train.data import FER2013_CLASSES, FERPLUS_CLASSES, FERPLUS_COLUMNS, FaceData
from fer_train.data.classes import canonical
from fer_train.evaluation.metrics import softmax
from fer_train.networks.checkpoint import Checkpoint, save_checkpoint
from fer_train.networks.heads import Head
from fer_train.networks.inference import predict_logits
from tests.schemas import check

OWN = "temperature"  # a head may have the name of a tensor
NAMES = ("people", "ferplus", "faces", OWN)
VOTED = "FER+ majorities of PublicTest"


@pytest.fixture(scope="module")
def several(checkpoint: Checkpoint) -> Checkpoint:
    """Four heads with the rows of one: a class without rows of its own is never the answer."""
    rows = [FER2013_CLASSES.index(name) if name in FER2013_CLASSES else 7 for name in FERPLUS_CLASSES]
    order = torch.tensor([*range(7), *rows, *range(7), 6, 0])
    state = dict(checkpoint.state_dict)
    for name, never in (("classifier.weight", 0.0), ("classifier.bias", -9.0)):
        values = state[name]
        state[name] = torch.cat([values, torch.full_like(values[:1], never)])[order]
    heads = (
        Head("people", FER2013_CLASSES, temperature=1.5, min_confidence=0.4, truth=VOTED),
        Head("ferplus", tuple(FERPLUS_CLASSES), temperature=1.1, truth=VOTED),
        replace(checkpoint.heads[0], name="faces"),
        Head(OWN, ("focused", "bored"), temperature=2.0),
    )
    return replace(checkpoint, heads=heads, state_dict=state)


@pytest.fixture(scope="module")
def votes_csv(faces: FaceData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten votes for the label of each face, but for the first test face, for whose label nobody is."""
    columns = [canonical(name) for name in FERPLUS_COLUMNS]
    lines = [",".join(["Usage", "Image name", *FERPLUS_COLUMNS])]
    first = int(np.flatnonzero(faces.usage == "PublicTest")[0])
    for row, (usage, label) in enumerate(zip(faces.usage, faces.labels, strict=True)):
        name = "surprise" if row == first else FER2013_CLASSES[label]
        ballot = ["10" if canonical(column) == name else "0" for column in columns]
        lines.append(",".join([str(usage), f"fer{row:07}.png", *ballot]))
    path = tmp_path_factory.mktemp("votes") / "votes.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def exported(several: Checkpoint, faces_csv: Path, votes_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with best.pt and its export, int8 too, calibrated on few faces."""
    folder = tmp_path_factory.mktemp("several")
    save_checkpoint(several, folder / "best.pt")
    options = ClassifierExportOptions(
        checkpoint=folder / "best.pt", out=folder / "m.onnx", quantize=True, data=faces_csv, ferplus=votes_csv,
        calibration_images=64,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fer_export.classifier.TUNING_IMAGES", 0)
        patch.setattr("fer_export.checks.measure.LATENCY_ROUNDS", 2)
        report, _ = ClassifierExport(options, lambda _: None).run()
    assert all(gate.passed for gate in report.gates)
    return folder


def test_every_head_of_int8_answers_as_pytorch_does(exported: Path, several: Checkpoint, faces: FaceData) -> None:
    images = faces.split("PublicTest").images
    logits = predict_logits(several.network(), torch.from_numpy(images)).numpy()
    for head in several.heads:
        int8 = Classifier(exported / "m.int8.onnx", head=head.name)
        assert (int8.precision, int8.labels, int8.min_confidence) == ("int8", head.classes, head.min_confidence)
        expected = softmax(logits[:, several.columns(head.name)], head.temperature)
        given = int8.predict(images[:, None])
        assert np.abs(given - expected).max() < 0.15
        assert (given.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95
        np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-5)


def test_the_contract_has_the_truth_and_the_confusion_of_each_head(exported: Path) -> None:
    contract = Classifier(exported / "m.int8.onnx").contract
    people, ferplus, labels, own = contract.heads
    assert tuple(head.name for head in contract.heads) == NAMES
    assert (contract.labels, contract.temperature, contract.accuracy) == (
        people.labels, people.temperature, people.accuracy,
    )  # fmt: skip
    assert ferplus.labels[-1] == "contempt" and own.accuracy is own.confusion is None
    for head, truth in ((people, VOTED), (ferplus, VOTED), (labels, "labels of PublicTest")):
        assert head.accuracy is not None and head.confusion is not None
        assert (head.accuracy["truth"], head.accuracy["images"]) == (truth, 42)
        diagonal = sum(head.confusion[place][place] for place in range(len(head.labels)))
        assert head.accuracy["accuracy"] == round(diagonal / 42, 6)
    # The votes see the first test face otherwise than its label does.
    assert people.accuracy != labels.accuracy and people.confusion != labels.confusion


def test_export_json_has_gates_and_figures_per_head(exported: Path) -> None:
    report = json.loads((exported / "m.export.json").read_text())
    check(report, "export")
    gates = {gate["name"] for gate in report["gates"]}
    for name in NAMES:
        assert {f"parity_max_abs_delta_{name}", f"int8_batch_delta_{name}", f"agreement_{name}"} <= gates
    figures = {head["name"]: head for head in report["heads"]}
    assert tuple(figures) == NAMES and figures[OWN]["accuracy"]["int8"] is None
    assert all(figures[name]["agreement"] > 0.95 for name in NAMES)
    assert figures["people"]["confusion"]["int8"] == [
        list(row) for row in Classifier(exported / "m.int8.onnx").confusion
    ]
    assert any(f"accuracy of {OWN} not measured" in note for note in report["notes"])


def test_compare_shows_all_heads_in_common(
    exported: Path, faces_csv: Path, fer_export: Callable, tmp_path: Path
) -> None:
    a, b, scores = exported / "m.onnx", exported / "m.int8.onnx", tmp_path / "c.json"
    result = fer_export("compare", a, b, "--data", faces_csv, "--json", scores)
    assert result.code == 0
    assert result.stderr.startswith("note: accuracy not measured:") and f"the head {OWN} of" in result.stderr
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line.split()[:1]}
    stored = json.loads(scores.read_text())
    check(stored, "compare")
    assert [head["head"] for head in stored["heads"]] == list(NAMES)
    for head in stored["heads"][:3]:
        shown = rows[head["head"]]
        assert shown[1] == f"{head['a']['accuracy']:.2%}" and shown[-1] == f"{head['agreement']:.2%}"
        assert sum(change["faces"] for change in head["changes"]) == round((1 - head["agreement"]) * 42)
    assert rows[OWN][1:6] == ["-"] * 5 and set(stored["heads"][3]) == {"head", "agreement"}
    assert stored["agreement"] == stored["heads"][0]["agreement"] and stored["a"]["head"] == "people"
    assert "head people:" in result.stdout
    measured = {head["name"]: head for head in json.loads((exported / "m.export.json").read_text())["heads"]}
    assert stored["heads"][2]["b"]["accuracy"] == measured["faces"]["accuracy"]["int8"]
    assert [head["agreement"] for head in stored["heads"]] == [measured[name]["agreement"] for name in NAMES]


def with_heads(source: Path, out: Path, change: Callable[[tuple[ContractHead, ...]], Any]) -> Path:
    """A copy of the file whose contract has other heads; its outputs get the heads' names."""
    model, contract = onnx.load(source), Classifier(source).contract
    heads = change(contract.heads)
    for output, head in zip(model.graph.output, heads, strict=True):
        if output.name != head.output:
            next(node for node in model.graph.node if output.name in node.output).output[0] = head.output
            output.name = head.output
    return save(with_contract(model, contract.with_heads(heads)), out)


def test_heads_of_one_file_alone_are_left_out_of_a_comparison(
    exported: Path, faces_csv: Path, fer_export: Callable, tmp_path: Path
) -> None:
    def renamed(heads: tuple[ContractHead, ...]) -> list[ContractHead]:
        return [replace(heads[0], name="crowd", output="crowd"), *heads[1:3], replace(heads[3], labels=("x", "y"))]

    a, b = exported / "m.onnx", with_heads(exported / "m.onnx", tmp_path / "b.onnx", renamed)
    result = fer_export("compare", a, b, "--data", faces_csv)
    assert result.code == 0 and "head ferplus:" in result.stdout
    assert result.stderr.splitlines() == [
        f"note: only {a} has the head people", f"note: only {b} has the head crowd",
        f"note: the head {OWN} has other labels in {b}",
    ]  # fmt: skip

    def all_renamed(heads: tuple[ContractHead, ...]) -> list[ContractHead]:
        return [replace(head, name=f"{head.name}2", output=f"{head.name}2") for head in heads]

    refused = fer_export("compare", a, with_heads(a, tmp_path / "c.onnx", all_renamed), "--data", faces_csv)
    assert (refused.code, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "have no head in common (only" in refused.stderr


@pytest.mark.parametrize("file", ["best.pt", "m.onnx", "m.int8.onnx"])
def test_predict_and_evaluate_answer_with_the_head_that_is_named(
    exported: Path, faces_csv: Path, run_command: Callable, tmp_path: Path, file: str
) -> None:
    columns = {}
    for name in (None, "ferplus", OWN):
        out, head = tmp_path / f"{name}.csv", [] if name is None else ["--head", name]
        arguments = ["predict", exported / file, "--data", faces_csv, "--out", out, *head]
        assert run_command(train, "fer-train", *arguments).code == 0
        columns[name] = out.read_text().splitlines()[0].split(",")[3:]
    assert columns == {None: list(FER2013_CLASSES), "ferplus": list(FERPLUS_CLASSES), OWN: ["focused", "bored"]}
    shown = run_command(
        train, "fer-train", "evaluate", exported / file, "--data", faces_csv, "--head", "ferplus"
    ).stdout
    assert ", head ferplus) on 42 PublicTest faces" in shown
    refused = run_command(train, "fer-train", "predict", exported / file, "--data", faces_csv, "--head", "votes")
    assert refused.code == 1 and f"has no head 'votes': choose one of {', '.join(NAMES)}" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_one_head_of_several_is_the_graph_of_a_single_one_and_keeps_its_name(
    several: Checkpoint, fer_export: Callable, finished: Any, tmp_path: Path
) -> None:
    save_checkpoint(several, tmp_path / "best.pt")
    assert fer_export(tmp_path / "best.pt", "--out", tmp_path / "m.onnx", "--head", "faces").code == 0
    alone, plain = onnx.load(tmp_path / "m.onnx"), onnx.load(finished.folder / "m.onnx")
    assert alone.graph == plain.graph  # as of a checkpoint that never had others
    assert [head["name"] for head in json.loads(alone.metadata_props[0].value)["heads"]] == ["faces"]
    assert "heads" not in json.loads(plain.metadata_props[0].value)
    (told,) = json.loads((tmp_path / "m.export.json").read_text())["heads"]
    assert (told["name"], told["agreement"]) == ("faces", None)
    opened, unnamed = Classifier(tmp_path / "m.onnx"), Classifier(finished.folder / "m.onnx")
    assert (opened.head, unnamed.head, opened.labels) == ("faces", None, FER2013_CLASSES)
    assert "unsure below" in fer_export("inspect", tmp_path / "m.onnx").stdout


@pytest.mark.usefixtures("ready_conversion")
def test_a_checkpoint_from_before_heads_still_exports(
    checkpoint: Checkpoint, fer_export: Callable, tmp_path: Path
) -> None:
    head = checkpoint.head()
    stored = {"schema": 1, "model": checkpoint.model, "classes": list(head.classes), "temperature": head.temperature,
              "state_dict": checkpoint.state_dict, "dataset": head.dataset}  # fmt: skip
    torch.save(stored, tmp_path / "old.pt")
    assert fer_export(tmp_path / "old.pt", "--out", tmp_path / "m.onnx").code == 0
    written = Classifier(tmp_path / "m.onnx").contract
    assert replace(written, checkpoint_sha256="") == Contract(
        "classifier", FER2013_CLASSES, (48, 48), "grey", temperature=1.25, dataset="faces.csv"
    )


def test_heads_of_other_classes_than_the_faces_that_calibrate_are_named(
    several: Checkpoint, options: ClassifierExportOptions, tmp_path: Path
) -> None:
    (own,) = several.only([OWN]).heads
    state = {
        name: torch.cat([values, values]) if name.startswith("classifier.") else values
        for name, values in several.only([OWN]).state_dict.items()
    }
    save_checkpoint(replace(several, heads=(own, replace(own, name="own2")), state_dict=state), tmp_path / "best.pt")
    export = ClassifierExport(replace(options, checkpoint=tmp_path / "best.pt"), lambda _: None)
    assert [note.partition(": ")[0] for note in export.notes] == [
        f"accuracy of {OWN} not measured", "accuracy of own2 not measured",
    ]  # fmt: skip
    assert all("was trained on focused, bored" in note for note in export.notes)
    assert export.data is not None and export.data.classes == FER2013_CLASSES  # they calibrate all the same


@pytest.mark.parametrize("damage", ["shorter", "other splits"])
def test_votes_for_the_rows_of_other_data_are_refused(
    exported: Path, faces_csv: Path, votes_csv: Path, fer_export: Callable, tmp_path: Path, damage: str
) -> None:
    lines = votes_csv.read_text().splitlines()
    votes = tmp_path / "votes.csv"
    votes.write_text("\n".join([lines[0], *(lines[2:] if damage == "shorter" else reversed(lines[1:]))]) + "\n")
    out = tmp_path / "m.onnx"
    result = fer_export(exported / "best.pt", "--out", out, "--calibration-data", faces_csv, "--ferplus", votes)
    assert (result.code, result.stdout, result.stderr.count("\n")) == (1, "", 1), result.stderr
    assert "votes.csv" in result.stderr and [path.name for path in tmp_path.iterdir()] == ["votes.csv"]


@pytest.mark.parametrize(
    "names", [("linear", "softmax", "mean", "div"), ("faces", "faces_probabilities", "input_scale", "normalised_faces")]
)
def test_a_head_may_have_the_name_that_torch_gives_a_tensor(
    several: Checkpoint, faces: FaceData, names: tuple[str, ...]
) -> None:
    heads = tuple(replace(head, name=name) for head, name in zip(several.heads, names, strict=True))
    named = replace(several, heads=heads)
    data = with_contract(classifier_to_onnx(named.network(), named), classifier_contract(named, "")).SerializeToString()
    images = faces.images[:6]
    logits = predict_logits(several.network(), torch.from_numpy(images)).numpy()
    for head in heads:
        expected = softmax(logits[:, named.columns(head.name)], head.temperature)
        np.testing.assert_allclose(Classifier(data, head=head.name).predict(images[:, None]), expected, atol=1e-5)
