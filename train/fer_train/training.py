"""Train a network on a data set that lies on the device, and keep the best epoch by PublicTest."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_edge.errors import ModelError
from fer_train.augment import Augmentation, augment, normalise
from fer_train.checkpoint import Checkpoint, load_tensors, save_checkpoint, save_tensors
from fer_train.data import PUBLIC_TEST, TRAINING, FaceData, also_in
from fer_train.metrics import cross_fitted_probabilities, expected_calibration_error, fit_temperature, score, softmax
from fer_train.networks import Network, Recipe, build_network

EVALUATION_BATCH = 512
WARM_UP = 0.2  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class TrainOptions:
    """How to train.

    seed: two runs with the same seed and thread count give the same weights on a CPU, nearly the same on a GPU.
    amp: run convolutions in bfloat16.
    label_smoothing: share of the target spread over all classes.
    ema_decay: of the moving average of the weights; the average is what is evaluated and kept.
    ferplus_weight: of the cross-entropy of a second head on the FER+ vote distribution, which is
        dropped after training; used when the data has votes.
    """

    model: str
    epochs: int
    recipe: Recipe
    seed: int = 0
    device: str = "cpu"
    amp: bool = False
    label_smoothing: float = 0.1
    ema_decay: float = 0.999
    ferplus_weight: float = 1.0
    augmentation: Augmentation = field(default_factory=Augmentation)


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
    """Loss and accuracy of an epoch so far, summed on the device: only reading them makes a GPU wait."""

    def __init__(self, device: torch.device) -> None:
        self._loss_sum = torch.zeros((), device=device)
        self._hits = torch.zeros((), device=device)
        self._faces = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: its mean loss, its logits [N, classes] and labels [N]."""
        self._loss_sum += loss.detach() * len(labels)
        self._hits += (logits.argmax(1) == labels).sum()
        self._faces += len(labels)

    def read(self) -> tuple[float, float]:
        """Mean loss and accuracy over the faces so far."""
        return float(self._loss_sum) / self._faces, float(self._hits) / self._faces


StepCallback = Callable[[int, RunningMeans], None]
"""Called after every batch with its number in the epoch, from 1, and the epoch's means so far."""
EpochCallback = Callable[[EpochRecord, bool], None]
"""Called with the epoch's record and whether it is the best so far."""


class Trainer:
    """One training run. `last.pt` in `out` holds all its state after every epoch, `best.pt` the best network."""

    def __init__(self, data: FaceData, options: TrainOptions, out: Path) -> None:
        torch.manual_seed(options.seed)
        self.options, self.out, self.classes = options, out, data.classes
        device = torch.device(options.device)
        training, test = data.split(TRAINING), data.split(PUBLIC_TEST)
        self.dataset_name = data.path.name
        self.test_labels = test.labels
        self.test_is_new = ~also_in(test.images, training.images)
        self.images = torch.from_numpy(training.images).to(device)
        self.labels = torch.from_numpy(training.labels).to(device)
        self.votes = None if training.votes is None else torch.from_numpy(_shares(training.votes)).to(device)
        self.test_images = torch.from_numpy(test.images).to(device)

        self.network = _channels_last(build_network(options.model, len(data.classes)), device)
        self.average = _channels_last(build_network(options.model, len(data.classes)), device)
        self.average.load_state_dict(self.network.state_dict())
        self.ferplus_head = None
        if training.votes is not None:
            self.ferplus_head = nn.Linear(self.network.num_features, training.votes.shape[1]).to(device)
        self.optimizer = _optimizer(options.recipe, [self.network, self.ferplus_head])
        full, rest = divmod(len(training), options.recipe.batch_size)
        # A face alone in the last batch gives batch normalisation nothing to compare: it sits the epoch out.
        self.steps_per_epoch = max(full + (rest > 1), 1)
        total_steps = options.epochs * self.steps_per_epoch + 1
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=options.recipe.learning_rate,
            total_steps=total_steps,
            pct_start=max(WARM_UP, 2 / total_steps),  # OneCycleLR divides by zero if it can't rise for a step
            cycle_momentum=False,
        )
        self.history: list[EpochRecord] = []
        self.best_accuracy = -1.0

    def run(self, on_step: StepCallback, on_epoch: EpochCallback) -> None:
        """Train the epochs that are left, writing last.pt after each and best.pt after the best."""
        while len(self.history) < self.options.epochs:
            record, test_logits = self._epoch(on_step)
            is_best = record.test_accuracy > self.best_accuracy
            if is_best:
                save_checkpoint(self._checkpoint(test_logits, record.epoch), self.out / "best.pt")
                self.best_accuracy = record.test_accuracy
            self.history.append(record)
            self._save_state()
            on_epoch(record, is_best)

    def _epoch(self, on_step: StepCallback) -> tuple[EpochRecord, npt.NDArray[np.float32]]:
        """Train an epoch, then test; returns its record and the test faces' logits."""
        started = time.perf_counter()
        epoch, rate = len(self.history) + 1, float(self.schedule.get_last_lr()[0])
        loss, accuracy = self._train_epoch(on_step)
        logits = predict_logits(self.average, self.test_images, self.options.amp)
        test_loss = float(F.cross_entropy(logits, torch.from_numpy(self.test_labels)))
        if not math.isfinite(loss + test_loss):
            raise ModelError(
                f"the loss is not finite in epoch {epoch}: train anew with a lower --lr "
                f"than {self.options.recipe.learning_rate:g}"
            )
        test_accuracy = float((logits.argmax(1).numpy() == self.test_labels).mean())
        seconds = time.perf_counter() - started
        return EpochRecord(epoch, rate, loss, accuracy, test_loss, test_accuracy, seconds), logits.numpy()

    def _train_epoch(self, on_step: StepCallback) -> tuple[float, float]:
        # All randomness of an epoch follows from (seed, epoch), so that a resumed run equals an unbroken one.
        epoch_seed = self.options.seed * 100_003 + len(self.history)
        torch.manual_seed(epoch_seed)
        generator = torch.Generator(self.images.device).manual_seed(epoch_seed)
        means = RunningMeans(self.images.device)
        self.network.train()
        for step, rows in enumerate(self._batches(generator), start=1):
            faces = augment(self.images[rows], self.options.augmentation, generator)
            loss, logits = self._loss(faces.contiguous(memory_format=torch.channels_last), rows)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.schedule.step()
            self._update_average()
            means.add(loss, logits, self.labels[rows])
            on_step(step, means)
        return means.read()

    def _batches(self, generator: torch.Generator) -> Sequence[Tensor]:
        order = torch.randperm(len(self.labels), device=self.images.device, generator=generator)
        return torch.split(order, self.options.recipe.batch_size)[: self.steps_per_epoch]

    def _loss(self, faces: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(faces.device.type, torch.bfloat16, enabled=self.options.amp):
            features = self.network.forward_features(faces)
        features = features.float()
        logits = self.network.classifier(features)
        loss = F.cross_entropy(logits, self.labels[rows], label_smoothing=self.options.label_smoothing)
        if self.ferplus_head is not None and self.votes is not None:
            loss = loss + self.options.ferplus_weight * F.cross_entropy(self.ferplus_head(features), self.votes[rows])
        return loss, logits

    @torch.no_grad()
    def _update_average(self) -> None:
        step = self.schedule.last_epoch
        decay = min(self.options.ema_decay, (1 + step) / (10 + step))  # follows closely at first
        for average, current in zip(
            self.average.state_dict().values(), self.network.state_dict().values(), strict=True
        ):
            if average.dtype.is_floating_point:
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(current)

    def _checkpoint(self, test_logits: npt.NDArray[np.float32], epoch: int) -> Checkpoint:
        temperature = fit_temperature(test_logits, self.test_labels)
        probabilities = softmax(test_logits, temperature)
        metrics = score(probabilities, self.test_labels, self.classes)
        metrics["ece"] = expected_calibration_error(
            cross_fitted_probabilities(test_logits, self.test_labels), self.test_labels
        )
        metrics["ece_uncalibrated"] = expected_calibration_error(softmax(test_logits), self.test_labels)
        new = self.test_is_new
        metrics["accuracy_deduplicated"] = score(probabilities[new], self.test_labels[new], self.classes)["accuracy"]
        metrics["images_deduplicated"] = int(new.sum())
        metrics |= {"split": PUBLIC_TEST, "epoch": epoch, "temperature": temperature}
        return Checkpoint(
            model=self.options.model,
            classes=self.classes,
            state_dict={name: value.cpu().contiguous().clone() for name, value in self.average.state_dict().items()},
            temperature=temperature,
            dataset=self.dataset_name,
            metrics=metrics,
            options=asdict(self.options) | {"ferplus": self.votes is not None},
        )

    def _save_state(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "ferplus_head": None if self.ferplus_head is None else self.ferplus_head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": [asdict(record) for record in self.history],
            "best_accuracy": self.best_accuracy,
            "options": asdict(self.options),
            "images": len(self.labels),
        }
        save_tensors(state, self.out / "last.pt")

    def resume(self) -> None:
        """Take up the state in last.pt; ModelError if it belongs to other options or data."""
        path = self.out / "last.pt"
        anew = "train anew with --overwrite"
        state = load_tensors(path, anew)
        try:
            if changes := _changes(state["options"], asdict(self.options)):
                raise ModelError(
                    f"{path} was trained with other options ({'; '.join(changes)}): give the same, or {anew}"
                )
            if state["images"] != len(self.labels):
                was, now = state["images"], len(self.labels)
                raise ModelError(
                    f"{path} was trained on other data ({was} training faces, now {now}): give the same, or {anew}"
                )
            if (state["ferplus_head"] is None) != (self.ferplus_head is None):
                was = "without" if state["ferplus_head"] is None else "with"
                raise ModelError(f"{path} was trained {was} --ferplus: give the same, or {anew}")
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            if self.ferplus_head is not None:
                self.ferplus_head.load_state_dict(state["ferplus_head"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.history = [EpochRecord(**record) for record in state["history"]]
            self.best_accuracy = state["best_accuracy"]
        except (KeyError, TypeError, RuntimeError) as error:  # a checkpoint, but of something else
            raise ModelError(f"{path} is not the state of a training run: {anew}") from error


@torch.no_grad()
def predict_logits(network: Network, images: Tensor, amp: bool = False) -> Tensor:
    """Logits float32 [N, classes], on the CPU, of uint8 faces [N, H, W]; the network is left in evaluation mode."""
    network.eval()
    batches = []
    for batch in torch.split(images, EVALUATION_BATCH):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):
            features = network.forward_features(normalise(batch).contiguous(memory_format=torch.channels_last))
        batches.append(network.classifier(features.float()).cpu())
    return torch.cat(batches)


def _channels_last(network: Network, device: torch.device) -> Network:
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two nested sets of options, as "epochs 48, now 36"."""
    changes = []
    for name in {**was, **now}:
        before, after = was.get(name), now.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            changes += _changes(before, after)
        elif before != after:
            changes.append(f"{name} {before}, now {after}")
    return changes


def _shares(votes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Votes [N, 10] as shares that sum to 1; an image nobody voted on teaches nothing (all 0)."""
    return np.asarray(votes / np.maximum(votes.sum(axis=1, keepdims=True), 1))


def _optimizer(recipe: Recipe, modules: list[nn.Module | None]) -> torch.optim.Optimizer:
    parameters = [parameter for module in modules if module is not None for parameter in module.parameters()]
    # Weight decay on biases and batch-norm scales only shrinks what normalisation needs.
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)
