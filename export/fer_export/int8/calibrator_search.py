"""Quantise in every way on offer, and keep the one that agrees best with fp32 on faces set aside for this."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from fer_edge.network.session import open_session
from fer_export.graph.classifier import INPUT, OUTPUT
from fer_export.graph.onnx_file import save
from fer_export.int8.bias_correction import correct_biases
from fer_export.int8.calibration import CALIBRATORS, observe, ranges
from fer_export.int8.quantize import quantize

AUTO = "auto"
SAFE = "minmax"  # taken when there are too few faces to choose by: it clips nothing
MIN_TUNING_IMAGES = 200  # with fewer, one face that changes sides is worth more than the calibrators' differences
BATCH = 64
Faces = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Candidate:
    """One way to quantise, and how near to fp32 it came.

    corrected: whether the biases were corrected. agreement: share of the tuning faces for which both name
    the same class, None if there were too few. distance: mean absolute difference of a probability, None likewise.
    seconds: what making and measuring it took.
    """

    calibrator: str
    corrected: bool
    agreement: float | None
    distance: float | None
    seconds: float

    def __str__(self) -> str:
        agreed = "not measured" if self.agreement is None else f"{self.agreement:.2%}"
        return f"{self.calibrator}{' + bias correction' if self.corrected else ''} {agreed}"


Attempt = tuple[Candidate, onnx.ModelProto]


@dataclass(frozen=True)
class Tuned:
    """The int8 model that did best; `candidates` in the order they were tried, `chosen` one of them."""

    model: onnx.ModelProto
    candidates: Sequence[Candidate]
    chosen: Candidate


def tune(
    fp32: onnx.ModelProto, faces: Faces, judges: Faces, calibrator: str, folder: Path, say: Callable[[str], None]
) -> Tuned:
    """Quantise with each calibrator (or the one named), then the best of them with corrected biases; keep the best.

    faces: uint8 [N, H, W], which calibrate. judges: others, on which agreement is measured; neither are test
    faces, to which the choice would be fitted. Among equal agreements the nearest probabilities win.
    """
    measurable = len(judges) >= MIN_TUNING_IMAGES
    judge = Judge(judges, probabilities(fp32, judges, folder) if measurable else None, folder, say)
    histograms = observe(fp32, faces, folder)
    names = [calibrator] if calibrator != AUTO else list(CALIBRATORS) if measurable else [SAFE]
    tried = []
    for name in names:
        tried.append(judge.attempt(name, False, partial(quantize, fp32, ranges(histograms, name), folder)))
    if measurable:
        best, model = max(tried, key=_rank)
        tried.append(judge.attempt(best.calibrator, True, partial(correct_biases, model, fp32, faces, folder)))
    chosen, model = max(tried, key=_rank)
    return Tuned(model, [candidate for candidate, _ in tried], chosen)


@dataclass(frozen=True)
class Judge:
    """Measures int8 models on uint8 faces [N, H, W], of which fp32 says `expected`; None: there are too few."""

    faces: Faces
    expected: Probabilities | None
    folder: Path
    say: Callable[[str], None]

    def attempt(self, calibrator: str, corrected: bool, make: Callable[[], onnx.ModelProto]) -> Attempt:
        """Make a model, measure it, and tell how it did."""
        started = time.perf_counter()
        model, agreed, distance = make(), None, None
        if self.expected is not None:
            agreed, distance = nearness(self.expected, probabilities(model, self.faces, self.folder))
        candidate = Candidate(calibrator, corrected, agreed, distance, round(time.perf_counter() - started, 1))
        self.say(f"  {candidate} ({candidate.seconds:.1f} s)")
        return candidate, model


def _rank(attempt: Attempt) -> tuple[float, float]:
    """Greater is better: agreement first, then nearness of the probabilities."""
    candidate = attempt[0]
    return candidate.agreement or 0.0, -(candidate.distance or 0.0)


def probabilities(model: onnx.ModelProto, faces: Faces, folder: Path) -> Probabilities:
    """Probabilities float32 [N, classes] of uint8 faces [N, H, W]."""
    session = open_session(save(model, folder / "tuned.onnx"))
    batches = [session.run([OUTPUT], {INPUT: faces[i : i + BATCH, None]})[0] for i in range(0, len(faces), BATCH)]
    return np.concatenate(batches)


def nearness(expected: Probabilities, found: Probabilities) -> tuple[float, float]:
    """Agreement of the classes named, and mean absolute difference of the probabilities."""
    same = expected.argmax(axis=1) == found.argmax(axis=1)
    return float(same.mean()), float(np.abs(expected - found).mean())
