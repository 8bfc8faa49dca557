"""Scores on drawn and given faces."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.accuracy import classifier
from benchmarks.accuracy.classifier import Contestant, clean_scores, corrupted_scores, reliability, sampled
from fer_train.data import FER2013_CLASSES, FaceData

from ..conftest import Ran, is_png


@pytest.fixture
def faces(drawn: FaceData) -> FaceData:
    return drawn


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
    assert list(content["values"]["scores"]) == ["fer2013.int8.onnx", "fer2013.onnx"]
    assert len(content["values"]["corruptions"]["fer2013.onnx"]["blur"]) == 6
    assert is_png(tmp_path / "accuracy.png")


def test_with_data_the_benchmark_scores_the_split_with_and_without_duplicates(
    faces_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--data", str(faces_csv), "--corruption", "none", "--json", str(tmp_path / "accuracy.json")]
    monkeypatch.setattr("sys.argv", ["accuracy", *options])
    assert CliRunner().invoke(classifier.main, options, catch_exceptions=False).exit_code == 0
    content = json.loads((tmp_path / "accuracy.json").read_text())
    scores = content["values"]["scores"]["fer2013.onnx"]
    assert (scores["images"], scores["images_deduplicated"]) == (22, 21)
    assert content["skipped"] == []
    assert content["arguments"].startswith("--data faces.csv")
    assert str(faces_csv.parent) not in (tmp_path / "accuracy.json").read_text()


def test_a_missing_split_is_refused_in_one_line(run_benchmark: Callable[..., Ran], faces_csv: Path) -> None:
    ran = run_benchmark("accuracy.classifier", "--data", faces_csv, "--split", "PrivateTest")
    assert ran.code == 1
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "PrivateTest" in ran.stderr
