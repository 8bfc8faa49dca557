"""Every head against both truths and people: right values, intervals, aims, and what is written and drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.accuracy import people
from benchmarks.accuracy.contestants import Contestant
from benchmarks.accuracy.people import target_rows, verdict
from benchmarks.accuracy.people_scores import Measure, score_set
from benchmarks.harness.heads import EMOTIONS
from benchmarks.harness.truths import LABELS, MAJORITY, PEOPLE, FaceSet
from benchmarks.scorecard.figures import truth_rows
from fer_train.evaluation.metrics import expected_calibration_error

from ..conftest import is_png


def a_set(labels: list[str], people_numbers: list[int] | None = None) -> FaceSet:
    count = len(labels)
    numbers = np.arange(count) if people_numbers is None else np.array(people_numbers)
    indices = np.array([EMOTIONS.index(label) for label in labels])
    blank = np.zeros((count, 48, 48), np.uint8)
    none = np.zeros(count, np.bool_)
    return FaceSet(PEOPLE, blank, indices, none, none, numbers, np.arange(count).astype(np.str_))


def answering(answers: list[str], confidence: float = 1.0) -> np.ndarray:
    rows = np.full((len(answers), len(EMOTIONS)), (1 - confidence) / (len(EMOTIONS) - 1))
    rows[np.arange(len(answers)), [EMOTIONS.index(answer) for answer in answers]] = confidence
    return rows


def test_recalls_their_mean_and_what_calm_faces_are_called() -> None:
    truth = ["neutral"] * 10 + ["angry"] * 2 + ["happy"] * 4 + ["sad", "surprise", "fear"]
    answers = ["neutral"] * 6 + ["angry"] * 3 + ["sad"] + ["angry"] * 2 + ["happy"] * 3 + ["contempt"] + [
        "neutral", "surprise", "fear",
    ]  # fmt: skip
    scores = score_set(answering(answers), a_set(truth))
    recall = {name: measure.value for name, measure in scores.recall.items()}
    assert recall == {"angry": 1, "fear": 1, "happy": 0.75, "sad": 0, "surprise": 1, "neutral": 0.6}
    assert scores.five.value == pytest.approx((1 + 0.75 + 0 + 1 + 0.6) / 5)
    assert (scores.calm["angry"].value, scores.calm["sad"].value) == (0.3, 0.1)
    assert scores.calm["angry"].count == 10
    assert scores.accuracy.value == pytest.approx(13 / 19)
    assert scores.recall["neutral"].interval == pytest.approx((0.3127, 0.8318), abs=1e-3)  # Wilson's of 6 in 10
    low, high = scores.five.interval
    assert low < scores.five.value < high


def test_the_interval_is_wider_where_one_person_has_many_faces() -> None:
    truth, answers = ["neutral"] * 60, ["neutral"] * 40 + ["angry"] * 20
    alone = score_set(answering(answers), a_set(truth))
    same = score_set(answering(answers), a_set(truth, [0] * 40 + list(range(1, 21))))
    assert same.accuracy.value == alone.accuracy.value
    width = [scores.accuracy.interval[1] - scores.accuracy.interval[0] for scores in (alone, same)]
    assert width[1] > 1.5 * width[0]


def test_the_calibration_error_is_the_one_of_the_metrics_with_an_interval_around_it() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(8), 400)
    truth = [EMOTIONS[index] for index in rng.integers(0, 8, 400)]
    faces = a_set(truth)
    scores = score_set(probabilities, faces)
    assert scores.ece.value == expected_calibration_error(probabilities, faces.labels)
    assert scores.ece.interval[0] - 0.02 < scores.ece.value < scores.ece.interval[1]


def test_an_aim_inside_the_interval_is_open() -> None:
    assert verdict(Measure(0.87, (0.8, 0.9), 10), ">=", 0.86) == "met"
    assert verdict(Measure(0.85, (0.8, 0.9), 10), ">=", 0.86) == "open"
    assert verdict(Measure(0.75, (0.7, 0.8), 10), ">=", 0.86) == "missed"
    assert verdict(Measure(0.06, (0.04, 0.08), 10), "<=", 0.05) == "open"
    assert verdict(Measure(0.09, (0.06, 0.12), 10), "<=", 0.05) == "missed"


def test_aims_are_those_of_the_head_and_of_the_sets_that_were_measured() -> None:
    right = answering(["neutral", "angry"])
    faces = a_set(["neutral", "angry"])
    head = Contestant("file people", lambda _faces: right, "int8", "people", True)
    other = Contestant("file own", lambda _faces: right, "int8", "own", True)
    found = {each.name: {PEOPLE: score_set(right, faces)} for each in (head, other)}
    rows = target_rows(found, [head, other])
    assert [(row["head"], row["what"], row["verdict"]) for row in rows] == [
        ("file people", "neutral", "met"), ("file people", "mean of five", "met"),
        ("file people", "calm called angry", "met"), ("file people", "ECE", "met"),
    ]  # fmt: skip


def test_the_command_measures_every_truth_with_and_without_copies(
    faces_csv: Path, ferplus_csv: Path, people_folder: Path, tmp_path: Path
) -> None:
    outputs = ["--json", str(tmp_path / "people.json"), "--plot", str(tmp_path / "people.png")]
    inputs = ["--data", str(faces_csv), "--ferplus", str(ferplus_csv), "--people", str(people_folder)]
    ran = CliRunner().invoke(people.main, [*inputs, *outputs], catch_exceptions=False)
    assert ran.exit_code == 0
    content = json.loads((tmp_path / "people.json").read_text())
    name, scores = next(iter(content["values"]["scores"].items()))
    assert scores["ours"]
    assert scores["all"][LABELS]["accuracy"]["faces"] == 22
    assert scores["all"][MAJORITY]["accuracy"]["faces"] == 19
    assert scores["all"][PEOPLE]["recall"]["neutral"]["faces"] == 4
    assert scores["without_copies"][LABELS]["accuracy"]["faces"] == 21
    assert scores["without_copies"][PEOPLE]["accuracy"]["faces"] == 7
    assert content["skipped"] == []
    assert "8 of 7 people" in content["tables"][0]["note"]
    assert truth_rows({"people": content})[0][0] == name
    assert all("(" in cell for cell in truth_rows({"people": content})[0][1:])
    assert is_png(tmp_path / "people.png")


def test_a_part_without_its_files_is_left_out_with_a_sentence(faces_csv: Path, tmp_path: Path) -> None:
    words = ["--data", str(faces_csv), "--json", str(tmp_path / "people.json")]
    assert CliRunner().invoke(people.main, words, catch_exceptions=False).exit_code == 0
    content = json.loads((tmp_path / "people.json").read_text())
    assert [sentence.split(",")[0] for sentence in content["skipped"]] == ["FER+", "people"]
    assert truth_rows({"people": content})[0][2:] == ("–", "–", "–", "–")
