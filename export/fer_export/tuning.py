"""Quantise in every way on offer, and keep the one that agrees best with fp32 on faces set aside for this."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from fer_edge.classifier import open_session
from fer_export.calibrate import CALIBRATORS, observe, ranges
from fer_export.convert import INPUT, OUTPUT
from fer_export.correct import correct_biases
from fer_export.graph import save
from fer_export.quantise import quantise

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

    @property
    def rank(self) -> tuple[float, float]:
        """Greater is better: agreement first, then nearness of the probabilities."""
        return (self.agreement or 0.0, -(self.distance or 0.0))


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
    faces, to which the choice would be fitted. Equally good ones: the earlier, simpler one is kept.
    """
    measurable = len(judges) >= MIN_TUNING_IMAGES
    expected = probabilities(fp32, judges, folder) if measurable else None
    histograms = observe(fp32, faces, folder)
    names = [calibrator] if calibrator != AUTO else list(CALIBRATORS) if measurable else [SAFE]

    def attempt(name: str, corrected: bool, make: Callable[[], onnx.ModelProto]) -> tuple[Candidate, onnx.ModelProto]:
        started = time.perf_counter()
        model = make()
        near = (None, None) if expected is None else nearness(expected, probabilities(model, judges, folder))
        candidate = Candidate(name, corrected, *near, round(time.perf_counter() - started, 1))
        say(f"  {candidate} ({candidate.seconds:.1f} s)")
        return candidate, model

    tried = [attempt(name, False, lambda name=name: quantise(fp32, ranges(histograms, name), folder)) for name in names]
    if measurable:
        best, model = max(tried, key=lambda made: made[0].rank)
        tried.append(attempt(best.calibrator, True, lambda: correct_biases(model, fp32, faces, folder)))
    chosen, model = max(tried, key=lambda made: made[0].rank)
    return Tuned(model, [candidate for candidate, _ in tried], chosen)


def probabilities(model: onnx.ModelProto, faces: Faces, folder: Path) -> Probabilities:
    """Probabilities float32 [N, classes] of uint8 faces [N, H, W]."""
    session = open_session(save(model, folder / "tuned.onnx"))
    batches = [session.run([OUTPUT], {INPUT: faces[i : i + BATCH, None]})[0] for i in range(0, len(faces), BATCH)]
    return np.concatenate(batches)


def nearness(expected: Probabilities, found: Probabilities) -> tuple[float, float]:
    """Agreement of the classes named, and mean absolute difference of the probabilities."""
    same = expected.argmax(axis=1) == found.argmax(axis=1)
    return float(same.mean()), float(np.abs(expected - found).mean())
