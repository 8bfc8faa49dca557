"""A run with several heads: what each learns, is measured against, and is taught."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fer_edge.errors import DataError, ModelError
from fer_train.data import FER2013_CLASSES, FERPLUS_CLASSES, FERPLUS_COLUMNS, FaceData
from fer_train.evaluation.metrics import fit_temperature
from fer_train.evaluation.truths import Truth, head_metrics, head_score
from fer_train.networks import Network
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint
from fer_train.networks.inference import predict_logits
from fer_train.training.distillation import TeacherEnsemble, load_teachers, taught_by
from fer_train.training.targets import measured_faces, training_set
from fer_train.training.trainer import Trainer

from ..conftest import face_data
from .conftest import OPTIONS, StoppedError, run, same_tensors, without_times

HEADS = {"people": 1.0, "ferplus": 1.0, "mine": 1.5}
COLUMN = [FERPLUS_COLUMNS.index(name) for name in
          ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")]  # fmt: skip


def voted(train: int, test: int, seed: int = 0, shift: int = 0) -> FaceData:
    """Drawn faces with 8 votes for the label's next class (`shift`), one for contempt and 2 for unknown."""
    data = face_data(train, test, seed)
    votes = np.zeros((len(data), 10), np.float32)
    votes[np.arange(len(data)), np.array(COLUMN)[(data.labels + shift) % 7]] = 8
    votes[:, FERPLUS_COLUMNS.index("contempt")], votes[:, FERPLUS_COLUMNS.index("unknown")] = 1, 2
    return replace(data, votes=votes)


def faces_of(columns: dict[str, int], usage: str = "Training") -> FaceData:
    """Faces labeled with the classes `columns`, as many of each, all of one split."""
    labels = np.repeat(np.arange(len(columns)), list(columns.values()))
    images = np.random.default_rng(5).integers(0, 256, (len(labels), 48, 48)).astype(np.uint8)
    return FaceData(images, labels, np.full(len(labels), usage), tuple(columns), Path("people"))


def joined(first: FaceData, second: FaceData) -> FaceData:
    pairs = {
        name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("images", "labels", "usage")
    }
    return replace(first, **pairs)


@pytest.fixture(scope="module")
def people() -> FaceData:
    return joined(
        faces_of({"happy": 16, "sad": 4, "contempt": 1}), faces_of({"happy": 3, "sad": 2, "contempt": 1}, "PublicTest")
    )


def test_each_head_has_its_targets(people: FaceData) -> None:
    data = voted(train=1, test=1, shift=1)
    lessons = training_set(data, HEADS, people=people, people_weight=0.25)
    assert len(lessons.images) == len(lessons.labels) == 7 + 21
    assert (lessons.labels[7:] == -1).all()
    said, votes, mine = lessons.heads
    assert (said.classes, votes.classes, mine.classes) == (FER2013_CLASSES, FERPLUS_CLASSES, FER2013_CLASSES)
    eye = np.eye(7, dtype=np.float32)
    assert np.array_equal(mine.targets[:7], eye)
    assert not mine.targets[7:].any(), "the labels of people are none of this data set's"
    assert np.array_equal(votes.targets[:7, :7], np.roll(eye, 1, axis=1)), "a single vote and unknown don't count"
    assert np.allclose(said.targets[:7], 0.2 * eye + 0.8 * np.roll(eye, 1, axis=1))
    weights = np.array([16.0, 4, 1]) ** -0.5
    weights *= 0.25 * 21 / (weights * [16, 4, 1]).sum()
    happy, sad, contempt = (votes.classes.index(name) for name in ("happy", "sad", "contempt"))
    rows = votes.targets[7:]
    assert rows.sum() == pytest.approx(0.25 * 21)
    assert rows[:16, happy].tolist() == pytest.approx([weights[0]] * 16)
    assert rows[16:20, sad].tolist() == pytest.approx([weights[1]] * 4)
    assert rows[20, contempt] == pytest.approx(weights[2])
    assert np.allclose(said.targets[7:, happy], rows[:, happy])
    assert not said.targets[27].any(), "people has no contempt"
    assert (mine.weight, mine.is_labels, votes.is_labels) == (1.5, True, False)


def test_each_head_has_its_truths(people: FaceData) -> None:
    data = voted(train=1, test=2, shift=1)
    assert data.votes is not None
    data.votes[-1] = 2  # no majority
    lessons = training_set(data, HEADS, people=people)
    said, votes, mine = lessons.heads
    assert len(lessons.test_images) == 14 + 6
    (label,) = mine.truths
    assert label.labels.tolist() == data.labels[7:].tolist()
    (majority,) = votes.truths
    assert majority.description == "FER+ majorities of PublicTest"
    assert majority.rows.tolist() == list(range(13))
    assert majority.labels.tolist() == [(value + 1) % 7 for value in data.labels[7:20]]
    also, kept = said.truths
    assert also.rows.tolist() == majority.rows.tolist()
    assert kept.description == "faces of people kept aside"
    assert kept.rows.tolist() == [14, 15, 16, 17, 18], "contempt is no class of this head"
    assert kept.by_class
    measured = measured_faces(data, said)
    assert measured.labels.tolist() == also.labels.tolist()
    assert measured.classes == FER2013_CLASSES
    assert np.array_equal(measured.images, lessons.test_images[also.rows])
    assert measured_faces(data, mine) is data


def test_by_default_there_is_a_head_per_source() -> None:
    assert [head.name for head in training_set(face_data(1, 1)).heads] == ["faces"]
    labels, votes = training_set(voted(1, 1), ferplus_weight=2.0).heads
    assert (labels.name, labels.weight, votes.name, votes.weight) == ("faces", 1.0, "ferplus", 2.0)
    named = replace(voted(1, 1), path=Path("ferplus.csv"))
    assert [head.name for head in training_set(named).heads] == ["labels", "ferplus"]


def test_votes_that_say_nothing_are_refused() -> None:
    data = voted(1, 1)
    with pytest.raises(DataError, match=r"the votes on faces\.csv leave the head ferplus nothing to learn"):
        training_set(replace(data, votes=np.ones((14, 10), np.float32)))
    votes = np.where(data.usage[:, None] == "Training", data.votes, 1)
    with pytest.raises(DataError, match="nothing to be measured against in PublicTest"):
        training_set(replace(data, votes=votes))


def test_people_need_both_parts_and_known_classes(people: FaceData) -> None:
    data = voted(1, 1)
    with pytest.raises(DataError, match=r"people needs faces to train on and faces kept aside"):
        training_set(data, HEADS, people=people.split("Training"))
    with pytest.raises(DataError, match=r"has the class bored, but a head on votes was trained on angry, .*contempt"):
        training_set(data, HEADS, people=joined(faces_of({"bored": 2}), faces_of({"bored": 2}, "PublicTest")))


def test_the_mean_recall_leaves_out_classes_of_few_faces() -> None:
    logits = np.eye(3)[[0] * 5 + [1] * 5 + [1] * 10 + [0] * 2]
    labels = np.array([0] * 10 + [1] * 10 + [2] * 2)  # recalls of 0.5, 1 and 0
    rows = np.arange(22)
    assert Truth("", rows, labels, by_class=True).score(logits) == pytest.approx(0.75)
    assert Truth("", rows, labels).score(logits) == pytest.approx(15 / 22)
    few = np.r_[8:10, 20:22]  # none has ten faces: all count
    assert Truth("", few, labels[few], by_class=True).score(logits) == 0
    assert head_score(logits, [Truth("", rows, labels), Truth("", rows, labels, True)]) == pytest.approx(
        (15 / 22 + 0.75) / 2
    )


def test_two_truths_weigh_the_same_in_the_temperature() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(220, 3)) * 3
    easy, hard = logits[:200].argmax(1), rng.integers(0, 3, 20)
    truths = [Truth("many", np.arange(200), easy), Truth("few", np.arange(200, 220), hard)]
    is_new = np.arange(220) % 2 == 0
    metrics = head_metrics(logits, truths, ("a", "b", "c"), is_new)
    repeated = np.r_[np.arange(200), np.tile(np.arange(200, 220), 10)]
    expected = fit_temperature(logits[repeated], np.concatenate([easy, hard])[repeated])
    assert metrics["temperature"] == pytest.approx(expected, rel=1e-3)
    first, second = metrics["truths"]
    assert (first["truth"], first["images"], second["truth"], second["images"]) == ("many", 200, "few", 20)
    assert first["temperature_weight"] == second["temperature_weight"] == 0.5
    assert metrics["accuracy"] == first["accuracy"] == 1
    assert second["images_deduplicated"] == 10


@pytest.fixture(scope="module")
def with_heads(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A finished run whose votes are for the class after the label."""
    data = voted(train=12, test=3, shift=1)
    options = replace(OPTIONS, heads={"ferplus": 1.0, "faces": 1.0}, epochs=5)
    return run(data, options, tmp_path_factory.mktemp("heads"))


def test_heads_learn_different_answers_for_the_same_faces(with_heads: Trainer) -> None:
    best = load_checkpoint(with_heads.out / "best.pt")
    assert [head.name for head in best.heads] == ["ferplus", "faces"]
    votes, labels = best.heads
    assert (votes.classes, labels.classes) == (FERPLUS_CLASSES, FER2013_CLASSES)
    assert votes.truth == "FER+ majorities of PublicTest"
    assert labels.truth == "labels of PublicTest"
    data = voted(train=12, test=3, shift=1).split("PublicTest")
    logits = predict_logits(best.network(), torch.from_numpy(data.images)).numpy()
    for head, truth in ((votes, (data.labels + 1) % 7), (labels, data.labels)):
        accuracy = float((logits[:, best.columns(head.name)].argmax(1) == truth).mean())
        assert head.metrics["accuracy"] == pytest.approx(accuracy)
        assert accuracy > 0.5
        assert head.temperature == head.metrics["temperature"] > 0
    epoch = with_heads.history[best.metrics["epoch"] - 1]
    assert epoch.test_accuracy == pytest.approx((votes.metrics["accuracy"] + labels.metrics["accuracy"]) / 2)
    assert with_heads.best_accuracy == max(record.test_accuracy for record in with_heads.history)


def test_a_resumed_run_with_heads_and_teachers_equals_an_uninterrupted_one(with_heads: Trainer, tmp_path: Path) -> None:
    teacher = load_checkpoint(with_heads.out / "best.pt")
    people = joined(faces_of({"happy": 6, "sad": 3}), faces_of({"happy": 3, "sad": 2}, "PublicTest"))
    lessons = training_set(voted(train=4, test=2), {"people": 1.0, "ferplus": 1.0, "faces": 1.5}, people=people)
    options = replace(
        OPTIONS, epochs=3, mixup=0.4, teachers=("abc",), heads={"people": 1.0, "ferplus": 1.0, "faces": 1.5}
    )

    def trained(out: Path, stop_at: int | None, resume: bool) -> Trainer:
        out.mkdir(exist_ok=True)
        trainer = Trainer(lessons, options, out, teachers=[teacher])
        if resume:
            trainer.resume()
        steps = iter(range(1, 100))

        def on_step(*_: Any) -> None:
            if next(steps) == stop_at:
                raise StoppedError

        trainer.run(on_step, lambda *_: None)
        return trainer

    whole = trained(tmp_path / "whole", None, False)
    with pytest.raises(StoppedError):
        trained(tmp_path / "broken", whole.steps_per_epoch + 2, False)
    resumed = trained(tmp_path / "broken", None, True)
    assert without_times(resumed.history) == without_times(whole.history)
    assert same_tensors(resumed.student.state_dict(), whole.student.state_dict())
    assert load_checkpoint(tmp_path / "broken" / "best.pt").heads == load_checkpoint(whole.out / "best.pt").heads


def test_a_run_with_other_heads_is_not_resumed(with_heads: Trainer) -> None:
    data = voted(train=12, test=3, shift=1)
    options = replace(with_heads.options, heads={"faces": 1.0, "ferplus": 1.0})
    with pytest.raises(ModelError, match=r"with other heads \(ferplus, faces; now faces, ferplus\)"):
        Trainer(training_set(data, options.heads), options, with_heads.out).resume()
    options = replace(with_heads.options, heads={"ferplus": 1.0, "faces": 2.0})
    with pytest.raises(ModelError, match=r"with other options \(faces 1.0, now 2.0\)"):
        Trainer(training_set(data, options.heads), options, with_heads.out).resume()


def test_a_teacher_teaches_the_heads_of_its_names(with_heads: Trainer) -> None:
    both = load_checkpoint(with_heads.out / "best.pt")
    student = training_set(voted(1, 1), {"people": 1.0, "ferplus": 1.0, "mine": 1.0}).heads
    ensemble = TeacherEnsemble([both], student, 2.0, amp=False).eval()
    assert ensemble.taught == (1,), "ferplus; the labels' head has another name"
    faces = torch.randn(3, 1, 48, 48)
    (answer,) = ensemble(faces)
    assert torch.allclose(answer, (both.network()(faces)[:, :8] / 2).softmax(1))
    alone = both.only(["faces"])
    assert TeacherEnsemble([alone], student, 2.0, amp=False).taught == (2,), "one head teaches the labels"
    one, two = TeacherEnsemble([alone, both], student, 2.0, amp=False).eval()(faces)
    assert (one.shape, two.shape) == ((3, 8), (3, 7))
    assert taught_by(both.only(["ferplus"]), student[2]) is None


def test_a_teacher_without_a_head_of_the_students_is_refused(with_heads: Trainer) -> None:
    path = with_heads.out / "best.pt"
    student = training_set(voted(1, 1), {"people": 1.0, "mine": 1.0}).heads
    with pytest.raises(ModelError, match=r"--teacher .* has the heads ferplus, faces, none of .* people, mine"):
        load_teachers([path], student)


def test_distillation_changes_only_the_head_that_is_taught(with_heads: Trainer, tmp_path: Path) -> None:
    teacher: Checkpoint = load_checkpoint(with_heads.out / "best.pt").only(["faces"])
    people = joined(faces_of({"happy": 6, "sad": 3}), faces_of({"happy": 3, "sad": 2}, "PublicTest"))
    lessons = training_set(voted(train=2, test=1), {"ferplus": 1.0, "faces": 1.0}, people=people)
    options = replace(OPTIONS, distill_weight=1.0, distill_temperature=2.0, label_smoothing=0.0, teachers=("abc",))
    trainer = Trainer(lessons, options, tmp_path, teachers=[teacher])
    for batch in trainer.batches.epoch(0):
        logits = torch.randn(len(batch.faces), 15, requires_grad=True)
        trainer._loss_sum(batch, logits).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        is_person = batch.soft_targets[:, 8:].sum(1) == 0
        assert torch.equal(batch.taught[:, 1], (~is_person).float())
        assert not logits.grad[is_person, 8:].any(), "teachers say nothing about faces that the head doesn't learn"
        assert logits.grad[~is_person, 8:].any(1).all()
        votes = batch.soft_targets[:, :8]
        expected = logits[:, :8].softmax(1) * votes.sum(1, keepdim=True) - votes
        assert torch.allclose(logits.grad[:, :8], expected, atol=1e-5), "the votes' head learns its targets alone"


def test_quantization_aware_training_with_heads_resumes(with_heads: Trainer, tmp_path: Path) -> None:
    weights = load_checkpoint(with_heads.out / "best.pt").state_dict
    data = voted(train=12, test=3, shift=1)

    def initial(network: Network) -> None:
        network.load_state_dict(dict(weights))

    options = replace(with_heads.options, quantized=True, epochs=2, recipe=replace(OPTIONS.recipe, learning_rate=1e-4))
    tuned = run(data, options, tmp_path / "whole", initial=initial)
    assert tuned.best_accuracy > with_heads.best_accuracy - 0.1
    with pytest.raises(StoppedError):
        run(data, options, tmp_path / "broken", stop_at=9, initial=initial)
    resumed = run(data, options, tmp_path / "broken", resume=True, initial=initial)
    assert same_tensors(resumed.student.state_dict(), tuned.student.state_dict())
    assert [head.name for head in load_checkpoint(tmp_path / "whole" / "best.pt").heads] == ["ferplus", "faces"]
