"""Compare the outputs of two machines: probabilities, faces and labels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.framing import iou

FP32_MAX_DIFFERENCE = 1e-4
MIN_AGREEMENT = 0.99
SAME_FACE_IOU = 0.9
"""Boxes with a lower intersection over union are not the same face."""

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Check:
    """A figure and its bound, "<=" or ">=" `limit`; without a limit it is only reported."""

    name: str
    value: float
    bound: str = ""
    limit: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the value keeps the bound. NaN, which means that nothing was compared, never passes."""
        if self.limit is None:
            return not math.isnan(self.value)
        return self.value <= self.limit if self.bound == "<=" else self.value >= self.limit


def agreement(ours: Probabilities, theirs: Probabilities) -> float:
    """Share of rows with the largest probability in the same column; NaN without rows."""
    if not len(ours):
        return float("nan")
    return float(np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1)))


def largest_difference(ours: Probabilities, theirs: Probabilities) -> float:
    """Largest absolute difference of two probabilities; NaN without rows, or if one is NaN."""
    return float(np.abs(ours.astype(np.float64) - theirs).max()) if len(ours) else float("nan")


def compare_crops(ours: Mapping[str, Probabilities], theirs: Mapping[str, Probabilities]) -> list[Check]:
    """Compare probabilities [faces, classes], by precision, of identical uint8 crops; ValueError if the shapes differ.

    fp32 must agree up to rounding. int8 kernels may round differently, so only the label must agree.
    """
    for precision in ("fp32", "int8"):
        if ours[precision].shape != theirs[precision].shape:
            raise ValueError(f"{precision}: {ours[precision].shape} here and {theirs[precision].shape} there")
    return [
        Check("fp32 largest difference", largest_difference(ours["fp32"], theirs["fp32"]), "<=", FP32_MAX_DIFFERENCE),
        Check("fp32 same label", agreement(ours["fp32"], theirs["fp32"]), ">=", MIN_AGREEMENT),
        Check("int8 largest difference", largest_difference(ours["int8"], theirs["int8"])),
        Check("int8 same label", agreement(ours["int8"], theirs["int8"]), ">=", MIN_AGREEMENT),
    ]


def compare_runs(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Compare frames, faces and labels in the JSON lines of two runs of `fer-edge --source demo:`.

    A face is the same if it has the same id in the same frame and its boxes overlap by SAME_FACE_IOU. A face that only
    one side has differs in its place and in its label.
    """
    here, there = _faces(ours), _faces(theirs)
    both = [key for key in here.keys() & there.keys() if iou(here[key]["box"], there[key]["box"]) >= SAME_FACE_IOU]
    either = len(here.keys() | there.keys())
    same_label = sum(here[key]["emotion"] == there[key]["emotion"] for key in both)
    differences = [
        abs(here[key]["probabilities"][label] - there[key]["probabilities"].get(label, float("nan")))
        for key in both
        for label in here[key]["probabilities"]
    ]
    shifts = [abs(a - b) for key in both for a, b in zip(here[key]["box"], there[key]["box"], strict=True)]
    frames = {line["frame"] for line in ours} ^ {line["frame"] for line in theirs}
    nothing = float("nan")
    return [
        Check("frames only one side has", len(frames) if ours and theirs else nothing, "<=", 0),
        Check("same faces", len(both) / either if either else nothing, ">=", 1),
        Check("same label", same_label / either if either else nothing, ">=", MIN_AGREEMENT),
        Check("largest shift of a box, pixels", max(shifts, default=nothing)),
        Check("largest difference", max(differences, default=nothing)),
    ]


def _faces(lines: Sequence[Mapping[str, Any]]) -> dict[tuple[int, int], Mapping[str, Any]]:
    return {(line["frame"], face["id"]): face for line in lines for face in line["faces"]}
