"""What a third-party network gives for random faces: whether it can be run, and what its outputs are."""

import contextlib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from fer_edge.errors import FerError, ModelError
from fer_edge.network import timed
from fer_edge.network.session import IN_MEMORY, RunError, load_model
from fer_export.adoption.network import misfit
from fer_export.adoption.options import Adoption
from fer_export.graph.classifier import INPUT
from fer_export.graph.onnx_file import to_bytes
from fer_export.graph.quiet import quiet

PROBE_FACES = 4
UNUSABLE = "is not a usable ONNX file"  # as fer_edge's session says
MAX_SUM_ERROR = 1e-3  # as fer_edge's Classifier allows
PERCENT = 100
MAX_BATCH_DELTA = 1e-4  # of a probability; other graphs may have layers whose rounding depends on the batch


class Kind(Enum):
    """What a network's outputs are."""

    PROBABILITIES = 1
    SHARES = 2  # of each class alone, as of a sigmoid, or in percent: no softmax makes probabilities of them
    LOGITS = 3


@contextlib.contextmanager
def named(source: Path, what: str = "") -> Iterator[None]:
    """Name the file `source` in an error about a model in memory that was made from it; `what` was to be done."""
    try:
        yield
    except RunError:
        raise  # `probe` says what may be wrong
    except FerError as error:
        text = str(error).replace(IN_MEMORY, source.name if what else str(source))
        raise ModelError(f"{source} {what}{text}" if what else text) from error


def probe(model: onnx.ModelProto, source: Path, adoption: Adoption) -> list[npt.NDArray[np.float32]]:
    """The model's outputs for random faces, each float32 [PROBE_FACES, labels].

    Raises ModelError if it can't be run, gives other than a value per label, or if a face alone and the same face in a
    batch have different outputs.
    """
    shape = (PROBE_FACES, adoption.channels, *adoption.input_size)
    faces = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    try:
        with quiet():
            onnx.checker.check_model(model)
        with named(source):
            opened = load_model(to_bytes(model))
            runs = timed.first_run(lambda: [opened.run(None, {INPUT: face[None]}) for face in faces], str(source))
        alone: list[npt.NDArray[np.float32]] = [np.concatenate(rows) for rows in zip(*runs, strict=True)]
    except Exception as error:  # the onnx package has many kinds
        is_misfit = isinstance(error, RunError) or UNUSABLE in str(error)  # it was usable without the options
        if isinstance(error, ModelError) and not is_misfit:
            raise
        reason = _reason(error)
        raise ModelError(f"{source} can't be run on uint8 faces ({reason}): check the options against it") from error
    if not all(np.isfinite(rows).all() for rows in alone):
        raise ModelError(f"{source} gives values that are not numbers (such as NaN): check --mean and --std")
    try:
        together: list[npt.NDArray[np.float32]] = opened.run(None, {INPUT: faces})
    except RunError:  # one face works, so the batch is the cause
        together = [np.empty(0, np.float32)] * len(alone)
    if [rows.shape for rows in together] != [rows.shape for rows in alone]:
        raise ModelError(
            f"{source} takes one face at a time, and can't be made to take several: export it with a free batch size"
        )
    if not all(map(_are_close, together, alone)):
        raise ModelError(
            f"{source} gives a face other values in a batch than alone, as layers do that draw random numbers or mix "
            "the faces of a batch: export it in evaluation mode, with a free batch size"
        )
    for head, rows in zip(adoption.heads, together, strict=True):
        if rows.shape[1] != len(head.labels):  # the graph did not say how many values it gives
            raise misfit(source, head, f"?, {rows.shape[1]}")
    return together


def _reason(error: BaseException) -> str:
    """What was wrong in the words of the package that said so first, short."""
    while not hasattr(error, "reason") and error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(getattr(error, "reason", error)).split())[:160]


def _are_close(together: npt.NDArray[np.float32], alone: npt.NDArray[np.float32]) -> bool:
    scale = max(1.0, float(np.abs(alone).max(initial=0)))
    return np.allclose(together, alone, rtol=0, atol=MAX_BATCH_DELTA * scale)


def kind_of(rows: npt.NDArray[np.float32]) -> Kind:
    """What the outputs [N, classes] are, judged by their values.

    >>> kind_of(np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)), kind_of(np.array([[0.9, 0.8]], np.float32))
    (<Kind.PROBABILITIES: 1>, <Kind.SHARES: 2>)
    """
    sums = rows.sum(axis=1)
    if (rows < 0).any() or not sums.all():
        return Kind.LOGITS
    if np.allclose(sums, 1, atol=MAX_SUM_ERROR):
        return Kind.PROBABILITIES
    return Kind.SHARES if rows.max() <= 1 or np.allclose(sums, PERCENT, rtol=MAX_SUM_ERROR) else Kind.LOGITS
