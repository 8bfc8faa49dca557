"""fer-train evaluate, predict and summary, and checkpoints trained with --classes."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

from fer_edge.errors import ModelError
from fer_edge.guards.text import text_of_cell
from fer_export.classifier import ClassifierExport, ClassifierExportOptions
from fer_train.commands import evaluate as evaluate_command
from fer_train.data import FERPLUS_COLUMNS, align_classes, load_faces
from fer_train.evaluation.predictors import open_predictor
from fer_train.networks.checkpoint import load_checkpoint, save_checkpoint
from fer_train.plots import EVALUATION_PLOTS

from ..conftest import MERGED, CsvWriter, encoded, face_rows, make_face, one_line, run_fer_train, write_images

MODELS = Path(__file__).parents[3] / "models"
SHIPPED_CHECKPOINT, SHIPPED_ONNX = MODELS / "checkpoints" / "fer2013.pt", MODELS / "fer_models" / "fer2013.onnx"

METRICS_SCHEMA = json.loads((MODELS.parent / "docs" / "schemas" / "metrics.schema.json").read_text())


def test_a_checkpoint_records_its_classes_and_their_mapping(trained: Path) -> None:
    best = load_checkpoint(trained / "run" / "best.pt")
    assert best.classes == ("happy", "neutral", "other")
    assert best.class_mapping["angry"] == "other" and best.class_mapping["happy"] == "happy"
    metrics = json.loads((trained / "run" / "metrics.json").read_text())
    assert list(metrics["per_class"]) == ["happy", "neutral", "other"]
    assert metrics["accuracy"] > 0.8, "drawn faces are easy to classify"


@pytest.mark.parametrize("command", ["evaluate", "predict", "--teacher", "--init-weights", "head", "export"])
def test_a_checkpoint_without_numbers_is_one_line_and_nothing_is_written(
    command: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = torch.load(trained / "run" / "best.pt", weights_only=True)
    values["state_dict"]["classifier.bias"][0] = torch.nan
    bad, out = tmp_path / "bad.pt", tmp_path / "out"
    torch.save(values, bad)
    data = ["--data", trained / "faces.csv"]
    if command == "export":
        with pytest.raises(ModelError, match="not finite"):
            ClassifierExport(ClassifierExportOptions(checkpoint=bad, out=out.with_suffix(".onnx")), print)
    else:
        arguments = {
            "evaluate": ["evaluate", bad, *data],
            "predict": ["predict", bad, *data, "--out", out],
            "head": ["head", "--checkpoint", bad, *data, "--name", "mine", "--out", out],
        }.get(command, [*data, "--out", out, "--classes", MERGED, "--epochs", 1, command, bad])
        assert run_fer_train(*arguments) == 1
        assert one_line(capsys).endswith(
            "bad.pt has weights that are not finite numbers (classifier.bias): train again with a lower --lr"
        )
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["bad.pt"]


def test_evaluate_scores_a_network_of_merged_classes_on_the_original_data(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", trained / "run" / "best.pt", "--data", trained / "faces.csv", "--out", tmp_path / "new"]
    assert run_fer_train(*arguments) == 0
    stored = json.loads((tmp_path / "new" / "metrics.json").read_text())
    trained_metrics = json.loads((trained / "run" / "metrics.json").read_text())
    for key in ("accuracy", "macro_f1", "confusion", "per_class", "accuracy_deduplicated", "images", "split"):
        assert stored[key] == trained_metrics[key], key
    assert stored["ece_uncalibrated"] == pytest.approx(trained_metrics["ece_uncalibrated"], abs=1e-4)
    assert stored["ece_cross_fitted"] == pytest.approx(trained_metrics["ece"], abs=1e-3)
    assert stored["labels"] == ["happy", "neutral", "other"]
    assert stored["temperature"] == trained_metrics["temperature"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        ["metrics.json", "report.html", *EVALUATION_PLOTS]
    )
    assert f"accuracy        {stored['accuracy']:.2%}" in capsys.readouterr().out
    assert run_fer_train(*arguments) == 1
    assert "metrics.json exists: name another file, or pass --overwrite" in one_line(capsys)
    assert run_fer_train(*arguments, "--overwrite") == 0


def test_the_command_names_the_plots_that_are_written() -> None:
    assert evaluate_command.PLOTS == EVALUATION_PLOTS


def test_the_shipped_checkpoint_and_onnx_file_score_the_same(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for model in (SHIPPED_CHECKPOINT, SHIPPED_ONNX):
        assert run_fer_train("evaluate", model, "--data", trained / "faces.csv", "--split", "all") == 0
        lines = capsys.readouterr().out.splitlines()
        outputs.append(lines[1:])
        assert lines[0] == f"{model} (fp32, head people) on 196 faces of {trained / 'faces.csv'}"
    assert outputs[0] == outputs[1]


def test_ferplus_adds_the_accuracy_against_the_majority(trained: Path, write_csv: CsvWriter, tmp_path: Path) -> None:
    faces = load_faces(trained / "faces.csv")
    columns = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    votes = [
        [usage, "", *(10 * (column == columns[label]) for column in FERPLUS_COLUMNS)]
        for usage, label in zip(faces.usage, faces.labels, strict=True)
    ]
    votes[-1][2:] = [0] * 9 + [10]  # all taggers say that it is not a face
    path = write_csv(votes, ",".join(["Usage", "Image name", *FERPLUS_COLUMNS]), "votes.csv")
    out = tmp_path / "out"
    code = run_fer_train(
        "evaluate", trained / "run" / "best.pt", "--data", trained / "faces.csv", "--ferplus", path, "--out", out
    )
    assert code == 0
    stored = json.loads((out / "metrics.json").read_text())
    assert stored["images"] == 28 and stored["ferplus_images"] == 27
    jsonschema.validate(stored, METRICS_SCHEMA)
    assert stored.keys() <= METRICS_SCHEMA["properties"].keys()
    predictor = open_predictor(trained / "run" / "best.pt")
    test = align_classes(faces.split("PublicTest"), predictor.classes, predictor.class_mapping, "best.pt")
    right = predictor.predict(test.images, "").argmax(axis=1) == test.labels
    assert stored["accuracy"] == right.mean()
    assert stored["ferplus_accuracy"] == right[:-1].mean()
    assert "ferplus_majority_accuracy" not in stored, "`other` is no class of FER+"


@pytest.mark.parametrize(("arguments", "problem"), [
    (["evaluate", "{run}/none.pt", "--data", "{data}"], "none.pt is not a file"),
    (["evaluate", "{run}/metrics.json", "--data", "{data}"], "is not a checkpoint, or is damaged"),
    (["evaluate", "{run}/best.pt", "--data", "{data}", "--split", "PrivateTest"], "choose --split from PublicTest, Tr"),
    (["evaluate", "{run}/best.pt", "--data", "{data}", "--out", "{data}"], "is a file: --out names a folder"),
    (["evaluate", "{run}/best.pt", "--data", "contempt"], "has the class contempt, but {run}/best.pt was trained on"),
    (["predict", "{run}/best.pt", "--data", "{run}/metrics.json"], "no column 'pixels' in its first line"),
    (["predict", "{run}/best.pt", "--data", "empty"], "holds neither a CSV of faces nor images"),
    (["predict", "{run}/best.pt", "--data", "{data}", "--out", "there.csv"], "there.csv exists"),
    (["predict", "{run}/best.pt", "--data", "{data}", "--out", "no/p.csv"], "is not a folder, so p.csv can't"),
    (["summary", "--data", "none.csv"], "none.csv is not a file or folder"),
    (["--data", "contempt", "--out", "new", "--classes", "happy,awe"], "--classes names awe, but contempt has happy"),
])  # fmt: skip
def test_bad_input_is_one_line(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], problem: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "contempt", ("test/happy", "test/contempt"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.csv").write_text("mine")
    names = {"run": trained / "run", "data": trained / "faces.csv"}
    assert run_fer_train(*(argument.format(**names) for argument in arguments)) == 1
    assert problem.format(**names) in one_line(capsys)
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["contempt", "empty", "there.csv"]


@pytest.mark.parametrize(("option", "problem"), [
    (["--classes", "happy"], "two or more classes are needed"), (["--split", "dev"], "'dev' is not one of"),
    (["--threads", "0"], "--threads"),
])  # fmt: skip
def test_a_wrong_command_line_is_exit_2(
    trained: Path, capsys: pytest.CaptureFixture[str], option: list[str], problem: str
) -> None:
    assert run_fer_train("evaluate", trained / "run" / "best.pt", "--data", trained / "faces.csv", *option) == 2
    assert problem in one_line(capsys)


@pytest.fixture
def test_csv(write_csv: CsvWriter) -> Path:
    return write_csv([[row[1]] for row in face_rows(2, 0, seed=3)], header="pixels", name="test.csv")


def test_predictions_are_those_of_fer_edge(write_csv: CsvWriter, tmp_path: Path) -> None:
    rows = [row[1].split() for row in face_rows(2, 0, seed=3)]
    rows += [[str(int(pixel) // 9) for pixel in row] for row in rows[:3]]  # which fer-edge brightens
    test_csv = write_csv([[" ".join(row)] for row in rows], header="pixels", name="test.csv")
    lines = test_csv.read_text().splitlines()
    test_csv.write_text("\n".join([*lines[:4], "", *lines[4:]]) + "\n")
    ours, theirs = tmp_path / "ours.csv", tmp_path / "theirs.csv"
    assert run_fer_train("predict", SHIPPED_ONNX, "--data", test_csv, "--out", ours) == 0
    command = ["--source", test_csv, "--headless", "--csv", theirs, "--model", SHIPPED_ONNX]
    subprocess.run([sys.executable, "-m", "fer_edge", *map(str, command)], check=True, capture_output=True)
    assert ours.read_bytes() == theirs.read_bytes()


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_strange_file_names_are_predicted_and_read_back_exactly(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "faces", ("a",), count=3)
    names = ["=1+1.png", "a\n.png", os.fsdecode(b"caf\xe9.png")]
    for number, name in enumerate(names):
        (folder / "a" / f"{number}.png").rename(folder / name)
    out = tmp_path / "out.csv"
    assert run_fer_train("predict", SHIPPED_ONNX, "--data", folder, "--out", out) == 0
    assert sorted(text_of_cell(row["file"]) for row in read(out)) == sorted(names)
    assert any(row["file"] == "'=1+1.png" for row in read(out))


def test_a_checkpoint_gives_rows_with_its_labels(
    trained: Path, test_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_fer_train("predict", trained / "run" / "best.pt", "--data", test_csv) == 0
    rows = read(tmp_path / "predictions.csv")
    assert list(rows[0]) == ["row", "emotion", "confidence", "happy", "neutral", "other"]
    assert [row["row"] for row in rows] == [str(number) for number in range(1, 15)]
    expected = ["other"] * 3 + ["happy"] + ["other"] * 2 + ["neutral"]
    assert np.mean([row["emotion"] == label for row, label in zip(rows, expected * 2, strict=True)]) > 0.8
    assert all(row["confidence"] == row[row["emotion"]] for row in rows)
    assert "wrote predictions.csv: 14 faces, " in capsys.readouterr().err


def test_bad_rows_leave_gaps_in_the_row_numbers_and_are_noted(
    trained: Path, test_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = test_csv.read_text().splitlines()
    lines[2] = "1 2 3"
    test_csv.write_text("\n".join(lines) + "\n")
    arguments = ["predict", trained / "run" / "best.pt", "--data", test_csv, "--out", tmp_path / "p.csv"]
    assert run_fer_train(*arguments) == 1
    assert "row 2 (line 3): 3 pixel values where 2304" in one_line(capsys)
    assert not (tmp_path / "p.csv").exists()
    assert run_fer_train(*arguments, "--skip-bad-rows") == 0
    assert [row["row"] for row in read(tmp_path / "p.csv")] == ["1", *map(str, range(3, 15))]
    assert "note: 1 of 14 rows can't be used and are left out: row 2 (line 3)" in capsys.readouterr().err


def test_images_are_named_in_their_rows(trained: Path, tmp_path: Path) -> None:
    root = write_images(tmp_path / "photos", ("b", "."), count=2)
    (root / "z.jpg").write_bytes(b"broken")
    out = tmp_path / "p.csv"
    code = run_fer_train("predict", trained / "run" / "best.pt", "--data", root, "--out", out, "--skip-bad-rows")
    assert code == 0
    rows = read(out)
    assert list(rows[0]) == ["row", "emotion", "confidence", "happy", "neutral", "other", "file"]
    assert [(row["row"], row["file"]) for row in rows] == [
        ("1", "0.png"),
        ("2", "1.png"),
        ("3", "b/0.png"),
        ("4", "b/1.png"),
    ]


def test_summary_counts_classes_copies_conflicts_and_corrupt_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_images(tmp_path / "faces", ("train/happy", "train/sad", "validation/happy"), count=3)
    face = encoded(make_face(0, np.random.default_rng(9)))
    for name in ("train/happy/a", "train/happy/b", "validation/happy/c", "train/sad/d"):
        (root / f"{name}.png").write_bytes(face)
    (root / "train" / "sad" / "black.png").write_bytes(encoded(np.zeros((48, 48), dtype=np.uint8)))
    (root / "train" / "sad" / "broken.png").write_bytes(b"x")
    assert run_fer_train("summary", "--data", root, "--out", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert report["counts"] == {"Training": {"happy": 5, "sad": 5}, "PublicTest": {"happy": 4, "sad": 0}}
    assert report["duplicates_within"] == {"Training": 2, "PublicTest": 0}
    assert report["duplicates_across"] == {"PublicTest in Training": 1}
    assert report["conflicting_labels"] == [
        [["train/happy/a.png", "happy"], ["train/happy/b.png", "happy"], ["train/sad/d.png", "sad"],
         ["validation/happy/c.png", "happy"]],
    ]  # fmt: skip
    assert report["constant_images"] == 1
    text = capsys.readouterr().out
    assert "2 copies within Training" in text
    assert "1 (25.0 %) of PublicTest are also in Training" in text
    assert "1 of 15 images can't be used and are left out: train/sad/broken.png" in text
    for name in ("classes.png", "samples.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    assert run_fer_train("summary", "--data", root, "--out", tmp_path / "out") == 1
    assert run_fer_train("summary", "--data", root, "--out", tmp_path / "out", "--overwrite") == 0


def test_training_notes_skipped_rows_and_uses_the_others(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "bad.csv"
    data.write_text((trained / "faces.csv").read_text() + "3,1 2 3,Training\n")
    arguments = ["--data", data, "--out", tmp_path / "run", "--epochs", 1, "--batch-size", 16, "--no-amp"]
    assert run_fer_train(*arguments) == 1
    assert "row 197 (line 198): 3 pixel values" in one_line(capsys)
    assert not (tmp_path / "run").exists()
    assert run_fer_train(*arguments, "--skip-bad-rows") == 0
    log = capsys.readouterr().err
    assert log.count("note: 1 of 197 rows can't be used and are left out: row 197") == 1
    assert "--calibration-data" in log and log.rstrip().endswith("--skip-bad-rows")


def test_training_on_ferplus_majorities_says_so_in_the_checkpoint(
    trained: Path, write_csv: CsvWriter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    faces = load_faces(trained / "faces.csv")
    votes = [
        [usage, "", *(6 * (column == columns[(label + (row % 3 == 0)) % 7]) for column in FERPLUS_COLUMNS)]
        for row, (usage, label) in enumerate(zip(faces.usage, faces.labels, strict=True))
    ]
    path = write_csv(votes, ",".join(["Usage", "Image name", *FERPLUS_COLUMNS]), "votes.csv")
    arguments = ["--data", trained / "faces.csv", "--ferplus", path, "--ferplus-labels", "majority"]
    arguments += ["--out", tmp_path / "run", "--epochs", 1, "--batch-size", 16, "--no-amp"]
    assert run_fer_train(*arguments) == 0
    best = load_checkpoint(tmp_path / "run" / "best.pt")
    assert best.dataset == "faces.csv with FER+ majority labels"
    assert best.options["ferplus"] is False, "there is no second head"
    assert best.heads[0].truth == "FER+ majority labels of PublicTest"
    shown = capsys.readouterr().err
    assert "labels are FER+ majorities: 66 differ from the file's own" in shown
    assert f"--ferplus {path}" in shown.splitlines()[-1], "the export measures against these labels, too"


def test_resuming_with_other_classes_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", trained / "faces.csv", "--out", trained / "run", "--epochs", 4, "--batch-size", 16]
    arguments += ["--lr", 0.02, "--no-amp", "--resume"]
    other = "neutral,happy,other=angry+disgust+fear+sad+surprise"
    assert run_fer_train(*arguments, "--classes", other) == 2
    assert "has --classes happy=happy,neutral=neutral,other=angry+disgust+fear+sad+surprise" in one_line(capsys)


def test_an_older_checkpoint_without_a_mapping_still_loads(tmp_path: Path) -> None:
    assert load_checkpoint(SHIPPED_CHECKPOINT).class_mapping == {}
    save_checkpoint(load_checkpoint(SHIPPED_CHECKPOINT), tmp_path / "again.pt")
    assert load_checkpoint(tmp_path / "again.pt").class_mapping == {}
