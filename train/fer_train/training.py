"""Train a network on a data set that lies on the device, and keep the best epoch by PublicTest."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_edge.errors import ModelError
from fer_edge.files import written_beside
from fer_train.augment import Augmentation, augment, normalise
from fer_train.checkpoint import Checkpoint, save_checkpoint
from fer_train.data import PUBLIC_TEST, TRAINING, FaceData, also_in
from fer_train.metrics import cross_fitted_probabilities, expected_calibration_error, fit_temperature, score, softmax
from fer_train.networks import Network, Recipe, build_network

EVALUATION_BATCH = 512


@dataclass(frozen=True)
class TrainOptions:
    """How to train.

    seed: two runs with the same seed, device and thread count give the same weights.
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


StepCallback = Callable[[int, int, float], None]
"""Called with (step, steps in the epoch, running loss) after every batch."""
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

        self.network = build_network(options.model, len(data.classes)).to(device, memory_format=torch.channels_last)
        self.average = build_network(options.model, len(data.classes)).to(device, memory_format=torch.channels_last)
        self.average.load_state_dict(self.network.state_dict())
        self.ferplus_head = None
        if training.votes is not None:
            self.ferplus_head = nn.Linear(self.network.num_features, training.votes.shape[1]).to(device)
        self.optimizer = _optimizer(options.recipe, [self.network, self.ferplus_head])
        self.steps_per_epoch = math.ceil(len(training) / options.recipe.batch_size)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=options.recipe.learning_rate,
            total_steps=options.epochs * self.steps_per_epoch + 1,
            pct_start=0.2,
            cycle_momentum=False,
        )
        self.history: list[EpochRecord] = []
        self.best_accuracy = -1.0

    def run(self, on_step: StepCallback, on_epoch: EpochCallback) -> None:
        """Train the epochs that are left, writing last.pt after each and best.pt after the best."""
        while len(self.history) < self.options.epochs:
            started = time.perf_counter()
            rate = self.schedule.get_last_lr()[0]
            loss, accuracy = self._train_epoch(on_step)
            logits = predict_logits(self.average, self.test_images, self.options.amp)
            test_loss = float(F.cross_entropy(logits, torch.from_numpy(self.test_labels)))
            test_accuracy = float((logits.argmax(1).numpy() == self.test_labels).mean())
            record = EpochRecord(
                len(self.history) + 1, rate, loss, accuracy, test_loss, test_accuracy, time.perf_counter() - started
            )
            self.history.append(record)
            is_best = test_accuracy > self.best_accuracy
            if is_best:
                self.best_accuracy = test_accuracy
                save_checkpoint(self._checkpoint(logits.numpy()), self.out / "best.pt")
            self._save_state()
            on_epoch(record, is_best)

    def _train_epoch(self, on_step: StepCallback) -> tuple[float, float]:
        # All randomness of an epoch follows from (seed, epoch), so that a resumed run equals an unbroken one.
        epoch_seed = self.options.seed * 100_003 + len(self.history)
        torch.manual_seed(epoch_seed)
        generator = torch.Generator(self.images.device).manual_seed(epoch_seed)
        self.network.train()
        # Summed on the device: reading a value back each step would make a GPU wait.
        loss_sum = torch.zeros((), device=self.images.device)
        hits = torch.zeros((), device=self.images.device)
        for step, rows in enumerate(self._batches(generator), start=1):
            faces = augment(self.images[rows], self.options.augmentation, generator)
            loss, logits = self._loss(faces.contiguous(memory_format=torch.channels_last), rows)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.schedule.step()
            self._update_average()
            loss_sum += loss.detach() * len(rows)
            hits += (logits.argmax(1) == self.labels[rows]).sum()
            on_step(step, self.steps_per_epoch, float(loss_sum) / (step * self.options.recipe.batch_size))
        if not math.isfinite(float(loss_sum)):
            raise ModelError(
                f"the loss is not finite after epoch {len(self.history) + 1}: train again with a lower --lr "
                f"than {self.options.recipe.learning_rate:g}"
            )
        return float(loss_sum) / len(self.labels), float(hits) / len(self.labels)

    def _batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        order = torch.randperm(len(self.labels), device=self.images.device, generator=generator)
        return iter(order.split(self.options.recipe.batch_size))

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

    def _checkpoint(self, test_logits: npt.NDArray[np.float32]) -> Checkpoint:
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
        metrics |= {"split": PUBLIC_TEST, "epoch": len(self.history), "temperature": temperature}
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
        with written_beside(self.out / "last.pt") as part:
            torch.save(state, part)

    def resume(self) -> None:
        """Take up the state in last.pt; ModelError if it belongs to other options or data."""
        path = self.out / "last.pt"
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.options.device, weights_only=True)
        except Exception as error:  # torch raises a dozen unrelated types on damaged files
            raise ModelError(f"{path} can't be resumed from ({type(error).__name__}): train again without --resume") from error
        if state["options"] != asdict(self.options) or state["images"] != len(self.labels):
            raise ModelError(f"{path} was trained with other options or data: give the same ones, or drop --resume")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        if self.ferplus_head is not None:
            self.ferplus_head.load_state_dict(state["ferplus_head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.history = [EpochRecord(**record) for record in state["history"]]
        self.best_accuracy = state["best_accuracy"]


@torch.no_grad()
def predict_logits(network: Network, images: Tensor, amp: bool = False) -> Tensor:
    """Logits float32 [N, classes], on the CPU, of uint8 faces [N, H, W]; the network is left in evaluation mode."""
    network.eval()
    batches = []
    for batch in images.split(EVALUATION_BATCH):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):
            features = network.forward_features(normalise(batch).contiguous(memory_format=torch.channels_last))
        batches.append(network.classifier(features.float()).cpu())
    return torch.cat(batches)


def _shares(votes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Votes [N, 10] as shares that sum to 1; an image nobody voted on teaches nothing (all 0)."""
    return votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)


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
