"""Count the operators of an ONNX file, as stored and as onnxruntime really runs them."""

import tempfile
from collections import Counter
from pathlib import Path

import onnx
import onnxruntime

QUANTIZED_CONVOLUTION = "QLinearConv"


def stored_operators(model: onnx.ModelProto) -> dict[str, int]:
    """Operator type to count in the file's graph, sorted by name."""
    return dict(sorted(Counter(node.op_type for node in model.graph.node).items()))


def running_operators(path: Path) -> dict[str, int]:
    """Operator type to count in the graph that onnxruntime makes of `path` on this machine's CPU.

    A quantised file names no integer operator at all, only QuantizeLinear/DequantizeLinear pairs
    around float ones; whether these fuse is decided when the session is made.
    """
    with tempfile.TemporaryDirectory(prefix="fer-export-") as folder:
        optimized = Path(folder) / "optimised.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.optimized_model_filepath = str(optimized)
        options.log_severity_level = 3  # it warns that the saved graph fits this machine only, which is what we want
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return stored_operators(onnx.load(optimized))


def float_convolutions(operators: dict[str, int]) -> int:
    """How many convolutions among `operators` compute in float; fused ones have other names (FusedConv, …)."""
    return sum(count for name, count in operators.items() if "Conv" in name and name != QUANTIZED_CONVOLUTION)
