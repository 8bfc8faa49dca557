"""The bounds that an exported file must keep, and what happens when it does not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fer_edge.errors import GateError
from fer_export.checks.parity import Consistency, Parity, finite
from fer_export.graph.operators import QUANTIZED_CONVOLUTION, float_convolutions
from fer_train.evaluation.scoring import Accuracy

# Healthy exports differ by 1e-6 (float rounding), a wrong weight or a lost layer by 1e-2 and more. Both grow with the
# logits, so the bound does, too: at USUAL_LOGIT, about the largest of a trained network's, it is some 20 roundings.
MAX_LOGIT_DELTA = 2e-5
USUAL_LOGIT = 10.0
# onnxruntime computes each face of a batch as if it were alone: measured, fp32 and int8 are equal to the last bit,
# with 1 and 2 threads, for all of fer-train's networks.
MAX_BATCH_DELTA = 0.0
MAX_SUM_ERROR = 1e-5
# A correct quantization of these networks agrees on 99 to 100 % of PublicTest.
MIN_AGREEMENT = 0.985
MIN_HEAD_AGREEMENT = 0.99  # of each head of several
ALLOWED_DIFFERENCES = 2  # faces: of few test faces, a single one is more than MIN_AGREEMENT allows
MAX_ACCURACY_DROP = 0.003
# On fewer faces, chance alone can exceed MAX_ACCURACY_DROP.
MIN_IMAGES_FOR_ACCURACY_DROP = 1000
# A healthy detector differs by 1e-5 in logits of up to 20, one that lost a layer by 1 and more.
MAX_OUTPUT_DELTA = 1e-3
MIN_BOX_AGREEMENT = 0.95
MAX_DETECTOR_BYTES = 200_000

PINNED_VERSIONS = "the exporter or onnxruntime changed the network: use the pinned torch, onnx and onnxruntime"
BETTER_INT8 = "calibrate on more faces (--calibration-images), try another --calibrator"


@dataclass(frozen=True)
class Gate:
    """One bound: `value` must be at most, or at least, `bound`.

    advice: what to do if it fails. precision: the file that it judges; what fails for fp32 fails for the int8 made
    from it, too.
    """

    name: str
    value: float
    limit: Literal["at most", "at least"]
    bound: float
    advice: str
    precision: Literal["fp32", "int8"] = "fp32"

    @property
    def passed(self) -> bool:
        """Whether the bound is kept; NaN does not keep it."""
        return self.value <= self.bound if self.limit == "at most" else self.value >= self.bound

    def to_json(self) -> dict[str, Any]:
        """As stored in export.json."""
        return {
            "name": self.name,
            "value": finite(self.value),
            "limit": self.limit,
            "bound": self.bound,
            "passed": self.passed,
            "precision": self.precision,
        }

    def __str__(self) -> str:
        return f"{self.name} is {self.value:.4g}, must be {self.limit} {self.bound:g}"


def _of(name: str, head: str | None) -> str:
    """The gate's name; `head` is given for a file with several."""
    return name if head is None else f"{name}_{head}"


def logit_bound(largest_logit: float) -> float:
    """How far logits of up to `largest_logit` may be from PyTorch's."""
    if not math.isfinite(largest_logit):
        return MAX_LOGIT_DELTA
    return MAX_LOGIT_DELTA * max(1.0, largest_logit / USUAL_LOGIT)


def parity_gates(parity: Parity, head: str | None = None) -> list[Gate]:
    """The fp32 classifier computes what PyTorch computes, alone and in batches, and outputs probabilities."""
    bound = logit_bound(parity.largest_logit)
    return [
        Gate(_of("parity_max_abs_delta", head), parity.max_abs_delta, "at most", bound, PINNED_VERSIONS),
        Gate(_of("parity_batch_delta", head), parity.batch_delta, "at most", MAX_BATCH_DELTA, PINNED_VERSIONS),
        Gate(_of("probability_sum_error", head), parity.sum_error, "at most", MAX_SUM_ERROR, PINNED_VERSIONS),
    ]


def consistency_gates(measured: Consistency, head: str | None = None) -> list[Gate]:
    """The int8 classifier gives a face the same outputs alone and in a batch, and outputs probabilities."""
    advice = "onnxruntime runs int8 differently from fp32: use the pinned version, or export without --quantize"
    return [
        Gate(_of("int8_batch_delta", head), measured.batch_delta, "at most", MAX_BATCH_DELTA, advice, "int8"),
        Gate(_of("int8_probability_sum_error", head), measured.sum_error, "at most", MAX_SUM_ERROR, advice, "int8"),
    ]


def folding_gate(operators: dict[str, int]) -> Gate:
    """All batch normalizations were folded into convolutions: none is left among `operators`."""
    left = operators.get("BatchNormalization", 0)
    advice = "put each batch normalization directly behind a convolution in the network"
    return Gate("batch_norms_left", left, "at most", 0, advice)


def fusion_gates(convolutions: int, running: dict[str, int]) -> list[Gate]:
    """All of the network's `convolutions` run in int8 and none in float, among the operators `running`."""
    advice = "int8 would be no faster: use plain Conv + ReLU (+ Add) layers in the network, or fp32 alone"
    return [
        Gate("int8_convolutions", running.get(QUANTIZED_CONVOLUTION, 0), "at least", convolutions, advice, "int8"),
        Gate("float_convolutions", float_convolutions(running), "at most", 0, advice, "int8"),
    ]


def agreement_gate(agreement: float, images: int, head: str | None = None) -> Gate:
    """int8 and fp32 predict the same class for nearly every one of `images` test faces; any two may differ."""
    least = MIN_AGREEMENT if head is None else MIN_HEAD_AGREEMENT
    bound = min(least, 1 - ALLOWED_DIFFERENCES / max(images, ALLOWED_DIFFERENCES))
    return Gate(_of("agreement", head), agreement, "at least", bound, f"{BETTER_INT8}, or train longer", "int8")


def accuracy_gates(fp32: Accuracy, int8: Accuracy, head: str | None = None) -> list[Gate]:
    """int8 loses little accuracy; no gate on fewer than MIN_IMAGES_FOR_ACCURACY_DROP faces, where chance decides."""
    if fp32.metrics["images"] < MIN_IMAGES_FOR_ACCURACY_DROP:
        return []
    drop = fp32.metrics["accuracy"] - int8.metrics["accuracy"]
    return [Gate(_of("accuracy_drop", head), drop, "at most", MAX_ACCURACY_DROP, f"{BETTER_INT8}, or use fp32", "int8")]


def output_gate(delta: float) -> Gate:
    """The fp32 detector computes what PyTorch computes."""
    return Gate("parity_max_abs_delta", delta, "at most", MAX_OUTPUT_DELTA, PINNED_VERSIONS)


def box_gates(agreement: float, size_bytes: int) -> list[Gate]:
    """The int8 detector finds what fp32 finds, and its file is small."""
    more, fewer = "train longer, or on more scenes", "give the network fewer channels"
    return [
        Gate("box_agreement", agreement, "at least", MIN_BOX_AGREEMENT, more, "int8"),
        Gate("int8_bytes", size_bytes, "at most", MAX_DETECTOR_BYTES, fewer, "int8"),
    ]


def enforce(gates: Sequence[Gate], force: bool) -> None:
    """GateError, with figure and advice, for the first gate that failed, unless `force`."""
    failed = [gate for gate in gates if not gate.passed]
    if failed and not force:
        others = f" (and {', '.join(str(gate) for gate in failed[1:])})" if failed[1:] else ""
        raise GateError(f"gate failed: {failed[0]}{others}: {failed[0].advice}. Nothing is written without --force")


def failed_names(gates: Sequence[Gate], precision: str) -> tuple[str, ...]:
    """Names of the failed gates that judge the file of that precision; int8's include fp32's."""
    return tuple(gate.name for gate in gates if not gate.passed and gate.precision in ("fp32", precision))
