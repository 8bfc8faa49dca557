"""What every network has, and the training settings that suit it."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn


@dataclass(frozen=True)
class Recipe:
    """Training settings that fit a network; each can be overridden on the command line.

    learning_rate: the peak of the one-cycle schedule.
    """

    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    batch_size: int = 128


class Network(nn.Module):
    """A classifier of normalised faces, float32 [N, 1, 48, 48]; its constructor takes the number of classes.

    num_features: width of `forward_features`' output, on which training may hang further heads.
    recipe: the settings `fer-train` uses unless told otherwise.
    """

    num_features: int
    recipe: Recipe
    classifier: nn.Linear

    def forward_features(self, faces: Tensor) -> Tensor:
        """Features [N, num_features] of the faces [N, 1, 48, 48]."""
        raise NotImplementedError

    def forward(self, faces: Tensor) -> Tensor:
        """Logits [N, num_classes]."""
        return self.classifier(self.forward_features(faces))  # type: ignore[no-any-return]  # torch's modules are Any

    def num_parameters(self) -> int:
        """How many weights are trained."""
        return sum(parameter.numel() for parameter in self.parameters())
