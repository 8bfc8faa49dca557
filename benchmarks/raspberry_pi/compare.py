"""Two machines' answers side by side: the same probabilities, the same faces, the same labels?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FP32_MAX_DIFFERENCE = 1e-4
MIN_AGREEMENT = 0.99
SAME_FACE_IOU = 0.9
"""Boxes that overlap less (intersection over union) are not the same face."""

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Check:
    """A figure, and the bound it must keep: "<=" or ">=" `limit`; without a limit it is only told."""

    name: str
    value: float
    bound: str = ""
    limit: float | None = None

    @property
    def passed(self) -> bool:
        """Whether it does; NaN, which means that nothing was compared, never does."""
        if self.limit is None:
            return not math.isnan(self.value)
        return self.value <= self.limit if self.bound == "<=" else self.value >= self.limit


def agreement(ours: Probabilities, theirs: Probabilities) -> float:
    """The share of rows whose largest probability stands in the same column; NaN of no rows."""
    if not len(ours):
        return float("nan")
    return float(np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1)))


def largest_difference(ours: Probabilities, theirs: Probabilities) -> float:
    """The largest absolute difference of two probabilities; NaN of no rows, or if one is NaN."""
    return float(np.abs(ours.astype(np.float64) - theirs).max()) if len(ours) else float("nan")


def compare_crops(ours: Mapping[str, Probabilities], theirs: Mapping[str, Probabilities]) -> list[Check]:
    """Probabilities [faces, classes] by precision, of identical uint8 crops; ValueError if the shapes differ.

    fp32 must be the same number but for rounding; int8 kernels may round elsewhere, and so only the label counts.
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


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    whole = a[2] * a[3] + b[2] * b[3] - shared
    return shared / whole if whole > 0 else 0.0


def compare_runs(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> list[Check]:
    """The JSON lines of two runs of `fer-edge --source demo:`: the same frames, faces and labels?

    A face is the same if it has the same number (id) in the same frame and its boxes overlap by SAME_FACE_IOU. A
    face that only one side has counts as different, in its place and in its label.
    """
    here, there = _faces(ours), _faces(theirs)
    both = [key for key in here.keys() & there.keys() if overlap(here[key]["box"], there[key]["box"]) >= SAME_FACE_IOU]
    either = len(here.keys() | there.keys())
    same_label = sum(here[key]["emotion"] == there[key]["emotion"] for key in both)
    apart = [
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
        Check("largest difference", max(apart, default=nothing)),
    ]


def _faces(lines: Sequence[Mapping[str, Any]]) -> dict[tuple[int, int], Mapping[str, Any]]:
    return {(line["frame"], face["id"]): face for line in lines for face in line["faces"]}
