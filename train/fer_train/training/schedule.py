"""The optimizer of a recipe, and its learning rate at every step, also of epochs that are added later."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from fer_train.networks import Recipe
from fer_train.training.options import TrainOptions

WARM_UP = 0.2  # fraction of the steps in which the learning rate rises
ADDED_RATE = 0.2  # of the peak: where added epochs start, as the network is nearly where it should be


def make_optimizer(recipe: Recipe, student: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimizer of all parameters."""
    parameters = list(student.parameters())
    # Biases and batch-norm scales have no weight decay: it would only shrink what normalization needs.
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


class Schedule:
    """The learning rate of each step.

    A run follows one cycle (Smith and Topin 2018): up to the recipe's rate, then a cosine to nearly 0. Epochs that
    are added to it (`options.extended`) follow another cosine, from ADDED_RATE of that rate to 0 (Loshchilov and
    Hutter 2017, without the return to the full rate).

    steps: how many steps of the optimizer are done.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, options: TrainOptions, steps_per_epoch: int) -> None:
        self.steps = 0
        self._optimizer, self._peak = optimizer, options.recipe.learning_rate
        self._ends = [epochs * steps_per_epoch for epochs in (*options.extended, options.epochs)]
        total_steps = self._ends[0] + 1
        self._cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self._peak,
            total_steps=total_steps,
            pct_start=max(WARM_UP, 2 / total_steps),  # OneCycleLR divides by zero if it can't rise for a step
            cycle_momentum=False,
        )

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self) -> None:
        """Go on by one step of the optimizer."""
        self.steps += 1
        if self.steps <= self._ends[0]:
            self._cycle.step()
        self._set_added()

    def state_dict(self) -> dict[str, Any]:
        """The state of the one cycle; everything else follows from the number of steps."""
        return self._cycle.state_dict()

    def resume(self, state: Mapping[str, Any], steps: int) -> None:
        """Continue after `steps` steps with what state_dict returned then."""
        self._cycle.load_state_dict(dict(state))
        self.steps = steps
        self._set_added()

    def _set_added(self) -> None:
        for start, end in pairwise(self._ends):
            if start <= self.steps < end:
                share = (self.steps - start) / (end - start)
                for group in self._optimizer.param_groups:
                    group["lr"] = ADDED_RATE * self._peak * (1 + math.cos(math.pi * share)) / 2
