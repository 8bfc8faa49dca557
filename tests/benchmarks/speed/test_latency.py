"""The compared runtimes do the same work."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks.harness.results import Results
from benchmarks.speed.latency import (
    BASE,
    MAX_DIFFERENCE,
    Runtime,
    differences,
    figures,
    opencv_dnn,
    ours,
    timed,
    working,
)
from benchmarks.speed.model_variants import INPUT, default_head_alone, normalized, without_front
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_models import model_path
from fer_train.data import FaceData

from ..conftest import Ran, is_png


@pytest.fixture
def faces(drawn: FaceData) -> np.ndarray:
    return np.ascontiguousarray(drawn.images[::30, None])


def test_our_classifier_and_the_bare_session_give_equal_probabilities(faces: np.ndarray) -> None:
    apart = differences(ours(1), faces)
    assert apart["fer-edge, fp32"] == (0.0, 1.0)
    assert apart["fer-edge, int8"] == apart["onnxruntime alone, int8"]
    assert 0 < apart["fer-edge, int8"][0] < 0.2


def test_the_first_head_alone_gives_the_same_probabilities_to_the_bit(faces: np.ndarray) -> None:
    for precision in ("fp32", "int8"):
        path = model_path(precision)
        alone, whole = Classifier(default_head_alone(path) or b""), Classifier(path)
        assert (alone.labels, alone.head, whole.head) == (whole.labels, None, "people")
        assert np.array_equal(alone.predict(faces), whole.predict(faces))
        cut, stored = onnx.load_from_string(default_head_alone(path) or b""), onnx.load(path)
        assert [output.name for output in cut.graph.output] == ["people"]
        counted = [[node.op_type for node in model.graph.node].count("Softmax") for model in (cut, stored)]
        assert counted == [1, 3]


def test_a_file_without_further_heads_has_nothing_to_cut(tmp_path: Path) -> None:
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(default_head_alone(model_path("int8")) or b"")
    assert default_head_alone(alone) is None


def test_opencv_is_only_measured_with_the_right_probabilities(faces: np.ndarray) -> None:
    results = Results("latency", "")
    found = opencv_dnn(model_path("fp32"), faces, results)
    assert differences([ours(1)[0], found], faces)[found.name][0] < MAX_DIFFERENCE


def test_the_network_with_a_float_input_gives_the_same_probabilities(faces: np.ndarray) -> None:
    data, scale, zero = without_front(model_path("fp32"))
    assert (scale, zero) == (1 / 64, 128)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    answers = onnxruntime.InferenceSession(data, options).run(None, {INPUT: normalized(faces, scale, zero)})[0]
    assert np.array_equal(answers, ours(1)[0].run(faces))


def test_a_runtime_that_fails_is_skipped(faces: np.ndarray) -> None:
    def broken(_batch: np.ndarray) -> np.ndarray:
        raise RuntimeError("no compiler\nfound")

    results = Results("latency", "")
    good = Runtime("good", lambda batch: np.zeros((len(batch), 7)))
    assert working([Runtime("broken", broken), good], faces, results) == [good]
    assert results.skipped == ["broken (no compiler found)"]


def test_ratios_are_to_the_bare_fp32_session() -> None:
    times = {BASE: [1.0, 1.0], "fer-edge, fp32": [1.5, 1.5], "fer-edge, int8": [0.5, 0.5],
             "onnxruntime alone, int8": [0.4, 0.4], "fer-edge, int8, one head": [0.25, 0.25]}  # fmt: skip
    found = {item.name: item.median for item in figures({1: times}) if item.ratio}
    assert found[f"fer-edge, int8 / {BASE}, batch 1"] == 0.5
    assert found["fer-edge, fp32 / fer-edge, int8, batch 1"] == 3
    assert found["fer-edge, int8 / onnxruntime alone, int8, batch 1"] == 1.25
    assert found["fer-edge, int8, all heads / one head, batch 1"] == 2
    assert not any("fp32, all heads" in name for name in found)


def test_each_runtime_is_timed_in_each_round(faces: np.ndarray) -> None:
    runtime = Runtime("one", lambda batch: np.zeros((len(batch), 7)))
    taken = timed([runtime], faces, 3, Results("latency", ""))
    assert len(taken["one"]) == 3
    assert min(taken["one"]) > 0


@pytest.mark.slow
def test_the_benchmark_times_every_runtime(run_benchmark: Callable[..., Ran]) -> None:
    cv2.setNumThreads(1)
    ran = run_benchmark("speed.latency", "--rounds", 1, "--batch", 2, "--no-compile")
    assert ran.code == 0, ran.stderr
    names = ran.content["values"]["ms"]
    assert {BASE, "fer-edge, int8", "OpenCV DNN, fp32", "PyTorch eager, fp32"} <= set(names)
    assert all(times["2"] > 0 for times in names.values())
    assert any("compiled" in sentence for sentence in ran.content["skipped"])
    assert is_png(ran.plot)
