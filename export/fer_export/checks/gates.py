"""The bounds that an exported file must keep, and what to do about one that doesn't."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fer_edge.errors import GateError
from fer_export.checks.parity import Parity, Runs
from fer_export.graph.operators import QUANTIZED_CONVOLUTION, float_convolutions
from fer_train.evaluation.scoring import Accuracy

# Healthy exports differ by 1e-6 (float rounding); a wrong weight or a lost layer by 1e-2 and more.
MAX_LOGIT_DELTA = 2e-5
# onnxruntime computes each face of a batch as if it were alone, in the same order: measured, not a bit differs
# in fp32 and int8, with 1 and 2 threads, for both of fer-train's networks.
MAX_BATCH_DELTA = 0.0
MAX_SUM_ERROR = 1e-5
BETTER_INT8 = "calibrate on more faces (--calibration-images), try another --calibrator"
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
    """One bound: `value` must be at most, or at least, `bound`.

    advice: what to do if it isn't. precision: whose bound it is; what fails for fp32 fails for int8 made from it, too.
    """

    name: str
    value: float
    limit: Literal["at most", "at least"]
    bound: float
    advice: str
    precision: Literal["fp32", "int8"] = "fp32"

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
            "precision": self.precision,
        }

    def __str__(self) -> str:
        return f"{self.name} is {self.value:.4g}, must be {self.limit} {self.bound:g}"


def parity_gates(parity: Parity) -> list[Gate]:
    """The fp32 file computes what PyTorch does, alone and in batches, and gives probabilities."""
    advice = "the exporter or onnxruntime changed the network; use the pinned versions of torch, onnx and onnxruntime"
    return [
        Gate("parity_max_abs_delta", parity.max_abs_delta, "at most", MAX_LOGIT_DELTA, advice),
        Gate("parity_batch_delta", parity.batch_delta, "at most", MAX_BATCH_DELTA, advice),
        Gate("probability_sum_error", parity.sum_error, "at most", MAX_SUM_ERROR, advice),
    ]


def consistency_gates(runs: Runs) -> list[Gate]:
    """int8 gives a face the same answer alone and in a batch, and probabilities."""
    advice = "onnxruntime runs this int8 file unlike its fp32 one; use its pinned version, or export without --quantize"
    return [
        Gate("int8_batch_delta", runs.batch_delta, "at most", MAX_BATCH_DELTA, advice, "int8"),
        Gate("int8_probability_sum_error", runs.sum_error, "at most", MAX_SUM_ERROR, advice, "int8"),
    ]


def folding_gate(operators: dict[str, int]) -> Gate:
    """No batch normalisation is left in `operators`: all were folded into convolutions."""
    left = operators.get("BatchNormalization", 0)
    return Gate("batch_norms_left", left, "at most", 0, "put each batch norm right behind a convolution in the network")


def fusion_gates(convolutions: int, running: dict[str, int]) -> list[Gate]:
    """All of the network's `convolutions` run in int8, and none in float, among the operators `running`."""
    advice = "the int8 file would be no faster; keep to plain Conv + ReLU (+ Add) layers, or export without --quantize"
    return [
        Gate("int8_convolutions", running.get(QUANTIZED_CONVOLUTION, 0), "at least", convolutions, advice, "int8"),
        Gate("float_convolutions", float_convolutions(running), "at most", 0, advice, "int8"),
    ]


def agreement_gate(share: float) -> Gate:
    """int8 and fp32 name the same class for nearly every test face."""
    return Gate("agreement", share, "at least", MIN_AGREEMENT, f"{BETTER_INT8}, or train longer", "int8")


def accuracy_gates(fp32: Accuracy, int8: Accuracy) -> list[Gate]:
    """int8 loses little accuracy; no gate on fewer than 1000 test faces, where chance decides it."""
    if fp32.metrics["images"] < MIN_IMAGES_FOR_ACCURACY_DROP:
        return []
    drop = fp32.metrics["accuracy"] - int8.metrics["accuracy"]
    return [Gate("accuracy_drop", drop, "at most", MAX_ACCURACY_DROP, f"{BETTER_INT8}, or use fp32", "int8")]


def enforce(gates: Sequence[Gate], force: bool) -> None:
    """GateError, with figure and advice, on the first gate that failed; nothing if `force`."""
    failed = [gate for gate in gates if not gate.passed]
    if failed and not force:
        others = f" (and {', '.join(str(gate) for gate in failed[1:])})" if failed[1:] else ""
        raise GateError(f"gate failed: {failed[0]}{others}: {failed[0].advice}. Nothing was written (--force would)")


def failed_names(gates: Sequence[Gate], precision: str) -> tuple[str, ...]:
    """Names of the failed gates that concern the file of that precision; int8's includes fp32's."""
    return tuple(gate.name for gate in gates if not gate.passed and gate.precision in ("fp32", precision))
