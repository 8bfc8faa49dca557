"""Train a network on a data set that lies on the device, and keep the best epoch by PublicTest."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from fer_train.training.distillation import Teachers
from fer_train.training.distributed import Shard, spread
from fer_train.training.ema import WeightAverage
from fer_train.training.epoch_scores import checkpoint_of
from fer_train.training.losses import class_weights, cross_entropy_sum, distillation_sum, smoothed
from fer_train.training.options import TrainOptions
from fer_train.training.qat import Ranges, quantized
from fer_train.training.resume import load_state, save_state

__all__ = ["EpochRecord", "RunningMeans", "TrainOptions", "Trainer"]

WARM_UP = 0.2  # share of the steps in which the learning rate rises
STEPS_PER_LOOK = 50  # steps between two looks at whether the loss is finite, where looking makes a GPU wait


@dataclass(frozen=True)
class EpochRecord:
    """A row of history.csv. Losses are means over images; accuracies are fractions; seconds are wall time."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float


class RunningMeans:
    """Loss and accuracy of an epoch so far, summed on the device: only reading them makes a GPU wait.

    With several processes each has its own share of the sums until `add_up`.
    """

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(4, dtype=torch.float64, device=device)  # loss, faces, hits, labelled faces
        self._first_bad = torch.zeros((), device=device)

    def add(self, step: int, loss_sum: Tensor, logits: Tensor, shares: Tensor) -> None:
        """Count a batch: its losses' sum, its logits [N, classes] and shares [N, classes]. `step` counts from 1."""
        loss_sum, faces = loss_sum.detach(), torch.full_like(loss_sum, len(shares), requires_grad=False)
        hits = shares.gather(1, logits.argmax(1, keepdim=True)).sum()  # a mixed face is hit in part
        self._sums += torch.stack([loss_sum, faces, hits, shares.sum()])
        bad = (self._first_bad == 0) & ~loss_sum.isfinite()
        self._first_bad = torch.where(bad, float(step), self._first_bad)

    def add_up(self, shard: Shard) -> None:
        """Sum over all processes."""
        shard.add_up(self._sums)

    def read(self) -> tuple[float, float]:
        """Mean loss and accuracy over the faces so far."""
        loss, faces, hits, labeled = self._sums.tolist()
        return loss / max(faces, 1), hits / max(labeled, 1)

    def first_bad_step(self, shard: Shard) -> int | None:
        """The first step whose loss was not finite, in any process."""
        steps = torch.where(self._first_bad > 0, -self._first_bad, -math.inf)
        if shard.world > 1:
            torch.distributed.all_reduce(steps, torch.distributed.ReduceOp.MAX)
        return None if math.isinf(float(steps)) else int(-steps)


StepCallback = Callable[[int, RunningMeans], None]
"""Called after every batch with its number in the epoch, from 1, and the epoch's means so far."""
EpochCallback = Callable[[EpochRecord, bool], None]
"""Called with the epoch's record and whether it is the best so far."""


class Student(nn.Module):
    """A network and, if there are votes, a second head on their distribution, which is dropped after training."""

    def __init__(self, network: Network, vote_columns: int | None, amp: bool) -> None:
        super().__init__()
        self.network, self._amp = network, amp
        self.ranges: Ranges | None = None
        self.ferplus_head = None if vote_columns is None else nn.Linear(network.num_features, vote_columns)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits [N, classes] and, if there are votes, their logits [N, 10], of normalised faces [N, 1, 48, 48]."""
        with torch.autocast(faces.device.type, torch.bfloat16, enabled=self._amp):
            features = self.network.forward_features(faces)
        features = features.float()
        return self.network.classifier(features), None if self.ferplus_head is None else self.ferplus_head(features)


class Trainer:
    """One training run. `last.pt` in `out` holds all its state, `best.pt` the best network so far.

    teachers: checkpoints' networks to learn from beside the labels. unlabelled: uint8 [N, 48, 48], faces on which
    only the teachers are learnt from. initial: gives the first weights to the network.
    """

    def __init__(
        self, data: FaceData, options: TrainOptions, out: Path, *, teachers: Sequence[Checkpoint] = (),
        unlabeled: npt.NDArray[np.uint8] | None = None, initial: Callable[[Network], object] | None = None,
        shard: Shard | None = None,
    ) -> None:  # fmt: skip
        torch.manual_seed(options.seed)
        self.options, self.out, self.classes = options, out, data.classes
        self.shard = shard or Shard()
        device = torch.device(options.device)
        training, test = data.split(TRAINING), data.split(PUBLIC_TEST)
        self.dataset_name, self.class_mapping = data.title, dict(data.class_mapping)
        self.has_votes = training.votes is not None
        self.labels, self.test_labels = training.labels, test.labels
        self.test_is_new = ~also_in(test.images, training.images)
        self.test_images = torch.from_numpy(test.images).to(device)
        self.batches = Batches(training, unlabeled, options, self.shard)
        self.steps_per_epoch = self.batches.per_epoch
        weights = class_weights(torch.from_numpy(training.labels), len(data.classes), options.class_weights)
        self._class_weights = weights.to(device)

        network = build_network(options.model, len(data.classes))
        if initial is not None:
            initial(network)
        votes = None if training.votes is None else training.votes.shape[1]
        self.student = Student(network, votes, options.amp).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = self.student.network
        self.average = build_network(options.model, len(data.classes)).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if options.quantized:
            self.student.ranges = quantized(self.network).to(device)
            quantized(self.average, self.student.ranges)
        self.optimizer = _optimizer(options.recipe, self.student)
        self.schedule = _schedule(self.optimizer, options, self.steps_per_epoch)
        self._forward: Callable[[Tensor], tuple[Tensor, Tensor | None]] = spread(
            self.student, self.shard, batch_norm=not options.quantized
        )
        self._averaging = WeightAverage(self.average, self.network, options.ema_decay)
        self._teach = _frozen(teachers, options, device) if teachers else None
        if options.compiled != "no":
            self._forward = torch.compile(self._forward, dynamic=False, mode=options.compiled)
        self.history: list[EpochRecord] = []
        self.best_accuracy = -1.0

    @property
    def is_done(self) -> bool:
        """Whether all epochs are trained, or the last `patience` of them brought nothing better."""
        return len(self.history) == self.options.epochs or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """Whether patience has run out."""
        accuracies = [record.test_accuracy for record in self.history]
        best = accuracies.index(max(accuracies)) if accuracies else 0
        return 0 < self.options.patience <= len(accuracies) - 1 - best and len(accuracies) < self.options.epochs

    def run(self, on_step: StepCallback, on_epoch: EpochCallback) -> None:
        """Train the epochs that are left, writing best.pt after the best and last.pt as often as the options say."""
        while not self.is_done:
            record, test_logits = self._epoch(on_step)
            is_best = record.test_accuracy > self.best_accuracy
            if is_best:
                if self.shard.is_first:
                    save_checkpoint(checkpoint_of(self, test_logits, record.epoch), self.out / "best.pt")
                self.best_accuracy = record.test_accuracy
            self.history.append(record)
            if self.shard.is_first and (self.is_done or record.epoch % self.options.save_every == 0):
                save_state(self)
            on_epoch(record, is_best)

    def resume(self) -> None:
        """Take up the state in last.pt; ModelError if it belongs to other options or data."""
        load_state(self)

    def _epoch(self, on_step: StepCallback) -> tuple[EpochRecord, npt.NDArray[np.float32]]:
        """Train an epoch, then test; returns its record and the test faces' logits."""
        started = time.perf_counter()
        epoch, rate = len(self.history) + 1, float(self.schedule.get_last_lr()[0])
        loss, accuracy = self._train_epoch(on_step)
        logits = self._test_logits()
        test_loss = float(F.cross_entropy(logits, torch.from_numpy(self.test_labels)))
        if not math.isfinite(test_loss):
            self._stop_for_loss(f"on {PUBLIC_TEST} after epoch {epoch}")
        test_accuracy = float((logits.argmax(1).numpy() == self.test_labels).mean())
        seconds = time.perf_counter() - started
        return EpochRecord(epoch, rate, loss, accuracy, test_loss, test_accuracy, seconds), logits.numpy()

    def _train_epoch(self, on_step: StepCallback) -> tuple[float, float]:
        means = RunningMeans(self.test_images.device)
        self.student.train()
        looking_is_free = self.options.device == "cpu" and self.shard.world == 1
        for step, batch in enumerate(self.batches.epoch(len(self.history)), start=1):
            self.shard.total = batch.total
            logits, loss_sum = self._step(batch)
            means.add(step, loss_sum, logits, batch.shares)
            if looking_is_free or step % STEPS_PER_LOOK == 0 or step == self.steps_per_epoch:
                bad = means.first_bad_step(self.shard)
                if bad is not None:
                    self._stop_for_loss(f"at step {bad} of epoch {len(self.history) + 1}")
            on_step(step, means)
        means.add_up(self.shard)
        return means.read()

    def _step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One step down the gradient; returns the logits and the sum of the faces' losses. Waits for nothing."""
        logits, vote_logits = self._forward(batch.faces)
        loss_sum = self._loss_sum(batch, logits, vote_logits)
        self.optimizer.zero_grad(set_to_none=True)
        # Gradients are averaged over processes: with the sum divided so, that gives the mean over the whole batch.
        (loss_sum * (self.shard.world / batch.total)).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        self._averaging.update(self.schedule.last_epoch)
        return logits.detach(), loss_sum

    def _loss_sum(self, batch: Batch, logits: Tensor, vote_logits: Tensor | None) -> Tensor:
        options = self.options
        targets = smoothed(batch.shares * self._class_weights, options.label_smoothing)
        # Divided by the share of labelled faces, the labels' part is a mean over these.
        loss = cross_entropy_sum(logits, targets) / self.batches.labeled
        if self._teach is not None:
            with torch.no_grad():
                taught = self._teach(batch.faces)
            distilled = distillation_sum(logits, taught, options.distill_temperature)
            loss = (1 - options.distill_weight) * loss + options.distill_weight * distilled
        if vote_logits is not None and batch.votes is not None:
            loss = loss + options.ferplus_weight * cross_entropy_sum(vote_logits, batch.votes) / self.batches.labeled
        return loss

    def _test_logits(self) -> Tensor:
        """Logits [N, classes] of the average, on the CPU; each process computes its share."""
        mine = predict_logits(self.average, self.shard.share(self.test_images), self.options.amp)
        if self.shard.world == 1:
            return mine
        whole = torch.zeros(len(self.test_images), len(self.classes), device=self.test_images.device)
        self.shard.share(whole).copy_(mine)
        return self.shard.add_up(whole).cpu()

    def _stop_for_loss(self, where: str) -> None:
        kept = f"{self.out} keeps what epoch {len(self.history)} left; " if self.history else ""
        rate = self.options.recipe.learning_rate
        raise ModelError(f"the loss is not finite {where}: {kept}train anew with a lower --lr than {rate:g}")


def _frozen(teachers: Sequence[Checkpoint], options: TrainOptions, device: torch.device) -> Callable[[Tensor], Tensor]:
    ensemble = Teachers(teachers, options.distill_temperature, options.amp)
    ensemble.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return ensemble if options.compiled == "no" else torch.compile(ensemble, dynamic=False, mode=options.compiled)


def _optimizer(recipe: Recipe, student: nn.Module) -> torch.optim.Optimizer:
    parameters = list(student.parameters())
    # Weight decay on biases and batch-norm scales only shrinks what normalisation needs.
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
    total_steps = options.epochs * steps + 1
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=options.recipe.learning_rate,
        total_steps=total_steps,
        pct_start=max(WARM_UP, 2 / total_steps),  # OneCycleLR divides by zero if it can't rise for a step
        cycle_momentum=False,
    )
