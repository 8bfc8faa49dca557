"""Runs learn, repeat, and survive interruption."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fer_edge.errors import ModelError
from fer_train.data import FaceData
from fer_train.networks import NETWORKS, Network, Recipe
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint
from fer_train.networks.inference import predict_logits
from fer_train.training import batches
from fer_train.training import trainer as training
from fer_train.training.augment import NO_AUGMENTATION, parse_augmentation
from fer_train.training.distributed import Shard
from fer_train.training.ema import WeightAverage
from fer_train.training.trainer import EpochRecord, RunningMeans, Trainer, TrainOptions

from ..conftest import face_data

OPTIONS = TrainOptions(model="edgeresnet", epochs=3, recipe=Recipe("adamw", learning_rate=3e-3, batch_size=16), seed=1)


class StoppedError(Exception):
    """Breaks a run off, as a signal would."""


def _run(
    data: FaceData, options: TrainOptions, out: Path, stop_at: int | None = None, resume: bool = False, **more: Any
) -> Trainer:
    """Train in `out`; `stop_at` breaks it off in the middle, after that many steps."""
    out.mkdir(exist_ok=True)
    trainer = Trainer(data, options, out, **more)
    if resume:
        trainer.resume()
    steps = 0

    def on_step(_step: int, _means: RunningMeans) -> None:
        nonlocal steps
        steps += 1
        if steps == stop_at:
            raise StoppedError

    trainer.run(on_step, lambda _record, _is_best: None)
    return trainer


def _equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _rows(history: list[EpochRecord]) -> list[EpochRecord]:
    return [replace(record, seconds=0) for record in history]


@pytest.fixture(scope="module")
def data() -> FaceData:
    return face_data(train=12, test=3)


@pytest.fixture(scope="module")
def unbroken(data: FaceData, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return _run(data, OPTIONS, tmp_path_factory.mktemp("unbroken"))


def test_a_run_learns_separable_faces(unbroken: Trainer) -> None:
    assert unbroken.best_accuracy > 0.6  # chance is 1/7
    assert unbroken.history[-1].train_loss < unbroken.history[0].train_loss


def test_the_best_epoch_is_what_is_kept(unbroken: Trainer, data: FaceData) -> None:
    best = load_checkpoint(unbroken.out / "best.pt")
    accuracies = [record.test_accuracy for record in unbroken.history]
    assert best.metrics["accuracy"] == max(accuracies)
    assert best.metrics["epoch"] == accuracies.index(max(accuracies)) + 1
    test = data.split("PublicTest")
    logits = predict_logits(best.network(), torch.from_numpy(test.images))
    assert float((logits.argmax(1).numpy() == test.labels).mean()) == max(accuracies)
    assert best.temperature == best.metrics["temperature"] > 0


def test_a_resumed_run_equals_an_unbroken_one(unbroken: Trainer, data: FaceData, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        _run(data, OPTIONS, tmp_path, stop_at=9)  # of 6 steps an epoch: in the middle of the second
    resumed = _run(data, OPTIONS, tmp_path, resume=True)
    assert _rows(resumed.history) == _rows(unbroken.history)
    assert _equal(resumed.network.state_dict(), unbroken.network.state_dict())
    best, expected = (load_checkpoint(trainer.out / "best.pt") for trainer in (resumed, unbroken))
    assert _equal(best.state_dict, expected.state_dict)
    assert best.metrics == expected.metrics


def test_a_worse_epoch_does_not_replace_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = face_data(train=1, test=2)
    right = torch.eye(7).repeat(2, 1) * 5
    answers = [right.roll(1, 0), right, right.roll(2, 0)]  # all wrong, all right, all wrong
    monkeypatch.setattr(training, "predict_logits", lambda *_: answers.pop(0))
    trainer = _run(data, OPTIONS, tmp_path)
    assert [record.test_accuracy for record in trainer.history] == [0, 1, 0]
    assert load_checkpoint(tmp_path / "best.pt").metrics["epoch"] == 2


def test_every_epoch_sees_every_face_once_and_in_another_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = face_data(train=2, test=1)
    seen: list[int] = []
    apply = batches.apply

    def watched(images: Tensor, *rest: Any) -> Tensor:
        seen.extend(images.flatten(1).sum(dim=1, dtype=torch.int64).tolist())
        return apply(images, *rest)

    monkeypatch.setattr(batches, "apply", watched)
    _run(data, replace(OPTIONS, epochs=2, recipe=Recipe(batch_size=4, learning_rate=1e-3)), tmp_path)
    expected = data.split("Training").images.reshape(14, -1).sum(axis=1, dtype="int64").tolist()
    assert sorted(seen[:14]) == sorted(seen[14:]) == sorted(expected)
    assert seen[:14] != seen[14:]
    assert seen[:14] != expected


def test_the_same_seed_repeats_bit_for_bit_and_another_does_not(data: FaceData, tmp_path: Path) -> None:
    first, same, other = (
        _run(data, replace(OPTIONS, epochs=1, seed=seed), tmp_path / name).average.state_dict()
        for name, seed in (("first", 1), ("same", 1), ("other", 2))
    )
    assert _equal(same, first)
    assert not _equal(other, first)


def test_nothing_is_left_beside_the_results(unbroken: Trainer) -> None:
    assert sorted(path.name for path in unbroken.out.iterdir()) == ["best.pt", "last.pt"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": 5}, "epochs 3, now 5"),
        ({"seed": 9}, "seed 1, now 9"),
        ({"recipe": replace(OPTIONS.recipe, batch_size=8)}, "batch_size 16, now 8"),
        ({"augmentation": NO_AUGMENTATION}, "rotation_deg 15.0, now 0; .*erase 0.5, now 0"),
        ({"model": "cnn4"}, "model edgeresnet, now cnn4"),
    ],
)
def test_resuming_with_other_options_names_them(
    unbroken: Trainer, data: FaceData, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ModelError, match=rf"last\.pt was trained with other options \({told}\): give the same"):
        Trainer(data, replace(OPTIONS, **changes), unbroken.out).resume()


def test_resuming_with_other_data_or_votes_is_refused(unbroken: Trainer) -> None:
    with pytest.raises(ModelError, match=r"other data \(84 training faces, now 70\)"):
        Trainer(face_data(train=10, test=3), OPTIONS, unbroken.out).resume()
    with pytest.raises(ModelError, match="was trained without --ferplus"):
        Trainer(face_data(train=12, test=3, votes=True), OPTIONS, unbroken.out).resume()


def test_resuming_from_what_is_no_training_state_is_refused(unbroken: Trainer, data: FaceData, tmp_path: Path) -> None:
    trainer = Trainer(data, OPTIONS, tmp_path)
    state = (unbroken.out / "last.pt").read_bytes()
    (tmp_path / "last.pt").write_bytes(state[: len(state) // 2])
    with pytest.raises(ModelError, match="is not a checkpoint, or is damaged: train anew with --overwrite"):
        trainer.resume()
    torch.save({"epoch": 3}, tmp_path / "last.pt")
    with pytest.raises(ModelError, match="is not the state of a training run: train anew with --overwrite"):
        trainer.resume()


def test_a_finished_run_has_nothing_left_to_train(unbroken: Trainer, data: FaceData) -> None:
    before = (unbroken.out / "best.pt").read_bytes()
    resumed = _run(data, OPTIONS, unbroken.out, stop_at=1, resume=True)
    assert len(resumed.history) == 3
    assert (unbroken.out / "best.pt").read_bytes() == before


@pytest.mark.parametrize("name", NETWORKS)
def test_a_face_left_over_for_the_last_batch_does_no_harm(name: str, tmp_path: Path) -> None:
    data = face_data(train=1, test=1)  # 7 faces
    options = replace(OPTIONS, model=name, epochs=1, recipe=Recipe(batch_size=3, learning_rate=1e-3))
    trainer = _run(data, options, tmp_path)
    assert trainer.steps_per_epoch == 2
    assert len(trainer.history) == 1


@pytest.mark.parametrize(("epochs", "batch_size"), [(1, 7), (1, 3), (2, 4), (4, 7), (1, 64)])
def test_runs_of_very_few_steps_have_a_schedule(epochs: int, batch_size: int, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=epochs, recipe=Recipe(batch_size=batch_size, learning_rate=1e-3))
    trainer = _run(face_data(train=1, test=1), options, tmp_path)
    assert len(trainer.history) == epochs
    assert trainer.schedule.last_epoch == epochs * trainer.steps_per_epoch


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing(data: FaceData, tmp_path: Path) -> None:
    trainer = Trainer(data, replace(OPTIONS, epochs=10), tmp_path)
    rates = []
    for _ in range(10 * trainer.steps_per_epoch):
        rates.append(trainer.schedule.get_last_lr()[0])
        trainer.optimizer.step()
        trainer.schedule.step()
    peak = rates.index(max(rates))
    assert rates[peak] == pytest.approx(OPTIONS.recipe.learning_rate, rel=0.02)
    assert 10 <= peak <= 13  # a fifth of 60 steps
    assert rates[-1] < 0.01 * OPTIONS.recipe.learning_rate


def test_a_loss_that_is_not_finite_ends_the_run_with_advice(data: FaceData, tmp_path: Path) -> None:
    options = replace(OPTIONS, recipe=Recipe("sgd", learning_rate=1e30, batch_size=16))
    with pytest.raises(ModelError, match=r"the loss is not finite at step 2 of epoch 1: .* lower --lr than 1e\+30"):
        _run(data, options, tmp_path)
    assert not list(tmp_path.iterdir())


def test_ferplus_votes_teach_and_leave_no_trace_in_the_network(unbroken: Trainer, tmp_path: Path) -> None:
    trainer = _run(face_data(train=12, test=3, votes=True), OPTIONS, tmp_path)
    best = load_checkpoint(tmp_path / "best.pt")
    assert best.options["ferplus"] is True
    assert best.state_dict.keys() == load_checkpoint(unbroken.out / "best.pt").state_dict.keys()
    assert not _equal(trainer.network.state_dict(), unbroken.network.state_dict())
    assert trainer.best_accuracy > 0.6


def test_test_faces_that_stand_in_training_are_counted_apart(tmp_path: Path) -> None:
    data = face_data(train=3, test=3)
    images = data.images.copy()
    images[21:28] = images[:7]  # the first test face of every class is its first training face
    trainer = _run(replace(data, images=images), replace(OPTIONS, epochs=1), tmp_path)
    metrics = load_checkpoint(trainer.out / "best.pt").metrics
    assert metrics["images"] == 21
    assert metrics["images_deduplicated"] == 14


def test_running_means_weigh_faces_alike_and_tell_the_first_bad_step() -> None:
    means = RunningMeans(torch.device("cpu"))
    means.add(1, torch.tensor(3.0), torch.eye(3), torch.eye(3)[[0, 1, 0]])
    means.add(2, torch.tensor(5.0), torch.eye(3)[:1], torch.eye(3)[:1])
    assert means.read() == (pytest.approx((3 + 5) / 4), pytest.approx(3 / 4))
    assert means.first_bad_step(Shard()) is None
    for step, loss in enumerate([1.0, float("nan"), float("inf")], start=3):
        means.add(step, torch.tensor(loss), torch.eye(3), torch.eye(3))
    assert means.first_bad_step(Shard()) == 4


@pytest.fixture(scope="module")
def teacher(unbroken: Trainer) -> Checkpoint:
    return load_checkpoint(unbroken.out / "best.pt")


EVERYTHING = replace(
    OPTIONS, model="edgeresnet-small", mixup=1.0, augmentation=parse_augmentation("strong,blur=0.5"),
    class_weights="sqrt", balanced_sampling=True, teachers=("abc",), patience=2, ema_decay=0.9,
)  # fmt: skip


@pytest.mark.parametrize("save_every", [1, 2])
def test_a_resumed_run_equals_an_unbroken_one_with_every_option(
    teacher: Checkpoint, tmp_path: Path, save_every: int
) -> None:
    data, extra = face_data(train=12, test=3, votes=True), np.full((10, 48, 48), 77, np.uint8)
    options = replace(EVERYTHING, save_every=save_every)
    more: dict[str, Any] = {"teachers": [teacher, teacher], "unlabelled": extra}
    whole = _run(data, options, tmp_path / "whole", **more)
    stop_at = whole.steps_per_epoch * 2 + 2
    with pytest.raises(StoppedError):
        _run(data, options, tmp_path / "broken", stop_at=stop_at, **more)
    resumed = _run(data, options, tmp_path / "broken", resume=True, **more)
    assert _rows(resumed.history) == _rows(whole.history)
    assert _equal(resumed.student.state_dict(), whole.student.state_dict())
    best, expected = (load_checkpoint(trainer.out / "best.pt") for trainer in (resumed, whole))
    assert _equal(best.state_dict, expected.state_dict)


def test_a_student_learns_from_teachers_alone(teacher: Checkpoint, data: FaceData, tmp_path: Path) -> None:
    options = replace(OPTIONS, model="edgeresnet-small", epochs=8, distill_weight=1.0, teachers=("abc",))
    wrong = replace(data, labels=(data.labels + (data.usage == "Training")) % 7)  # what the labels say is nonsense
    taught = _run(wrong, options, tmp_path, teachers=[teacher])
    assert taught.best_accuracy > 0.5  # the labels would lead to 0


def test_unlabelled_faces_teach_what_the_teachers_say(teacher: Checkpoint, data: FaceData, tmp_path: Path) -> None:
    few = data.rows((data.usage == "PublicTest") | (np.arange(len(data)) < 7))
    extra = data.split("Training").images[7:]
    options = replace(OPTIONS, model="edgeresnet-small", epochs=6, teachers=("abc",))
    with_them = _run(few, options, tmp_path / "with", teachers=[teacher], unlabeled=extra)
    without = _run(few, options, tmp_path / "without", teachers=[teacher])
    assert with_them.best_accuracy > max(0.5, without.best_accuracy)


def test_the_teacher_sees_what_the_student_sees(teacher: Checkpoint, data: FaceData, tmp_path: Path) -> None:
    seen: dict[str, list[Tensor]] = {"student": [], "teacher": []}
    options = replace(EVERYTHING, epochs=1)
    trainer = Trainer(data, options, tmp_path, teachers=[teacher])
    for name, module in (("student", trainer.student), ("teacher", trainer._teach)):
        assert isinstance(module, torch.nn.Module)
        module.register_forward_pre_hook(lambda _module, inputs, name=name: seen[name].append(inputs[0].clone()))
    trainer.run(lambda _step, _means: None, lambda _record, _is_best: None)
    assert len(seen["student"]) == len(seen["teacher"]) == trainer.steps_per_epoch
    assert all(torch.equal(one, two) for one, two in zip(seen["student"], seen["teacher"], strict=True))


def _answering(accuracies: list[float], monkeypatch: pytest.MonkeyPatch) -> FaceData:
    """A data set whose ten test faces are answered with these accuracies, epoch by epoch."""
    data = face_data(train=1, test=10).rows(np.arange(77) % 7 == 0)  # one class only, 1 and 10 faces
    data = replace(data, images=data.images.repeat(2, 0), labels=data.labels.repeat(2), usage=data.usage.repeat(2))
    answers = [torch.eye(7)[[0] * round(20 * part) + [1] * (20 - round(20 * part))] for part in accuracies]
    monkeypatch.setattr(training, "predict_logits", lambda *_: answers.pop(0))
    return data


def test_patience_ends_a_run_that_gets_no_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = replace(OPTIONS, epochs=10, patience=2, save_every=100)
    data = _answering([0.1, 0.5, 0.5, 0.6, 0.6, 0.2], monkeypatch)
    trainer = _run(data, options, tmp_path)
    assert [record.test_accuracy for record in trainer.history] == [0.1, 0.5, 0.5, 0.6, 0.6, 0.2]
    assert trainer.stopped_early
    resumed = _run(data, options, tmp_path, resume=True)
    assert len(resumed.history) == 6, "the end is saved, and stays the end"


def test_patience_that_lasts_to_the_end_is_no_early_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = _run(_answering([0.5, 0.1, 0.1], monkeypatch), replace(OPTIONS, epochs=3, patience=2), tmp_path)
    assert len(trainer.history) == 3
    assert not trainer.stopped_early


def test_a_loss_that_breaks_down_later_leaves_the_last_good_epoch(data: FaceData, tmp_path: Path) -> None:
    trainer = Trainer(data, OPTIONS, tmp_path)
    loss_sum, calls = trainer._loss_sum, 0

    def breaking(*arguments: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return loss_sum(*arguments) * (float("nan") if calls == 9 else 1)

    trainer._loss_sum = breaking  # type: ignore[method-assign]
    with pytest.raises(ModelError, match=r"not finite at step 3 of epoch 2: .* keeps what epoch 1 left; train anew"):
        trainer.run(lambda _step, _means: None, lambda _record, _is_best: None)
    assert calls == 9, "it stops at the step"
    kept = load_checkpoint(tmp_path / "best.pt")
    assert kept.metrics["epoch"] == 1
    assert all(value.isfinite().all() for value in kept.state_dict.values())
    resumed = Trainer(data, OPTIONS, tmp_path)
    resumed.resume()
    assert len(resumed.history) == 1


def test_resuming_with_other_classes_or_unlabelled_faces_is_refused(unbroken: Trainer, data: FaceData) -> None:
    other = replace(data, classes=tuple(reversed(data.classes)))
    with pytest.raises(ModelError, match="was trained on other classes"):
        Trainer(other, OPTIONS, unbroken.out).resume()
    with pytest.raises(ModelError, match=r"other data \(0 unlabelled faces, now 3\)"):
        Trainer(data, OPTIONS, unbroken.out, unlabeled=data.images[:3]).resume()


def test_a_run_may_start_from_given_weights(teacher: Checkpoint, data: FaceData, tmp_path: Path) -> None:
    def load(network: Network) -> None:
        network.load_state_dict(dict(teacher.state_dict))

    trainer = Trainer(data, OPTIONS, tmp_path, initial=load)
    assert _equal(trainer.network.state_dict(), teacher.state_dict)
    assert _equal(trainer.average.state_dict(), teacher.state_dict)


def test_the_average_follows_weights_and_copies_counters() -> None:
    network, average = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    averaging = WeightAverage(average, network, decay=0.9)
    with torch.no_grad():
        network.weight.fill_(11.0)
        network.num_batches_tracked.fill_(5)
    averaging.update(step=10_000)
    assert average.weight.tolist() == pytest.approx([2.0, 2.0])  # 0.9 * 1 + 0.1 * 11
    assert int(average.num_batches_tracked) == 5
    averaging.update(step=0)  # at first it follows closely: decay (1 + 0) / (10 + 0)
    assert average.weight.tolist() == pytest.approx([10.1, 10.1])
