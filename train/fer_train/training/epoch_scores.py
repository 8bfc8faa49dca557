"""What is known of a network at the end of an epoch: the checkpoint with its metrics."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fer_train.data import PUBLIC_TEST
from fer_train.evaluation.metrics import (
    cross_fitted_probabilities,
    expected_calibration_error,
    fit_temperature,
    score,
    softmax,
)
from fer_train.networks.checkpoint import Checkpoint

if TYPE_CHECKING:
    from fer_train.training.trainer import Trainer


def checkpoint_of(trainer: "Trainer", test_logits: npt.NDArray[np.float32], epoch: int) -> Checkpoint:
    """The average's checkpoint after `epoch`, whose logits for the test faces are `test_logits` [N, classes]."""
    temperature = fit_temperature(test_logits, trainer.test_labels)
    options = asdict(trainer.options) | {"ferplus": trainer.has_votes}
    if trainer.student.ranges is not None:
        options["relu_ranges"] = trainer.student.ranges.tops.tolist()  # in the order of the network's ReLUs
    return Checkpoint(
        model=trainer.options.model,
        classes=trainer.classes,
        state_dict={name: value.cpu().contiguous().clone() for name, value in trainer.average.state_dict().items()},
        temperature=temperature,
        dataset=trainer.dataset_name,
        metrics=_metrics(trainer, test_logits, temperature) | {"epoch": epoch},
        options=options,
        class_mapping=trainer.class_mapping,
    )


def _metrics(trainer: "Trainer", test_logits: npt.NDArray[np.float32], temperature: float) -> dict[str, Any]:
    labels, new = trainer.test_labels, trainer.test_is_new
    probabilities = softmax(test_logits, temperature)
    metrics = score(probabilities, labels, trainer.classes)
    metrics["ece"] = expected_calibration_error(cross_fitted_probabilities(test_logits, labels), labels)
    metrics["ece_uncalibrated"] = expected_calibration_error(softmax(test_logits), labels)
    metrics["accuracy_deduplicated"] = score(probabilities[new], labels[new], trainer.classes)["accuracy"]
    metrics["images_deduplicated"] = int(new.sum())
    return metrics | {"split": PUBLIC_TEST, "temperature": temperature}
