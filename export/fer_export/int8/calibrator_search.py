"""Quantize with several calibrators, and keep the model that agrees best with fp32 on images set aside for this."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from fer_edge.network.session import open_session, run_in_batches
from fer_export.graph.classifier import OUTPUT
from fer_export.graph.onnx_file import to_bytes
from fer_export.int8.bias_correction import correct_biases
from fer_export.int8.calibration import Range, calibrated_ranges, collect_histograms
from fer_export.int8.quantize import quantize
from fer_export.int8.settings import AUTO, CALIBRATORS

SAFE = "minmax"  # the calibrator that clips nothing, for too few faces to choose on
MIN_TUNING_IMAGES = 200  # with fewer, a single changed prediction outweighs the calibrators' differences
BATCH = 64
Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Judge = Callable[[onnx.ModelProto], tuple[float, float]]
"""Measures an int8 model: agreement with fp32 (0 to 1), and a distance that decides between equal agreements."""


@dataclass(frozen=True)
class Candidate:
    """One way to quantize, and how near to fp32 it is.

    corrected: whether the biases were corrected. agreement, distance: by the judge, None without one. seconds: to
    make and measure it.
    """

    calibrator: str
    corrected: bool
    agreement: float | None
    distance: float | None
    seconds: float

    def __str__(self) -> str:
        agreed = "not measured" if self.agreement is None else f"{self.agreement:.2%}"
        return f"{self.calibrator}{' + bias correction' if self.corrected else ''} {agreed}"


@dataclass(frozen=True)
class SearchResult:
    """The best int8 model; `candidates` in the order they were tried, `chosen` one of them."""

    model: onnx.ModelProto
    candidates: Sequence[Candidate]
    chosen: Candidate


def search(
    fp32: onnx.ModelProto, images: Images, calibrators: Sequence[str], judge: Judge | None,
    log: Callable[[str], None], limits: Mapping[str, Range] | None = None,
) -> SearchResult:  # fmt: skip
    """Quantize `fp32` with each calibrator, then once more with the best one and corrected biases; keep the best.

    images: uint8 [N, H, W] to calibrate on. judge: measures a model on other images; without one the only calibrator
    is taken, and biases are not corrected. limits: ranges, by tensor, that calibrated ranges are cut to.
    """
    histograms = collect_histograms(fp32, images)

    def quantized(calibrator: str) -> onnx.ModelProto:
        ranges = calibrated_ranges(histograms, calibrator)
        for name, (low, high) in (limits or {}).items():
            ranges[name] = max(ranges[name][0], low), min(ranges[name][1], high)
        return quantize(fp32, ranges)

    tried: list[tuple[Candidate, onnx.ModelProto]] = []

    def attempt(calibrator: str, corrected: bool, make: Callable[[], onnx.ModelProto]) -> None:
        started = time.perf_counter()
        model = make()
        agreement, distance = judge(model) if judge else (None, None)
        seconds = round(time.perf_counter() - started, 1)
        candidate = Candidate(calibrator, corrected, agreement, distance, seconds)
        log(f"  {candidate} ({candidate.seconds:.1f} s)")
        tried.append((candidate, model))

    for name in calibrators:
        attempt(name, False, lambda name=name: quantized(name))  # type: ignore[misc]
    best, model = max(tried, key=_rank)
    if judge:
        attempt(best.calibrator, True, lambda: correct_biases(model, fp32, images))
    chosen, model = max(tried, key=_rank)
    return SearchResult(model, [candidate for candidate, _ in tried], chosen)


def _rank(attempt: tuple[Candidate, onnx.ModelProto]) -> tuple[float, float]:
    """Greater is better: agreement first, then a small distance."""
    candidate = attempt[0]
    return candidate.agreement or 0.0, -(candidate.distance or 0.0)


def search_for_classifier(
    fp32: onnx.ModelProto, faces: Images, tuning: Images, calibrator: str, log: Callable[[str], None],
    outputs: Sequence[str] = (OUTPUT,),
) -> SearchResult:  # fmt: skip
    """The best int8 model of a classifier, with `calibrator` or, for AUTO, with all of them.

    faces: uint8 [N, H, W], which calibrate. tuning: other faces, on which agreement is measured; neither are test
    faces, since the choice is fitted to them. With fewer than MIN_TUNING_IMAGES, nothing is measured.
    """
    judge = face_judge(fp32, tuning, outputs) if len(tuning) >= MIN_TUNING_IMAGES else None
    names = [calibrator] if calibrator != AUTO else CALIBRATORS if judge else [SAFE]
    return search(fp32, faces, names, judge, log)


def face_judge(fp32: onnx.ModelProto, faces: Images, outputs: Sequence[str] = (OUTPUT,)) -> Judge:
    """A judge by the predictions for faces uint8 [N, H, W]: agreement and distance as in `compare_probabilities`.

    Of several outputs, the one that agrees least counts.
    """
    expected = [probabilities(fp32, faces, output) for output in outputs]

    def judge(model: onnx.ModelProto) -> tuple[float, float]:
        pairs = zip(expected, outputs, strict=True)
        compared = [compare_probabilities(rows, probabilities(model, faces, output)) for rows, output in pairs]
        return min(compared, key=lambda each: (each[0], -each[1]))

    return judge


def probabilities(model: onnx.ModelProto, faces: Images, output: str = OUTPUT) -> Floats:
    """Probabilities float32 [N, classes] of uint8 faces [N, H, W]."""
    (rows,) = run_in_batches(open_session(to_bytes(model)), faces[:, None], BATCH, [output])
    return rows


def compare_probabilities(expected: Floats, found: Floats) -> tuple[float, float]:
    """The fraction of equal predictions, and the mean absolute difference of the probabilities."""
    same = expected.argmax(axis=1) == found.argmax(axis=1)
    return float(same.mean()), float(np.abs(expected - found).mean())
