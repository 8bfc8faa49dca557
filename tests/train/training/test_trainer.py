"""Runs learn, are repeatable, and survive interruption."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fer_edge.errors import ModelError
from fer_train.data import FaceData
from fer_train.network_names import network_names
from fer_train.networks import Network, Recipe
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint
from fer_train.networks.inference import predict_logits
from fer_train.training import batches
from fer_train.training import trainer as training
from fer_train.training.augment import NO_AUGMENTATION, parse_augmentation
from fer_train.training.options import TrainOptions
from fer_train.training.targets import training_set
from fer_train.training.trainer import Trainer

from ..conftest import face_data
from .conftest import OPTIONS, StoppedError, run, same_tensors, without_times


def test_a_run_learns_separable_faces(uninterrupted: Trainer) -> None:
    assert uninterrupted.best_accuracy > 0.6  # chance is 1/7
    assert uninterrupted.history[-1].train_loss < uninterrupted.history[0].train_loss


def test_the_best_epoch_is_kept(uninterrupted: Trainer, data: FaceData) -> None:
    best = load_checkpoint(uninterrupted.out / "best.pt")
    accuracies = [record.test_accuracy for record in uninterrupted.history]
    assert best.metrics["accuracy"] == max(accuracies)
    assert best.metrics["epoch"] == accuracies.index(max(accuracies)) + 1
    test = data.split("PublicTest")
    logits = predict_logits(best.network(), torch.from_numpy(test.images))
    assert float((logits.argmax(1).numpy() == test.labels).mean()) == max(accuracies)
    assert best.temperature == best.metrics["temperature"] > 0


def test_a_resumed_run_equals_an_uninterrupted_one(uninterrupted: Trainer, data: FaceData, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run(data, OPTIONS, tmp_path, stop_at=9)  # in the middle of the second epoch
    resumed = run(data, OPTIONS, tmp_path, resume=True)
    assert without_times(resumed.history) == without_times(uninterrupted.history)
    assert same_tensors(resumed.network.state_dict(), uninterrupted.network.state_dict())
    best, expected = (load_checkpoint(trainer.out / "best.pt") for trainer in (resumed, uninterrupted))
    assert same_tensors(best.state_dict, expected.state_dict)
    assert best.metrics == expected.metrics


@pytest.mark.parametrize(("keep", "kept"), [("best", 2), ("last", 3)])
def test_the_best_epoch_is_kept_or_the_last(
    keep: str, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = face_data(train=1, test=2)
    right = torch.eye(7).repeat(2, 1) * 5
    answers = [right.roll(1, 0), right, right.roll(2, 0)]  # all wrong, all right, all wrong
    monkeypatch.setattr(training, "predict_logits", lambda *_: answers.pop(0))
    trainer = run(data, replace(OPTIONS, epochs=3, keep=keep), tmp_path)
    assert [record.test_accuracy for record in trainer.history] == [0, 1, 0]
    assert trainer.best_accuracy == 1
    best = load_checkpoint(tmp_path / "best.pt")
    assert best.metrics["epoch"] == kept
    assert same_tensors(best.state_dict, trainer.average.state_dict()) == (kept == 3)


def test_every_epoch_has_every_face_once_in_a_different_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = face_data(train=2, test=1)
    seen: list[int] = []
    augment = batches.augment

    def watched(images: Tensor, *others: Any) -> Tensor:
        seen.extend(images.flatten(1).sum(dim=1, dtype=torch.int64).tolist())
        return augment(images, *others)

    monkeypatch.setattr(batches, "augment", watched)
    run(data, replace(OPTIONS, epochs=2, recipe=Recipe(batch_size=4, learning_rate=1e-3)), tmp_path)
    expected = data.split("Training").images.reshape(14, -1).sum(axis=1, dtype="int64").tolist()
    assert sorted(seen[:14]) == sorted(seen[14:]) == sorted(expected)
    assert seen[:14] != seen[14:]
    assert seen[:14] != expected


def test_a_seed_gives_the_same_bits_and_another_seed_does_not(data: FaceData, tmp_path: Path) -> None:
    first, same, other = (
        run(data, replace(OPTIONS, epochs=1, seed=seed), tmp_path / name).average.state_dict()
        for name, seed in (("first", 1), ("same", 1), ("other", 2))
    )
    assert same_tensors(same, first)
    assert not same_tensors(other, first)


def test_nothing_is_left_beside_the_results(uninterrupted: Trainer) -> None:
    assert sorted(path.name for path in uninterrupted.out.iterdir()) == ["best.pt", "last.pt"]


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"epochs": 5}, "epochs 4, now 5"),
        ({"seed": 9}, "seed 1, now 9"),
        ({"recipe": replace(OPTIONS.recipe, batch_size=8)}, "batch_size 16, now 8"),
        ({"augmentation": NO_AUGMENTATION}, "rotation_deg 15.0, now 0; .*erase 0.5, now 0"),
        ({"model": "cnn4"}, "model edgeresnet-small, now cnn4"),
    ],
)
def test_resuming_with_other_options_names_them(
    uninterrupted: Trainer, data: FaceData, changes: dict[str, Any], difference: str
) -> None:
    with pytest.raises(ModelError, match=rf"last\.pt was trained with other options \({difference}\): give the same"):
        Trainer(training_set(data), replace(OPTIONS, **changes), uninterrupted.out).resume()


def test_resuming_with_other_data_or_votes_is_refused(uninterrupted: Trainer) -> None:
    with pytest.raises(ModelError, match=r"other data \(84 training faces, now 70\)"):
        Trainer(training_set(face_data(train=10, test=3)), OPTIONS, uninterrupted.out).resume()
    with pytest.raises(ModelError, match=r"was trained with other heads \(faces; now faces, ferplus\)"):
        Trainer(training_set(face_data(train=12, test=3, votes=True)), OPTIONS, uninterrupted.out).resume()


def test_resuming_from_another_file_is_refused(uninterrupted: Trainer, data: FaceData, tmp_path: Path) -> None:
    trainer = Trainer(training_set(data), OPTIONS, tmp_path)
    state = (uninterrupted.out / "last.pt").read_bytes()
    (tmp_path / "last.pt").write_bytes(state[: len(state) // 2])
    with pytest.raises(ModelError, match="is not a checkpoint, or is damaged: start over with --overwrite"):
        trainer.resume()
    torch.save({"epoch": 3}, tmp_path / "last.pt")
    with pytest.raises(ModelError, match="is not the state of a training run, or is damaged: start over with"):
        trainer.resume()


def test_a_finished_run_resumes_without_training(uninterrupted: Trainer, data: FaceData) -> None:
    before = (uninterrupted.out / "best.pt").read_bytes()
    resumed = run(data, OPTIONS, uninterrupted.out, stop_at=1, resume=True)
    assert len(resumed.history) == 4
    assert (uninterrupted.out / "best.pt").read_bytes() == before


@pytest.mark.parametrize("name", network_names())
def test_a_last_batch_of_one_face_is_left_out(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "save_checkpoint", lambda *_: None)  # the teachers' files are large
    monkeypatch.setattr(training, "save_state", lambda *_: None)
    data = face_data(train=1, test=1)  # 7 faces
    options = replace(OPTIONS, model=name, epochs=1, recipe=Recipe(batch_size=3, learning_rate=1e-3))
    trainer = run(data, options, tmp_path)
    assert trainer.steps_per_epoch == 2
    assert len(trainer.history) == 1


@pytest.mark.parametrize(("epochs", "batch_size"), [(1, 7), (1, 3), (2, 4), (4, 7), (1, 64)])
def test_runs_of_very_few_steps_have_a_schedule(epochs: int, batch_size: int, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=epochs, recipe=Recipe(batch_size=batch_size, learning_rate=1e-3))
    trainer = run(face_data(train=1, test=1), options, tmp_path)
    assert len(trainer.history) == epochs
    assert trainer.schedule.steps == epochs * trainer.steps_per_epoch


def test_the_learning_rate_rises_to_its_peak_and_falls_to_0(data: FaceData, tmp_path: Path) -> None:
    trainer = Trainer(training_set(data), replace(OPTIONS, epochs=10), tmp_path)
    rates = []
    for _ in range(10 * trainer.steps_per_epoch):
        rates.append(trainer.schedule.rate)
        trainer.optimizer.step()
        trainer.schedule.step()
    peak = rates.index(max(rates))
    assert rates[peak] == pytest.approx(OPTIONS.recipe.learning_rate, rel=0.02)
    assert 10 <= peak <= 13  # a fifth of 60 steps
    assert rates[-1] < 0.01 * OPTIONS.recipe.learning_rate


def test_a_loss_that_is_not_finite_ends_the_run_and_says_what_to_do(data: FaceData, tmp_path: Path) -> None:
    options = replace(OPTIONS, recipe=Recipe("sgd", learning_rate=1e30, batch_size=16))
    with pytest.raises(
        ModelError, match=r"the loss is not finite at step 2 of epoch 1: train again with a lower --lr than 1e\+30"
    ):
        run(data, options, tmp_path)
    assert not list(tmp_path.iterdir())


def test_ferplus_votes_change_the_weights_but_not_the_network(uninterrupted: Trainer, tmp_path: Path) -> None:
    trainer = run(face_data(train=12, test=3, votes=True), OPTIONS, tmp_path)
    best = load_checkpoint(tmp_path / "best.pt")
    assert best.options["ferplus"] is True
    assert best.state_dict.keys() == load_checkpoint(uninterrupted.out / "best.pt").state_dict.keys()
    assert not same_tensors(trainer.network.state_dict(), uninterrupted.network.state_dict())
    assert trainer.best_accuracy > 0.6


def test_test_faces_that_are_also_in_training_are_counted_separately(tmp_path: Path) -> None:
    data = face_data(train=3, test=3)
    images = data.images.copy()
    images[21:28] = images[:7]  # the first test face of every class is its first training face
    trainer = run(replace(data, images=images), replace(OPTIONS, epochs=1), tmp_path)
    metrics = load_checkpoint(trainer.out / "best.pt").metrics
    assert metrics["images"] == 21
    assert metrics["images_deduplicated"] == 14


@pytest.fixture(scope="module")
def teacher(uninterrupted: Trainer) -> Checkpoint:
    return load_checkpoint(uninterrupted.out / "best.pt")


EVERYTHING = replace(
    OPTIONS, mixup=1.0, augmentation=parse_augmentation("strong,blur=0.5"),
    class_weights="sqrt", balanced_sampling=True, teachers=("abc",), patience=2, ema_decay=0.9, epochs=3,
)  # fmt: skip


def test_a_resumed_run_equals_an_uninterrupted_one_with_every_option(teacher: Checkpoint, tmp_path: Path) -> None:
    data, extra = face_data(train=6, test=2, votes=True), np.full((10, 48, 48), 77, np.uint8)
    more: dict[str, Any] = {"teachers": [teacher, teacher], "unlabeled": extra}
    whole = run(data, EVERYTHING, tmp_path / "whole", **more)
    expected = load_checkpoint(whole.out / "best.pt").state_dict
    for save_every in (1, 2):
        options, out = replace(EVERYTHING, save_every=save_every), tmp_path / f"every-{save_every}"
        with pytest.raises(StoppedError):
            run(data, options, out, stop_at=whole.steps_per_epoch * 2 + 2, **more)
        resumed = run(data, options, out, resume=True, **more)
        assert without_times(resumed.history) == without_times(whole.history)
        assert same_tensors(resumed.student.state_dict(), whole.student.state_dict())
        assert same_tensors(load_checkpoint(out / "best.pt").state_dict, expected)


def test_a_student_learns_from_teachers_alone(teacher: Checkpoint, data: FaceData, tmp_path: Path) -> None:
    options = replace(OPTIONS, distill_weight=1.0, teachers=("abc",))
    wrong = replace(data, labels=(data.labels + (data.usage == "Training")) % 7)  # what the labels say is nonsense
    taught = run(wrong, options, tmp_path, teachers=[teacher])
    assert taught.best_accuracy > 0.5  # the labels would lead to 0


def test_unlabeled_faces_teach_the_teachers_predictions(teacher: Checkpoint, data: FaceData, tmp_path: Path) -> None:
    few = data.rows((data.usage == "PublicTest") | (np.arange(len(data)) < 7))
    extra = data.split("Training").images[7:]
    options = replace(OPTIONS, epochs=6, teachers=("abc",))
    with_them = run(few, options, tmp_path / "with", teachers=[teacher], unlabeled=extra)
    without = run(few, options, tmp_path / "without", teachers=[teacher])
    assert with_them.best_accuracy > max(0.5, without.best_accuracy)


def test_teacher_and_student_see_the_same_faces(teacher: Checkpoint, data: FaceData, tmp_path: Path) -> None:
    seen: dict[str, list[Tensor]] = {"student": [], "teacher": []}
    options = replace(EVERYTHING, epochs=1)
    trainer = Trainer(training_set(data), options, tmp_path, teachers=[teacher])
    for name, module in (("student", trainer.student), ("teacher", trainer._teacher)):
        assert isinstance(module, torch.nn.Module)
        module.register_forward_pre_hook(lambda _module, inputs, name=name: seen[name].append(inputs[0].clone()))
    trainer.run(lambda _step, _means: None, lambda _record, _is_best: None)
    assert len(seen["student"]) == len(seen["teacher"]) == trainer.steps_per_epoch
    assert all(torch.equal(one, two) for one, two in zip(seen["student"], seen["teacher"], strict=True))


def _answering(accuracies: list[float], monkeypatch: pytest.MonkeyPatch) -> FaceData:
    """A data set on whose twenty test faces the network seems to have these accuracies, epoch by epoch."""
    data = face_data(train=1, test=10).rows(np.arange(77) % 7 == 0)  # one class only, 1 and 10 faces
    data = replace(data, images=data.images.repeat(2, 0), labels=data.labels.repeat(2), usage=data.usage.repeat(2))
    answers = [torch.eye(7)[[0] * round(20 * part) + [1] * (20 - round(20 * part))] for part in accuracies]
    monkeypatch.setattr(training, "predict_logits", lambda *_: answers.pop(0))
    return data


def test_patience_ends_a_run_that_no_longer_improves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = replace(OPTIONS, epochs=10, patience=2, save_every=100)
    data = _answering([0.1, 0.5, 0.5, 0.6, 0.6, 0.2], monkeypatch)
    trainer = run(data, options, tmp_path)
    assert [record.test_accuracy for record in trainer.history] == [0.1, 0.5, 0.5, 0.6, 0.6, 0.2]
    assert trainer.stopped_early
    resumed = run(data, options, tmp_path, resume=True)
    assert len(resumed.history) == 6, "a run that stopped early stays finished"


def test_patience_that_runs_out_in_the_last_epoch_is_no_early_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = run(_answering([0.5, 0.1, 0.1], monkeypatch), replace(OPTIONS, epochs=3, patience=2), tmp_path)
    assert len(trainer.history) == 3
    assert not trainer.stopped_early


def test_a_loss_that_is_not_finite_later_leaves_the_last_good_epoch(data: FaceData, tmp_path: Path) -> None:
    trainer = Trainer(training_set(data), OPTIONS, tmp_path)
    loss_sum, calls = trainer._loss_sum, 0

    def breaking(*arguments: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return loss_sum(*arguments) * (float("nan") if calls == 9 else 1)

    trainer._loss_sum = breaking  # type: ignore[method-assign]
    with pytest.raises(
        ModelError, match=r"not finite at step 3 of epoch 2: .* keeps the state after epoch 1; train again"
    ):
        trainer.run(lambda _step, _means: None, lambda _record, _is_best: None)
    assert calls == 9, "it stops at the step"
    kept = load_checkpoint(tmp_path / "best.pt")
    assert kept.metrics["epoch"] == 1
    assert all(value.isfinite().all() for value in kept.state_dict.values())
    resumed = Trainer(training_set(data), OPTIONS, tmp_path)
    resumed.resume()
    assert len(resumed.history) == 1


def test_resuming_with_other_classes_or_unlabeled_faces_is_refused(uninterrupted: Trainer, data: FaceData) -> None:
    other = replace(data, classes=tuple(reversed(data.classes)))
    with pytest.raises(ModelError, match="was trained on other classes"):
        Trainer(training_set(other), OPTIONS, uninterrupted.out).resume()
    with pytest.raises(ModelError, match=r"other data \(0 unlabeled faces, now 3\)"):
        Trainer(training_set(data), OPTIONS, uninterrupted.out, unlabeled=data.images[:3]).resume()


def test_a_run_may_start_from_given_weights(teacher: Checkpoint, data: FaceData, tmp_path: Path) -> None:
    def load(network: Network) -> None:
        network.load_state_dict(dict(teacher.state_dict))

    trainer = Trainer(training_set(data), OPTIONS, tmp_path, initial=load)
    assert same_tensors(trainer.network.state_dict(), teacher.state_dict)
    assert same_tensors(trainer.average.state_dict(), teacher.state_dict)


def rates_of(trainer: Trainer) -> list[float]:
    return [record.learning_rate for record in trainer.history]


def test_added_epochs_follow_a_new_cosine_and_nothing_before_them_changes(
    uninterrupted: Trainer, data: FaceData, tmp_path: Path
) -> None:
    out = shutil.copytree(uninterrupted.out, tmp_path / "run")
    longer = run(data, OPTIONS.with_epochs(8), out, resume=True)
    assert without_times(longer.history[:4]) == without_times(uninterrupted.history)
    fifth = 0.2 * OPTIONS.recipe.learning_rate
    expected = [fifth * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    assert rates_of(longer)[4:] == pytest.approx(expected)
    assert longer.is_done and longer.options.extended == (4,)
    again = run(data, OPTIONS.with_epochs(8), out, stop_at=1, resume=True)
    assert len(again.history) == 8, "it is done"
    longest = run(data, OPTIONS.with_epochs(8).with_epochs(9), out, resume=True)
    assert rates_of(longest)[8] == pytest.approx(fifth), "epochs added once more start again"


@pytest.mark.parametrize(("first", "stop_at"), [(OPTIONS, 9), (OPTIONS.with_epochs(6), 8)])
def test_where_a_run_with_added_epochs_is_interrupted_makes_no_difference(
    uninterrupted: Trainer, data: FaceData, tmp_path: Path, first: TrainOptions, stop_at: int
) -> None:
    """Among the first 4 epochs of 6 steps, before any was added, and in the second that was added."""
    expected = run(data, OPTIONS.with_epochs(6), shutil.copytree(uninterrupted.out, tmp_path / "whole"), resume=True)
    broken = tmp_path / "broken"
    if first.extended:
        shutil.copytree(uninterrupted.out, broken)
    with pytest.raises(StoppedError):
        run(data, first, broken, stop_at, resume=bool(first.extended))
    found = run(data, OPTIONS.with_epochs(6), broken, resume=True)
    assert without_times(found.history) == without_times(expected.history)
    assert same_tensors(found.average.state_dict(), expected.average.state_dict())
    assert same_tensors(found.network.state_dict(), expected.network.state_dict())


def test_patience_starts_anew_with_added_epochs(uninterrupted: Trainer, data: FaceData, tmp_path: Path) -> None:
    trainer = Trainer(training_set(data), replace(OPTIONS, patience=2, epochs=8, extended=(4,)), tmp_path)
    record = uninterrupted.history[0]
    trainer.history = [replace(record, epoch=1, test_accuracy=0.9)]
    trainer.history += [replace(record, epoch=epoch, test_accuracy=0.5) for epoch in (2, 3, 4)]
    assert not trainer.stopped_early, "the three epochs without a better one were those of the run before"
    trainer.history += [replace(record, epoch=epoch, test_accuracy=0.5) for epoch in (5, 6)]
    assert trainer.stopped_early


def test_epochs_can_only_be_added() -> None:
    with pytest.raises(ValueError, match="4 epochs are not more than 4"):
        OPTIONS.with_epochs(4)
    assert "extended" not in OPTIONS.to_dict(), "stored options of other runs stay as they were"
