"""The bounds that an exported file must keep, and what to do about one that doesn't."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fer_edge.errors import GateError
from fer_export.measure import Accuracy
from fer_export.operators import QUANTISED_CONVOLUTION, float_convolutions
from fer_export.parity import Parity

# Healthy exports differ by 1e-6 (float rounding); a wrong weight or a lost layer by 1e-2 and more.
MAX_LOGIT_DELTA = 2e-5
# The bound holds for logits up to 10, as of trained networks on faces; above, it grows like their rounding.
ORDINARY_LOGIT = 10.0
MAX_SUM_ERROR = 1e-5
MORE_FACES = "calibrate on more faces (--calibration-images)"
# A correct quantisation of these networks agrees on 99 to 100 % of PublicTest.
MIN_AGREEMENT = 0.985
MAX_ACCURACY_DROP = 0.003
# Below this, a few faces that change sides by chance exceed MAX_ACCURACY_DROP.
MIN_IMAGES_FOR_ACCURACY_DROP = 1000


def finite(value: float) -> float | None:
    """`value`, or None, which JSON can hold, for one that is not a finite number."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Gate:
    """One bound: `value` must be at most, or at least, `bound`. advice: what to do if it isn't."""

    name: str
    value: float
    limit: Literal["at most", "at least"]
    bound: float
    advice: str

    @property
    def passed(self) -> bool:
        """False also for a value that is not a number."""
        return self.value <= self.bound if self.limit == "at most" else self.value >= self.bound

    def to_json(self) -> dict[str, Any]:
        """As stored in export.json; a value that is not finite, which JSON can't hold, becomes null."""
        return {
            "name": self.name,
            "value": finite(self.value),
            "limit": self.limit,
            "bound": self.bound,
            "passed": self.passed,
        }

    def __str__(self) -> str:
        return f"{self.name} is {self.value:.4g}, must be {self.limit} {self.bound:g}"


def parity_gates(parity: Parity) -> list[Gate]:
    """The fp32 file computes what PyTorch does, alone and in batches, and gives probabilities."""
    advice = "the exporter or onnxruntime changed the network; use the pinned versions of torch, onnx and onnxruntime"
    bound = MAX_LOGIT_DELTA * max(1.0, parity.largest_logit / ORDINARY_LOGIT)
    return [
        Gate("parity_max_abs_delta", parity.max_abs_delta, "at most", bound, advice),
        Gate("parity_batch_delta", parity.batch_delta, "at most", bound, advice),
        Gate("probability_sum_error", parity.sum_error, "at most", MAX_SUM_ERROR, advice),
    ]


def folding_gate(operators: dict[str, int]) -> Gate:
    """No batch normalisation is left in `operators`: all were folded into convolutions."""
    left = operators.get("BatchNormalization", 0)
    return Gate("batch_norms_left", left, "at most", 0, "put each batch norm right behind a convolution in the network")


def fusion_gates(convolutions: int, running: dict[str, int]) -> list[Gate]:
    """All of the network's `convolutions` run in int8, and none in float, among the operators `running`."""
    advice = "the int8 file would be no faster; keep to plain Conv + ReLU (+ Add) layers, or export without --quantize"
    return [
        Gate("int8_convolutions", running.get(QUANTISED_CONVOLUTION, 0), "at least", convolutions, advice),
        Gate("float_convolutions", float_convolutions(running), "at most", 0, advice),
    ]


def agreement_gate(share: float) -> Gate:
    """int8 and fp32 name the same class for nearly every test face."""
    return Gate("agreement", share, "at least", MIN_AGREEMENT, f"{MORE_FACES}, or train longer")


def accuracy_gates(fp32: Accuracy, int8: Accuracy) -> list[Gate]:
    """int8 loses little accuracy; no gate on fewer than 1000 test faces, where chance decides it."""
    if fp32.metrics["images"] < MIN_IMAGES_FOR_ACCURACY_DROP:
        return []
    drop = fp32.metrics["accuracy"] - int8.metrics["accuracy"]
    return [Gate("accuracy_drop", drop, "at most", MAX_ACCURACY_DROP, f"{MORE_FACES}, or use fp32")]


def enforce(gates: Sequence[Gate], force: bool) -> None:
    """GateError, with figure and advice, on the first gate that failed; nothing if `force`."""
    failed = [gate for gate in gates if not gate.passed]
    if failed and not force:
        others = f" (and {', '.join(str(gate) for gate in failed[1:])})" if failed[1:] else ""
        raise GateError(f"gate failed: {failed[0]}{others}: {failed[0].advice}. Nothing was written (--force would)")
