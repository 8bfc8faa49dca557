"""The network in training: bfloat16 convolutions, a classifier in float32, and the ranges of QAT."""

import torch
from torch import Tensor, nn

from fer_train.networks import Network
from fer_train.training.qat import ActivationRanges


class Student(nn.Module):
    """A network in training.

    amp: run the network in bfloat16, the classifier in float32. ranges: those of quantization-aware training, if it is
    on.
    """

    def __init__(self, network: Network, amp: bool) -> None:
        super().__init__()
        self.network, self._amp = network, amp
        self.ranges: ActivationRanges | None = None

    def forward(self, faces: Tensor) -> Tensor:
        """Logits [N, columns of all heads] of normalized faces [N, 1, 48, 48]."""
        with torch.autocast(faces.device.type, torch.bfloat16, enabled=self._amp):
            features = self.network.forward_features(faces)
        logits: Tensor = self.network.classifier(features.float())
        return logits
