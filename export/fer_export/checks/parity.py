"""Compare a classifier's graph with its PyTorch network, on logits: the softmax would flatten differences."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from fer_edge.errors import ModelError
from fer_edge.network.session import open_session, run_in_batches
from fer_export.graph.classifier import OUTPUT
from fer_export.graph.onnx_file import to_bytes, with_outputs
from fer_train.networks import Network
from fer_train.networks.inference import predict_logits

BATCH_SIZES = (1, 2, 5, 64)
RANDOM_FACES = 64
REAL_FACES = 64
Faces = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def finite(value: float) -> float | None:
    """`value`, or None (JSON has no NaN and no infinity) if it is not finite."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Parity:
    """How far a graph is from its network: largest absolute differences over all faces.

    max_abs_delta: of calibrated logits (logits / temperature), to PyTorch, over every batch size.
    largest_logit: of PyTorch's calibrated logits, by absolute value; float rounding grows with it.
    batch_delta, sum_error: as in Consistency.
    """

    max_abs_delta: float
    largest_logit: float
    batch_delta: float
    sum_error: float
    batches: tuple[int, ...]
    faces: int

    def to_json(self) -> dict[str, Any]:
        """As stored in export.json."""
        values = asdict(self)
        return {key: finite(value) if isinstance(value, float) else value for key, value in values.items()}


@dataclass(frozen=True)
class Consistency:
    """What a graph outputs in batches of each size.

    logits: calibrated, float32 [N, classes], by batch size. sum_error: largest difference of the sum of a face's
    probabilities to 1.
    """

    logits: dict[int, Floats]
    sum_error: float

    @property
    def batch_delta(self) -> float:
        """Largest difference of a logit between a face alone and the same face in a batch."""
        return max(_largest(logits - self.logits[1]) for logits in self.logits.values())

    def to_json(self) -> dict[str, Any]:
        """As stored in export.json."""
        return {
            "batch_delta": finite(self.batch_delta),
            "sum_error": finite(self.sum_error),
            "batches": list(self.logits),
            "faces": len(self.logits[1]),
        }


def measure_parity(
    model: onnx.ModelProto, network: Network, temperature: float, faces: Faces, output: str = OUTPUT,
    columns: slice = slice(None),
) -> Parity:  # fmt: skip
    """Run `faces`, uint8 [N, H, W], through `model` and `network`.

    output: of the graph, which has these `columns` of the network's logits.

    onnxruntime runs with all optimizations, as on the device: lower levels give other numbers.
    """
    expected = torch_logits(network, temperature, faces)[:, columns]
    measured = measure_consistency(model, faces, output)
    return Parity(
        max_abs_delta=max(_largest(logits - expected) for logits in measured.logits.values()),
        largest_logit=_largest(expected),
        batch_delta=measured.batch_delta,
        sum_error=measured.sum_error,
        batches=BATCH_SIZES,
        faces=len(faces),
    )


def measure_consistency(model: onnx.ModelProto, faces: Faces, output: str = OUTPUT) -> Consistency:
    """Run `faces`, uint8 [N, H, W], through `model` in batches of each of BATCH_SIZES."""
    probe = with_logits_output(model, output)
    names = [output, probe.graph.output[-1].name]
    session = open_session(to_bytes(probe))
    logits: dict[int, Floats] = {}
    sum_error = 0.0
    for size in BATCH_SIZES:
        probabilities, logits[size] = run_in_batches(session, faces[:, None], size, names)
        sum_error = max(sum_error, _largest(probabilities.sum(axis=1) - 1))
    return Consistency(logits, sum_error)


def logits_of(model: onnx.ModelProto, faces: Faces, output: str = OUTPUT) -> Floats:
    """Calibrated logits float32 [N, classes] of uint8 faces [N, H, W]."""
    probe = with_logits_output(model, output)
    names = [probe.graph.output[-1].name]
    (logits,) = run_in_batches(open_session(to_bytes(probe)), faces[:, None], BATCH_SIZES[-1], names)
    return logits


def torch_logits(network: Network, temperature: float, faces: Faces) -> Floats:
    """Calibrated logits float32 [N, classes] of uint8 faces [N, H, W], by PyTorch."""
    logits: Floats = (predict_logits(network, torch.from_numpy(faces)) / temperature).numpy()
    return logits


def with_logits_output(model: onnx.ModelProto, output: str = OUTPUT) -> onnx.ModelProto:
    """A copy of `model` that outputs its softmax's input, too; ModelError if it doesn't end in a softmax."""
    return with_outputs(model, [softmax_node(model, output).input[0]])


def softmax_node(model: onnx.ModelProto, output: str = OUTPUT) -> onnx.NodeProto:
    """The node that outputs the probabilities; ModelError if it is not a softmax."""
    producers: list[onnx.NodeProto] = [node for node in model.graph.node if output in node.output]
    if len(producers) != 1 or producers[0].op_type != "Softmax":
        raise ModelError("the exported graph does not end in a Softmax, so its logits can't be compared")
    return producers[0]


def probe_faces(seed: int, size: int, real: Faces | None = None) -> Faces:
    """Faces to compare on, uint8 [N, size, size]: seeded random ones, then some of `real` ([M, size, size]).

    Half of the random ones are noise, half are coarse blotches, which drive the deep layers further.
    """
    rng = np.random.default_rng(seed)
    half = RANDOM_FACES // 2
    noise = rng.integers(0, 256, (half, size, size), dtype=np.uint8)
    cells = rng.integers(0, 256, (half, 6, 6), dtype=np.uint8)
    index = np.arange(size) * 6 // size
    blotches = cells[:, index][:, :, index]
    parts = [noise, blotches]
    if real is not None:
        parts.append(real[rng.permutation(len(real))[:REAL_FACES]])
    return np.concatenate(parts)


def _largest(values: Floats) -> float:
    return float(np.abs(values).max())
