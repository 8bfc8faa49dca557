"""The command fer-train: its files, its exit codes, and its one-line errors."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from fer_train.commands.train import PLOTS, RESULT_FILES
from fer_train.data import FER2013_CLASSES
from fer_train.training import trainer as training
from fer_train.training.trainer import Trainer

from ..conftest import CsvWriter, face_rows, one_line
from ..conftest import run_fer_train as fer_train

COMMAND = [sys.executable, "-m", "fer_train"]
QUICK = ["--epochs", "2", "--batch-size", "16", "--lr", "0.02", "--no-amp"]
METRICS_SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "schemas" / "metrics.schema.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def restored_sigterm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def faces_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "my faces.csv"
    rows = [",".join(map(str, row)) for row in face_rows(train=6, test=3)]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def finished(faces_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "new" / "folder"
    assert fer_train("--data", faces_csv, "--out", out, *QUICK) == 0
    return out


def test_a_run_writes_exactly_the_documented_files(finished: Path) -> None:
    assert sorted(path.name for path in finished.iterdir()) == sorted(RESULT_FILES)
    for name in PLOTS:
        assert (finished / name).read_bytes().startswith(b"\x89PNG"), name


def test_metrics_json_has_the_documented_keys(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    documented = {"accuracy", "macro_f1", "per_class", "confusion", "ece", "split"}
    extras = {"images", "ece_uncalibrated", "accuracy_deduplicated", "images_deduplicated", "epoch", "temperature"}
    assert set(metrics) == documented | extras | {"model", "options"}
    assert list(metrics["per_class"]) == list(FER2013_CLASSES)
    assert all(set(row) == {"precision", "recall", "f1", "support"} for row in metrics["per_class"].values())
    assert [sum(row) for row in metrics["confusion"]] == [3] * 7
    assert metrics["accuracy"] == sum(metrics["confusion"][i][i] for i in range(7)) / 21
    assert metrics["split"] == "PublicTest"
    assert metrics["model"] == "edgeresnet"
    assert metrics["options"]["recipe"]["batch_size"] == 16
    jsonschema.validate(metrics, METRICS_SCHEMA)
    assert metrics.keys() <= METRICS_SCHEMA["properties"].keys()


@pytest.mark.parametrize(("arguments", "option"), [
    (["--data", "", "--out", "run"], "--data"), (["--data", "faces.csv", "--out", ""], "--out"),
    (["faces", "demo:", "--out", ""], "--out"), (["predict", "", "--data", "faces.csv"], "MODEL"),
])  # fmt: skip
def test_an_empty_path_is_not_the_current_folder(
    arguments: list[str], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert fer_train(*arguments) == 2
    message = one_line(capsys)
    assert option in message
    assert "it is empty: name a file or folder" in message
    assert not list(tmp_path.iterdir())


def test_history_csv_has_a_row_for_each_epoch(finished: Path) -> None:
    with (finished / "history.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    columns = ["epoch", "learning_rate", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds"]
    assert reader.fieldnames == columns
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["test_accuracy"]) <= 1 for row in rows)


def test_resuming_a_finished_run_succeeds_and_says_so(
    finished: Path, faces_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "curves.png").unlink()
    assert fer_train("--data", faces_csv, "--out", finished, *QUICK, "--resume") == 0
    captured = capsys.readouterr()
    assert "All 2 epochs are trained: only the reports are left" in captured.err
    assert f"  fer-export {finished}/best.pt --out {finished}/model.onnx" in captured.err
    assert f"'{faces_csv}'" in captured.err, "a path with a space is quoted, so that the line can be pasted"
    assert not captured.out
    assert (finished / "curves.png").exists()


def test_results_are_not_replaced_unless_asked(
    finished: Path, faces_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    assert fer_train("--data", faces_csv, "--out", finished, *QUICK) == 1
    assert "already holds best.pt: pass --resume to continue, --overwrite to replace it" in one_line(capsys)
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_overwriting_with_bad_data_keeps_the_old_results(
    finished: Path, write_csv: CsvWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    assert fer_train("--data", write_csv([(9, "", "Training")]), "--out", finished, "--overwrite") == 1
    assert "row 1 (line 2): emotion '9'" in one_line(capsys)
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_overwriting_removes_all_old_results(faces_csv: Path, tmp_path: Path) -> None:
    for name in RESULT_FILES:
        (tmp_path / name).write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    assert fer_train("--data", faces_csv, "--out", tmp_path, *QUICK, "--epochs", "1", "--overwrite") == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not [name for name in RESULT_FILES if (tmp_path / name).read_bytes() == b"old"]


def test_a_diverging_run_ends_with_advice_and_leaves_no_older_results(
    faces_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "best.pt").write_text("old")
    assert fer_train("--data", faces_csv, "--out", tmp_path, *QUICK, "--lr", "1e30", "--overwrite") == 1
    assert "lower --lr than 1e+30" in one_line(capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["--data", "none.csv", "--out", "new"], 1, "none.csv is not a file or folder"),
        (["--data", "{data}", "--out", "file"], 1, "file is a file: --out names a folder"),
        (["--data", "{data}", "--out", "file/below"], 1, "file/below can't be written"),
        (["--data", "{data}", "--out", "new", "--resume"], 1, "new has no last.pt to resume from"),
        (["--data", "{data}", "--out", "half", "--resume"], 1, "half has no best.pt to resume from"),
        (["--data", "{data}", "--out", "new", "--ferplus", "file"], 1, "has no column 'neutral'"),
        (["--out", "new"], 2, "Missing option '--data'"),
        (["--data", "{data}"], 2, "Missing option '--out'"),
        (["--data", "{data}", "--out", "new", "--model", "vgg"], 2, "'vgg' is not one of 'cnn4', 'edgeresnet', "),
        (["--data", "{data}", "--out", "new", "--device", "tpu"], 2, "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
        (["--data", "{data}", "--out", "new", "--epochs", "0"], 2, "--epochs"),
        (["--data", "{data}", "--out", "new", "--seed", "-1"], 2, "--seed"),
        (["--data", "{data}", "--out", "new", "--seed", "9" * 20], 2, "--seed"),
        (["--data", "{data}", "--out", "new", "--nonsense"], 2, "--nonsense"),
        (["--data", "{data}", "--out", "new", "--resume", "--overwrite"], 2, "--overwrite replaces it: give one"),
        (["extra", "--data", "{data}", "--out", "new"], 2, "extra"),
    ],
)
def test_each_error_is_one_line_with_the_documented_exit_code(
    faces_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], code: int, problem: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("no table")
    Path("half").mkdir()
    Path("half/last.pt").write_text("half")
    assert fer_train(*(argument.format(data=faces_csv) for argument in arguments)) == code
    assert problem in one_line(capsys)


def test_cuda_without_a_gpu_is_refused(
    faces_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert fer_train("--data", faces_csv, "--out", tmp_path / "new", "--device", "cuda") == 1
    assert "--device cuda: torch finds no GPU; use --device cpu" in one_line(capsys)


def test_help_is_fast_because_it_loads_nothing_heavy() -> None:
    code = """
import sys
from fer_train.cli import main
try:
    main()
finally:
    heavy = {"torch", "cv2", "numpy", "pandas", "matplotlib", "tqdm"} & set(sys.modules)
    assert not heavy, heavy
"""
    environment = os.environ | {"COLUMNS": "80"}
    ran = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True, env=environment
    )
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert "cnn4, edgeresnet, edgeresnet-deep, edgeresnet-large," in " ".join(ran.stdout.split())
    assert "[auto|cpu|cuda]" in ran.stdout


def assert_results_are_kept(out: Path, lines: list[str], word: str) -> None:
    assert lines[-1] == f"fer-train: {word}"
    assert "Stopped after 2 of 500 epochs; " in "".join(lines[-3:])
    assert not [line for line in lines if "Traceback" in line]
    assert sorted(path.name for path in out.iterdir()) == sorted(RESULT_FILES)
    assert json.loads((out / "metrics.json").read_text())["images"] == 21
    assert len((out / "history.csv").read_text().splitlines()) == 3


def test_ctrl_c_keeps_the_results_so_far(faces_csv: Path, tmp_path: Path) -> None:
    arguments = ["--data", faces_csv, "--out", tmp_path, "--epochs", "500", "--threads", "1", "--batch-size", "3"]
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores SIGINT
    ) as process:  # fmt: skip
        assert process.stderr is not None
        try:
            while not (line := process.stderr.readline()).startswith("epoch   2/500"):
                assert line, "the run ended before its second epoch"
            process.send_signal(signal.SIGINT)
            lines = process.stderr.read().splitlines()
            assert process.wait(30) == 130
        finally:
            process.kill()
    assert_results_are_kept(tmp_path, lines, "interrupted")


def test_sigterm_keeps_the_results_so_far(
    faces_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_state = training.save_state

    def save_and_terminate(trainer: Trainer, path: Path) -> None:
        save_state(trainer, path)
        if len(trainer.history) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(training, "save_state", save_and_terminate)
    assert fer_train("--data", faces_csv, "--out", tmp_path, *QUICK, "--epochs", "500") == 143
    assert_results_are_kept(tmp_path, capsys.readouterr().err.splitlines(), "terminated")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_progress_bar_shows_loss_accuracy_and_time_left(
    faces_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    assert fer_train("--data", faces_csv, "--out", tmp_path, *QUICK, "--epochs", "1") == 0
    assert re.search(
        r"epoch   1/1 .*\d/3 batches, \d\d:\d\d left, loss \d\.\d+, accuracy \d+\.\d%", terminal.getvalue()
    )


def test_no_progress_bar_is_drawn_into_a_file(
    faces_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fer_train("--data", faces_csv, "--out", tmp_path, *QUICK, "--epochs", "1") == 0
    shown = capsys.readouterr().err
    assert "\r" not in shown
    assert shown.count("epoch   1/1") == 1
