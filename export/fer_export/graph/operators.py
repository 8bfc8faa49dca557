"""Count the operators of an ONNX graph, as stored and as onnxruntime runs them."""

import tempfile
from collections import Counter
from pathlib import Path

import onnx

from fer_edge.onnx_runtime import onnxruntime

QUANTIZED_CONVOLUTION = "QLinearConv"


def stored_operators(model: onnx.ModelProto) -> dict[str, int]:
    """Counts by operator type in the stored graph, sorted by type."""
    return dict(sorted(Counter(node.op_type for node in model.graph.node).items()))


def running_operators(model: bytes) -> dict[str, int]:
    """Counts by operator type in the graph that onnxruntime runs for the content of an ONNX file on this CPU.

    A quantized file has no integer operators, only float ones with QuantizeLinear and DequantizeLinear around them:
    onnxruntime decides whether these fuse when it makes the session. It can only write that graph to a file.
    """
    with tempfile.TemporaryDirectory(prefix="fer-export-") as folder:
        optimized = Path(folder) / "optimized.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.optimized_model_filepath = str(optimized)
        options.log_severity_level = 3  # no warning that the optimized graph fits this machine only
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
        return stored_operators(onnx.load(optimized))


def float_convolutions(operators: dict[str, int]) -> int:
    """How many convolutions among `operators` compute in float; fused ones have other names (FusedConv, …)."""
    return sum(count for name, count in operators.items() if "Conv" in name and name != QUANTIZED_CONVOLUTION)
