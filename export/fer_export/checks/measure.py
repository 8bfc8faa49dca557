"""Measure classifier files as the device runs them: predictions for faces, agreement, time per face."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_edge.network.classifier import Classifier
from fer_train.data import FaceData
from fer_train.evaluation.predictors import Probabilities, onnx_probabilities, whole_square

LATENCY_ROUNDS = 30
RUNS_PER_ROUND = 20
WARM_UP_RUNS = 10


@dataclass(frozen=True)
class Spread:
    """A median with the 5th (low) and the 95th (high) percentile."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Latency:
    """Processor time per face, batch 1, one thread.

    milliseconds: by precision or name. ratio: the first one's time / the second one's (above 1: the second is
    faster), each sample from a round that ran both; None for a single file.
    """

    milliseconds: dict[str, Spread]
    ratio: Spread | None


def predict(classifier: Classifier, data: FaceData, label: str) -> Probabilities:
    """Probabilities float32 [N, classes] in the order of `data.classes`; `label` names the progress bar.

    Raises DataError if the data's classes are not the classifier's.
    """
    if sorted(classifier.labels) != sorted(data.classes):
        raise DataError(
            f"{data.path} has the classes {', '.join(data.classes)}, but {classifier.path} has "
            f"{', '.join(classifier.labels)}: measure it on data with its own classes"
        )
    order = [classifier.labels.index(name) for name in data.classes]
    return onnx_probabilities(classifier, data.images, label)[:, order]


def agreement(first: Probabilities, second: Probabilities) -> float:
    """Fraction of faces, 0 to 1, for which both predict the same class."""
    return float((first.argmax(axis=1) == second.argmax(axis=1)).mean())


def measure_latency(classifiers: Mapping[str, Classifier], face: npt.NDArray[np.uint8]) -> Latency:
    """Time one face (uint8 [H, W]) through each classifier, by its name, in this process.

    Measures the calling thread's processor time, in which a classifier of one thread does all its work: what other
    programs take on a busy machine does not count. The classifiers take turns within a round, in changing order, so
    that a throttled machine slows all of them.
    """
    jobs = {name: _job(classifier, face) for name, classifier in classifiers.items()}
    samples: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(LATENCY_ROUNDS):
        for name in sorted(jobs, reverse=bool(turn % 2)):
            samples[name] += [_seconds(jobs[name]) * 1000 for _ in range(RUNS_PER_ROUND)]
    rounds = [np.median(np.reshape(values, (LATENCY_ROUNDS, -1)), axis=1) for values in samples.values()]
    ratio = _spread(rounds[0] / rounds[1]) if len(rounds) > 1 else None
    return Latency({name: _spread(values) for name, values in samples.items()}, ratio)


def _job(classifier: Classifier, face: npt.NDArray[np.uint8]) -> Callable[[], object]:
    batch = classifier.batch(face, [whole_square(face)], normalize_light=False)

    def run() -> object:
        return classifier.predict(batch)

    for _ in range(WARM_UP_RUNS):
        run()
    return run


def _seconds(job: Callable[[], object]) -> float:
    started = time.thread_time()
    job()
    return time.thread_time() - started


def _spread(values: npt.ArrayLike) -> Spread:
    low, median, high = np.percentile(np.asarray(values), (5, 50, 95))
    return Spread(round(float(median), 4), round(float(low), 4), round(float(high), 4))
