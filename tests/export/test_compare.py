"""Two ONNX files side by side."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from fer_edge.demo.scene import draw_scene
from fer_edge.opencv import cv2
from fer_export.compare import Change, changes
from fer_train.data import FaceData
from tests.schemas import check


def test_changed_predictions_are_counted_by_pair_with_those_that_are_right(faces: FaceData) -> None:
    five = replace(faces.rows(np.arange(len(faces)) < 5), labels=np.array([0, 1, 2, 3, 4]))
    first, second = np.eye(7)[[0, 0, 0, 3, 4]], np.eye(7)[[1, 1, 1, 3, 5]]
    assert changes(first, second, five) == (
        Change("angry", "disgust", faces=3, first_right=1, second_right=1),
        Change("sad", "surprise", faces=1, first_right=1, second_right=0),
    )


def test_fp32_and_int8_are_compared(fer_export, finished, faces_csv: Path, tmp_path: Path) -> None:
    a, b = finished.folder / "m.onnx", finished.folder / "m.int8.onnx"
    result = fer_export("compare", a, b, "--data", faces_csv, "--json", tmp_path / "c.json")
    assert (result.code, result.stderr) == (0, "")
    stored, report = json.loads((tmp_path / "c.json").read_text()), finished.report
    check(stored, "compare")
    for place, name in (("a", "fp32"), ("b", "int8")):
        assert stored[place]["accuracy"] == report["accuracy"][name]
        assert stored[place]["macro_f1"] == report["accuracy"][f"{name}_macro_f1"]
        assert stored[place]["sha256"] == report["files"][name]["sha256"]
        assert stored[place]["latency_ms"]["median"] > 0
    assert stored["agreement"] == report["agreement"] and stored["images"] == 42
    assert stored["latency_ratio"]["low"] <= stored["latency_ratio"]["median"] <= stored["latency_ratio"]["high"]
    assert sum(change["faces"] for change in stored["changes"]) == round((1 - stored["agreement"]) * 42)
    assert list(stored["per_class_accuracy_difference"]) == stored["labels"]
    assert f"A {a} (fp32)" in result.stdout and f"agreement {stored['agreement']:.2%}" in result.stdout
    assert "times as fast as A here" in result.stdout and "accuracy by class" in result.stdout


def test_the_most_frequent_differences_are_shown(fer_export, finished, faces_csv: Path, tmp_path: Path) -> None:
    other = onnx.load(finished.folder / "m.onnx")
    bias = next(tensor for tensor in other.graph.initializer if tensor.name == "network.classifier.bias")
    values = onnx.numpy_helper.to_array(bias).copy()
    values[3] += 100
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(other, tmp_path / "happy.onnx")
    result = fer_export("compare", finished.folder / "m.onnx", tmp_path / "happy.onnx", "--data", faces_csv)
    rows = [line for line in result.stdout.splitlines() if "-> happy" in line]
    assert result.code == 0 and len(rows) >= 4
    assert "most often changed" in result.stdout and "+" in result.stdout


@pytest.mark.parametrize("missing", ["first", "second"])
def test_a_missing_file_is_one_line(fer_export, finished, faces_csv: Path, missing: str) -> None:
    files = [finished.folder / "m.onnx", finished.folder / "m.onnx"]
    files[missing == "second"] = Path("no.onnx")
    result = fer_export("compare", *files, "--data", faces_csv)
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.startswith("fer-export: no.onnx is not a file") and result.stderr.count("\n") == 1


def test_missing_data_a_missing_split_and_an_existing_json_are_refused(
    fer_export, finished, faces_csv: Path, tmp_path: Path
) -> None:
    files = ["compare", finished.folder / "m.onnx", finished.folder / "m.int8.onnx", "--data"]
    assert "no.csv is not a file" in fer_export(*files, "no.csv").stderr
    assert "choose --split from" in fer_export(*files, faces_csv, "--split", "PrivateTest").stderr
    (tmp_path / "c.json").write_text("mine")
    result = fer_export(*files, faces_csv, "--json", tmp_path / "c.json")
    assert result.code == 1 and "exists" in result.stderr and (tmp_path / "c.json").read_text() == "mine"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of each of two emotions, with the same face."""
    folder = tmp_path_factory.mktemp("photographs")
    for label, t in (("happy", 0.5), ("sad", 2.0)):
        (folder / "test" / label).mkdir(parents=True)
        (folder / "train" / label).mkdir(parents=True)
        image = draw_scene(t, (320, 240))
        for part in ("test", "train"):
            assert cv2.imwrite(str(folder / part / label / "a.png"), image)
    return folder


CUT = "note: 4 of 4 images are photographs: the face was found and cut out, --crop never uses them whole\n"


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_the_face_of_a_photograph_is_found_first(
    fer_export, finished, photographs: Path, tmp_path: Path, command: str
) -> None:
    files = [finished.folder / "m.onnx", finished.folder / "m.int8.onnx"][: 1 + (command == "compare")]
    shown = {}
    for crop in ("auto", "always", "never"):
        result = fer_export(command, *files, "--data", photographs, "--crop", crop, "--json", tmp_path / f"{crop}.json")
        assert result.code == 0
        stored = json.loads((tmp_path / f"{crop}.json").read_text())
        shown[crop] = result.stderr, (stored["a"] if command == "compare" else stored)["ece"]
    assert shown["auto"] == shown["always"] and CUT in shown["auto"][0]
    assert shown["never"][1] != shown["auto"][1] and "cut out" not in shown["never"][0]


def test_a_class_without_faces_has_no_accuracy(fer_export, finished, tmp_path: Path) -> None:
    rows = [f"{label},{' '.join([str(40 + label)] * 2304)},PublicTest\n" for label in (0, 3)]
    (tmp_path / "two.csv").write_text("emotion,pixels,Usage\n" + "".join(rows))
    files = [finished.folder / "m.onnx", finished.folder / "m.int8.onnx"]
    result = fer_export("compare", *files, "--data", tmp_path / "two.csv")
    assert result.code == 0, result.stderr
    lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line}
    assert lines["disgust"] == lines["neutral"] == ["-", "-", "-", "0"]
    assert lines["angry"][-1] == lines["happy"][-1] == "1" and "-" not in lines["angry"]
