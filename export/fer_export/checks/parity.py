"""Compare an ONNX file with the PyTorch network it was made from, before the softmax flattens differences."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch

from fer_edge.errors import ModelError
from fer_edge.network.session import open_session
from fer_export.graph.classifier import INPUT, OUTPUT
from fer_export.graph.onnx_file import save, with_outputs
from fer_train.networks import Network
from fer_train.networks.inference import predict_logits

BATCH_SIZES = (1, 2, 5, 64)
RANDOM_FACES = 64
REAL_FACES = 64
Faces = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """How far a file is from its network; all are largest absolute differences over all faces.

    max_abs_delta: of calibrated logits (logits / temperature), to PyTorch, over every batch size.
    largest_logit: of PyTorch's calibrated logits, by absolute value; float rounding grows with it.
    batch_delta, sum_error: as in Runs.
    """

    max_abs_delta: float
    largest_logit: float
    batch_delta: float
    sum_error: float
    batches: tuple[int, ...]
    faces: int


def measure_parity(model: onnx.ModelProto, network: Network, temperature: float, faces: Faces, folder: Path) -> Parity:
    """Run `faces` (uint8 [N, H, W]) through `model` and `network`; `folder` takes a temporary file.

    onnxruntime runs with all optimisations, as on the device: lower levels give other numbers.
    """
    expected = torch_logits(network, temperature, faces)
    runs = run_in_batches(model, faces, folder)
    return Parity(
        max_abs_delta=max(_largest(logits - expected) for logits in runs.logits.values()),
        largest_logit=_largest(expected),
        batch_delta=runs.batch_delta,
        sum_error=runs.sum_error,
        batches=BATCH_SIZES,
        faces=len(faces),
    )


@dataclass(frozen=True)
class Runs:
    """What a file answers, by batch size: calibrated logits float32 [N, classes].

    sum_error: largest difference of a row of probabilities to 1.
    """

    logits: dict[int, Logits]
    sum_error: float

    @property
    def batch_delta(self) -> float:
        """Largest difference of a logit between a face alone and the same face in a batch."""
        return max(_largest(logits - self.logits[1]) for logits in self.logits.values())


def run_in_batches(model: onnx.ModelProto, faces: Faces, folder: Path) -> Runs:
    """Run `faces` (uint8 [N, H, W]) through `model` in batches of each of BATCH_SIZES, with the runtime's settings."""
    session = open_session(save(with_logits_output(model), folder / "parity.onnx"))
    names = [output.name for output in session.get_outputs()]
    logits: dict[int, Logits] = {}
    sum_error = 0.0
    for size in BATCH_SIZES:
        batches = [session.run(names, {INPUT: faces[i : i + size, None]}) for i in range(0, len(faces), size)]
        probabilities, logits[size] = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        sum_error = max(sum_error, float(np.abs(probabilities.sum(axis=1) - 1).max()))
    return Runs(logits, sum_error)


def logits_of(model: onnx.ModelProto, faces: Faces, folder: Path) -> Logits:
    """Calibrated logits float32 [N, classes] that `model` gives uint8 faces [N, H, W]."""
    probe = with_logits_output(model)
    session, name = open_session(save(probe, folder / "logits.onnx")), probe.graph.output[-1].name
    size = BATCH_SIZES[-1]
    return np.concatenate(
        [session.run([name], {INPUT: faces[i : i + size, None]})[0] for i in range(0, len(faces), size)]
    )


def torch_logits(network: Network, temperature: float, faces: Faces) -> Logits:
    """Calibrated logits float32 [N, classes] of uint8 faces [N, H, W], by PyTorch."""
    logits: Logits = (predict_logits(network, torch.from_numpy(faces)) / temperature).numpy()
    return logits


def with_logits_output(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` with its softmax's input as second output; ModelError if it doesn't end in a softmax."""
    return with_outputs(model, [softmax_node(model).input[0]])


def softmax_node(model: onnx.ModelProto) -> onnx.NodeProto:
    """The node that gives the probabilities; ModelError if it is no softmax."""
    producers: list[onnx.NodeProto] = [node for node in model.graph.node if OUTPUT in node.output]
    if len(producers) != 1 or producers[0].op_type != "Softmax":
        raise ModelError("the exported graph does not end in a Softmax, so its logits can't be compared")
    return producers[0]


def probe_faces(seed: int, size: int, real: Faces | None = None) -> Faces:
    """Faces to compare on, uint8 [N, size, size]: seeded random ones, then some of `real` ([M, size, size]).

    Half of the random ones are noise, half are coarse blotches, which drive the deep layers further.
    """
    generator = np.random.default_rng(seed)
    half = RANDOM_FACES // 2
    noise = generator.integers(0, 256, (half, size, size), dtype=np.uint8)
    cells = generator.integers(0, 256, (half, 6, 6), dtype=np.uint8)
    index = np.arange(size) * 6 // size
    blotches = cells[:, index][:, :, index]
    parts = [noise, blotches]
    if real is not None:
        parts.append(real[generator.permutation(len(real))[:REAL_FACES]])
    return np.concatenate(parts)


def _largest(values: Logits) -> float:
    return float(np.abs(values).max())
