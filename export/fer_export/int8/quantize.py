"""Static int8 quantisation: choose faces to calibrate on, and quantise the convolutional part."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from fer_edge.errors import DataError
from fer_export.graph.onnx_file import save, strip_metadata
from fer_export.graph.quiet import quiet
from fer_export.int8.calibration import QUANTIZED_OPERATORS, Range
from fer_train.data import PUBLIC_TEST, TRAINING, FaceData, also_in

MIN_CALIBRATION_IMAGES = 512  # with fewer, the ranges seen depend on which faces happened to be drawn
DEFAULT_TUNING_IMAGES = 2048
ANY_SIDE_PX = 64  # of the picture shown to a network that takes any size


def choose_faces(data: FaceData, calibrating: int, tuning: int, seed: int) -> tuple[FaceData, FaceData]:
    """Up to `calibrating` Training faces to calibrate on and up to `tuning` others to choose a calibrator by.

    Both are as evenly spread over the classes as the faces allow, and drawn with `seed`; no image is in both or
    in PublicTest, so that none judges what it took part in. Raises DataError if fewer than
    MIN_CALIBRATION_IMAGES are there.
    """
    training = data.split(TRAINING)
    candidates = training.rows(~also_in(training.images, data.split(PUBLIC_TEST).images))
    if len(candidates) < MIN_CALIBRATION_IMAGES:
        raise DataError(
            f"{data.path} has {len(candidates)} training faces that are not test faces too, and calibration needs at "
            f"least {MIN_CALIBRATION_IMAGES}: add faces, or export without --quantize"
        )
    generator = np.random.default_rng(seed)
    calibration = _draw(candidates, calibrating, generator)
    others = candidates.rows(~also_in(candidates.images, calibration.images))
    return calibration, _draw(others, tuning, generator)


def _draw(faces: FaceData, count: int, generator: np.random.Generator) -> FaceData:
    """`count` of the faces, or all there are, as evenly over the classes as they allow.

    A class with fewer than its share gives all it has and the others share the rest.
    """
    shares = _even_shares(list(faces.counts().values()), count)
    chosen = np.zeros(len(faces), dtype=np.bool_)
    for label, share in enumerate(shares):
        chosen[generator.permutation(np.flatnonzero(faces.labels == label))[:share]] = True
    return faces.rows(chosen)


def _even_shares(available: list[int], total: int) -> list[int]:
    """How many of each class to take: `total` in all, or all there are, with the shares as equal as possible."""
    shares, left = [0] * len(available), min(total, sum(available))
    # Smallest class first: what it can't give is spread over those that follow.
    for place, label in enumerate(sorted(range(len(available)), key=lambda label: available[label])):
        shares[label] = min(available[label], left // (len(available) - place))
        left -= shares[label]
    return shares


class OneBatch(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Gives onnxruntime's calibrator, which wants to see something, one batch (uint8 [N, 1, H, W])."""

    def __init__(self, name: str, batch: npt.NDArray[np.uint8]) -> None:
        self._batches = iter([{name: batch}])

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        """The batch, then None."""
        return next(self._batches, None)


def quantize(model: onnx.ModelProto, ranges: Mapping[str, Range], folder: Path) -> onnx.ModelProto:
    """The int8 model (QDQ form) of an fp32 one, its activations spanning `ranges`; `folder` takes temporary files.

    Unsigned activations and signed weights with a scale per output channel: the one pairing for which
    onnxruntime fuses every convolution of a residual network. With the quantiser's defaults (both signed,
    one scale a tensor) 6 of 10 stay float and nothing is gained. No reduced range, as all CPUs with integer
    dot products sum 8 x 8 bit products without overflow.
    """
    source, target = save(model, folder / "to_quantise.onnx"), folder / "quantised.onnx"
    entrance = model.graph.input[0]
    size = [dim.dim_value or ANY_SIDE_PX for dim in entrance.type.tensor_type.shape.dim][1:]
    with quiet():
        quantize_static(
            source,
            target,
            OneBatch(entrance.name, np.zeros((1, *size), dtype=np.uint8)),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=False,
            op_types_to_quantize=list(QUANTIZED_OPERATORS),
            extra_options={"TensorQuantOverrides": {name: [_limits(span)] for name, span in ranges.items()}},
        )
    quantized = onnx.load(target)
    strip_metadata(quantized)
    onnx.checker.check_model(quantized, full_check=True)
    return quantized


def _limits(span: Range) -> dict[str, Any]:
    low, high = span
    return {"rmin": np.float32(low), "rmax": np.float32(high)}
