"""Fit a classifier's temperature again: int8 is slightly more or less confident than fp32."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from fer_export.checks.parity import Floats, logits_of, softmax_node
from fer_export.graph.classifier import OUTPUT
from fer_export.graph.onnx_file import copied, drop_unused_initializers
from fer_train.data import FaceData
from fer_train.evaluation.metrics import (
    cross_fitted_probabilities,
    expected_calibration_error,
    fit_temperature,
    softmax,
)

TEMPERATURE = "temperature"
MIN_IMAGES = 1000  # on fewer test faces the fit would be noise: the checkpoint's temperature is kept


@dataclass(frozen=True)
class TemperatureFit:
    """The temperature of int8, fitted on the split on which fer-train fitted the checkpoint's.

    before, after: the temperature in the checkpoint and the one for int8. ece_before: int8's expected calibration
    error with the checkpoint's. ece_after: with a temperature that each half of the faces gets from the other half,
    so that it is not measured on what it was fitted to.
    """

    split: str
    images: int
    before: float
    after: float
    ece_before: float
    ece_after: float

    def __str__(self) -> str:
        return (
            f"int8's temperature is {self.after:g}, fitted on {self.images} {self.split} faces (fp32: {self.before:g});"
            f" its ECE {self.ece_before:.3f} before, {self.ece_after:.3f} after (cross-fitted)"
        )


def refit_temperature(
    model: onnx.ModelProto, temperature: float, test: FaceData, split: str, output: str = OUTPUT,
    weights: npt.NDArray[np.float64] | None = None,
) -> TemperatureFit:  # fmt: skip
    """Fit `model`'s temperature on `test`, the faces of `split`; its graph divides logits by `temperature` so far.

    weights: float64 [N], of each face in the fit; all the same by default.
    """
    logits: Floats = logits_of(model, test.images, output) * np.float32(temperature)
    return TemperatureFit(
        split=split,
        images=len(test),
        before=temperature,
        after=fit_temperature(logits, test.labels, weights),
        ece_before=_error(softmax(logits, temperature), test),
        ece_after=_error(cross_fitted_probabilities(logits, test.labels, weights), test),
    )


def _error(probabilities: npt.NDArray[np.float64], test: FaceData) -> float:
    return expected_calibration_error(probabilities, test.labels)


def with_temperature(model: onnx.ModelProto, temperature: float, output: str = OUTPUT) -> onnx.ModelProto:
    """A copy of `model` whose logits are divided by `temperature` instead of by its present one.

    The division and the softmax stay fp32 in an int8 model.
    """
    changed = copied(model)
    graph, softmax = changed.graph, softmax_node(changed, output)
    suffix = "" if output == OUTPUT else f"_{output}"
    name, calibrated = f"{TEMPERATURE}{suffix}", f"calibrated_logits{suffix}"
    constants = {tensor.name for tensor in graph.initializer}
    divisions = [
        node
        for node in graph.node
        if node.op_type == "Div" and softmax.input[0] in node.output and node.input[1] in constants
    ]
    present = [tensor for tensor in graph.initializer if tensor.name != name]
    for node in divisions:
        node.input[1] = name
    if not divisions:
        division = helper.make_node("Div", [softmax.input[0], name], [calibrated], name=f"calibrate{suffix}")
        graph.node.insert(list(graph.node).index(softmax), division)
        softmax.input[0] = calibrated
    del graph.initializer[:]
    graph.initializer.extend([*present, numpy_helper.from_array(np.array(temperature, dtype=np.float32), name)])
    drop_unused_initializers(graph)
    return changed
