"""fer-train search: a study in an SQLite file, which a second run continues."""

import csv
import io
import json
import os
import shlex
import sys
from pathlib import Path

import click
import pytest

from fer_edge.errors import FerError
from fer_train.commands.search.space import Range, parse_range, with_values
from fer_train.commands.search.study import open_study, sqlite_url
from fer_train.data import FERPLUS_COLUMNS
from fer_train.networks.checkpoint import load_checkpoint

from ..conftest import CsvWriter, face_rows, one_line
from ..conftest import run_fer_train as fer_train

QUICK = ["--model", "edgeresnet-small", "--epochs", "1", "--batch-size", "16", "--no-amp"]


def test_a_study_is_kept_and_continued(
    write_csv: CsvWriter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_csv(face_rows(train=4, test=2)), tmp_path / "study"
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    arguments = ["search", "--data", data, "--out", out, "--storage", storage, "--tune", "lr=0.001:0.1:log",
                 "--tune", "shift=0:0.2", "--tune", "class-weights=none,sqrt",
                 "--classes", "happy,bad=angry+sad", "--patience", "3", *QUICK]  # fmt: skip
    assert fer_train(*arguments, "--trials", "2") == 0
    assert "Best of 2 trials" in capsys.readouterr().err
    assert fer_train(*arguments, "--trials", "1") == 0
    shown = capsys.readouterr().err
    rows = list(csv.DictReader(io.StringIO((out / "trials.csv").read_text())))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert {row["state"] for row in rows} == {"complete"}
    assert len({row["lr"] for row in rows}) == 3, "a continued study must not repeat its trials"
    assert all(0.001 <= float(row["lr"]) <= 0.1 and 0 <= float(row["shift"]) <= 0.2 for row in rows)
    best = json.loads((out / "best.json").read_text())
    assert best["accuracy"] == max(float(row["accuracy"]) for row in rows)
    checkpoint = load_checkpoint(out / f"trial-{best['trial']:04}" / "best.pt")
    assert checkpoint.options["recipe"]["learning_rate"] == best["settings"]["lr"]
    assert checkpoint.options["augmentation"]["shift"] == best["settings"]["shift"]
    assert checkpoint.options["class_weights"] == best["settings"]["class_weights"]
    assert "Best of 3 trials" in shown
    words = shlex.split(shown.splitlines()[-1])
    assert words == best["command"]
    again = Path(words[words.index("--out") + 1])
    assert fer_train(*words[1:]) == 0
    repeated = load_checkpoint(again / "best.pt")
    assert repeated.options == checkpoint.options and repeated.metrics == checkpoint.metrics


def test_a_study_is_not_continued_on_other_faces_or_with_ranges_of_another_kind(
    write_csv: CsvWriter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, other = write_csv(face_rows(train=2, test=1)), write_csv(face_rows(train=2, test=1, seed=5), name="other.csv")
    moved = write_csv(face_rows(train=2, test=1), name="moved.csv")
    words = ["--out", tmp_path / "s", "--trials", 1, *QUICK]
    assert fer_train("search", "--data", data, *words, "--tune", "lr=0.01:0.1", "--tune", "model=cnn4") == 0
    capsys.readouterr()
    assert fer_train("search", "--data", other, *words, "--tune", "lr=0.01:0.1") == 1
    assert "the study fer-train was begun on other faces: give the same, or another --study" in one_line(capsys)
    for changed, begun in (("lr=0.01:0.1:log", "lr=0.01:0.1"), ("model=cnn4,edgeresnet-small", "model=cnn4")):
        assert fer_train("search", "--data", data, *words, "--tune", changed) == 1
        assert f"the study fer-train was begun with --tune {begun}: give the same, or another --study" in one_line(
            capsys
        )
    assert fer_train("search", "--data", moved, *words, "--tune", "lr=0.02:0.3") == 0
    assert len(list((tmp_path / "s").glob("trial-*"))) == 2


def test_with_votes_the_score_is_said_to_be_a_mean_of_heads(
    write_csv: CsvWriter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = face_rows(train=4, test=2)
    names = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    votes = [[usage, "", *(9 * (column == names[label]) for column in FERPLUS_COLUMNS)] for label, _, usage in rows]
    data, ferplus = write_csv(rows), write_csv(votes, ",".join(["Usage", "Image name", *FERPLUS_COLUMNS]), "votes.csv")
    out = tmp_path / "study"
    arguments = ["--data", data, "--ferplus", ferplus, "--out", out, "--trials", "1", "--tune", "mixup=0:1", *QUICK]
    assert fer_train("search", *arguments) == 0
    (log,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Best of")]
    metrics = json.loads((out / "best.json").read_text())
    heads = load_checkpoint(out / "trial-0000" / "best.pt").heads
    mean = sum(head.metrics["accuracy"] for head in heads) / 2
    assert metrics["accuracy"] == pytest.approx(mean)
    assert f"mean PublicTest accuracy of its heads {mean:.2%}" in log


def test_a_diverging_trial_does_not_end_the_study(
    write_csv: CsvWriter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_csv(face_rows(train=4, test=2))
    arguments = ["search", "--data", data, "--out", tmp_path / "s", "--trials", "2", "--tune", "lr=1e30:1e31", *QUICK]
    assert fer_train(*arguments) == 0
    assert capsys.readouterr().err.count("not finite at step") == 2
    rows = list(csv.DictReader(io.StringIO((tmp_path / "s" / "trials.csv").read_text())))
    assert [row["state"] for row in rows] == ["fail", "fail"]
    assert not (tmp_path / "s" / "best.json").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=0.01:0.3:log", Range("lr", 0.01, 0.3, log=True)),
        ("weight-decay=0:1", Range("weight_decay", 0, 1)),
        ("model=cnn4,edgeresnet", Range("model", choices=("cnn4", "edgeresnet"))),
        ("rotation_deg=0:30", Range("rotation_deg", 0, 30)),
    ],
)
def test_ranges_are_read(text: str, expected: Range) -> None:
    assert parse_range(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("epochs=1:3", "'epochs' is none of model, class_weights, lr"),
        ("lr", "give LOW:HIGH"),
        ("lr=3:1", "give LOW:HIGH"),
        ("lr=0:1:log", "with LOW above 0"),
        ("lr=a:b", "give LOW:HIGH"),
        ("lr=0.1:inf", "give LOW:HIGH"),
        ("model=cnn4,vgg", "'vgg' is none of cnn4"),
    ],
)
def test_a_malformed_range_is_refused(text: str, problem: str) -> None:
    with pytest.raises(click.UsageError, match=problem):
        parse_range(text)


@pytest.mark.parametrize(("ranges", "problem"), [
    (["mixup=-1:2"], "--tune mixup=-1:2: -1.0 is not in the range x>=0"),
    (["ema_decay=0.5:1.5"], "--tune ema_decay=0.5:1.5: 1.5 is not in the range 0<=x<1"),
    (["scale=0:5"], "--tune scale=0:5: scale goes from 0 to 0.9"),
    (["batch_size=1:8"], "--tune batch_size=1:8: 1 is not in the range x>=2"),
    (["lr=0.1:0.2", "lr=0.2:0.3"], "--tune names lr twice"),
])  # fmt: skip
def test_a_setting_that_no_training_could_have_is_refused(
    write_csv: CsvWriter, tmp_path: Path, capsys: pytest.CaptureFixture[str], ranges: list[str], problem: str
) -> None:
    data, words = write_csv(face_rows(train=2, test=1)), [word for text in ranges for word in ("--tune", text)]
    assert fer_train("search", "--data", data, "--out", tmp_path / "s", *words, *QUICK) == 2
    assert problem in one_line(capsys)
    assert not (tmp_path / "s").exists()


def test_found_values_replace_the_given_ones() -> None:
    given = {"lr": None, "augment": "strong", "model": "cnn4"}
    assert with_values(given, {"lr": 0.1, "shift": 0.2}) == {"lr": 0.1, "augment": "strong,shift=0.2", "model": "cnn4"}


def test_an_unusable_storage_is_reported(
    write_csv: CsvWriter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_csv(face_rows(train=2, test=1))
    for url in ("nonsense", f"sqlite:///{tmp_path / 'none' / 'study.db'}"):
        assert fer_train("search", "--data", data, "--out", tmp_path / "s", "--storage", url, *QUICK) == 1
        assert f"--storage {url} can't be used" in one_line(capsys)


@pytest.mark.parametrize("name", ["plain", "a#b", "a:b@c", "ä b", "a\x1b"])
def test_a_study_lies_in_its_folder_whatever_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optuna = pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    for folder in (Path(name), tmp_path / f"{name}2"):
        folder.mkdir()
        with open_study(sqlite_url(folder / "study.db"), "name", 0) as study:
            study.add_trial(optuna.trial.create_trial(value=1.0))
        assert (folder / "study.db").is_file()
        if sys.platform == "linux":
            assert not [file for file in Path("/proc/self/fd").iterdir() if file.resolve().name == "study.db"]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["a?b=c", "100%41", os.fsdecode(b"caf\xe9")])
def test_a_study_lies_in_no_other_folder_than_its_own(name: str) -> None:
    with pytest.raises(FerError, match="can't hold a study: name an --out of UTF-8"):
        sqlite_url(Path(name, "study.db"))
