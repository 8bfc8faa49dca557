"""Teachers: trained networks whose predictions a student learns (Hinton et al. 2015).

A teacher's head teaches the student's head of the same name and classes. A teacher with one head teaches the head on
the data set's labels if the classes are the same.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from fer_edge.console import option_named
from fer_edge.errors import ModelError
from fer_train.data import FACE_SIZE
from fer_train.networks import Network
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint
from fer_train.networks.heads import Head
from fer_train.networks.normalization import MEAN, STD
from fer_train.training.targets import HeadTargets


class TeacherEnsemble(nn.Module):
    """The mean of the probabilities of several frozen networks, per head of the student that any of them teaches.

    taught: the indices of these heads among `heads`.
    """

    def __init__(
        self, checkpoints: Sequence[Checkpoint], heads: Sequence[HeadTargets], temperature: float, amp: bool
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(checkpoint.network() for checkpoint in checkpoints)
        self.requires_grad_(False)
        self._temperature, self._amp = temperature, amp
        lessons = [
            [
                (index, checkpoint.columns(taught.name))
                for index, checkpoint in enumerate(checkpoints)
                if (taught := taught_by(checkpoint, head)) is not None
            ]
            for head in heads
        ]
        self.taught = tuple(index for index, lesson in enumerate(lessons) if lesson)
        self._lessons = [lesson for lesson in lessons if lesson]  # of each taught head: a network, its columns

    def forward(self, faces: Tensor) -> tuple[Tensor, ...]:
        """Probabilities float32 [N, classes] per head in `taught`, softened by the temperature.

        faces: float32 [N, 1, 48, 48], normalized.
        """
        logits = []
        for network in self.networks:
            assert isinstance(network, Network)
            with torch.autocast(faces.device.type, torch.bfloat16, enabled=self._amp):
                features = network.forward_features(faces)
            logits.append(network.classifier(features.float()) / self._temperature)
        return tuple(
            torch.stack([logits[index][:, columns].softmax(dim=1) for index, columns in lesson]).mean(dim=0)
            for lesson in self._lessons
        )


def taught_by(checkpoint: Checkpoint, head: HeadTargets) -> Head | None:
    """The head of `checkpoint` that teaches `head`, or None."""
    mapping = dict(head.class_mapping)
    fitting = [own for own in checkpoint.heads if own.classes == head.classes and dict(own.class_mapping) == mapping]
    for own in fitting:
        if own.name == head.name:
            return own
    is_alone = len(checkpoint.heads) == 1
    return fitting[0] if fitting and is_alone and head.is_labels else None


def load_teachers(paths: Sequence[Path], heads: Sequence[HeadTargets]) -> list[Checkpoint]:
    """Read the checkpoints at `paths`.

    Raises ModelError for one that is damaged, teaches none of `heads`, or takes another input than our networks.
    """
    checkpoints = []
    for path in paths:
        with option_named("--teacher", path):
            checkpoint = load_checkpoint(path)
        if all(taught_by(checkpoint, head) is None for head in heads):
            raise ModelError(f"--teacher {path} {_difference(checkpoint, heads)}")
        if (checkpoint.input_size, checkpoint.mean, checkpoint.std) != (FACE_SIZE, MEAN, STD):
            raise ModelError(f"--teacher {path} takes another input size or normalization: train it again")
        checkpoints.append(checkpoint)
    return checkpoints


def _difference(checkpoint: Checkpoint, heads: Sequence[HeadTargets]) -> str:
    """Why `checkpoint` teaches none of `heads`."""
    own = next((head for head in heads if head.is_labels), heads[0])
    if len(checkpoint.heads) > 1:
        names, wanted = (", ".join(head.name for head in some) for some in (checkpoint.heads, heads))
        return f"has the heads {names}, none of which has the name and the classes of one of {wanted}: name another"
    if checkpoint.classes == own.classes:
        return "was trained with other --classes: name a teacher with the same"
    return (
        f"has the classes {', '.join(checkpoint.classes)}, but the data has {', '.join(own.classes)}: name a teacher "
        "with the same classes"
    )
