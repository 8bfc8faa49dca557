"""What the run's network is and what its labels are worth: the parts of the status that never change."""

from typing import Any

from fer_edge.network.classifier import Classifier
from fer_edge.serve.run_state import RunState
from fer_edge.sinks.drawing.colors import UNSURE, Color, color_of


def about_model(classifier: Classifier) -> dict[str, Any]:
    """The network that names emotions. accuracy: measured, 0 to 1; truth: against which labels. None if unknown."""
    head = classifier.contract.head(classifier.head)
    measured = classifier.accuracy or {}
    dataset = classifier.contract.dataset if head is None else head.dataset
    return {
        "file": classifier.path.name,
        "head": classifier.head,
        "labels": list(classifier.labels),
        "precision": classifier.precision,
        "dataset": dataset or classifier.contract.dataset or None,
        "accuracy": measured.get("accuracy"),
        "truth": measured.get("truth"),
    }


def limits(state: RunState) -> list[str]:
    """What a viewer must know about the labels, as sentences."""
    model = about_model(state.classifier)
    sentences = ["A label says what a face looks like to other people, not what the person feels."]
    if model["accuracy"] is not None:
        truth = f"labels of {model['truth']}" if model["truth"] else "its test images"
        wrong = 1 - model["accuracy"]
        sentences.append(f"On {truth}, about {round(100 * wrong)} of 100 labels are wrong.")
    sentences.append("It is less often right about faces unlike its training photos: other ages, angles and light.")
    if state.blur == "faces":
        sentences.append("Faces that are not found stay visible.")
    return sentences


def about_labels(classifier: Classifier) -> dict[str, Any]:
    """The labels and the color that each has in all drawings."""
    labels = classifier.labels
    return {
        "labels": list(labels),
        "head": classifier.head,
        "colors": {label: _css(color_of(label, labels)) for label in labels},
        "unsure_color": _css(UNSURE),
    }


def _css(color: Color) -> str:
    blue, green, red = color
    return f"#{red:02x}{green:02x}{blue:02x}"
