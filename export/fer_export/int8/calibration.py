"""Choose the range of values that the 256 steps of each int8 activation shall span, from what calibration faces cause.

Wide ranges keep rare strong activations, narrow ones give the frequent weak ones finer steps. Which
is better depends on the network, so there is more than one way to choose; `tuning` measures them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from tqdm import tqdm

from fer_edge.network.session import open_session
from fer_export.graph.onnx_file import save, with_outputs

# What onnxruntime fuses into QLinearConv and integer sums. The dense layers and the softmax stay fp32:
# they cost next to nothing, and their rounding would reach the probabilities directly.
QUANTIZED_OPERATORS = ("Conv", "Add", "Relu", "MaxPool", "Resize")
BINS = 2048  # as onnxruntime's percentile calibrator has
LEVELS = 256
NARROWEST = 0.2  # of the range seen; below, the entropy only falls because little is left to represent
BATCH = 16  # all activations of a batch are in memory at once: 1 MB a face with edgeresnet
Faces = npt.NDArray[np.uint8]
Range = tuple[float, float]


@dataclass(frozen=True)
class Histogram:
    """How often one tensor had which values: counts int64 [BINS], in equally wide bins from `low` to `high`.

    0 lies within low to high, as it must in a quantised range.
    """

    counts: npt.NDArray[np.int64]
    low: float
    high: float

    @property
    def centers(self) -> npt.NDArray[np.float64]:
        """The value in the middle of each bin, float64 [BINS]."""
        edges = np.linspace(self.low, self.high, BINS + 1)
        return np.asarray((edges[1:] + edges[:-1]) / 2)


def minmax(histogram: Histogram) -> Range:
    """The smallest and the largest value seen."""
    return histogram.low, histogram.high


def percentile(share: float) -> Callable[[Histogram], Range]:
    """A calibrator that leaves out all but `share` percent of the values at either end; of a ReLU's, the upper one."""

    def calibrate(histogram: Histogram) -> Range:
        below = np.cumsum(histogram.counts) / histogram.counts.sum()
        edges = np.linspace(histogram.low, histogram.high, BINS + 1)
        low = edges[int(np.searchsorted(below, 1 - share / 100, side="right"))]
        high = edges[min(int(np.searchsorted(below, share / 100)) + 1, BINS)]
        return min(float(low), 0.0), max(float(high), 0.0)

    return calibrate


def entropy(histogram: Histogram) -> Range:
    """The range, shrunk towards 0, whose quantised distribution tells most about the one seen.

    Measured as Kullback-Leibler divergence, after Migacz 2017, "8-bit Inference with TensorRT"; as in NVIDIA's
    pytorch-quantization, the bin of 0, which every range represents exactly, weighs no more than its neighbour.
    (onnxruntime's own entropy calibrator has as many bins as levels, so that it tries one range only.)
    """
    counts = histogram.counts.copy()
    zero = min(int(-histogram.low / (histogram.high - histogram.low) * BINS), BINS - 1)
    counts[zero] = counts[zero + 1 if zero + 1 < BINS else zero - 1]
    tamed = Histogram(counts, histogram.low, histogram.high)
    factors = np.linspace(NARROWEST, 1, 81)
    best = factors[np.argmin([_divergence(tamed, factor) for factor in factors])]
    return histogram.low * float(best), histogram.high * float(best)


def _divergence(histogram: Histogram, factor: float) -> float:
    """KL(clipped || quantised) of the values when the range is `factor` times the one seen."""
    low, high, centers = histogram.low * factor, histogram.high * factor, histogram.centers
    inside = (centers >= low) & (centers <= high)
    if not histogram.counts[inside].any():
        return np.inf
    kept = histogram.counts[inside].astype(np.float64)
    clipped = kept.copy()
    clipped[0] += histogram.counts[centers < low].sum()
    clipped[-1] += histogram.counts[centers > high].sum()
    # A level's mass is spread evenly over those of its bins that were not empty.
    levels = np.minimum(((centers[inside] - low) / (high - low) * LEVELS).astype(np.int64), LEVELS - 1)
    filled = np.bincount(levels, weights=clipped > 0, minlength=LEVELS)
    quantized = (np.bincount(levels, weights=kept, minlength=LEVELS) / np.maximum(filled, 1))[levels]
    mask = clipped > 0
    expected, found = clipped[mask] / clipped.sum(), np.maximum(quantized[mask] / kept.sum(), 1e-12)
    return float((expected * np.log(expected / found)).sum())


CALIBRATORS: dict[str, Callable[[Histogram], Range]] = {
    "minmax": minmax,
    "percentile-99.999": percentile(99.999),
    "percentile-99.99": percentile(99.99),
    "entropy": entropy,
}


def ranges(histograms: Mapping[str, Histogram], calibrator: str) -> dict[str, Range]:
    """The range of each tensor, by name, as the calibrator of that name chooses it."""
    return {name: CALIBRATORS[calibrator](histogram) for name, histogram in histograms.items()}


def observe(model: onnx.ModelProto, faces: Faces, folder: Path) -> dict[str, Histogram]:
    """Histograms of all activations of the fp32 `model` that get quantised, over uint8 faces [N, H, W].

    The faces run twice, first for the smallest and largest values. `folder` takes a temporary file.
    """
    names = activations(model)
    path = save(with_outputs(model, names), folder / "observed.onnx")
    lows, highs = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for name, values in values_of(path, names, faces, "finding ranges"):
        lows[name] = min(lows[name], float(values.min()))
        highs[name] = max(highs[name], float(values.max()))
    for name in names:
        highs[name] = max(highs[name], lows[name] + 1e-6)  # a layer that is all 0, too, has a width
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in names}
    for name, values in values_of(path, names, faces, "counting"):
        scaled = (values.ravel() - lows[name]) * (BINS / (highs[name] - lows[name]))
        bins = np.minimum(scaled.astype(np.int32), BINS - 1)
        counts[name] += np.bincount(bins, minlength=BINS)
    return {name: Histogram(counts[name], lows[name], highs[name]) for name in names}


def activations(model: onnx.ModelProto) -> list[str]:
    """Names of the float tensors that go into or come out of operators to be quantised, but for the input face."""
    constants = {tensor.name for tensor in model.graph.initializer}
    face = {name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    names = [
        name
        for node in model.graph.node
        if node.op_type in QUANTIZED_OPERATORS
        for name in (*node.input, *node.output)
        if name and name not in constants | face
    ]
    return list(dict.fromkeys(names))


def values_of(path: Path, names: list[str], faces: Faces, label: str) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Each named tensor's values, float32, batch by batch, always in the order of the names."""
    session = open_session(path)
    entrance = session.get_inputs()[0].name
    for start in tqdm(range(0, len(faces), BATCH), desc=label, unit="batch", leave=False, disable=None):
        yield from zip(names, session.run(names, {entrance: faces[start : start + BATCH, None]}), strict=True)
