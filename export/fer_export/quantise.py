"""Static int8 quantisation: choose faces to calibrate on, and quantise the convolutional part with them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from tqdm import tqdm

from fer_edge.errors import DataError
from fer_export.convert import INPUT
from fer_export.graph import save, strip_metadata
from fer_export.quiet import quiet
from fer_train.data import PUBLIC_TEST, TRAINING, FaceData, also_in

DEFAULT_CALIBRATION_IMAGES = 512
MIN_CALIBRATION_IMAGES = 64  # with fewer, the ranges seen depend on which faces happened to be drawn
# What onnxruntime fuses into QLinearConv and integer sums. The dense layers and the softmax stay fp32:
# they cost next to nothing, and their rounding would reach the probabilities directly.
QUANTISED_OPERATORS = ("Conv", "Add", "Relu", "MaxPool")
_CALIBRATION_BATCH = 32
Faces = npt.NDArray[np.uint8]


def choose_calibration_faces(data: FaceData, count: int, seed: int) -> FaceData:
    """Up to `count` Training faces, as evenly over the classes as they allow, drawn with `seed`.

    A class with fewer than its share gives all it has and the others share the rest. Faces that are
    pixel-identical to a PublicTest one are left out, so that no image both calibrates and measures.
    Raises DataError if fewer than MIN_CALIBRATION_IMAGES are left.
    """
    training = data.split(TRAINING)
    candidates = training.rows(~also_in(training.images, data.split(PUBLIC_TEST).images))
    if len(candidates) < MIN_CALIBRATION_IMAGES:
        raise DataError(
            f"{data.path} has {len(candidates)} training faces that are not test faces too, and calibration needs at "
            f"least {MIN_CALIBRATION_IMAGES} ({DEFAULT_CALIBRATION_IMAGES} are better): "
            "add faces, or export without --quantize"
        )
    shares = _even_shares(list(candidates.counts().values()), count)
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(candidates), dtype=np.bool_)
    for label, share in enumerate(shares):
        chosen[generator.permutation(np.flatnonzero(candidates.labels == label))[:share]] = True
    return candidates.rows(chosen)


def _even_shares(available: list[int], total: int) -> list[int]:
    """How many of each class to take: `total` in all, or all there are, with the shares as equal as possible."""
    shares, left = [0] * len(available), min(total, sum(available))
    # Smallest class first: what it can't give is spread over those that follow.
    for place, label in enumerate(sorted(range(len(available)), key=lambda label: available[label])):
        shares[label] = min(available[label], left // (len(available) - place))
        left -= shares[label]
    return shares


class FaceReader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Gives onnxruntime the calibration faces (uint8 [N, H, W]) in batches, with a progress bar."""

    def __init__(self, faces: Faces) -> None:
        self._batches = self._read(faces)

    @staticmethod
    def _read(faces: Faces) -> Iterator[dict[str, Faces]]:
        starts = range(0, len(faces), _CALIBRATION_BATCH)
        for start in tqdm(starts, desc="calibrating", unit="batch", leave=False, disable=None):
            yield {INPUT: faces[start : start + _CALIBRATION_BATCH, None]}

    def get_next(self) -> dict[str, Faces] | None:
        """The next batch, or None after the last."""
        return next(self._batches, None)


def quantise(model: onnx.ModelProto, faces: Faces, folder: Path) -> onnx.ModelProto:
    """The int8 model (QDQ form) of an fp32 one, calibrated on uint8 faces [N, H, W]; `folder` takes temporary files.

    Unsigned activations and signed weights with a scale per output channel: the one pairing for which
    onnxruntime fuses every convolution of a residual network. With the quantiser's defaults (both signed,
    one scale a tensor) 6 of 10 stay float and nothing is gained. Ranges are the smallest and largest
    values seen, which keeps rare strong activations; no reduced range, as all CPUs with integer dot products
    sum 8 x 8 bit products without overflow.
    """
    source, target = save(model, folder / "to_quantise.onnx"), folder / "quantised.onnx"
    with quiet():
        quantize_static(
            source,
            target,
            FaceReader(faces),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=False,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=list(QUANTISED_OPERATORS),
        )
    quantised = onnx.load(target)
    strip_metadata(quantised)
    onnx.checker.check_model(quantised, full_check=True)
    return quantised
