"""An ensemble of trained networks that a student learns from."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from fer_edge.errors import ModelError
from fer_train.data import FACE_SIZE, FaceData
from fer_train.networks import Network
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint
from fer_train.networks.normalization import MEAN, STD


class Teachers(nn.Module):
    """The mean of the probabilities of several networks, all of them frozen."""

    def __init__(self, checkpoints: Sequence[Checkpoint], temperature: float, amp: bool) -> None:
        super().__init__()
        self.networks = nn.ModuleList(checkpoint.network() for checkpoint in checkpoints)
        self.requires_grad_(False)
        self._temperature, self._amp = temperature, amp

    def forward(self, faces: Tensor) -> Tensor:
        """Probabilities float32 [N, classes], at the temperature, of normalised faces [N, 1, 48, 48]."""
        answers = []
        for network in self.networks:
            assert isinstance(network, Network)
            with torch.autocast(faces.device.type, torch.bfloat16, enabled=self._amp):
                features = network.forward_features(faces)
            answers.append((network.classifier(features.float()) / self._temperature).softmax(dim=1))
        return torch.stack(answers).mean(dim=0)


def load_teachers(paths: Sequence[Path], data: FaceData) -> list[Checkpoint]:
    """Read the checkpoints at `paths`; ModelError for one whose classes are not `data`'s or whose input differs."""
    checkpoints = []
    for path in paths:
        checkpoint = load_checkpoint(path)
        if checkpoint.classes != data.classes:
            raise ModelError(
                f"--teacher {path} knows the classes {', '.join(checkpoint.classes)}, but the data has "
                f"{', '.join(data.classes)}: name a teacher of the same classes"
            )
        if dict(checkpoint.class_mapping) != dict(data.class_mapping):
            raise ModelError(f"--teacher {path} was trained with other --classes: name a teacher of the same")
        if (checkpoint.input_size, checkpoint.mean, checkpoint.std) != (FACE_SIZE, MEAN, STD):
            raise ModelError(f"--teacher {path} sees faces of another size or normalisation: train it anew")
        try:
            checkpoint.network()
        except ModelError as error:
            raise ModelError(f"--teacher {path}: {error}") from error
        checkpoints.append(checkpoint)
    return checkpoints
