"""Measure an exported file as the device runs it: accuracy on faces, agreement, time a face."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fer_edge.classifier import Classifier
from fer_edge.errors import DataError
from fer_edge.framing import Square
from fer_train.data import TRAINING, FaceData, also_in
from fer_train.metrics import score

BATCH = 64
LATENCY_ROUNDS = 30
RUNS_A_ROUND = 20
WARM_UP_RUNS = 10
Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Accuracy:
    """Scores of one file on one split.

    metrics: as fer_train.metrics.score gives them. deduplicated: accuracy on the faces that are not
    pixel-identical to a training face, None on the training split. Fractions 0 to 1.
    """

    split: str
    metrics: dict[str, Any]
    deduplicated: float | None
    images_deduplicated: int


@dataclass(frozen=True)
class Spread:
    """A median with the 5th and 95th percentile beside it."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Latency:
    """Time a face, batch 1. milliseconds: by precision or name. ratio: the first's time / the second's, None for one.

    A ratio above 1 means that the second, int8, is faster. Each of its samples comes from a round that ran both.
    """

    milliseconds: dict[str, Spread]
    ratio: Spread | None


def predict(classifier: Classifier, data: FaceData, label: str) -> Probabilities:
    """Probabilities float32 [N, classes] in the order of `data.classes`; DataError if the labels are not the same.

    Faces are framed and resized as the contract asks, which changes nothing for one that takes FER2013's
    own squares. `label` names the progress bar.
    """
    if sorted(classifier.labels) != sorted(data.classes):
        raise DataError(
            f"{data.path} has the classes {', '.join(data.classes)}, but {classifier.path} knows "
            f"{', '.join(classifier.labels)}: measure it on data with its own classes"
        )
    order = [classifier.labels.index(name) for name in data.classes]
    parts = [np.empty((0, len(order)), dtype=np.float32)]
    for start in tqdm(range(0, len(data), BATCH), desc=label, unit="batch", leave=False, disable=None):
        faces = [classifier.batch(image, [_whole(image)]) for image in data.images[start : start + BATCH]]
        parts.append(classifier.predict(np.concatenate(faces))[:, order])
    return np.concatenate(parts)


def measure_accuracy(probabilities: Probabilities, data: FaceData, split: str) -> Accuracy:
    """Score `probabilities` of `data.split(split)`."""
    measured = data.split(split)
    metrics = score(probabilities, measured.labels, data.classes)
    if split == TRAINING:
        return Accuracy(split, metrics, None, 0)
    new = ~also_in(measured.images, data.split(TRAINING).images)
    deduplicated = score(probabilities[new], measured.labels[new], data.classes)
    return Accuracy(split, metrics, deduplicated["accuracy"] if new.any() else None, int(new.sum()))


def agreement(first: Probabilities, second: Probabilities) -> float:
    """Share of faces for which both name the same class."""
    return float((first.argmax(axis=1) == second.argmax(axis=1)).mean())


def measure_latency(classifiers: Mapping[str, Classifier], face: npt.NDArray[np.uint8]) -> Latency:
    """Time one face (uint8 [H, W]) through each classifier, by its name, in this process.

    They take turns within a round, in changing order, so that a busy or throttled machine slows all. The ratio is
    the first one's time / the second one's.
    """
    jobs = {name: _job(classifier, face) for name, classifier in classifiers.items()}
    samples: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(LATENCY_ROUNDS):
        for name in sorted(jobs, reverse=bool(turn % 2)):
            samples[name] += [_seconds(jobs[name]) * 1000 for _ in range(RUNS_A_ROUND)]
    rounds = [np.median(np.reshape(values, (LATENCY_ROUNDS, -1)), axis=1) for values in samples.values()]
    ratio = _spread(rounds[0] / rounds[1]) if len(rounds) > 1 else None
    return Latency({name: _spread(values) for name, values in samples.items()}, ratio)


def _job(classifier: Classifier, face: npt.NDArray[np.uint8]) -> Callable[[], object]:
    batch = classifier.batch(face, [_whole(face)])

    def run() -> object:
        return classifier.predict(batch)

    for _ in range(WARM_UP_RUNS):
        run()
    return run


def _whole(image: npt.NDArray[np.uint8]) -> Square:
    """The square that a picture of a face (uint8 [H, W], as wide as high) is."""
    side = image.shape[0]
    return Square(side / 2, side / 2, side)


def _seconds(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def _spread(values: npt.ArrayLike) -> Spread:
    low, median, high = np.percentile(np.asarray(values), (5, 50, 95))
    return Spread(round(float(median), 4), round(float(low), 4), round(float(high), 4))
