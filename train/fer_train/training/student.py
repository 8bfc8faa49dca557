"""The network in training, with the second head that FER+ votes may give it."""

import torch
from torch import Tensor, nn

from fer_train.networks import Network
from fer_train.training.qat import ActivationRanges


class Student(nn.Module):
    """A network, and a second head on the FER+ vote distribution if there are votes; the head is dropped afterwards.

    vote_columns: width of that head, None without votes. amp: run the network in bfloat16, the heads in float32.
    ranges: those of quantization-aware training, if it is on.
    """

    def __init__(self, network: Network, vote_columns: int | None, amp: bool) -> None:
        super().__init__()
        self.network, self._amp = network, amp
        self.ranges: ActivationRanges | None = None
        self.ferplus_head = None if vote_columns is None else nn.Linear(network.num_features, vote_columns)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits [N, classes], and logits of the votes [N, 10] or None, of normalized faces [N, 1, 48, 48]."""
        with torch.autocast(faces.device.type, torch.bfloat16, enabled=self._amp):
            features = self.network.forward_features(faces)
        features = features.float()
        return self.network.classifier(features), None if self.ferplus_head is None else self.ferplus_head(features)
