"""The command line: exit codes, one-line errors, what `--help` imports, and the subcommands."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from fer_edge.guards.locks import OutputLock
from fer_edge.network.contract import parse_contract
from fer_export import classifier as classifier_export
from fer_export.graph.onnx_file import save, with_contract
from fer_train.data import FaceData
from fer_train.networks.checkpoint import Checkpoint, save_checkpoint


@pytest.fixture
def good(checkpoint_file: Path, tmp_path: Path) -> list[object]:
    return [checkpoint_file, "--out", tmp_path / "m.onnx"]


def test_help_lists_everything_and_loads_no_heavy_package() -> None:
    code = (
        "import sys, fer_export.cli as cli\n"
        "try: cli.export.main(['--help'], prog_name='fer-export')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'onnxsim', 'onnxscript', 'matplotlib', 'cv2'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    for word in (
        "--quantize",
        "--calibration-data",
        "--calibration-images",
        "--seed",
        "--force",
        "inspect",
        "evaluate",
        "--calibrator",
        "compare",
        "adopt",
    ):
        assert word in done.stdout


def test_a_missing_checkpoint_is_one_line_and_exit_1(fer_export_process, tmp_path: Path) -> None:
    result = fer_export_process("nowhere.pt", "--out", "m.onnx", cwd=tmp_path)
    assert result.code == 1 and result.stdout == ""
    assert result.stderr == "fer-export: nowhere.pt is not a file: name the best.pt that fer-train wrote\n"
    assert list(tmp_path.iterdir()) == []


def one_line(result, code: int, words: str) -> None:
    assert result.code == code, result.stderr
    assert result.stdout == ""
    assert words in result.stderr.splitlines()[-1]
    assert [line for line in result.stderr.splitlines() if not line.startswith("Reading")] == [
        result.stderr.splitlines()[-1]
    ]
    assert result.stderr.splitlines()[-1].startswith("fer-export: ")


def test_a_file_that_is_not_a_checkpoint_is_one_line(fer_export, tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_text("not a checkpoint")
    one_line(fer_export(tmp_path / "best.pt", "--out", tmp_path / "m.onnx"), 1, "is not a checkpoint")


def test_a_truncated_checkpoint_is_one_line(fer_export, checkpoint_file: Path, tmp_path: Path) -> None:
    content = checkpoint_file.read_bytes()
    (tmp_path / "best.pt").write_bytes(content[: len(content) // 2])
    one_line(fer_export(tmp_path / "best.pt", "--out", tmp_path / "m.onnx"), 1, "truncated")


def test_a_checkpoint_of_another_network_is_one_line(fer_export, checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(replace(checkpoint, model="cnn4"), tmp_path / "best.pt")
    one_line(fer_export(tmp_path / "best.pt", "--out", tmp_path / "m.onnx"), 1, "not those of the network cnn4")
    save_checkpoint(replace(checkpoint, model="resnet999"), tmp_path / "best.pt")
    one_line(fer_export(tmp_path / "best.pt", "--out", tmp_path / "m.onnx"), 1, "there is no network 'resnet999'")


def test_a_torch_file_that_is_not_a_checkpoint_of_fer_train(fer_export, tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "best.pt")
    one_line(fer_export(tmp_path / "best.pt", "--out", tmp_path / "m.onnx"), 1, "is not a checkpoint of fer-train")


def test_data_whose_classes_the_checkpoint_lacks_is_one_line(
    fer_export, checkpoint: Checkpoint, faces_csv: Path, tmp_path: Path
) -> None:
    renamed = replace(checkpoint.head(), classes=("glad", *checkpoint.classes[1:]))
    save_checkpoint(replace(checkpoint, heads=(renamed,)), tmp_path / "best.pt")
    result = fer_export(
        tmp_path / "best.pt", "--out", tmp_path / "m.onnx", "--quantize", "--calibration-data", faces_csv
    )
    one_line(result, 1, "but the checkpoint was trained on glad, disgust")


@pytest.mark.usefixtures("ready_conversion")
def test_few_faces_calibrate_with_a_note(
    fer_export, good, faces: FaceData, write_csv: Callable[..., Path], tmp_path: Path
) -> None:
    few = tmp_path / "few.csv"
    splits = {usage: faces.split(usage) for usage in ("Training", "PublicTest")}
    write_csv(few, {usage: (part.labels[::10], part.images[::10]) for usage, part in splits.items()})
    result = fer_export(*good, "--quantize", "--calibration-data", few)
    assert result.code == 0, result.stderr
    assert "training faces and their mirror images: 512 and more give steadier ranges" in result.stdout
    notes = json.loads((tmp_path / "m.export.json").read_text())["notes"]
    assert any(note.startswith("calibrated on ") for note in notes)
    assert (tmp_path / "m.int8.onnx").exists()


def test_a_detector_is_not_a_classifier(fer_export, tmp_path: Path) -> None:
    torch.save({"detector": "luma", "schema": 1, "state_dict": {}}, tmp_path / "detector.pt")
    result = fer_export(tmp_path / "detector.pt", "--out", tmp_path / "m.onnx")
    one_line(result, 1, "detector.pt is a face detector, which fer-export detector exports")


@pytest.mark.parametrize("output", ["m.onnx", "m.int8.onnx", "m.export.json"])
@pytest.mark.parametrize("option", ["", "--calibration-data", "--ferplus", "--people"])
def test_what_an_export_reads_is_never_replaced(
    fer_export, checkpoint_file: Path, tmp_path: Path, option: str, output: str
) -> None:
    mine = tmp_path / output
    mine.write_text("mine")
    inputs: dict[str, object] = {"--calibration-data": "d.csv", "--ferplus": "votes.csv", "--people": "p.csv"}
    more = [word for name, path in (inputs | {option: mine}).items() if name for word in (name, path)]
    checkpoint = checkpoint_file if option else mine
    result = fer_export(checkpoint, "--out", tmp_path / "m.onnx", "--quantize", "--overwrite", *more)
    one_line(result, 2, f"--out would replace {mine}, which is read")
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_scores_never_replace_what_was_scored(fer_export, tmp_path: Path, command: str) -> None:
    files = [tmp_path / name for name in ("a.onnx", "b.onnx")[: 1 + (command == "compare")]]
    for mine in [*files, tmp_path / "faces.csv"]:
        mine.write_text("mine")
        result = fer_export(command, *files, "--data", tmp_path / "faces.csv", "--json", mine, "--overwrite")
        one_line(result, 2, f"--json would replace {mine}, which is read")
        assert mine.read_text() == "mine"


def test_a_missing_folder_is_one_line(fer_export, checkpoint_file: Path, tmp_path: Path) -> None:
    one_line(fer_export(checkpoint_file, "--out", tmp_path / "no" / "m.onnx"), 1, "is not a folder")


@pytest.mark.parametrize("name", ["m.onnx", "m.export.json"])
def test_files_that_another_process_writes_are_refused(
    fer_export, checkpoint_file: Path, tmp_path: Path, name: str
) -> None:
    lock = OutputLock(tmp_path / name)
    message = f"{name} is being written by process {os.getpid()}"
    one_line(fer_export(checkpoint_file, "--out", tmp_path / "m.onnx"), 1, message)
    lock.release()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_line(fer_export, good, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    one_line(fer_export(*good), 1, f"m.onnx can't be written in {tmp_path}: Permission denied")


def test_an_existing_file_is_refused_and_kept(fer_export, good, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("mine")
    one_line(fer_export(*good), 1, "exists")
    assert (tmp_path / "m.onnx").read_text() == "mine"


def test_quantize_without_data_is_a_usage_error(fer_export, good) -> None:
    one_line(fer_export(*good, "--quantize"), 2, "--calibration-data")


def test_an_output_not_named_onnx_is_a_usage_error(fer_export, checkpoint_file: Path, tmp_path: Path) -> None:
    one_line(fer_export(checkpoint_file, "--out", tmp_path / "m.pt"), 2, "must end in .onnx")


@pytest.mark.parametrize("number", ["511", "0", "many"])
def test_too_few_calibration_images_are_a_usage_error(fer_export, good, number: str) -> None:
    one_line(fer_export(*good, "--calibration-images", number), 2, "--calibration-images")


def test_missing_calibration_data_is_one_line(fer_export, good, tmp_path: Path) -> None:
    result = fer_export(*good, "--quantize", "--calibration-data", tmp_path / "no.csv")
    one_line(result, 1, "no.csv is not a file or folder: --calibration-data names a CSV")


def test_garbled_calibration_data_is_one_line(fer_export, good, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("emotion,pixels,Usage\n0,1 2 3,Training\n")
    result = fer_export(*good, "--quantize", "--calibration-data", tmp_path / "bad.csv")
    one_line(result, 1, "bad.csv, row 1")


def test_data_without_a_face_to_test_on_is_one_line(fer_export, good, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text(f"emotion,pixels\n0,{' '.join(['7'] * 2304)}\n")
    result = fer_export(*good, "--quantize", "--calibration-data", tmp_path / "one.csv")
    one_line(result, 1, "to hold some out for testing")


def test_a_forced_file_runs_in_fer_edge_with_one_warning(finished, tmp_path: Path) -> None:
    model = onnx.load(finished.folder / "m.int8.onnx")
    contract = parse_contract(model.metadata_props[0].value, "m.int8.onnx")
    save(with_contract(model, replace(contract, failed_gates=("agreement", "accuracy_drop"))), tmp_path / "m.onnx")
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge", "--source", "demo:", "--max-frames", "3", "--headless",
         "--model", tmp_path / "m.onnx"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "--force" in line]
    assert len(warnings) == 1 and warnings[0].endswith("fails agreement, accuracy_drop: its labels may be wrong")


@pytest.mark.usefixtures("ready_conversion")
def test_ctrl_c_leaves_nothing(fer_export, good, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(classifier_export, "measure_latency", interrupt)
    result = fer_export(*good)
    assert result.code == 130 and result.stderr.splitlines()[-1] == "fer-export: interrupted"
    assert list(tmp_path.iterdir()) == []


def test_inspect_shows_contract_and_operators(fer_export, finished) -> None:
    result = fer_export("inspect", finished.folder / "m.int8.onnx")
    assert (result.code, result.stderr) == (0, "")
    assert "10 QLinearConv" in result.stdout and "10 Conv" in result.stdout
    assert finished.report["files"]["int8"]["sha256"] in result.stdout
    assert '"kind": "classifier"' in result.stdout and '"temperature": 1.25' in result.stdout


def test_inspect_describes_files_without_a_contract(fer_export, fp32: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(fp32, tmp_path / "plain.onnx")
    result = fer_export("inspect", tmp_path / "plain.onnx")
    assert result.code == 0 and "contract  none" in result.stdout


@pytest.mark.parametrize("command", [["inspect"], ["evaluate", "--data", "faces.csv"]])
def test_a_broken_onnx_file_is_refused(fer_export, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x0anot a model")
    one_line(fer_export(*command, tmp_path / "m.onnx"), 1, "is not a usable ONNX file")
    one_line(fer_export(*command, tmp_path / "no.onnx"), 1, "no.onnx is not a file")


def test_evaluate_reports_what_the_export_measured(fer_export, finished, faces_csv: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.json"
    result = fer_export("evaluate", finished.folder / "m.onnx", "--data", faces_csv, "--json", scores)
    assert (result.code, result.stderr) == (0, "")
    stored, accuracy = json.loads(scores.read_text()), finished.report["accuracy"]
    for ours, theirs in (
        ("accuracy", "fp32"), ("accuracy_deduplicated", "fp32_deduplicated"), ("macro_f1", "fp32_macro_f1"),
        ("ece", "fp32_ece"), ("images", "images"),
    ):  # fmt: skip
        assert stored[ours] == accuracy[theirs]
    assert np.sum(stored["confusion"]) == 42
    assert f"{accuracy['fp32']:.2%}" in result.stdout and "de-duplicated" in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines()[-7:]] == stored["labels"]


def test_evaluate_refuses_a_split_without_rows(fer_export, finished, faces_csv: Path) -> None:
    result = fer_export("evaluate", finished.folder / "m.onnx", "--data", faces_csv, "--split", "PrivateTest")
    one_line(result, 1, "choose --split from PublicTest, Training")


def test_evaluate_keeps_an_existing_json_file(fer_export, finished, faces_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("mine")
    one_line(
        fer_export("evaluate", finished.folder / "m.onnx", "--data", faces_csv, "--json", tmp_path / "s.json"),
        1, "exists",
    )  # fmt: skip
    assert (tmp_path / "s.json").read_text() == "mine"


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_json_on_stdout_is_all_that_is_printed(
    fer_export, finished, faces_csv: Path, tmp_path: Path, command: str, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [finished.folder / "m.onnx", finished.folder / "m.int8.onnx"][: 1 + (command == "compare")]
    result = fer_export(command, *files, "--data", faces_csv, "--json", "-")
    assert result.code == 0
    json.loads(result.stdout)
    assert not (tmp_path / "-").exists()
