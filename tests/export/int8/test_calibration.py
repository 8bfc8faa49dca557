"""How the range of an activation is chosen."""

import numpy as np
import onnx
import pytest

from fer_export.int8.calibration import (
    BINS,
    Histogram,
    calibrate,
    collect_histograms,
    entropy,
    percentile,
    quantized_activations,
)
from fer_export.int8.settings import CALIBRATORS
from fer_train.data import FaceData


def histogram_of(values: np.ndarray) -> Histogram:
    low, high = min(float(values.min()), 0.0), float(values.max())
    return Histogram(np.histogram(values, BINS, (low, high))[0], low, high)


@pytest.fixture(scope="module")
def relu_with_an_outlier() -> Histogram:
    """Half zeros, half of a normal distribution up to about 4, and one value of 40."""
    values = np.maximum(np.random.default_rng(0).normal(0, 1, 200_000), 0)
    values[0] = 40
    return histogram_of(values)


def test_minmax_keeps_the_outlier(relu_with_an_outlier: Histogram) -> None:
    assert calibrate("minmax", relu_with_an_outlier) == (0, 40)


def test_a_percentile_leaves_the_rarest_values_out(relu_with_an_outlier: Histogram) -> None:
    low, high = percentile(relu_with_an_outlier, 99.99)
    assert low == 0 and 3.4 < high < 4  # the normal distribution exceeds 3.72 with a probability of 0.01 %
    assert percentile(relu_with_an_outlier, 99.999)[1] > high


def test_entropy_leaves_the_outlier_out(relu_with_an_outlier: Histogram) -> None:
    low, high = entropy(relu_with_an_outlier)
    assert low == 0 and 3 < high < 20


def test_entropy_keeps_evenly_spread_values() -> None:
    low, high = entropy(histogram_of(np.random.default_rng(0).uniform(-1, 3, 200_000)))
    assert low == pytest.approx(-1, abs=0.05) and high == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("name", CALIBRATORS)
@pytest.mark.parametrize(("low", "high"), [(0.0, 5.0), (-4.0, 0.0), (-2.0, 2.0), (0.0, 1e-6)])
def test_every_range_holds_zero_and_lies_within_the_observed_one(name: str, low: float, high: float) -> None:
    values = np.random.default_rng(1).uniform(low, high, 10_000)
    found_low, found_high = calibrate(name, Histogram(np.histogram(values, BINS, (low, high))[0], low, high))
    assert low <= found_low <= 0 <= found_high <= high and found_low < found_high


def test_all_values_of_every_quantized_activation_are_counted(fp32: onnx.ModelProto, faces: FaceData) -> None:
    histograms = collect_histograms(fp32, faces.images[:20])
    assert list(histograms) == quantized_activations(fp32)
    assert "normalised_faces" not in histograms and not any("weight" in name for name in histograms)
    first = histograms["getitem"]  # what comes out of the first convolution
    assert first.counts.sum() == 20 * 16 * 48 * 48 and first.low < 0 < first.high
    assert histograms["relu"].low == 0 and histograms["relu"].high == first.high


def test_a_dead_activation_has_a_range_too(fp32: onnx.ModelProto) -> None:
    dead = onnx.ModelProto()
    dead.CopyFrom(fp32)
    for tensor in dead.graph.initializer:
        if tensor.name.startswith("network.features.0."):
            zeros = np.zeros(tuple(tensor.dims), dtype=np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(zeros, tensor.name))
    histogram = collect_histograms(dead, np.zeros((2, 48, 48), dtype=np.uint8))["relu"]
    assert all(low < high for low, high in (calibrate(name, histogram) for name in CALIBRATORS))
