"""Static int8 quantization of a graph's convolutional part, by onnxruntime's quantizer."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from fer_export.graph.onnx_file import save, strip_metadata
from fer_export.graph.quiet import quiet
from fer_export.int8.calibration import QUANTIZED_OPERATORS, Range

FREE_SIDE_PX = 64  # height and width of the image shown to a network that takes any size


class OneBatch(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Gives onnxruntime's calibrator, which insists on some data, one batch (uint8 [N, 1, H, W])."""

    def __init__(self, name: str, batch: npt.NDArray[np.uint8]) -> None:
        self._batches = iter([{name: batch}])

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        """The batch, then None."""
        return next(self._batches, None)


def quantize(model: onnx.ModelProto, ranges: Mapping[str, Range]) -> onnx.ModelProto:
    """The int8 model (QDQ form) of an fp32 one, with activations in `ranges`, by tensor.

    Unsigned activations and signed weights with a scale per output channel: the one combination for which onnxruntime
    fuses every convolution of a residual network. (The quantizer's defaults, both signed and one scale per tensor,
    leave 6 of 10 in float and gain nothing.) The range is not reduced: every CPU with integer dot products sums
    8 x 8 bit products without overflow.
    """
    entry = model.graph.input[0]
    sides = [dim.dim_value or FREE_SIDE_PX for dim in entry.type.tensor_type.shape.dim][1:]
    # onnxruntime's quantizer writes its result to a file.
    with tempfile.TemporaryDirectory(prefix="fer-export-") as folder, quiet():
        source, target = save(model, Path(folder) / "fp32.onnx"), Path(folder) / "int8.onnx"
        quantize_static(
            source,
            target,
            OneBatch(entry.name, np.zeros((1, *sides), dtype=np.uint8)),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=False,
            op_types_to_quantize=list(QUANTIZED_OPERATORS),
            extra_options={"TensorQuantOverrides": {name: [_limits(limits)] for name, limits in ranges.items()}},
        )
        quantized = onnx.load(target)
    strip_metadata(quantized)
    onnx.checker.check_model(quantized, full_check=True)
    return quantized


def _limits(limits: Range) -> dict[str, Any]:
    low, high = limits
    return {"rmin": np.float32(low), "rmax": np.float32(high)}
