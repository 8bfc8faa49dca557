"""The heads of a classifier file, each with its answers as probabilities of the eight emotions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_edge.network.classifier import Classifier
from fer_models import default_model
from fer_train.data import FERPLUS_CLASSES
from fer_train.data.classes import canonical
from fer_train.evaluation.predictors import onnx_probabilities

EMOTIONS = FERPLUS_CLASSES
"""FER2013's seven, and contempt."""
Faces = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float64]

heads_option = click.option(
    "--head", "heads", multiple=True, metavar="NAME", help="Only this head of the file.  Repeatable.  [default: all]"
)
head_option = click.option("--head", metavar="NAME", help="Head of the file.  [default: its first]")


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
        return as_emotions(onnx_probabilities(self.classifier, images, ""), self.classifier.labels)


def as_emotions(probabilities: npt.NDArray[np.floating[Any]], labels: Sequence[str]) -> Probabilities:
    """Probabilities [N, labels] in the order of EMOTIONS, [N, 8]; labels that are none are left out."""
    found = np.zeros((len(probabilities), len(EMOTIONS)))
    for column, label in enumerate(labels):
        if canonical(label) in EMOTIONS:
            found[:, EMOTIONS.index(canonical(label))] = probabilities[:, column]
    return found


def open_classifier(model: Path, head: str | None = None, threads: int = 1) -> Classifier:
    """The file's first head, or the one that `head` names. ModelError or ContractError if there is none."""
    options: dict[str, Any] = {} if head is None else {"head": head}
    return Classifier(model, threads, **options)


def open_head(model: Path | None, name: str | None = None, threads: int = 1) -> Head:
    """One head of a file (default: the shipped int8 one): its first, or the one that `name` names.

    DataError if its labels are no emotions.
    """
    head = open_heads(model, [name] if name else [], threads)[0]
    if not head.is_emotional:
        raise DataError(f"{head.title} has the labels {', '.join(head.classifier.labels)}: give a head of emotions")
    return head


def open_heads(model: Path | None, names: Sequence[str] = (), threads: int = 1) -> list[Head]:
    """The heads of a file (default: the shipped int8 one) in its order, or those that `names` names."""
    path = model or default_model()
    known = [head.name for head in getattr(open_classifier(path, None, threads).contract, "heads", ())]
    return [Head(name, open_classifier(path, name, threads)) for name in names or known or [None]]
