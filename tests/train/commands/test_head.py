"""fer-train head: own labels on a trained trunk."""

import html
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

from fer_train.commands.head import _names
from fer_train.data import read_faces
from fer_train.evaluation.metrics import softmax
from fer_train.networks.checkpoint import load_checkpoint
from fer_train.networks.inference import predict_logits
from fer_train.transfer.folds import make_folds, person_of
from fer_train.transfer.linear_head import fit_head

from ..conftest import encoded, make_face, one_line, run_fer_train, write_images


@pytest.fixture(scope="module")
def own(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `head` on ten faces of each of two classes; faces/ lies beside it."""
    folder = tmp_path_factory.mktemp("own")
    write_images(folder / "faces", ("calm", "glad"), count=10)
    checkpoint = trained / "run" / "best.pt"
    arguments = ["--data", folder / "faces", "--name", "mine", "--checkpoint", checkpoint, "--out", folder / "run"]
    assert run_fer_train("head", *arguments) == 0
    return folder


def test_the_new_head_comes_first_and_the_trunk_s_answers_stay(own: Path, trained: Path) -> None:
    before, after = load_checkpoint(trained / "run" / "best.pt"), load_checkpoint(own / "run" / "best.pt")
    assert [head.name for head in after.heads] == ["mine", *(head.name for head in before.heads)]
    assert after.classes == ("calm", "glad")
    generator = np.random.default_rng(9)
    faces = torch.from_numpy(np.stack([make_face(label, generator) for label in (0, 1, 0, 1, 3)]))
    logits = predict_logits(after.network(), faces)
    assert torch.allclose(logits[:, 2:], predict_logits(before.network(), faces), atol=1e-5)
    assert logits[:4, :2].argmax(1).tolist() == [0, 1, 0, 1]


def test_the_stored_accuracy_is_that_of_faces_that_were_not_learned(own: Path) -> None:
    metrics = json.loads((own / "run" / "metrics.json").read_text())
    schema = json.loads((Path(__file__).parents[3] / "docs" / "schemas" / "metrics.schema.json").read_text())
    jsonschema.validate(metrics, schema)
    assert metrics.keys() <= schema["properties"].keys()
    assert (metrics["images"], metrics["split"], metrics["head"]) == (20, "cross-validation, 5 folds", "mine")
    assert sum(map(sum, metrics["confusion"])) == 20 and metrics["accuracy"] >= 0.9
    low, high = metrics["accuracy_interval"]
    assert 0.5 < low < metrics["accuracy"] <= high <= 1
    assert (own / "run" / "confusion.png").stat().st_size > 1000
    assert load_checkpoint(own / "run" / "best.pt").head("mine").metrics["accuracy"] == metrics["accuracy"]


def test_no_score_of_faces_that_were_learned_from_passes_for_one_of_others(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_fer_train("evaluate", own / "run" / "best.pt", "--data", own / "faces") == 0
    says = "the head mine has learned from all faces of its data, and faces has no test faces"
    assert says in capsys.readouterr().err
    assert run_fer_train("evaluate", own / "run" / "best.pt", "--data", own / "faces", "--head", "faces") == 1
    write_images(own / "others" / "train", ("calm", "glad"), count=3, seed=3)
    write_images(own / "others" / "test", ("calm", "glad"), count=3, seed=4)
    assert run_fer_train("evaluate", own / "run" / "best.pt", "--data", own / "others") == 0
    assert "has learned" not in capsys.readouterr().err


def test_a_test_folder_measures_and_is_not_learned(trained: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "faces" / "train", ("calm", "glad"), count=6)
    write_images(tmp_path / "faces" / "test", ("glad", "calm"), count=3, seed=1)  # the wrong way round
    checkpoint = trained / "run" / "best.pt"
    arguments = ["--data", tmp_path / "faces", "--name", "mine", "--checkpoint", checkpoint, "--out", tmp_path / "run"]
    assert run_fer_train("head", *arguments) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["images"], metrics["split"], metrics["accuracy"]) == (6, "PublicTest", 0.0)


def test_copies_are_in_one_fold_and_those_in_several_classes_are_noted(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copied face would be its own test."""
    root = tmp_path / "own"
    noise = np.random.default_rng(0).integers(0, 255, (12, 48, 48), dtype=np.uint8)
    for label in ("calm", "glad"):
        (root / label).mkdir(parents=True)
    for number, face in enumerate(noise):  # nothing to learn: only copies could be known again
        for copy in "xy":
            (root / ("calm", "glad")[number % 2] / f"{copy}{number}.png").write_bytes(encoded(face))
    (root / "glad" / "z.png").write_bytes(encoded(noise[0]))
    data = read_faces(root)
    names = _names(data)
    assert len(set(names)) == len(noise)
    folds, together = make_folds(data.labels, names)
    assert together
    assert len(set(zip(folds.tolist(), names, strict=True))) == len(noise), "a fold per face and its copies"
    checkpoint, out = trained / "run" / "best.pt", tmp_path / "run"
    arguments = ["--data", root, "--name", "mine", "--checkpoint", checkpoint, "--out", out]
    assert run_fer_train("head", *arguments) == 0
    assert "note: 1 face is in more than one class: keep each in one" in capsys.readouterr().err


def test_names_without_people_are_noted(own: Path) -> None:
    report = html.unescape((own / "run" / "report.html").read_text(encoding="utf-8"))
    assert "no file is named PERSON_NUMBER: if several faces are one person's, expect less on people" in report


def test_faces_of_one_person_are_noted_in_the_report_too(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_images(tmp_path / "own", ("calm", "glad"), count=4)
    for file in list(root.rglob("*.png")):
        file.rename(file.with_name(f"ann_{file.name}"))
    checkpoint, out = trained / "run" / "best.pt", tmp_path / "run"
    arguments = ["--data", root, "--name", "mine", "--checkpoint", checkpoint, "--out", out]
    assert run_fer_train("head", *arguments) == 0
    note = "a person's faces are on both sides of the cross-validation"
    assert note in capsys.readouterr().err
    assert note in html.unescape((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("count", "options", "code", "message"), [
    (10, ["--name", "My Head"], 2, "use a-z, 0-9, _ and -"),
    (2, ["--name", "mine"], 1, "too few faces to learn from (2 of calm, 2 of glad): 4 of each class are needed"),
    (10, ["--name", "faces"], 1, "has a head faces already: give another --name"),
    (10, ["--name", "mine", "--checkpoint", "none.pt"], 1, "none.pt is not a file"),
])  # fmt: skip
def test_what_can_not_work_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int, options: list[str], code: int,
    message: str,
) -> None:  # fmt: skip
    write_images(tmp_path / "own", ("calm", "glad"), count=count)
    arguments = ["--data", tmp_path / "own", "--checkpoint", trained / "run" / "best.pt", *options]
    assert run_fer_train("head", *arguments, "--out", tmp_path / "run") == code
    assert message in one_line(capsys)
    assert not (tmp_path / "run" / "best.pt").exists()


def test_a_person_is_in_one_fold() -> None:
    names = [f"{label}/{person}_{number:04}.png" for label in "ab" for person in "pqrstuvwxyz" for number in (1, 2)]
    labels = np.repeat([0, 1], 22)
    folds, together = make_folds(labels, names)
    assert together and set(folds) == set(range(5))
    owners = [person_of(Path(name).stem) for name in names]
    folds_of = {person: {int(fold) for fold, owner in zip(folds, owners, strict=True) if owner == person}
                for person in "pqrstuvwxyz"}  # fmt: skip
    assert all(len(each) == 1 for each in folds_of.values())


def test_one_person_s_neighboring_frames_stay_together() -> None:
    names = [f"{label}/clip_1_{number:04}.png" for label in "ab" for number in range(8)]
    folds, together = make_folds(np.repeat([0, 1], 8), names)
    assert not together
    assert folds.tolist() == 2 * [0, 0, 1, 1, 2, 3, 3, 4]


def test_logistic_regression_separates_what_is_separable_and_ignores_scale() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [40, 10, 10])
    points = np.eye(3)[labels] * 3 + generator.normal(0, 0.3, (60, 3)) + 100
    features = torch.tensor(points[None] * [1, 100, 0.01], dtype=torch.float32)
    head = fit_head(features, labels, 3, decay=1e-2)
    probabilities = softmax(head.logits(features[0]))
    assert (probabilities.argmax(1) == labels).all()
