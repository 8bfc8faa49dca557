"""Choose the range that the 256 steps of each int8 activation span, from its values on calibration images.

A wide range keeps rare strong activations, a narrow one gives the frequent weak ones finer steps. Which is better
depends on the network, so there are several calibrators; `calibrator_search` measures them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from tqdm import tqdm

from fer_edge.network.session import iter_batches, open_session
from fer_export.graph.onnx_file import to_bytes, with_outputs

# What onnxruntime fuses into QLinearConv and integer sums. The dense layers and the softmax stay fp32: they cost next
# to nothing, and their rounding would reach the probabilities directly.
QUANTIZED_OPERATORS = ("Conv", "Add", "Relu", "MaxPool", "Resize")
BINS = 2048  # as in onnxruntime's percentile calibrator
LEVELS = 256
MIN_RANGE = 0.2  # of the observed range; below, the entropy only falls because little is left to represent
BATCH = 16  # all activations of a batch are in memory at once: 1 MB per face with edgeresnet
Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Range = tuple[float, float]


@dataclass(frozen=True)
class Histogram:
    """The values of one tensor: counts int64 [BINS], in equally wide bins from `low` to `high`.

    low is at most 0 and high at least 0, as in a quantized range.
    """

    counts: npt.NDArray[np.int64]
    low: float
    high: float

    @property
    def centers(self) -> npt.NDArray[np.float64]:
        """The center of each bin, float64 [BINS]."""
        edges = np.linspace(self.low, self.high, BINS + 1)
        return np.asarray((edges[1:] + edges[:-1]) / 2)


def calibrate(calibrator: str, histogram: Histogram) -> Range:
    """The range that a calibrator, one of settings.CALIBRATORS, chooses for a tensor."""
    if calibrator == "minmax":
        return histogram.low, histogram.high
    if calibrator == "entropy":
        return entropy(histogram)
    return percentile(histogram, float(calibrator.removeprefix("percentile-")))


def percentile(histogram: Histogram, percent: float) -> Range:
    """The range that holds `percent` percent of the values above its low end, and as many below its high end."""
    below = np.cumsum(histogram.counts) / histogram.counts.sum()
    edges = np.linspace(histogram.low, histogram.high, BINS + 1)
    low = edges[int(np.searchsorted(below, 1 - percent / 100, side="right"))]
    high = edges[min(int(np.searchsorted(below, percent / 100)) + 1, BINS)]
    return min(float(low), 0.0), max(float(high), 0.0)


def entropy(histogram: Histogram) -> Range:
    """The observed range, shrunk toward 0, whose quantized distribution is nearest to the observed one.

    By Kullback-Leibler divergence, after Migacz 2017, "8-bit Inference with TensorRT"; as in NVIDIA's
    pytorch-quantization, the bin of 0, which every range represents exactly, gets the weight of its neighbor.
    (onnxruntime's own entropy calibrator has as many bins as levels, so it tries only one range.)
    """
    counts = histogram.counts.copy()
    zero = min(int(-histogram.low / (histogram.high - histogram.low) * BINS), BINS - 1)
    counts[zero] = counts[zero + 1 if zero + 1 < BINS else zero - 1]
    tamed = Histogram(counts, histogram.low, histogram.high)
    factors = np.linspace(MIN_RANGE, 1, 81)
    best = factors[np.argmin([_divergence(tamed, factor) for factor in factors])]
    return histogram.low * float(best), histogram.high * float(best)


def _divergence(histogram: Histogram, factor: float) -> float:
    """KL(clipped || quantized) of the values if the range is `factor` times the observed one."""
    low, high, centers = histogram.low * factor, histogram.high * factor, histogram.centers
    inside = (centers >= low) & (centers <= high)
    if not histogram.counts[inside].any():
        return np.inf
    kept = histogram.counts[inside].astype(np.float64)
    clipped = kept.copy()
    clipped[0] += histogram.counts[centers < low].sum()
    clipped[-1] += histogram.counts[centers > high].sum()
    # The mass of a level is spread evenly over those of its bins that are not empty.
    levels = np.minimum(((centers[inside] - low) / (high - low) * LEVELS).astype(np.int64), LEVELS - 1)
    filled = np.bincount(levels, weights=clipped > 0, minlength=LEVELS)
    quantized = (np.bincount(levels, weights=kept, minlength=LEVELS) / np.maximum(filled, 1))[levels]
    mask = clipped > 0
    expected, found = clipped[mask] / clipped.sum(), np.maximum(quantized[mask] / kept.sum(), 1e-12)
    return float((expected * np.log(expected / found)).sum())


def calibrated_ranges(histograms: Mapping[str, Histogram], calibrator: str) -> dict[str, Range]:
    """The range of each tensor, by name, as `calibrator` chooses it."""
    return {name: calibrate(calibrator, histogram) for name, histogram in histograms.items()}


def collect_histograms(model: onnx.ModelProto, images: Images) -> dict[str, Histogram]:
    """Histograms of all activations of the fp32 `model` that get quantized, over images uint8 [N, H, W].

    The images run twice, first for the smallest and the largest value of each tensor.
    """
    names = quantized_activations(model)
    lows, highs = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for values in tensor_values(model, names, images, "finding ranges"):
        for name, tensor in values.items():
            lows[name] = min(lows[name], float(tensor.min()))
            highs[name] = max(highs[name], float(tensor.max()))
    for name in names:
        highs[name] = max(highs[name], lows[name] + 1e-6)  # a layer that is all 0 needs a width, too
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in names}
    for values in tensor_values(model, names, images, "counting"):
        for name, tensor in values.items():
            scaled = (tensor.ravel() - lows[name]) * (BINS / (highs[name] - lows[name]))
            bins = np.minimum(scaled.astype(np.int32), BINS - 1)
            counts[name] += np.bincount(bins, minlength=BINS)
    return {name: Histogram(counts[name], lows[name], highs[name]) for name in names}


def quantized_activations(model: onnx.ModelProto) -> list[str]:
    """Names of the float tensors that enter or leave operators to be quantized, without the input image."""
    constants = {tensor.name for tensor in model.graph.initializer}
    image = {name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    names = [
        name
        for node in model.graph.node
        if node.op_type in QUANTIZED_OPERATORS
        for name in (*node.input, *node.output)
        if name and name not in constants | image
    ]
    return list(dict.fromkeys(names))


def tensor_values(model: onnx.ModelProto, names: list[str], images: Images, label: str) -> Iterator[dict[str, Floats]]:
    """The named tensors' values, by name, of each batch of images uint8 [N, H, W]; `label` names the progress bar."""
    session = open_session(to_bytes(with_outputs(model, names)))
    batches = iter_batches(session, images[:, None], BATCH, names)
    total = -(-len(images) // BATCH)
    for values in tqdm(batches, total=total, desc=label, unit="batch", leave=False, disable=None):
        yield dict(zip(names, values, strict=True))
