"""fer-train's training options: what they lead to, and their errors."""

import errno
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import pytest

from fer_edge.errors import FerError
from fer_export.cli import export
from fer_train.cli import train
from fer_train.data.npz_faces import save_npz_faces
from fer_train.networks import build_network
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from fer_train.tensor_files import save_tensors
from fer_train.training import resume
from fer_train.training.augment import AUGMENTATIONS, Augmentation, parse_augmentation

from ..conftest import face_rows, one_line
from ..conftest import run_fer_train as fer_train

QUICK = ["--model", "edgeresnet-small", "--epochs", "2", "--batch-size", "16", "--lr", "0.02", "--no-amp"]


@pytest.fixture(scope="module")
def faces_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "faces.csv"
    rows = [",".join(map(str, row)) for row in face_rows(train=5, test=3)]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def teacher(faces_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher")
    assert fer_train("--data", faces_csv, "--out", out, *QUICK) == 0
    return out / "best.pt"


def float_options() -> Iterator[Any]:
    for command in (train, *train.subcommands.values(), *export.subcommands.values()):
        for param in command.params:
            if isinstance(param.type, click.types.FloatParamType):
                yield pytest.param(command, param.opts[0], id=f"{command.name} {param.opts[0]}")


@pytest.mark.parametrize(("command", "option"), list(float_options()))
@pytest.mark.parametrize("value", ["nan", "inf", "1e999"])
def test_no_option_takes_what_is_no_finite_number(command: click.Command, option: str, value: str) -> None:
    (param,) = (param for param in command.params if option in param.opts)
    with click.Context(command) as context, pytest.raises(click.BadParameter):
        param.type_cast_value(context, value)


def test_augmentation_is_read_from_a_name_and_changes() -> None:
    assert parse_augmentation("standard") == Augmentation()
    assert parse_augmentation("strong, shift=0.3,flip=0") == replace(AUGMENTATIONS["strong"], shift=0.3, flip=False)
    assert parse_augmentation("none,flip=1") == replace(AUGMENTATIONS["none"], flip=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("weak", "'weak' is none of none, standard, strong"),
        ("strong,turn=3", "'turn' is none of rotation_deg, scale"),
        ("strong,shift", "'' is not a number, as in shift=0.1"),
        ("strong,shift=x", "'x' is not a number"),
        ("strong,shift=2", "shift goes from 0 to 1"),
        ("strong,shift=nan", "shift goes from 0 to 1"),
        ("strong,rotation_deg=-4", "rotation_deg goes from 0 to 180"),
    ],
)
def test_a_malformed_augmentation_is_refused(text: str, problem: str) -> None:
    with pytest.raises(FerError, match=f"--augment {text}: {problem}"):
        parse_augmentation(text)


def test_all_options_together_train_and_are_in_the_report(faces_csv: Path, teacher: Path, tmp_path: Path) -> None:
    save_npz_faces(np.zeros((4, 48, 48), np.uint8), tmp_path / "faces.npz")
    code = fer_train(
        "--data", faces_csv, "--out", tmp_path / "run", *QUICK, "--teacher", teacher, "--teacher", teacher,
        "--unlabeled", tmp_path / "faces.npz", "--mixup", 0.4, "--augment", "strong,shift=0.2", "--class-weights",
        "balanced", "--balanced-sampling", "--init-weights", teacher, "--patience", 5, "--ema-decay", 0.9,
        "--distill-weight", 0.7, "--distill-temperature", 2, "--save-every", 2,
    )  # fmt: skip
    assert code == 0
    options = json.loads((tmp_path / "run" / "metrics.json").read_text())["options"]
    assert (options["mixup"], options["class_weights"], options["balanced_sampling"]) == (0.4, "balanced", True)
    assert (options["distill_weight"], options["distill_temperature"], options["patience"]) == (0.7, 2.0, 5)
    assert options["augmentation"]["shift"] == 0.2
    assert options["teachers"] == [options["init"]] * 2
    assert len(options["init"]) == 64


def test_loaded_weights_and_teachers_are_logged(
    faces_csv: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*QUICK, "--init-weights", teacher, "--teacher", teacher]
    assert fer_train("--data", faces_csv, "--out", tmp_path, *arguments) == 0
    shown = capsys.readouterr().err
    assert f"{teacher}: 62 tensors loaded\n" in shown
    assert "Learning from 1 teacher\n" in shown
    assert "338,391 parameters, 35 MMAC per face" in shown


def with_other(known: Checkpoint, **changes: Any) -> Checkpoint:
    """`known` with changes to its head."""
    return replace(known, heads=(replace(known.head(), **changes),))


@pytest.fixture
def odd_files(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the working folder: checkpoints and faces with which something is wrong."""
    monkeypatch.chdir(tmp_path)
    known = load_checkpoint(teacher)
    save_checkpoint(with_other(known, classes=tuple(reversed(known.classes))), Path("reversed.pt"))
    save_checkpoint(replace(known, model="cnn4"), Path("mixed.pt"))
    save_checkpoint(Checkpoint("cnn4", known.heads, build_network("cnn4", 7).state_dict()), Path("cnn4.pt"))
    save_checkpoint(replace(known, model="gone"), Path("gone.pt"))
    save_checkpoint(with_other(known, class_mapping={"contempt": "angry"}), Path("merged.pt"))
    save_checkpoint(replace(known, mean=0.0), Path("bright.pt"))
    save_tensors({"weights": 3}, Path("other.pt"))
    Path("text.pt").write_text("text")
    yield


@pytest.mark.usefixtures("odd_files")
@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["--teacher", "none.pt"], 1, "none.pt is not a file"),
        (["--teacher", "text.pt"], 1, "text.pt is not a checkpoint, or is damaged"),
        (["--teacher", "other.pt"], 1, "other.pt is not a checkpoint of fer-train"),
        (["--teacher", "reversed.pt"], 1, "--teacher reversed.pt has the classes neutral, surprise"),
        (
            ["--teacher", "mixed.pt"],
            1,
            "--teacher mixed.pt is not a checkpoint of fer-train (the weights",
        ),
        (
            ["--teacher", "gone.pt"],
            1,
            "--teacher gone.pt is not a checkpoint of fer-train (there is no",
        ),
        (["--teacher", "merged.pt"], 1, "--teacher merged.pt was trained with other --classes"),
        (["--teacher", "bright.pt"], 1, "takes another input size or normalization"),
        (["--teacher", "{teacher}", "--unlabeled", "text.pt"], 1, "text.pt is not a readable .npz file"),
        (["--unlabeled", "text.pt"], 2, "give a --teacher, too"),
        (["--unlabelled", "text.pt"], 2, "--unlabeled faces are learned from teachers"),  # its former name
        (["--init-weights", "cnn4.pt"], 1, "is a checkpoint of the network cnn4, not of edgeresnet-small"),
        (["--init-weights", "none.pt"], 1, "--init-weights none.pt is not a file"),
        (["--augment", "wild"], 1, "'wild' is none of none, standard, strong"),
        (["--class-weights", "all"], 2, "'all' is not one of 'none', 'sqrt', 'balanced'"),
        (["--mixup", "-1"], 2, "--mixup"),
    ],
)
def test_errors_come_before_anything_is_written(
    faces_csv: Path, teacher: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, problem: str
) -> None:
    given = [argument.format(teacher=teacher) for argument in arguments]
    assert fer_train("--data", faces_csv, "--out", "run", *QUICK, *given) == code
    assert problem in one_line(capsys)
    assert not Path("run").exists()


def test_resuming_with_another_teacher_is_refused(
    faces_csv: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fer_train("--data", faces_csv, "--out", tmp_path / "run", *QUICK, "--teacher", teacher) == 0
    known = load_checkpoint(teacher)
    save_checkpoint(with_other(known, dataset="another"), tmp_path / "other.pt")
    arguments = ["--data", faces_csv, "--out", tmp_path / "run", *QUICK, "--resume"]
    assert fer_train(*arguments, "--teacher", teacher) == 0
    capsys.readouterr()
    assert fer_train(*arguments, "--teacher", tmp_path / "other.pt") == 1
    assert "was trained with other options (teachers (" in one_line(capsys)


def test_early_stopping_is_logged(faces_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", faces_csv, "--out", tmp_path, *QUICK, "--epochs", "40", "--patience", "1", "--lr", "1e-9"]
    assert fer_train(*arguments) == 0
    assert "No improvement in 1 epochs: stopped early" in capsys.readouterr().err
    assert len((tmp_path / "history.csv").read_text().splitlines()) < 40


def test_a_full_disk_is_one_line_and_keeps_what_was_saved(
    faces_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bytes, save_tensors, saved = Path.write_bytes, resume.save_tensors, 0

    def filling_up(path: Path, content: Any) -> int:
        write_bytes(path, bytes(content)[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    def save_state(values: Any, path: Path) -> None:
        nonlocal saved
        saved += 1
        with monkeypatch.context() as disk:
            if saved == 2:
                disk.setattr(Path, "write_bytes", filling_up)
            save_tensors(values, path)

    monkeypatch.setattr(resume, "save_tensors", save_state)
    assert fer_train("--data", faces_csv, "--out", tmp_path, *QUICK) == 1
    assert f"{tmp_path}/last.pt can't be written: No space left on device" in one_line(capsys)
    assert load_checkpoint(tmp_path / "best.pt").metrics["epoch"] in (1, 2)
    assert not list(tmp_path.glob(".*"))
    monkeypatch.undo()
    assert fer_train("--data", faces_csv, "--out", tmp_path, *QUICK, "--resume") == 0


def test_tensorboard_without_its_package_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert fer_train("--data", "none.csv", "--out", tmp_path, *QUICK, "--tensorboard") == 2
    assert "needs the package tensorboard: pip install 'fer-edge[tensorboard]'" in one_line(capsys)


def test_tensorboard_gets_the_metrics_of_every_epoch(
    faces_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scalars, opened = [], []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            opened.append((folder, purge_step))

        def add_scalar(self, name: str, value: float, epoch: int) -> None:
            scalars.append((name, value, epoch))

        def flush(self) -> None:
            pass

        def close(self) -> None:
            opened.append(("closed", 0))

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    assert fer_train("--data", faces_csv, "--out", tmp_path, *QUICK, "--tensorboard") == 0
    assert opened == [(str(tmp_path / "tensorboard"), 1), ("closed", 0)]
    names = {name for name, _, _ in scalars}
    assert names == {"learning/rate", "train/loss", "train/accuracy", "test/loss", "test/accuracy", "seconds"}
    assert {epoch for _, _, epoch in scalars} == {1, 2}
    accuracy = load_checkpoint(tmp_path / "best.pt").metrics["accuracy"]
    assert accuracy == max(value for name, value, _ in scalars if name == "test/accuracy")


def test_searching_without_optuna_names_the_extra(
    faces_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert fer_train("search", "--data", faces_csv, "--out", tmp_path / "s", *QUICK) == 2
    assert "pip install 'fer-edge[search]'" in one_line(capsys)
