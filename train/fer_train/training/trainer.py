"""Train a network on a data set that lies on the device, and keep the epoch with the best score."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_edge.errors import ModelError
from fer_train.data import also_in
from fer_train.evaluation.truths import head_metrics, head_score
from fer_train.networks import Network, build_network
from fer_train.networks.checkpoint import Checkpoint, save_checkpoint
from fer_train.networks.heads import Head, columns
from fer_train.networks.inference import predict_logits
from fer_train.training.batches import Batch, Batches
from fer_train.training.distillation import TeacherEnsemble
from fer_train.training.distributed import Rank, wrap_ddp
from fer_train.training.ema import WeightAverage
from fer_train.training.history import EpochRecord, RunningMeans
from fer_train.training.losses import class_weights, cross_entropy_sum, distillation_sum, smooth_labels
from fer_train.training.options import TrainOptions
from fer_train.training.qat import fake_quantize
from fer_train.training.resume import load_state, save_state
from fer_train.training.schedule import Schedule, make_optimizer
from fer_train.training.student import Student
from fer_train.training.targets import FERPLUS, HeadTargets, TrainingSet

STEPS_PER_CHECK = 50  # steps between two checks for a loss that is not finite, where a check synchronizes with the GPU

M = TypeVar("M", bound=nn.Module)
StepCallback = Callable[[int, RunningMeans], None]
"""Called after every batch with its number in the epoch, from 1, and the epoch's means so far."""
EpochCallback = Callable[[EpochRecord, bool], None]
"""Called with the epoch's record and whether it is the best so far."""


class Trainer:
    """A training run. In the folder `out`, last.pt holds its whole state and best.pt the best network so far.

    The best epoch has the highest mean score over the heads, each against its own truths
    (fer_train.evaluation.truths); for one head on labels that is the accuracy on PublicTest.

    teachers: checkpoints whose networks the student learns from, beside the labels. unlabeled: uint8 [N, 48, 48],
    faces without a label on which the student learns from the teachers only. initial: sets the network's first weights.
    rank: this process's place among several; all of them must call the same methods.
    scores: after an epoch, each head's score. command: the values of the command line, kept in last.pt for --resume.

        trainer = Trainer(training_set(data), TrainOptions("edgeresnet", 36, Recipe()), Path("run"))
        trainer.run(lambda step, means: None, lambda record, is_best: print(record.test_accuracy))
    """

    def __init__(
        self, data: TrainingSet, options: TrainOptions, out: Path, *, teachers: Sequence[Checkpoint] = (),
        unlabeled: npt.NDArray[np.uint8] | None = None, initial: Callable[[Network], object] | None = None,
        rank: Rank | None = None,
    ) -> None:  # fmt: skip
        torch.manual_seed(options.seed)
        self.options, self.out, self.rank = options, out, rank or Rank()
        device = torch.device(options.device)
        self.heads, self.labels = data.heads, data.labels
        self._hashes = {"faces": data.fingerprint(), "unlabelled_faces": _hash(unlabeled)}
        self.columns = columns([_untrained(head) for head in data.heads])
        self.test_is_new = ~also_in(data.test_images, data.images)
        self._test_images = torch.from_numpy(data.test_images).to(device)
        self.batches = Batches(data, unlabeled, options, self.rank)
        self.steps_per_epoch = self.batches.per_epoch
        self._class_weights = [_class_weights(head, options.class_weights).to(device) for head in data.heads]

        outputs = sum(len(head.classes) for head in data.heads)
        self.network = build_network(options.model, outputs)
        if initial is not None:
            initial(self.network)
        self.student = _to_device(Student(self.network, options.amp), device)
        self.average = _to_device(build_network(options.model, outputs), device)
        if options.quantized:
            self.student.ranges = fake_quantize(self.network).to(device)
            fake_quantize(self.average, self.student.ranges)
        self._ema = WeightAverage(self.average, self.network, options.ema_decay)
        self._forward: Callable[[Tensor], Tensor] = wrap_ddp(self.student, self.rank)
        self._teacher: Callable[[Tensor], tuple[Tensor, ...]] | None = None
        self._taught: tuple[int, ...] = ()
        if teachers:
            ensemble = TeacherEnsemble(teachers, data.heads, options.distill_temperature, options.amp)
            self._teacher, self._taught = _to_device(ensemble, device).eval(), ensemble.taught
        if options.compiled != "no":
            self._forward = torch.compile(self._forward, dynamic=False, mode=options.compiled)
            if self._teacher is not None:
                self._teacher = torch.compile(self._teacher, dynamic=False, mode=options.compiled)
        self.optimizer = make_optimizer(options.recipe, self.student)
        self.schedule = Schedule(self.optimizer, options, self.steps_per_epoch)
        self.history: list[EpochRecord] = []
        self.best_accuracy = -1.0
        self.scores: dict[str, float] = {}
        self.command: dict[str, Any] = {}

    @property
    def test_count(self) -> int:
        """The number of test faces."""
        return len(self.test_is_new)

    @property
    def is_done(self) -> bool:
        """Whether all epochs are trained, or the last `patience` of them were no better than an earlier one."""
        return len(self.history) == self.options.epochs or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """Whether patience has run out before the last epoch."""
        accuracies = [record.test_accuracy for record in self.history]
        best = accuracies.index(max(accuracies)) if accuracies else 0
        added = [ended - 1 for ended in self.options.extended if ended <= len(accuracies)]  # patience starts again
        since = max(best, *added, 0)
        return 0 < self.options.patience <= len(accuracies) - 1 - since and len(accuracies) < self.options.epochs

    def run(self, on_step: StepCallback, on_epoch: EpochCallback) -> None:
        """Train the remaining epochs. Writes best.pt after each epoch to keep, last.pt every `save_every` epochs.

        Raises ModelError if a loss is not finite, OutputError if a file can't be written.
        """
        while not self.is_done:
            record, test_logits = self._epoch(on_step)
            is_best = record.test_accuracy > self.best_accuracy
            self.best_accuracy = max(self.best_accuracy, record.test_accuracy)
            if self.rank.is_first and (is_best or self.options.keep == "last"):
                save_checkpoint(self._checkpoint(test_logits, record.epoch), self.out / "best.pt")
            self.history.append(record)
            if self.rank.is_first and (self.is_done or record.epoch % self.options.save_every == 0):
                save_state(self, self.out / "last.pt")
            on_epoch(record, is_best)

    def resume(self) -> None:
        """Restore the state in last.pt; ModelError if it belongs to other options or data."""
        load_state(self, self.out / "last.pt")

    def state_dict(self) -> dict[str, Any]:
        """The run's whole state after an epoch, as last.pt holds it."""
        ranges = self.student.ranges
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "ranges": None if ranges is None else ranges.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": [asdict(record) for record in self.history],
            "best_accuracy": self.best_accuracy,
            "options": self.options.to_dict(),
            "heads": {head.name: list(head.classes) for head in self.heads},
            "images": len(self.labels),
            "unlabelled": self.batches.faces - len(self.labels),
            **self._hashes,
            "command": self.command,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what state_dict returned; KeyError, TypeError or RuntimeError if it does not fit."""
        parts = {
            "network": self.network, "average": self.average, "ranges": self.student.ranges,
            "optimizer": self.optimizer,
        }  # fmt: skip
        for name, part in parts.items():
            if part is not None:
                part.load_state_dict(state[name])
        self.history = [EpochRecord(**record) for record in state["history"]]
        self.schedule.resume(state["schedule"], len(self.history) * self.steps_per_epoch)
        self.best_accuracy = state["best_accuracy"]

    def _epoch(self, on_step: StepCallback) -> tuple[EpochRecord, npt.NDArray[np.float32]]:
        """Train an epoch, then test; returns its record and the logits of the test faces [N, columns]."""
        started = time.perf_counter()
        epoch, rate = len(self.history) + 1, self.schedule.rate
        loss, accuracy = self._train_epoch(on_step)
        logits = self._test_logits()
        losses = [
            float(F.cross_entropy(part[truth.rows], torch.from_numpy(truth.labels)))
            for part, truth in ((logits[:, self.columns[head.name]], head.truths[0]) for head in self.heads)
        ]
        test_loss = sum(losses) / len(losses)
        if not math.isfinite(test_loss):
            raise self._not_finite(f"on the test faces after epoch {epoch}")
        self.scores = {
            head.name: head_score(logits[:, self.columns[head.name]].numpy(), head.truths) for head in self.heads
        }
        score = sum(self.scores.values()) / len(self.scores)
        seconds = time.perf_counter() - started
        return EpochRecord(epoch, rate, loss, accuracy, test_loss, score, seconds), logits.numpy()

    def _train_epoch(self, on_step: StepCallback) -> tuple[float, float]:
        """Train an epoch; returns its mean loss and accuracy."""
        means = RunningMeans(self._test_images.device)
        self.student.train()
        is_check_free = self.options.device == "cpu" and self.rank.world_size == 1
        for step, batch in enumerate(self.batches.epoch(len(self.history)), start=1):
            logits, loss_sum = self._step(batch)
            first = self.columns[self.heads[0].name]
            means.add(step, loss_sum, logits[:, first], batch.soft_targets[:, first])
            if is_check_free or step % STEPS_PER_CHECK == 0 or step == self.steps_per_epoch:
                bad = means.first_bad_step(self.rank)
                if bad is not None:
                    raise self._not_finite(f"at step {bad} of epoch {len(self.history) + 1}")
            on_step(step, means)
        means.all_reduce(self.rank)
        return means.read()

    def _step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One optimizer step; returns the logits and the sum of the losses. Never synchronizes with the GPU."""
        logits = self._forward(batch.faces)
        loss_sum = self._loss_sum(batch, logits)
        self.optimizer.zero_grad(set_to_none=True)
        (loss_sum * (1 / len(batch.faces))).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        self._ema.update(self.schedule.steps)
        return logits.detach(), loss_sum

    def _loss_sum(self, batch: Batch, logits: Tensor) -> Tensor:
        """The sum over the heads of their losses, each of which is a sum over faces."""
        options = self.options
        answers: dict[int, Tensor] = {}
        if self._teacher is not None:
            with torch.no_grad():
                answers = dict(zip(self._taught, self._teacher(batch.faces), strict=True))
        losses = []
        for index, head in enumerate(self.heads):
            part = self.columns[head.name]
            targets = batch.soft_targets[:, part] * self._class_weights[index]
            if head.is_labels:
                targets = smooth_labels(targets, options.label_smoothing)
            # Dividing by the fraction of faces with targets makes their part a mean over these.
            loss = cross_entropy_sum(logits[:, part], targets) / self.batches.labeled
            if index in answers:
                weights = batch.taught[:, index]
                distilled = distillation_sum(logits[:, part], answers[index], options.distill_temperature, weights)
                loss = (1 - options.distill_weight) * loss + options.distill_weight * distilled
            losses.append(head.weight * loss)
        return torch.stack(losses).sum()

    def _test_logits(self) -> Tensor:
        """The average's logits for all test faces [N, columns], on the CPU; each process computes its share."""
        self.rank.broadcast(self.average.buffers())  # processes have different batch statistics
        share = predict_logits(self.average, self.rank.share(self._test_images), self.options.amp)
        if self.rank.world_size == 1:
            return share
        outputs = sum(len(head.classes) for head in self.heads)
        whole = torch.zeros(len(self._test_images), outputs, device=self._test_images.device)
        self.rank.share(whole).copy_(share)
        return self.rank.all_reduce(whole).cpu()

    def _checkpoint(self, test_logits: npt.NDArray[np.float32], epoch: int) -> Checkpoint:
        """The average after `epoch`, with its scores from the logits of the test faces [N, columns]."""
        options = self.options.to_dict() | {"ferplus": any(head.name == FERPLUS for head in self.heads)}
        if self.student.ranges is not None:
            options["relu_ranges"] = self.student.ranges.tops.tolist()
        return Checkpoint(
            model=self.options.model,
            heads=tuple(self._tested(head, test_logits[:, self.columns[head.name]], epoch) for head in self.heads),
            state_dict={name: value.cpu().contiguous().clone() for name, value in self.average.state_dict().items()},
            options=options,
        )

    def _tested(self, head: HeadTargets, logits: npt.NDArray[np.float32], epoch: int) -> Head:
        """The head as the checkpoint stores it, from its logits of the test faces [N, classes]."""
        metrics = head_metrics(logits, head.truths, head.classes, self.test_is_new)
        return replace(
            _untrained(head),
            temperature=metrics["temperature"],
            truth=head.truths[0].description,
            metrics=metrics | {"epoch": epoch},
        )

    def _not_finite(self, where: str) -> ModelError:
        kept = f"{self.out} keeps the state after epoch {len(self.history)}; " if self.history else ""
        rate = self.options.recipe.learning_rate
        return ModelError(f"the loss is not finite {where}: {kept}train again with a lower --lr than {rate:g}")


def _untrained(head: HeadTargets) -> Head:
    return Head(head.name, head.classes, dataset=head.dataset, class_mapping=dict(head.class_mapping))


def _hash(faces: npt.NDArray[np.uint8] | None) -> str | None:
    return None if faces is None else hashlib.blake2b(np.ascontiguousarray(faces).data, digest_size=16).hexdigest()


def _class_weights(head: HeadTargets, kind: str) -> Tensor:
    """The factors of the classes in the head's loss, float32 [classes]; 1 for a head on votes."""
    labels = torch.from_numpy(head.targets[head.targets.any(axis=1)].argmax(axis=1))
    return class_weights(labels, len(head.classes), kind if head.is_labels else "none")


def _to_device(module: M, device: torch.device) -> M:
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
