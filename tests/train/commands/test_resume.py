"""fer-train --resume: the run's own options, from last.pt, and added epochs."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fer_train.networks.checkpoint import load_checkpoint

from ..conftest import MERGED, face_rows, one_line
from ..conftest import run_fer_train as fer_train

OWN = [
    "--model", "edgeresnet-small", "--epochs", 2, "--batch-size", 16, "--lr", 0.013, "--no-amp", "--mixup", 0.3,
    "--augment", "strong,flip=0", "--label-smoothing", 0, "--classes", MERGED, "--weight-decay", 0, "--threads", 1,
    "--seed", 3, "--class-weights", "sqrt",
]  # fmt: skip


@pytest.fixture(scope="module")
def faces_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "faces.csv"
    rows = [",".join(map(str, row)) for row in face_rows(train=6, test=3)]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def finished(faces_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("resume") / "run"
    assert fer_train("--data", faces_csv, "--out", out, *OWN) == 0
    return out


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def state(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(out / "last.pt", weights_only=True)
    return found


def test_no_option_has_to_be_repeated(copy: Path, faces_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = json.loads((copy / "metrics.json").read_text())
    (copy / "metrics.json").unlink()
    assert fer_train("--data", faces_csv, "--out", copy, "--resume") == 0
    assert "All 2 epochs are trained" in capsys.readouterr().err
    assert json.loads((copy / "metrics.json").read_text()) == before
    assert load_checkpoint(copy / "best.pt").classes == ("happy", "neutral", "other")


def test_added_epochs_keep_the_options_and_tell_the_schedule(
    copy: Path, faces_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(copy)
    assert fer_train("--data", faces_csv, "--out", copy, "--resume", "--epochs", 3) == 0
    line = "Epoch 3 is added: the learning rate falls from 0.0026 (20% of the peak) to 0 by a cosine"
    assert line in capsys.readouterr().err
    after = state(copy)
    assert after["options"] == before["options"] | {"epochs": 3, "extended": (2,)}
    resolved = {"epochs": 3, "device": "cpu", "heads": {}}
    assert after["command"] == before["command"] | resolved
    assert after["history"][:2] == before["history"] and len(after["history"]) == 3
    assert fer_train("--data", faces_csv, "--out", copy, "--resume") == 0
    assert "All 3 epochs are trained" in capsys.readouterr().err


def test_a_run_that_keeps_its_last_epoch_goes_on_doing_so(
    faces_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    own = [*OWN, "--keep", "last", "--patience", 1]
    assert fer_train("--data", faces_csv, "--out", out, *own, "--lr", 1e-9) == 0  # no epoch is better than the first
    assert re.search(r"^Last epoch 2: ", capsys.readouterr().err, re.MULTILINE)
    assert load_checkpoint(out / "best.pt").metrics["epoch"] == 2
    assert fer_train("--data", faces_csv, "--out", out, "--resume", "--epochs", 4) == 0
    ended = len(state(out)["history"])
    assert load_checkpoint(out / "best.pt").metrics["epoch"] == ended > 2
    assert fer_train("--data", faces_csv, "--out", out, "--resume", "--keep", "best") == 2
    assert "has --keep last" in one_line(capsys)


@pytest.mark.parametrize(("options", "named"), [
    (["--lr", 0.02], "--lr 0.013"),
    (["--epochs", 1], "--epochs 2, which may only grow"),
    (["--label-smoothing", 0.1], "--label-smoothing 0"),
    (["--classes", "happy,sad"], "--classes happy=happy,neutral=neutral,other=angry+disgust+fear+sad+surprise"),
    (["--augment", "standard"], "--augment strong,flip=0"),
    (["--model", "cnn4", "--seed", 4], "--model edgeresnet-small, --seed 3"),
    (["--balanced-sampling"], "--balanced-sampling not given"),
    (["--heads", "mine"], "--heads not given"),
    (["--amp"], "--amp not given"),
])  # fmt: skip
def test_options_that_differ_are_refused_by_name(
    copy: Path, faces_csv: Path, capsys: pytest.CaptureFixture[str], options: list[object], named: str
) -> None:
    before = (copy / "last.pt").read_bytes()
    assert fer_train("--data", faces_csv, "--out", copy, "--resume", *options) == 2
    assert f"the run in {copy} has " in (line := one_line(capsys))
    for part in named.split(", --"):
        assert part.removeprefix("--") in line
    assert (copy / "last.pt").read_bytes() == before


def test_the_same_options_and_those_of_this_call_may_be_given(copy: Path, faces_csv: Path) -> None:
    changed = ["--save-every", 2, "--patience", 9, "--threads", 1, "--device", "cpu"]
    assert fer_train("--data", faces_csv, "--out", copy, *OWN, *changed, "--resume") == 0


def test_a_teacher_is_found_again_and_recognized_by_its_content(
    finished: Path, faces_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shutil.copy(finished / "best.pt", "teacher.pt")
    arguments = ["--data", faces_csv, "--out", "run"]
    assert fer_train(*arguments, *OWN, "--teacher", "teacher.pt", "--epochs", 1) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    arguments = ["--data", faces_csv, "--out", tmp_path / "run", "--resume"]
    assert fer_train(*arguments, "--epochs", 2) == 0
    shutil.move(tmp_path / "teacher.pt", "moved.pt")
    assert fer_train(*arguments, "--teacher", "moved.pt") == 0
    capsys.readouterr()
    assert fer_train(*arguments) == 1
    assert "teacher.pt is not a file" in one_line(capsys)


def test_a_run_from_before_last_pt_held_the_command_line_resumes(copy: Path, faces_csv: Path) -> None:
    torch.save({name: value for name, value in state(copy).items() if name != "command"}, copy / "last.pt")
    words = ["--augment", "strong,flip=0", "--classes", MERGED]
    assert fer_train("--data", faces_csv, "--out", copy, "--resume", *words) == 0


def test_the_data_may_have_another_name_and_the_first_head_keeps_its_own(
    copy: Path, faces_csv: Path, tmp_path: Path
) -> None:
    moved = shutil.copy(faces_csv, tmp_path / "moved and renamed.csv")
    assert fer_train("--data", moved, "--out", copy, "--resume", "--epochs", 3) == 0
    assert list(state(copy)["heads"]) == [load_checkpoint(copy / "best.pt").heads[0].name] == ["faces"]
    assert fer_train("--data", faces_csv, "--out", copy, "--resume") == 0


@pytest.mark.parametrize("change", [
    lambda text: text.replace("Training", "PublicTest", 1),  # another number of faces
    lambda text: text.replace(" 99 ", " 98 ", 1),  # a pixel of a face
    lambda text: "\n".join([text.splitlines()[0], *reversed(text.splitlines()[1:])]) + "\n",  # another order
])  # fmt: skip
def test_other_faces_are_refused(
    copy: Path, faces_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[str], str]
) -> None:
    (tmp_path / "faces.csv").write_text(change(faces_csv.read_text()))
    before = {file: file.read_bytes() for file in copy.iterdir()}
    assert fer_train("--data", tmp_path / "faces.csv", "--out", copy, "--resume", "--epochs", 3) == 1
    assert re.search(
        r"last\.pt was trained on other (data|faces) \(.*\): give the same, or start over", one_line(capsys)
    )
    assert {file: file.read_bytes() for file in copy.iterdir()} == before


def test_other_unlabeled_faces_are_refused(
    finished: Path, faces_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("some", "moved", "other"):
        images = np.random.default_rng(name == "other").integers(0, 256, (4, 48, 48), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=images)
    words = ["--data", faces_csv, "--out", tmp_path / "run"]
    teacher = ["--teacher", finished / "best.pt", "--unlabeled"]
    assert fer_train(*words, *OWN, "--epochs", 1, *teacher, tmp_path / "some.npz") == 0
    capsys.readouterr()
    assert fer_train(*words, "--resume", "--epochs", 2, "--unlabeled", tmp_path / "other.npz") == 1
    assert "was trained on other unlabeled faces (as many, but not the same ones" in one_line(capsys)
    assert fer_train(*words, "--resume", "--epochs", 2, "--unlabeled", tmp_path / "moved.npz") == 0


def test_a_state_without_heads_is_damaged(copy: Path, faces_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(state(copy) | {"heads": {}}, copy / "last.pt")
    assert fer_train("--data", faces_csv, "--out", copy, "--resume") == 1
    assert "last.pt was trained with other heads" in one_line(capsys)


def test_a_run_from_before_last_pt_held_hashes_of_its_faces_resumes(copy: Path, faces_csv: Path) -> None:
    hashes = ("faces", "unlabelled_faces")
    torch.save({name: value for name, value in state(copy).items() if name not in hashes}, copy / "last.pt")
    assert fer_train("--data", faces_csv, "--out", copy, "--resume") == 0


def test_a_damaged_state_is_one_line(copy: Path, faces_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"options": {"epochs": 2}}, copy / "last.pt")
    assert fer_train("--data", faces_csv, "--out", copy, "--resume") == 1
    assert "last.pt is not the state of a training run, or is damaged: start over with --overwrite" in one_line(capsys)


def test_a_damaged_best_network_is_told_before_training(
    copy: Path, faces_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "best.pt").write_bytes((copy / "best.pt").read_bytes()[:5000])
    assert fer_train("--data", faces_csv, "--out", copy, "--resume", "--epochs", 3) == 1
    assert "best.pt is not a checkpoint, or is damaged" in one_line(capsys)


DAMAGES: dict[str, tuple[list[object], object]] = {  # what is set, and to what
    "weights without numbers": (["network", "classifier.bias"], torch.full((3,), torch.nan)),
    "weights of another shape": (["average", "classifier.bias"], torch.zeros(4)),
    "weights that are text": (["network", "classifier.bias"], "x"),
    "another optimizer": (["optimizer"], {"state": {}, "param_groups": []}),
    "history out of order": (["history", 0, "epoch"], 7),
    "heads": (["heads"], 5),
    "recipe": (["options", "recipe"], 5),
    "epochs": (["options", "epochs"], "two"),
    "learning rate": (["options", "recipe", "learning_rate"], "x"),
    "crop": (["command", "crop"], 5),
    "heads of the command": (["options", "heads"], {"faces": ["x"]}),
    "teachers": (["command", "teachers"], [5]),
    "augmentation": (["command", "augment"], "wild"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_state_with_a_wrong_value_is_one_line(
    copy: Path, faces_csv: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    (*path, last), value = DAMAGES[damage]
    values = part = state(copy)
    for key in path:
        part = part[key]
    part[last] = value
    torch.save(values, copy / "last.pt")
    before = {file: file.read_bytes() for file in copy.iterdir() if file.is_file()}
    assert fer_train("--data", faces_csv, "--out", copy, "--resume") in (1, 2)
    one_line(capsys)
    assert {file: file.read_bytes() for file in copy.iterdir() if file.is_file()} == before
