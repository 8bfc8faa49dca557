"""What each head learns and is measured against: soft targets per head, and truths.

`people`   what a person would say, 7 classes: 80 % votes, 20 % labels, and labels of `--people`
`ferplus`  FER+'s votes, 8 classes with contempt, and labels of `--people`
others     the data set's labels; a run has at most one such head
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_train.data import (
    FER2013_CLASSES,
    FERPLUS_CLASSES,
    PRIVATE_TEST,
    PUBLIC_TEST,
    TRAINING,
    FaceData,
    align_classes,
    majority_protocol,
    vote_distribution,
)
from fer_train.data.faces import MAJORITY_LABELS
from fer_train.evaluation.truths import Truth
from fer_train.networks.heads import head_name

PEOPLE, FERPLUS = "people", "ferplus"
# What the head people learns about a face of the data is this much votes, the rest its label. Chosen on PublicTest and
# people kept aside: docs/experiments.md, "does the recipe make the shipped network again".
PEOPLE_VOTES = 0.8
TARGET_STEP = np.float32(1e-4)  # of targets in a hash: machines may differ in the last bit
PEOPLE_BALANCE = 0.5  # a class of people weighs (largest class / its faces) to this power
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HeadTargets:
    """What one head learns.

    targets: float32 [N, classes]; a row's sum is the face's weight in this head's loss, 0 to leave it out.
    truths: what it is measured against. weight: of its loss. dataset: where the targets come from, in words.
    is_labels: whether it learns the data set's own labels, with label smoothing and class weights.
    """

    name: str
    classes: tuple[str, ...]
    targets: FloatArray
    truths: tuple[Truth, ...]
    weight: float = 1.0
    dataset: str = ""
    class_mapping: Mapping[str, str | None] = field(default_factory=dict)
    is_labels: bool = False


@dataclass(frozen=True)
class TrainingSet:
    """The faces of a run and what each head learns from them.

    images: uint8 [N, 48, 48], to train on. labels: int64 [N] of the data set, -1 for people.
    test_images: uint8 [M, 48, 48], PublicTest and then the people kept aside; truths are about these.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    heads: tuple[HeadTargets, ...]

    @property
    def targets(self) -> FloatArray:
        """All heads' targets side by side, float32 [N, columns]."""
        return np.concatenate([head.targets for head in self.heads], axis=1)

    def fingerprint(self) -> str:
        """A hash of all faces, targets and truths, by which a resumed run recognizes them."""
        content = hashlib.blake2b(digest_size=16)
        targets = (self.targets / TARGET_STEP).round().astype(np.int32)
        for part in (self.images, self.labels, self.test_images, targets):
            content.update(np.ascontiguousarray(part).data)
        for truth in (truth for head in self.heads for truth in head.truths):
            content.update(truth.rows.astype(np.int64).tobytes() + truth.labels.astype(np.int64).tobytes())
        return content.hexdigest()


def default_heads(data: FaceData, labels_head: str | None = None) -> tuple[str, ...]:
    """The heads of a run that names none: the labels, and the votes if there are any.

    labels_head: the name of the first; by default the data set's.
    """
    name = labels_head or head_name(data.title)
    if data.votes is None:
        return (name,)
    return (name if name not in (PEOPLE, FERPLUS) else "labels", FERPLUS)


def training_set(
    data: FaceData, heads: Mapping[str, float] | None = None, *, ferplus_weight: float = 1.0,
    people: FaceData | None = None, people_weight: float = 0.3, labels_head: str | None = None,
) -> TrainingSet:  # fmt: skip
    """What `heads` (names and weights; by default default_heads) learn from `data` and from the faces `people`.

    people_weight: how much a face of `people` weighs, on average, where a face of `data` weighs 1.
    labels_head: as of default_heads, for a run that was begun under another name of the data.
    Raises DataError if a head has nothing to learn or to be measured against, or a class of `people` is unknown.
    """
    chosen = dict(heads) if heads else dict.fromkeys(default_heads(data, labels_head), 1.0)
    if not heads and FERPLUS in chosen:
        chosen[FERPLUS] = ferplus_weight
    training, test = data.split(TRAINING), data.split(PUBLIC_TEST)
    images, labels, test_images = training.images, training.labels, test.images
    more, kept = _people(people)
    if more is not None and kept is not None:
        images = np.concatenate([images, more.images])
        labels = np.concatenate([labels, np.full(len(more), -1)])
        test_images = np.concatenate([test_images, kept.images])
    made = tuple(
        _checked(_votes_head(name, weight, data, more, kept, people_weight), data)
        if name in (PEOPLE, FERPLUS) and data.votes is not None
        else _labels_head(name, weight, data, 0 if more is None else len(more))
        for name, weight in chosen.items()
    )
    return TrainingSet(images, labels, test_images, made)


def measured_faces(data: FaceData, head: HeadTargets) -> FaceData:
    """The faces of `data` with the labels that `head` is measured against first; `data` itself for a head on labels."""
    if head.is_labels:
        return data
    truth = head.truths[0]
    test = data.split(PUBLIC_TEST).rows(np.isin(np.arange((data.usage == PUBLIC_TEST).sum()), truth.rows))
    return replace(test, labels=truth.labels, classes=head.classes, class_mapping={}, votes=None, relabeled=True)


def _people(people: FaceData | None) -> tuple[FaceData | None, FaceData | None]:
    """The people to train on and those kept aside, with FERPLUS_CLASSES."""
    if people is None:
        return None, None
    aligned = align_classes(people, FERPLUS_CLASSES, {}, "a head on votes")
    training, kept = aligned.split(TRAINING), aligned.split(PUBLIC_TEST, PRIVATE_TEST)
    if not len(training) or not len(kept):
        raise DataError(f"{people.path} needs faces to train on and faces kept aside: folders train/ and test/")
    return training, kept


def _labels_head(name: str, weight: float, data: FaceData, people: int) -> HeadTargets:
    training, test = data.split(TRAINING), data.split(PUBLIC_TEST)
    targets = np.zeros((len(training) + people, len(data.classes)), np.float32)
    targets[np.arange(len(training)), training.labels] = 1
    labels = MAJORITY_LABELS if data.relabeled else "labels"
    truth = Truth(f"{labels} of {PUBLIC_TEST}", np.arange(len(test)), test.labels)
    return HeadTargets(
        name, data.classes, targets, (truth,), weight, data.title, dict(data.class_mapping), is_labels=True
    )


def _votes_head(
    name: str, weight: float, data: FaceData, more: FaceData | None, kept: FaceData | None, people_weight: float
) -> HeadTargets:
    classes = FER2013_CLASSES if name == PEOPLE else FERPLUS_CLASSES
    training, test = data.split(TRAINING), data.split(PUBLIC_TEST)
    assert training.votes is not None
    assert test.votes is not None
    targets = vote_distribution(training.votes)[:, : len(classes)]
    if name == PEOPLE:
        sums = targets.sum(axis=1, keepdims=True)
        votes = (targets / np.where(sums > 0, sums, 1)).astype(np.float32)
        targets = PEOPLE_VOTES * votes + (1 - PEOPLE_VOTES) * _one_hot(training, classes)
    voted = majority_protocol(test.votes)
    rows = np.flatnonzero((voted >= 0) & (voted < len(classes)))
    truths = [Truth(f"FER+ majorities of {PUBLIC_TEST}", rows, voted[rows])] if len(rows) else []
    sources = [f"FER+ votes on {data.title}"] + [f"labels of {data.title}"] * (name == PEOPLE)
    if more is not None and kept is not None:
        targets = np.concatenate([targets, _people_targets(more, classes, people_weight)])
        sources.append(f"faces of {more.title}")
        rows = np.flatnonzero(kept.labels < len(classes))
        if name == PEOPLE and len(rows):
            truth = Truth(f"faces of {more.title} kept aside", len(test) + rows, kept.labels[rows], by_class=True)
            truths.append(truth)
    return HeadTargets(name, classes, targets.astype(np.float32), tuple(truths), weight, ", ".join(sources))


def _people_targets(people: FaceData, classes: tuple[str, ...], weight: float) -> FloatArray:
    """Targets float32 [N, classes] whose rows sum to `weight` on average, more for rare classes."""
    counts = np.bincount(people.labels, minlength=len(FERPLUS_CLASSES))
    factors = (counts.max() / np.maximum(counts, 1)) ** PEOPLE_BALANCE
    factors = factors[people.labels] / factors[people.labels].mean()
    targets: FloatArray = _one_hot(people, classes) * (weight * factors[:, None]).astype(np.float32)
    return targets


def _one_hot(data: FaceData, classes: tuple[str, ...]) -> FloatArray:
    """Targets float32 [N, classes] of the labels; zeros for a label that is not one of `classes`."""
    column = np.array([classes.index(name) if name in classes else -1 for name in data.classes])[data.labels]
    targets = np.zeros((len(data), len(classes)), np.float32)
    known = np.flatnonzero(column >= 0)
    targets[known, column[known]] = 1
    return targets


def _checked(head: HeadTargets, data: FaceData) -> HeadTargets:
    """The head; DataError if its votes give it nothing to learn, or nothing to be measured against."""
    if not head.targets.any() or not head.truths:
        what = "learn" if not head.targets.any() else f"be measured against in {PUBLIC_TEST}"
        raise DataError(f"the votes on {data.path} leave the head {head.name} nothing to {what}: train without it")
    return head
