"""--heads and --people: what they lead to, and their errors."""

import json
import shlex
from pathlib import Path

import jsonschema
import pytest

from fer_export.cli import export
from fer_train.commands.head_options import parse_heads
from fer_train.data import FERPLUS_CLASSES, FERPLUS_COLUMNS
from fer_train.networks.checkpoint import load_checkpoint

from ..conftest import face_rows, one_line, run_fer_train, write_images

QUICK = ["--model", "edgeresnet-small", "--epochs", 2, "--batch-size", 16, "--lr", 0.02, "--no-amp"]
NAMES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")  # as labels 0 to 6
METRICS_SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "schemas" / "metrics.schema.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with faces.csv, votes.csv for it, and people/."""
    folder = tmp_path_factory.mktemp("heads")
    rows = face_rows(train=5, test=3)
    header = ",".join(["Usage", "Image name", *FERPLUS_COLUMNS])
    votes = [
        [usage, "", *(9 * (column == NAMES[int(str(label))]) for column in FERPLUS_COLUMNS)] for label, _, usage in rows
    ]
    for name, first, lines in (("faces.csv", "emotion,pixels,Usage", rows), ("votes.csv", header, votes)):
        (folder / name).write_text("\n".join([first, *(",".join(map(str, line)) for line in lines)]) + "\n")
    for split, count in (("train", 3), ("test", 2)):
        write_images(folder / "people", [f"{split}/{name}" for name in ("angry", "happy", "sad")], count)
    return folder


def test_heads_are_read_with_their_weights() -> None:
    assert parse_heads("people, ferplus,fer2013=1.5") == {"people": 1, "ferplus": 1, "fer2013": 1.5}
    assert list(parse_heads("b,ferplus")) == ["b", "ferplus"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not a valid head name"),
        ("People", "'People' is not a valid head name: use a-z, 0-9, _ and -"),
        ("a,,people", "'' is not a valid"),
        ("people,people", "the head people is given twice"),
        ("a,people,b", "a and b would be heads on the same labels"),
        ("people=", "'' is not a weight above 0, as in people=1.5"),
        ("people=x", "'x' is not a weight above 0"),
        ("people=0", "'0' is not a weight"),
        ("people=-1", "'-1' is not a weight"),
        ("people=nan", "'nan' is not a weight"),
        ("people=inf", "'inf' is not a weight"),
    ],
)
def test_malformed_heads_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_heads(text)


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        ("--heads people", 2, "--heads people learns from votes: give --ferplus"),
        ("--heads mine,ferplus", 2, "--heads ferplus learns from votes: give --ferplus"),
        ("--heads ferplus --ferplus {votes} --ferplus-labels majority", 2, "uses up: leave that out"),
        ("--people {people}", 2, "--people is for the heads people and ferplus: give --heads"),
        ("--heads mine --people {people} --ferplus {votes}", 2, "--people is for the heads people and ferplus"),
        ("--heads a,a", 2, "the head a is given twice"),
        ("--heads people --ferplus {votes} --people gone", 1, "--people names a CSV"),
        ("--heads people --ferplus {votes} --people {people} --people-weight 0", 2, "--people-weight"),
        ("--heads people --ferplus {faces} --people {people}", 1, "has no column 'neutral'"),
    ],
)
def test_heads_without_something_to_learn_from_are_refused(
    options: str, code: int, problem: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"votes": folder / "votes.csv", "people": folder / "people", "faces": folder / "faces.csv"}
    words = options.format(**places).split()
    assert run_fer_train("--data", folder / "faces.csv", "--out", tmp_path / "run", *words) == code
    assert problem in one_line(capsys)
    assert not (tmp_path / "run").exists()


def test_a_run_with_heads_reports_each_against_its_own_truth(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", folder / "faces.csv", "--ferplus", folder / "votes.csv", "--people", folder / "people"]
    arguments += ["--heads", "people,ferplus,mine=1.5", "--out", tmp_path, *QUICK]
    assert run_fer_train(*arguments) == 0
    best = load_checkpoint(tmp_path / "best.pt")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert list(metrics["heads"]) == [head.name for head in best.heads] == ["people", "ferplus", "mine"]
    for head in best.heads:
        stored = metrics["heads"][head.name]
        assert stored["labels"] == list(head.classes)
        assert stored["truth"] == head.truth
        assert {"accuracy", "ece", "per_class", "confusion", "images", "temperature"} <= stored.keys()
        assert stored["temperature"] == head.temperature
    assert metrics["heads"]["ferplus"]["labels"] == list(FERPLUS_CLASSES)
    people = metrics["heads"]["people"]
    assert [truth["truth"] for truth in people["truths"]] == [
        "FER+ majorities of PublicTest", "faces of people kept aside",
    ]  # fmt: skip
    assert [truth["images"] for truth in people["truths"]] == [21, 6]
    assert metrics["accuracy"] == people["accuracy"], "top-level figures are the first head's"
    assert (tmp_path / "confusion.png").exists()
    jsonschema.validate(metrics, METRICS_SCHEMA)
    for stored in metrics["heads"].values():
        assert stored.keys() <= METRICS_SCHEMA["$defs"]["head"]["properties"].keys()
    log = capsys.readouterr().err
    assert "head mine: 7 classes, measured against labels of PublicTest (21 faces)" in log
    assert "Head people, faces of people kept aside: accuracy" in log
    name, *words = shlex.split(log.splitlines()[-1])
    given = export.make_context(name, words).params  # it measures the heads against what they were trained on
    assert given["checkpoint"] == tmp_path / "best.pt"
    assert [given[each] for each in ("calibration_data", "ferplus", "people")] == arguments[1:6:2]


def test_votes_alone_give_a_second_head(folder: Path, tmp_path: Path) -> None:
    arguments = ["--data", folder / "faces.csv", "--ferplus", folder / "votes.csv", "--out", tmp_path, *QUICK]
    assert run_fer_train(*arguments) == 0
    best = load_checkpoint(tmp_path / "best.pt")
    assert [(head.name, head.classes[-1]) for head in best.heads] == [("faces", "neutral"), ("ferplus", "contempt")]
    assert best.options["ferplus"] is True
