"""Train a network on a data set that lies on the device, and keep the best epoch by accuracy on PublicTest."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_edge.errors import ModelError
from fer_train.data import PUBLIC_TEST, TRAINING, FaceData, also_in
from fer_train.networks import Network, Recipe, build_network
from fer_train.networks.checkpoint import Checkpoint, save_checkpoint
from fer_train.networks.inference import predict_logits
from fer_train.training.batches import Batch, Batches
from fer_train.training.distillation import TeacherEnsemble
from fer_train.training.distributed import Rank, wrap_ddp
from fer_train.training.ema import WeightAverage
from fer_train.training.history import EpochRecord, RunningMeans, public_test_metrics
from fer_train.training.losses import class_weights, cross_entropy_sum, distillation_sum, smooth_labels
from fer_train.training.options import TrainOptions
from fer_train.training.qat import fake_quantize
from fer_train.training.resume import load_state, save_state
from fer_train.training.student import Student

WARM_UP = 0.2  # fraction of the steps in which the learning rate rises
STEPS_PER_CHECK = 50  # steps between two checks for a loss that is not finite, where a check synchronizes with the GPU

M = TypeVar("M", bound=nn.Module)
StepCallback = Callable[[int, RunningMeans], None]
"""Called after every batch with its number in the epoch, from 1, and the epoch's means so far."""
EpochCallback = Callable[[EpochRecord, bool], None]
"""Called with the epoch's record and whether it is the best so far."""


class Trainer:
    """A training run. In the folder `out`, last.pt holds its whole state and best.pt the best network so far.

    teachers: checkpoints whose networks the student learns from, beside the labels. unlabeled: uint8 [N, 48, 48],
    faces without a label on which the student learns from the teachers only. initial: sets the network's first weights.
    rank: this process's place among several; all of them must call the same methods.

        trainer = Trainer(data, TrainOptions("edgeresnet", 36, Recipe()), Path("run"))
        trainer.run(lambda step, means: None, lambda record, is_best: print(record.test_accuracy))
    """

    def __init__(
        self, data: FaceData, options: TrainOptions, out: Path, *, teachers: Sequence[Checkpoint] = (),
        unlabeled: npt.NDArray[np.uint8] | None = None, initial: Callable[[Network], object] | None = None,
        rank: Rank | None = None,
    ) -> None:  # fmt: skip
        torch.manual_seed(options.seed)
        self.options, self.out, self.rank = options, out, rank or Rank()
        self.classes, self._dataset, self._class_mapping = data.classes, data.title, dict(data.class_mapping)
        device = torch.device(options.device)
        training, test = data.split(TRAINING), data.split(PUBLIC_TEST)
        self.labels, self.test_labels = training.labels, test.labels
        self.test_is_new = ~also_in(test.images, training.images)
        self._test_images = torch.from_numpy(test.images).to(device)
        self.batches = Batches(training, unlabeled, options, self.rank)
        self.steps_per_epoch = self.batches.per_epoch
        weights = class_weights(torch.from_numpy(training.labels), len(data.classes), options.class_weights)
        self._class_weights = weights.to(device)

        self.network = build_network(options.model, len(data.classes))
        if initial is not None:
            initial(self.network)
        votes = None if training.votes is None else training.votes.shape[1]
        self.student = _to_device(Student(self.network, votes, options.amp), device)
        self.average = _to_device(build_network(options.model, len(data.classes)), device)
        if options.quantized:
            self.student.ranges = fake_quantize(self.network).to(device)
            fake_quantize(self.average, self.student.ranges)
        self._ema = WeightAverage(self.average, self.network, options.ema_decay)
        self._forward: Callable[[Tensor], tuple[Tensor, Tensor | None]] = wrap_ddp(self.student, self.rank)
        self._teacher: Callable[[Tensor], Tensor] | None = None
        if teachers:
            self._teacher = _to_device(
                TeacherEnsemble(teachers, options.distill_temperature, options.amp), device
            ).eval()
        if options.compiled != "no":
            self._forward = torch.compile(self._forward, dynamic=False, mode=options.compiled)
            if self._teacher is not None:
                self._teacher = torch.compile(self._teacher, dynamic=False, mode=options.compiled)
        self.optimizer = _optimizer(options.recipe, self.student)
        self.schedule = _schedule(self.optimizer, options, self.steps_per_epoch)
        self.history: list[EpochRecord] = []
        self.best_accuracy = -1.0

    @property
    def is_done(self) -> bool:
        """Whether all epochs are trained, or the last `patience` of them were no better than an earlier one."""
        return len(self.history) == self.options.epochs or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """Whether patience has run out before the last epoch."""
        accuracies = [record.test_accuracy for record in self.history]
        best = accuracies.index(max(accuracies)) if accuracies else 0
        return 0 < self.options.patience <= len(accuracies) - 1 - best and len(accuracies) < self.options.epochs

    def run(self, on_step: StepCallback, on_epoch: EpochCallback) -> None:
        """Train the remaining epochs. Writes best.pt after each best epoch, last.pt every `save_every` epochs.

        Raises ModelError if a loss is not finite, OutputError if a file can't be written.
        """
        while not self.is_done:
            record, test_logits = self._epoch(on_step)
            is_best = record.test_accuracy > self.best_accuracy
            if is_best:
                if self.rank.is_first:
                    save_checkpoint(self._checkpoint(test_logits, record.epoch), self.out / "best.pt")
                self.best_accuracy = record.test_accuracy
            self.history.append(record)
            if self.rank.is_first and (self.is_done or record.epoch % self.options.save_every == 0):
                save_state(self, self.out / "last.pt")
            on_epoch(record, is_best)

    def resume(self) -> None:
        """Restore the state in last.pt; ModelError if it belongs to other options or data."""
        load_state(self, self.out / "last.pt")

    def state_dict(self) -> dict[str, Any]:
        """The run's whole state after an epoch, as last.pt holds it."""
        head, ranges = self.student.ferplus_head, self.student.ranges
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "ferplus_head": None if head is None else head.state_dict(),
            "ranges": None if ranges is None else ranges.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": [asdict(record) for record in self.history],
            "best_accuracy": self.best_accuracy,
            "options": self.options.to_dict(),
            "classes": list(self.classes),
            "images": len(self.labels),
            "unlabelled": self.batches.faces - len(self.labels),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what state_dict returned; KeyError, TypeError or RuntimeError if it does not fit."""
        parts = {
            "network": self.network, "average": self.average, "ferplus_head": self.student.ferplus_head,
            "ranges": self.student.ranges, "optimizer": self.optimizer, "schedule": self.schedule,
        }  # fmt: skip
        for name, part in parts.items():
            if part is not None:
                part.load_state_dict(state[name])
        self.history = [EpochRecord(**record) for record in state["history"]]
        self.best_accuracy = state["best_accuracy"]

    def _epoch(self, on_step: StepCallback) -> tuple[EpochRecord, npt.NDArray[np.float32]]:
        """Train an epoch, then test; returns its record and the logits of the test faces [N, classes]."""
        started = time.perf_counter()
        epoch, rate = len(self.history) + 1, float(self.schedule.get_last_lr()[0])
        loss, accuracy = self._train_epoch(on_step)
        logits = self._test_logits()
        test_loss = float(F.cross_entropy(logits, torch.from_numpy(self.test_labels)))
        if not math.isfinite(test_loss):
            raise self._not_finite(f"on {PUBLIC_TEST} after epoch {epoch}")
        test_accuracy = float((logits.argmax(1).numpy() == self.test_labels).mean())
        seconds = time.perf_counter() - started
        return EpochRecord(epoch, rate, loss, accuracy, test_loss, test_accuracy, seconds), logits.numpy()

    def _train_epoch(self, on_step: StepCallback) -> tuple[float, float]:
        """Train an epoch; returns its mean loss and accuracy."""
        means = RunningMeans(self._test_images.device)
        self.student.train()
        is_check_free = self.options.device == "cpu" and self.rank.world_size == 1
        for step, batch in enumerate(self.batches.epoch(len(self.history)), start=1):
            logits, loss_sum = self._step(batch)
            means.add(step, loss_sum, logits, batch.soft_targets)
            if is_check_free or step % STEPS_PER_CHECK == 0 or step == self.steps_per_epoch:
                bad = means.first_bad_step(self.rank)
                if bad is not None:
                    raise self._not_finite(f"at step {bad} of epoch {len(self.history) + 1}")
            on_step(step, means)
        means.all_reduce(self.rank)
        return means.read()

    def _step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One optimizer step; returns the logits and the sum of the losses. Never synchronizes with the GPU."""
        logits, vote_logits = self._forward(batch.faces)
        loss_sum = self._loss_sum(batch, logits, vote_logits)
        self.optimizer.zero_grad(set_to_none=True)
        (loss_sum * (1 / len(batch.faces))).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        self._ema.update(self.schedule.last_epoch)
        return logits.detach(), loss_sum

    def _loss_sum(self, batch: Batch, logits: Tensor, vote_logits: Tensor | None) -> Tensor:
        options = self.options
        targets = smooth_labels(batch.soft_targets * self._class_weights, options.label_smoothing)
        # Dividing by the fraction of labeled faces makes the labels' part a mean over these.
        loss = cross_entropy_sum(logits, targets) / self.batches.labeled
        if self._teacher is not None:
            with torch.no_grad():
                teacher_probabilities = self._teacher(batch.faces)
            distilled = distillation_sum(logits, teacher_probabilities, options.distill_temperature)
            loss = (1 - options.distill_weight) * loss + options.distill_weight * distilled
        if vote_logits is not None and batch.votes is not None:
            loss = loss + options.ferplus_weight * cross_entropy_sum(vote_logits, batch.votes) / self.batches.labeled
        return loss

    def _test_logits(self) -> Tensor:
        """The average's logits for all test faces [N, classes], on the CPU; each process computes its share."""
        self.rank.broadcast(self.average.buffers())  # processes have different batch statistics
        share = predict_logits(self.average, self.rank.share(self._test_images), self.options.amp)
        if self.rank.world_size == 1:
            return share
        whole = torch.zeros(len(self._test_images), len(self.classes), device=self._test_images.device)
        self.rank.share(whole).copy_(share)
        return self.rank.all_reduce(whole).cpu()

    def _checkpoint(self, test_logits: npt.NDArray[np.float32], epoch: int) -> Checkpoint:
        """The average after `epoch`, with its scores from the logits of the test faces [N, classes]."""
        metrics = public_test_metrics(test_logits, self.test_labels, self.test_is_new, self.classes)
        options = self.options.to_dict() | {"ferplus": self.student.ferplus_head is not None}
        if self.student.ranges is not None:
            options["relu_ranges"] = self.student.ranges.tops.tolist()
        return Checkpoint(
            model=self.options.model,
            classes=self.classes,
            state_dict={name: value.cpu().contiguous().clone() for name, value in self.average.state_dict().items()},
            temperature=metrics["temperature"],
            dataset=self._dataset,
            metrics=metrics | {"epoch": epoch},
            options=options,
            class_mapping=self._class_mapping,
        )

    def _not_finite(self, where: str) -> ModelError:
        kept = f"{self.out} keeps the state after epoch {len(self.history)}; " if self.history else ""
        rate = self.options.recipe.learning_rate
        return ModelError(f"the loss is not finite {where}: {kept}train again with a lower --lr than {rate:g}")


def _to_device(module: M, device: torch.device) -> M:
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _optimizer(recipe: Recipe, student: nn.Module) -> torch.optim.Optimizer:
    parameters = list(student.parameters())
    # Biases and batch-norm scales have no weight decay: it would only shrink what normalization needs.
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _schedule(
    optimizer: torch.optim.Optimizer, options: TrainOptions, steps: int
) -> torch.optim.lr_scheduler.OneCycleLR:
    """The one-cycle schedule (Smith and Topin 2018): up to the recipe's learning rate, then a cosine to nearly 0."""
    total_steps = options.epochs * steps + 1
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=options.recipe.learning_rate,
        total_steps=total_steps,
        pct_start=max(WARM_UP, 2 / total_steps),  # OneCycleLR divides by zero if it can't rise for a step
        cycle_momentum=False,
    )
