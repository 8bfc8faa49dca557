"""Train the detector on a pool of scenes that lies on the device, and keep the moving average of its weights."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fer_edge.errors import ModelError
from fer_train.detection.augment import augment, sharpen
from fer_train.detection.loss import detection_loss
from fer_train.detection.network import Luma, cell_grid
from fer_train.detection.synthesis.batches import relight
from fer_train.detection.synthesis.closeups import CloseUps
from fer_train.networks.normalization import MEAN, STD
from fer_train.tensor_files import check_weights, is_plain, load_tensors, not_finite, save_tensors
from fer_train.training.ema import WeightAverage

SCHEMA = 1
STEPS_PER_RECORD = 100
CLIP_NORM = 10.0
HELD_OUT = 0.005  # share of the pool, its first scenes, that is not trained on


@dataclass(frozen=True)
class DetectorOptions:
    """How to train a detector.

    size: side of the largest training images in pixels, a multiple of 32; each step draws one from half of it on.
    warm_up: steps in which the learning rate rises. ema_decay: of the average of the weights, which is what is kept.
    amp: convolutions in bfloat16. mosaics_only, close_ups: which scenes were used, for the record.
    """

    steps: int = 8000
    batch_size: int = 16
    size: int = 288
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up: int = 200
    ema_decay: float = 0.998
    seed: int = 0
    device: str = "cpu"
    amp: bool = True
    mosaics_only: bool = False
    close_ups: bool = False


@dataclass(frozen=True)
class DetectorRecord:
    """A row of history.csv: means over the last STEPS_PER_RECORD steps; seconds of wall time since the start."""

    step: int
    learning_rate: float
    score_loss: float
    box_loss: float
    seconds: float


class DetectorTrainer:
    """A training run on scenes uint8 [N, S, S] and faces [N, F, 5], both on the device; results go to the folder `out`.

    close_ups: pasted on the scenes, if given. last.pt holds the run's whole state, detector.pt the averaged network
    for fer-export.
    """

    def __init__(
        self, scenes: Tensor, faces: Tensor, options: DetectorOptions, out: Path, close_ups: CloseUps | None = None
    ) -> None:
        self.options, self.out, self.device = options, out, torch.device(options.device)
        self.close_ups = close_ups
        held_out = int(len(scenes) * HELD_OUT)
        self.scenes, self.faces = scenes[held_out:], faces[held_out:]
        torch.manual_seed(options.seed)
        self.network = Luma().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Luma().to(self.device)
        self._ema = WeightAverage(self.average, self.network, options.ema_decay)
        self.optimizer = _optimizer(self.network, options)
        self.sizes = range(-(-options.size // 64) * 32, options.size + 1, 32)
        self.grids = {size: cell_grid(size, size, self.device) for size in self.sizes}
        self.history: list[DetectorRecord] = []
        self.step = 0

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to continue, as last.pt holds it."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": [asdict(record) for record in self.history],
            "step": self.step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`; KeyError, TypeError, RuntimeError or ValueError if it is not from `state_dict`."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = [DetectorRecord(**record) for record in state["history"]]
        self.step = state["step"]

    def resume(self) -> None:
        """Continue from last.pt, with the same or other steps and scenes; ModelError if it is missing or damaged."""
        path = self.out / "last.pt"
        state = load_tensors(path, "train without --resume")
        try:
            self.load_state_dict(state)
            if not_finite(state) or type(self.step) is not int:
                raise ValueError("a value is not a number")
        except (AttributeError, IndexError, KeyError, TypeError, RuntimeError, ValueError) as error:
            raise ModelError(f"{path} is not the state of a detector's training: train without --resume") from error

    def start_from(self, network: Luma) -> None:
        """Start with the weights of `network`."""
        for own in (self.network, self.average):
            own.load_state_dict(network.state_dict())

    def run(self, on_step: Callable[[int], object], on_record: Callable[[DetectorRecord], None]) -> None:
        """Train the remaining steps; last.pt and detector.pt are written at each record and at the end.

        Raises ModelError if the loss is no longer finite.
        """
        sums, count = torch.zeros(2, device=self.device), 0
        started = time.monotonic() - (self.history[-1].seconds if self.history else 0.0)
        while self.step < self.options.steps:
            sums += self.train_step()
            count += 1
            on_step(self.step)
            if self.step % STEPS_PER_RECORD == 0 or self.step == self.options.steps:
                score, box = (sums / count).tolist()
                if not math.isfinite(score + box):
                    raise ModelError("the loss is no longer finite: train with a lower --lr")
                rate, seconds = self.optimizer.param_groups[0]["lr"], round(time.monotonic() - started, 1)
                self.history.append(DetectorRecord(self.step, rate, score, box, seconds))
                sums, count = torch.zeros(2, device=self.device), 0
                self.save()
                on_record(self.history[-1])

    def train_step(self) -> Tensor:
        """Train one step; returns score loss and box loss [2], on the device."""
        # Seeded by run and step, so that a resumed run sees what an uninterrupted one would
        generator = torch.Generator().manual_seed(self.options.seed * 1_000_003 + self.step)
        size = self.sizes[int(torch.randint(len(self.sizes), (), generator=generator))]
        rows = torch.randint(len(self.scenes), (self.options.batch_size,), generator=generator).to(self.device)
        images, faces = augment(self.scenes[rows], self.faces[rows], size, generator)
        if self.close_ups:
            images, faces = self.close_ups.paste(images, faces, generator)
        images = relight(sharpen(images, generator), generator)
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * self._rate()
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.amp):
            outputs = self.network(((images - MEAN) / STD).contiguous(memory_format=torch.channels_last))
        score_loss, box_loss = detection_loss(outputs, self.grids[size], _without_empty_columns(faces))
        (score_loss + box_loss).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._ema.update(self.step)
        self.step += 1
        return torch.stack([score_loss.detach(), box_loss.detach()])

    def _rate(self) -> float:
        """Share of the peak learning rate: a linear rise, then half a cosine down to 1 %."""
        warm, total = self.options.warm_up, self.options.steps
        if self.step < warm:
            return (self.step + 1) / warm
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (self.step - warm) / max(1, total - warm)))

    def save(self) -> None:
        """Write last.pt and detector.pt."""
        save_tensors(self.state_dict(), self.out / "last.pt")
        trained = asdict(self.options) | {"step": self.step, "dataset": "composed scenes and mosaics of photographs"}
        save_detector(self.average, self.out / "detector.pt", trained)


def _without_empty_columns(faces: Tensor) -> Tensor:
    """The faces [N, F, 5] with the empty rows of each scene last, cut to the most that a scene has."""
    order = faces[..., 4].abs().argsort(dim=1, descending=True, stable=True)
    ordered = faces.gather(1, order[..., None].expand_as(faces))
    return ordered[:, : max(1, int((faces[..., 4] != 0).sum(1).max()))]


def _optimizer(network: nn.Module, options: DetectorOptions) -> torch.optim.Optimizer:
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate)


def save_detector(network: Luma, path: Path, options: dict[str, Any]) -> None:
    """Write the network's weights, and the options of its training, to `path`, atomically."""
    weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    save_tensors({"schema": SCHEMA, "detector": "luma", "state_dict": weights, "options": options}, path)


def load_detector(path: Path) -> tuple[Luma, dict[str, Any]]:
    """The network in evaluation mode, and the options of its training; ModelError if `path` is not a detector.pt."""
    hint = "name the detector.pt that fer-train detector wrote"
    values = load_tensors(path, hint)
    if (values.get("detector"), values.get("schema")) != ("luma", SCHEMA):
        raise ModelError(f"{path} is not a detector of this version of fer-train: {hint}")
    network, options = Luma(), values.get("options")
    try:
        check_weights(values.get("state_dict"), network.state_dict(), "luma")
        if not is_plain(options):
            raise ValueError("its options are not values by name")
    except ValueError as error:
        raise ModelError(f"{path} is not a detector of fer-train ({error}): {hint}") from error
    except ModelError as error:
        raise ModelError(f"{path} {error}") from error
    network.load_state_dict(values["state_dict"])
    return network.eval(), options
