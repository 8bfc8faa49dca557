"""What each head of a checkpoint is measured against: labels, the majorities of FER+'s votes, people kept aside."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_train.data import (
    FERPLUS_CLASSES,
    PRIVATE_TEST,
    PUBLIC_TEST,
    TRAINING,
    FaceData,
    align_classes,
    also_in,
    majority_protocol,
)
from fer_train.data.classes import canonical
from fer_train.data.faces import MAJORITY_LABELS
from fer_train.data.ferplus import with_majority_labels
from fer_train.evaluation.metrics import expected_calibration_error
from fer_train.evaluation.predictors import Probabilities, logits_from
from fer_train.evaluation.truths import Truth, head_metrics
from fer_train.networks.checkpoint import Checkpoint
from fer_train.networks.heads import Head

VOTES = "FER+ majorities"  # how fer-train begins the truth of a head that was trained on votes
PEOPLE = "people"  # the head that is measured on people kept aside, too


@dataclass(frozen=True)
class HeadTruth:
    """What one head is measured against.

    data: with the head's classes; its PublicTest faces have the labels to measure against. parts: which of these faces
    belong to which truth; all parts weigh the same in the temperature, however many faces they have.
    """

    data: FaceData
    parts: tuple[Truth, ...]

    @property
    def description(self) -> str:
        """All truths, in words."""
        return " and ".join(part.description for part in self.parts)

    @property
    def weights(self) -> npt.NDArray[np.float64] | None:
        """Of each test face in the temperature, float64 [N]; None if all weigh the same."""
        if len(self.parts) == 1:
            return None
        return np.concatenate([np.full(len(part.rows), 1 / len(part.rows)) for part in self.parts])

    def scores(self, probabilities: Probabilities, temperature: float) -> list[dict[str, Any]]:
        """Accuracy and calibration against each truth, from the probabilities [N, classes] of all test faces.

        ece is that of these probabilities, ece_cross_fitted that with a temperature fitted on the other half of the
        faces. temperature: by which the logits were divided.
        """
        test = self.data.split(PUBLIC_TEST)
        if not len(test):
            return []
        is_new = ~also_in(test.images, self.data.split(TRAINING).images)
        metrics = head_metrics(logits_from(probabilities, temperature), self.parts, self.data.classes, is_new)
        measured = metrics.get("truths", [metrics | {"temperature_weight": 1.0}])
        return [
            {
                "truth": part.description,
                "images": found["images"],
                "temperature_weight": found["temperature_weight"],
                "accuracy": found["accuracy"],
                "ece": expected_calibration_error(probabilities[part.rows], part.labels),
                "ece_cross_fitted": found["ece"],
            }
            for part, found in zip(self.parts, measured, strict=True)
        ]


def find_truths(
    data: FaceData, checkpoint: Checkpoint, people: FaceData | None = None
) -> tuple[dict[str, HeadTruth], list[str]]:
    """The truth of each head, by its name, and a note for each head that has none, or not all.

    people: their test faces are a second truth of the head `people`.
    Raises DataError if the checkpoint has a single head, which is not of the data's classes, or if `people` has no
    test faces, or classes that are no emotions of FER+.
    """
    found: dict[str, HeadTruth] = {}
    notes = []
    single = len(checkpoint.heads) == 1
    for head in checkpoint.heads:
        if reason := _reason_against(head, data):
            notes.append(f"accuracy of {head.name} not measured: {reason}")
        elif head.truth.startswith(VOTES):
            truth = _truth(f"{VOTES} of {PUBLIC_TEST}", labeled_by_votes(data, head.classes))
            if head.name == PEOPLE and people is not None:
                truth = with_people(truth, people)
            elif head.name == PEOPLE:
                notes.append(f"{PEOPLE} is measured on {truth.description} alone: --people adds people kept aside")
            found[head.name] = truth
        else:
            try:
                found[head.name] = _truth_of_labels(head, data, "the checkpoint" if single else f"the head {head.name}")
            except DataError as error:
                if single:
                    raise
                notes.append(f"accuracy of {head.name} not measured: {error}")
    return found, notes


def _reason_against(head: Head, data: FaceData) -> str | None:
    """Why `data` can't measure the head, or None."""
    if head.truth.startswith(VOTES):
        return None if data.votes is not None else "it needs FER+'s votes: give --ferplus"
    if head.learned_all and data.held_out:
        learned = f"it has learned from all faces; {head.metrics['split']}, found"
        return f"{learned} {head.metrics['accuracy']:.1%} of {head.metrics['images']:,}"
    if _is_relabeled(head) and data.votes is None:
        return f"it learned {MAJORITY_LABELS}: give --ferplus"
    if _is_relabeled(head) and data.held_out:  # other faces were held out of relabeled data
        return f"it learned {MAJORITY_LABELS}: give data with test faces"
    return None


def _is_relabeled(head: Head) -> bool:
    return head.truth.startswith(MAJORITY_LABELS) or head.dataset.endswith(f" with {MAJORITY_LABELS}")


def _truth_of_labels(head: Head, data: FaceData, owner: str) -> HeadTruth:
    """The labels of `data`, or its majorities if the head learned these. DataError for classes that don't fit."""
    aligned = align_classes(data, head.classes, head.class_mapping, owner)
    if _is_relabeled(head):
        aligned = with_majority_labels(data, head.classes, aligned.class_mapping)
    return _truth(f"{MAJORITY_LABELS if _is_relabeled(head) else 'labels'} of {PUBLIC_TEST}", aligned)


def _truth(description: str, data: FaceData) -> HeadTruth:
    labels = data.split(PUBLIC_TEST).labels
    return HeadTruth(data, (Truth(description, np.arange(len(labels)), labels),))


def with_people(truth: HeadTruth, people: FaceData) -> HeadTruth:
    """`truth` with the test faces of `people` as a further truth; people of other classes are left out."""
    data, (first, *_) = truth.data, truth.parts
    kept = align_classes(people, FERPLUS_CLASSES, {}, "a head on votes").split(PUBLIC_TEST, PRIVATE_TEST)
    places = np.array([data.classes.index(name) if name in data.classes else -1 for name in FERPLUS_CLASSES])
    kept = replace(kept, labels=places[kept.labels]).rows(places[kept.labels] >= 0)
    if not len(kept):
        raise DataError(f"{people.path} has no faces kept aside: --people needs a folder test/<class>/, or test rows")
    if kept.images.shape[1:] != data.images.shape[1:]:
        raise DataError(f"{people.path} has faces of another size than {data.path}")
    both = replace(
        data,
        images=np.concatenate([data.images, kept.images]),
        labels=np.concatenate([data.labels, kept.labels]),
        usage=np.concatenate([data.usage, np.full(len(kept), PUBLIC_TEST)]),
        names=None,
        votes=None,
    )
    rows = len(first.rows) + np.arange(len(kept))
    second = Truth(f"faces of {people.title} kept aside", rows, kept.labels, by_class=True)
    return HeadTruth(both, (first, second) if len(first.rows) else (second,))


def labeled_by_votes(data: FaceData, classes: Sequence[str]) -> FaceData:
    """`data`, which has votes, labeled by FER+'s majority protocol; test faces without a majority are left out."""
    assert data.votes is not None
    names = [canonical(name) for name in classes]
    places = [names.index(name) if name in names else -1 for name in FERPLUS_CLASSES]
    labels = np.array([*places, -1], dtype=np.int64)[majority_protocol(data.votes)]
    kept = (labels >= 0) | (data.usage == TRAINING)
    changed = replace(data, labels=np.maximum(labels, 0), classes=tuple(classes), class_mapping={}, relabeled=True)
    return replace(changed, votes=None).rows(kept)
