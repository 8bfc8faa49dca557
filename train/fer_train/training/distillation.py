"""Teachers: trained networks whose predictions a student learns (Hinton et al. 2015)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from fer_edge.errors import ModelError
from fer_train.data import FACE_SIZE, FaceData
from fer_train.networks import Network
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint
from fer_train.networks.normalization import MEAN, STD


class TeacherEnsemble(nn.Module):
    """The mean of the probabilities of several frozen networks."""

    def __init__(self, checkpoints: Sequence[Checkpoint], temperature: float, amp: bool) -> None:
        super().__init__()
        self.networks = nn.ModuleList(checkpoint.network() for checkpoint in checkpoints)
        self.requires_grad_(False)
        self._temperature, self._amp = temperature, amp

    def forward(self, faces: Tensor) -> Tensor:
        """Probabilities float32 [N, classes], softened by the temperature, of normalized faces [N, 1, 48, 48]."""
        probabilities = []
        for network in self.networks:
            assert isinstance(network, Network)
            with torch.autocast(faces.device.type, torch.bfloat16, enabled=self._amp):
                features = network.forward_features(faces)
            probabilities.append((network.classifier(features.float()) / self._temperature).softmax(dim=1))
        return torch.stack(probabilities).mean(dim=0)


def load_teachers(paths: Sequence[Path], data: FaceData) -> list[Checkpoint]:
    """Read the checkpoints at `paths`.

    Raises ModelError for one that is damaged, has other classes than `data`, or takes another input than our networks.
    """
    checkpoints = []
    for path in paths:
        checkpoint = load_checkpoint(path)
        if checkpoint.classes != data.classes:
            raise ModelError(
                f"--teacher {path} has the classes {', '.join(checkpoint.classes)}, but the data has "
                f"{', '.join(data.classes)}: name a teacher with the same classes"
            )
        if dict(checkpoint.class_mapping) != dict(data.class_mapping):
            raise ModelError(f"--teacher {path} was trained with other --classes: name a teacher with the same")
        if (checkpoint.input_size, checkpoint.mean, checkpoint.std) != (FACE_SIZE, MEAN, STD):
            raise ModelError(f"--teacher {path} takes another input size or normalization: train it again")
        try:
            checkpoint.network()
        except ModelError as error:
            raise ModelError(f"--teacher {path}: {error}") from error
        checkpoints.append(checkpoint)
    return checkpoints
