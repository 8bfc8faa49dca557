"""Scores on drawn and given faces."""

import json
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.accuracy import classifier
from benchmarks.accuracy.classifier import (
    Contestant,
    clean_scores,
    corrupted_scores,
    our_network,
    own_faces,
    reliability,
    sampled,
)
from benchmarks.harness.heads import Head
from benchmarks.harness.truths import LABELS, MAJORITY, own_truths
from fer_edge.errors import DataError
from fer_models import default_model, model_path
from fer_train.data import FER2013_CLASSES, FaceData, load_faces

from ..conftest import Ran, is_png


@pytest.fixture
def faces(drawn: FaceData) -> FaceData:
    return drawn


class FixedAnswer:
    """A classifier that gives every face the same answer."""

    def __init__(self, labels: tuple[str, ...], answer: str) -> None:
        self.labels, self.path, self.precision = labels, default_model(), "int8"
        self.contract = types.SimpleNamespace(input_size=(48, 48), channels=1)
        self._column = labels.index(answer)

    def predict(self, batch: np.ndarray) -> np.ndarray:
        return np.eye(len(self.labels), dtype=np.float32)[[self._column] * len(batch)]


def knowing(faces: FaceData, confidence: float = 1.0) -> Contestant:
    """A contestant that knows the original faces by heart, and labels all others angry."""
    known = {image.tobytes(): label for image, label in zip(faces.images, faces.labels, strict=True)}

    def predict(images: np.ndarray) -> np.ndarray:
        rows = np.full((len(images), 7), (1 - confidence) / 6)
        for row, image in zip(rows, images, strict=True):
            row[known.get(image.tobytes(), 0)] = confidence
        return rows

    return Contestant("knowing", predict, "by heart")


def test_drawn_faces_are_of_all_classes_and_framed(faces: FaceData) -> None:
    assert set(faces.labels) == set(range(len(FER2013_CLASSES)))
    assert faces.images.shape == (len(faces), 48, 48)


def test_a_contestant_that_knows_every_face_has_perfect_scores(faces: FaceData) -> None:
    scores = clean_scores(knowing(faces), faces, np.ones(len(faces), np.bool_))
    assert scores["accuracy"] == scores["accuracy_deduplicated"] == scores["macro_f1"] == 1
    assert scores["ece"] == 0


def test_deduplicated_accuracy_counts_only_new_faces(faces: FaceData) -> None:
    new = np.arange(len(faces)) % 2 == 0
    wrong = replace(faces, labels=np.where(new, faces.labels, (faces.labels + 1) % 7))
    scores = clean_scores(knowing(faces), wrong, new)
    assert scores["accuracy_deduplicated"] == 1
    assert scores["accuracy"] == pytest.approx(new.mean())
    assert scores["images_deduplicated"] == new.sum()


def test_reliability_pairs_confidence_with_accuracy(faces: FaceData) -> None:
    probabilities = knowing(faces, 0.7).predict(faces.images)
    labels = np.where(np.arange(len(faces)) % 4 == 0, (faces.labels + 1) % 7, faces.labels)
    assert reliability(probabilities, labels) == [(0.7, pytest.approx(0.75, abs=0.01), len(faces))]


def test_corrupted_scores_begin_with_the_original_faces(faces: FaceData) -> None:
    found = corrupted_scores([knowing(faces)], faces, ["noise"], seed=0)["knowing"]["noise"]
    assert found[0] == 1
    assert found[1:] == [pytest.approx((faces.labels == 0).mean())] * 5


def test_a_sample_is_seeded_and_never_larger_than_the_faces(faces: FaceData) -> None:
    assert np.array_equal(sampled(faces, 10, 1).images, sampled(faces, 10, 1).images)
    assert len(sampled(faces, 10, 1)) == 10
    assert sampled(faces, 0, 1) is sampled(faces, 10**6, 1) is faces


def test_without_data_the_benchmark_uses_drawn_faces_and_says_so(
    drawn: FaceData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "drawn_faces", lambda: drawn)
    outputs = ["--json", str(tmp_path / "accuracy.json"), "--plot", str(tmp_path / "accuracy.png")]
    unknown = CliRunner().invoke(classifier.main, ["--corruption", "blur", "--peer", "no-such=x"])
    assert unknown.exit_code == 2
    assert "no peer is called" in unknown.output
    options = ["--corruption", "blur", "--faces", "20", *outputs]
    assert CliRunner().invoke(classifier.main, options, catch_exceptions=False).exit_code == 0
    content = json.loads((tmp_path / "accuracy.json").read_text())
    assert "drawn" in content["skipped"][0]
    assert [each["file"] for each in content["values"]["scores"].values()] == [
        model_path(precision).name for precision in ("int8", "fp32")
    ]
    assert [len(curves["blur"]) for curves in content["values"]["corruptions"].values()] == [6, 6]
    assert is_png(tmp_path / "accuracy.png")


def test_with_data_the_benchmark_scores_the_split_with_and_without_duplicates(
    faces_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--data", str(faces_csv), "--corruption", "none", "--json", str(tmp_path / "accuracy.json")]
    monkeypatch.setattr("sys.argv", ["accuracy", *options])
    assert CliRunner().invoke(classifier.main, options, catch_exceptions=False).exit_code == 0
    content = json.loads((tmp_path / "accuracy.json").read_text())
    scores = next(each for each in content["values"]["scores"].values() if each["file"] == model_path("fp32").name)
    assert (scores["images"], scores["images_deduplicated"]) == (22, 21)
    assert scores["truth"] == LABELS
    heads = MAJORITY in own_truths(scores["head"])
    assert len(content["skipped"]) == (2 if heads else 0)  # a sentence per file whose head is one of the votes
    assert content["arguments"].startswith("--data faces.csv")
    assert str(faces_csv.parent) not in (tmp_path / "accuracy.json").read_text()


def test_a_head_of_the_votes_is_measured_against_majorities(faces_csv: Path, ferplus_csv: Path) -> None:
    test = load_faces(faces_csv, ferplus_csv).split("PublicTest")
    labels = (*FER2013_CLASSES, "contempt")
    skipped: list[str] = []
    for name, has_contempt in (("ferplus", True), ("people", False)):
        head = Head(name, FixedAnswer(labels if has_contempt else FER2013_CLASSES, "happy"))  # type: ignore[arg-type]
        own, truth = own_faces(head, test, skipped.append)
        assert truth == MAJORITY
        assert len(own) == 19
        contestant = our_network(head, own, truth)
        scores = clean_scores(contestant, own, np.ones(len(own), np.bool_))
        assert scores["accuracy"] == pytest.approx(18 / 19)  # all but the one of contempt
        assert scores["per_class"]["contempt"] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
    head = Head("fer2013", FixedAnswer(FER2013_CLASSES, "angry"))  # type: ignore[arg-type]
    own, truth = own_faces(head, test, skipped.append)
    assert (truth, len(own), own.classes) == (LABELS, 22, FER2013_CLASSES)
    head = Head("ferplus", FixedAnswer(labels, "contempt"))  # type: ignore[arg-type]
    own, truth = own_faces(head, replace(test, votes=None), skipped.append)
    assert (truth, own.classes) == (LABELS, labels)
    assert len(skipped) == 1
    assert "need --ferplus" in skipped[0]
    assert clean_scores(our_network(head, own, truth), own, np.ones(22, np.bool_))["accuracy"] == 0
    with pytest.raises(DataError, match="has happy: measure it on data with its own classes"):
        our_network(Head("own", FixedAnswer(("happy",), "happy")), test, LABELS)  # type: ignore[arg-type]


def test_a_missing_split_is_refused_in_one_line(run_benchmark: Callable[..., Ran], faces_csv: Path) -> None:
    ran = run_benchmark("accuracy.classifier", "--data", faces_csv, "--split", "PrivateTest")
    assert ran.code == 1
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "PrivateTest" in ran.stderr
