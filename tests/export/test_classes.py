"""Classes merged for training stay merged: in the export's measurements, in the file, and in the runtime."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import ContractError, DataError
from fer_edge.network.contract import Contract, parse_contract
from fer_export.checks.truths import find_truths
from fer_export.classifier import load_data
from fer_export.graph.classifier import classifier_contract
from fer_train.data import FER2013_CLASSES, FaceData
from fer_train.networks.checkpoint import Checkpoint

from .conftest import draw_faces, write_faces

MERGED = ("happy", "neutral", "other")
MAPPING = {name: name if name in MERGED else "other" for name in FER2013_CLASSES}


def read(path: Path, checkpoint: Checkpoint, skip_bad: bool, log: Callable[[str], None]) -> FaceData:
    """The faces as the checkpoint's only head is measured on them."""
    truths, _ = find_truths(load_data(path, checkpoint, skip_bad, log), checkpoint)
    return truths[checkpoint.head().name].data


@pytest.fixture
def merged(checkpoint: Checkpoint) -> Checkpoint:
    return replace(checkpoint, heads=(replace(checkpoint.head(), classes=MERGED, class_mapping=MAPPING),))


def mapped(checkpoint: Checkpoint, mapping: dict[str, str | None]) -> Checkpoint:
    return replace(checkpoint, heads=(replace(checkpoint.head(), class_mapping=mapping),))


def test_data_with_the_classes_before_merging_is_mapped(merged: Checkpoint, faces: FaceData, faces_csv: Path) -> None:
    data = read(faces_csv, merged, False, lambda _: None)
    assert data.classes == MERGED
    assert (data.images == faces.images).all()
    names = np.array(FER2013_CLASSES)[faces.labels]
    assert np.array(MERGED)[data.labels].tolist() == [MAPPING[name] for name in names]


def test_dropped_classes_are_left_out_again(checkpoint: Checkpoint, faces: FaceData, faces_csv: Path) -> None:
    kept = ("sad", "happy")
    mapping = {name: name if name in kept else None for name in FER2013_CLASSES}
    head = replace(checkpoint.head(), classes=kept, class_mapping=mapping)
    data = read(faces_csv, replace(checkpoint, heads=(head,)), False, lambda _: None)
    assert data.counts() == {"sad": faces.counts()["sad"], "happy": faces.counts()["happy"]}


def test_a_class_without_a_place_is_refused(merged: Checkpoint, faces_csv: Path) -> None:
    mapping = {name: place for name, place in MAPPING.items() if name not in ("fear", "sad")}
    with pytest.raises(DataError, match=r"has the classes fear, sad, but the checkpoint was trained on angry, disgust"):
        read(faces_csv, mapped(merged, mapping), False, lambda _: None)


def test_bad_rows_can_be_left_out(
    merged: Checkpoint, faces: FaceData, write_csv: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "bad.csv", {"Training": (faces.labels[:50], faces.images[:50])})
    path.write_text(path.read_text() + "3,1 2 3,Training\n")
    with pytest.raises(DataError, match=r"row 51 .*pass --skip-bad-rows"):
        read(path, merged, False, lambda _: None)
    lines: list[str] = []
    assert len(read(path, merged, True, lines.append)) == 50
    assert [line for line in lines if line.startswith("note: 1 of 51 rows can't be used")]


def test_the_contract_carries_the_mapping_only_if_there_is_one(merged: Checkpoint) -> None:
    contract = classifier_contract(merged, "")
    assert contract.labels == MERGED
    assert parse_contract(contract.to_json(), "m.onnx").class_mapping == MAPPING
    assert "class_mapping" not in classifier_contract(mapped(merged, {}), "").to_json()


@pytest.mark.parametrize("garbled", ['{"fear":"glad"}', "[1]", '"happy"', "7", '{"fear":1}'])
def test_a_garbled_mapping_is_refused(garbled: str) -> None:
    good = Contract("classifier", MERGED, (48, 48), "grey", class_mapping={"fear": "other"}).to_json()
    text = good.replace('{"fear":"other"}', garbled)
    assert text != good
    with pytest.raises(ContractError, match=r"m\.onnx: its contract"):
        parse_contract(text, "m.onnx")


def run(package: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", package, *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.slow
def test_three_merged_classes_go_from_training_through_int8_into_the_runtime(tmp_path: Path) -> None:
    training, test = np.repeat(np.arange(7), 90), np.repeat(np.arange(7), 12)
    write_faces(
        tmp_path / "faces.csv",
        {"Training": (training, draw_faces(training, 1)), "PublicTest": (test, draw_faces(test, 2))},
    )
    for package, arguments in (
        ("fer_train", ["--data", "faces.csv", "--out", "run", "--epochs", "3", "--batch-size", "32", "--lr", "0.02",
                       "--threads", "1",
                       "--classes", "happy,neutral,other=angry+disgust+fear+sad+surprise"]),
        ("fer_export", ["run/best.pt", "--out", "m.onnx", "--quantize", "--calibration-data", "faces.csv"]),
        ("fer_export", ["evaluate", "m.int8.onnx", "--data", "faces.csv", "--json", "onnx.json"]),
        ("fer_train", ["evaluate", "run/best.pt", "--data", "faces.csv", "--out", "checkpoint"]),
        ("fer_train", ["evaluate", "m.onnx", "--data", "faces.csv", "--out", "fp32"]),
        ("fer_edge", ["--source", "demo:", "--max-frames", "20", "--headless", "--json", "seen.jsonl",
                      "--model", "m.int8.onnx"]),
        ("fer_edge", ["--source", "faces.csv", "--headless", "--csv", "predictions.csv", "--model", "m.int8.onnx"]),
    ):  # fmt: skip
        done = run(package, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "m.export.json").read_text())
    assert report["accuracy"]["images"] == 84
    assert report["accuracy"]["fp32"] > 0.9, "predicting other alone would be right for five in seven"
    scores = {name: json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("checkpoint", "fp32")}
    assert scores["checkpoint"]["accuracy"] == scores["fp32"]["accuracy"] == report["accuracy"]["fp32"]
    assert scores["checkpoint"]["confusion"] == scores["fp32"]["confusion"]
    assert json.loads((tmp_path / "onnx.json").read_text())["accuracy"] == report["accuracy"]["int8"]
    for line in (tmp_path / "seen.jsonl").read_text().splitlines():
        for face in json.loads(line)["faces"]:
            assert list(face["probabilities"]) == list(MERGED)
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert lines[0] == "row,emotion,confidence,happy,neutral,other"
    predicted = np.array([line.split(",")[1] for line in lines[1:]])
    truth = np.array([MAPPING[FER2013_CLASSES[label]] for label in [*training, *test]])
    assert (predicted == truth).mean() > 0.9
