"""The heads of a classifier file, each with its answers as probabilities of the eight emotions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_edge.framing import crop
from fer_edge.network.classifier import Classifier
from fer_models import default_model
from fer_train.data import FERPLUS_CLASSES
from fer_train.data.classes import canonical
from fer_train.evaluation.predictors import BATCH_SIZE, whole_square

EMOTIONS = FERPLUS_CLASSES
"""FER2013's seven, and contempt."""
Faces = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float64]

heads_option = click.option(
    "--head", "heads", multiple=True, metavar="NAME", help="Only this head of the file.  Repeatable.  [default: all]"
)
head_option = click.option("--head", metavar="NAME", help="Head of the file.  [default: its first]")

head_of_labels_option = click.option(
    "--head", metavar="NAME", help="Head of the file.  [default: fer2013, or its first]"
)


@dataclass(frozen=True)
class Head:
    """One head of a file. name: None for a file without heads."""

    name: str | None
    classifier: Classifier

    @property
    def title(self) -> str:
        """The file's name, with the head's if it has one."""
        return " ".join(filter(None, (self.classifier.path.name, self.name)))

    @property
    def is_emotional(self) -> bool:
        """Whether all its labels are among EMOTIONS, so that it can be measured against FER2013, FER+ and people."""
        return {canonical(label) for label in self.classifier.labels} <= set(EMOTIONS)

    def predict(self, images: Faces) -> Probabilities:
        """Probabilities [N, 8] of EMOTIONS for faces uint8 [N, 48, 48]; 0 for those that the head doesn't have."""
        return as_emotions(crop_probabilities(self.classifier, images), self.classifier.labels)


def crop_probabilities(classifier: Classifier, images: Faces) -> npt.NDArray[np.float32]:
    """Probabilities [N, labels] for faces uint8 [N, H, W] that are framed already.

    They are resized to the network's input. The contract's framing is not applied: it frames photographs, and a crop
    has nothing outside.
    """
    contract = classifier.contract
    parts = [np.empty((0, len(classifier.labels)), dtype=np.float32)]
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE]
        if batch.shape[1:] != contract.input_size:
            batch = np.stack([crop(face, whole_square(face), contract.input_size) for face in batch])
        parts.append(classifier.predict(np.repeat(batch[:, None], contract.channels, axis=1)))
    return np.concatenate(parts)


def as_emotions(probabilities: npt.NDArray[np.floating[Any]], labels: Sequence[str]) -> Probabilities:
    """Probabilities [N, labels] in the order of EMOTIONS, [N, 8]; labels that are none are left out."""
    found = np.zeros((len(probabilities), len(EMOTIONS)))
    for column, label in enumerate(labels):
        if canonical(label) in EMOTIONS:
            found[:, EMOTIONS.index(canonical(label))] = probabilities[:, column]
    return found


def open_first(path: Path, threads: int = 1, name: str | None = None) -> Head:
    """The first head of a file, or the one that `name` names, whatever its labels are."""
    classifier = Classifier(path, threads, name)
    return Head(classifier.head, classifier)


def labels_classifier(model: Path | None, name: str | None = None) -> Classifier:
    """The head that `name` names; by default the one of FER2013's labels, in a file without it the first."""
    path = model or default_model()
    known = [head.name for head in Classifier(path).contract.heads]
    return Classifier(path, head=name or ("fer2013" if "fer2013" in known else None))


def open_head(model: Path | None, name: str | None = None, threads: int = 1) -> Head:
    """One head of a file (default: the shipped int8 one): its first, or the one that `name` names.

    DataError if its labels are no emotions.
    """
    head = open_first(model or default_model(), threads, name)
    if not head.is_emotional:
        raise DataError(f"{head.title} has the labels {', '.join(head.classifier.labels)}: give a head of emotions")
    return head


def open_heads(model: Path | None, names: Sequence[str] = (), threads: int = 1) -> list[Head]:
    """The heads of a file (default: the shipped int8 one) in its order, or those that `names` names."""
    path = model or default_model()
    known = [head.name for head in Classifier(path, threads).contract.heads]
    chosen: Sequence[str | None] = names or known or [None]
    return [Head(name, Classifier(path, threads, name)) for name in chosen]
