"""What each head of a checkpoint is measured against: the data's labels, or the majorities of FER+'s votes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer_edge.errors import DataError
from fer_train.data import FERPLUS_CLASSES, PUBLIC_TEST, TRAINING, FaceData, align_classes, majority_protocol
from fer_train.data.classes import canonical
from fer_train.networks.checkpoint import Checkpoint

VOTES = "FER+ majorities"  # how fer-train begins the truth of a head that was trained on votes


@dataclass(frozen=True)
class HeadTruth:
    """description: in words. data: with the head's classes; its PublicTest faces have the labels to measure against."""

    description: str
    data: FaceData


def find_truths(data: FaceData, checkpoint: Checkpoint) -> tuple[dict[str, HeadTruth], list[str]]:
    """The truth of each head, by its name, and a note for each head that has none.

    Raises DataError if the checkpoint has a single head, which is not of the data's classes.
    """
    found: dict[str, HeadTruth] = {}
    notes = []
    for head in checkpoint.heads:
        if head.truth.startswith(VOTES):
            if data.votes is None:
                notes.append(f"accuracy of {head.name} not measured: its truth are FER+'s votes, give --ferplus")
            else:
                found[head.name] = HeadTruth(f"{VOTES} of {PUBLIC_TEST}", labeled_by_votes(data, head.classes))
            continue
        single = len(checkpoint.heads) == 1
        owner = "the checkpoint" if single else f"the head {head.name}"
        try:
            aligned = align_classes(data, head.classes, head.class_mapping, owner)
        except DataError as error:
            if single:
                raise
            notes.append(f"accuracy of {head.name} not measured: {error}")
        else:
            found[head.name] = HeadTruth(f"labels of {PUBLIC_TEST}", aligned)
    return found, notes


def labeled_by_votes(data: FaceData, classes: Sequence[str]) -> FaceData:
    """`data`, which has votes, labeled by FER+'s majority protocol; test faces without a majority are left out."""
    assert data.votes is not None
    names = [canonical(name) for name in classes]
    places = [names.index(name) if name in names else -1 for name in FERPLUS_CLASSES]
    labels = np.array([*places, -1], dtype=np.int64)[majority_protocol(data.votes)]
    kept = (labels >= 0) | (data.usage == TRAINING)
    changed = replace(data, labels=np.maximum(labels, 0), classes=tuple(classes), class_mapping={}, relabeled=True)
    return replace(changed, votes=None).rows(kept)
