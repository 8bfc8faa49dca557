"""What every network has, and the training settings that suit it."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Recipe:
    """Training settings that suit a network; the command line can override each of them.

    learning_rate: the peak of the one-cycle schedule. batch_size: faces per step.
    """

    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    batch_size: int = 128


class Network(nn.Module):
    """A classifier of normalized faces, float32 [N, 1, 48, 48]; its constructor takes the number of classes.

    num_features: width of the output of `forward_features`, to which training may attach more heads.
    recipe: the settings that `fer-train` uses by default.
    classifier: the dense layer from features to logits.
    """

    num_features: int
    recipe: Recipe
    classifier: nn.Linear

    def forward_features(self, faces: Tensor) -> Tensor:
        """Features [N, num_features] of the faces [N, 1, 48, 48]."""
        raise NotImplementedError

    def forward(self, faces: Tensor) -> Tensor:
        """Logits [N, num_classes] of the faces [N, 1, 48, 48]."""
        return self.classifier(self.forward_features(faces))  # type: ignore[no-any-return]  # torch's modules are Any

    def num_parameters(self) -> int:
        """The number of trained weights."""
        return sum(parameter.numel() for parameter in self.parameters())

    def num_macs(self) -> int:
        """Multiply-accumulates per face in convolutions and dense layers. The network is left as it was."""
        counts: list[int] = []

        def count(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            counts.append(module.weight[0].numel() * output.numel())  # type: ignore[index]

        layers = [module for module in self.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        handles = [layer.register_forward_hook(count) for layer in layers]
        was_training = self.training
        with torch.no_grad():
            self.eval()(torch.zeros(1, 1, 48, 48, device=next(self.parameters()).device))
        for handle in handles:
            handle.remove()
        self.train(was_training)
        return sum(counts)
