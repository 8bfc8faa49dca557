"""Shares corrected for the network's known errors: what true shares would show up as the shares that were counted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STEPS = 500
MIN_FACES_PER_LABEL = 50  # of the faces that the confusion matrix was measured on
MAX_CONDITION = 15.0  # of the matrix of error rates: a larger one blows small errors up
PRIOR = 0.5  # a face added to each cell (Jeffreys), so that a rare error is not taken for an impossible one
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Correction:
    """Corrected shares.

    shares, low, high: float64 [K], with 95 % intervals. warnings: why they can't be trusted, a sentence each; empty
    if nothing speaks against it but that the people are others than those the errors were measured on.
    """

    shares: Floats
    low: Floats
    high: Floats
    warnings: tuple[str, ...]


def error_rates(confusion: Sequence[Sequence[int]]) -> Floats:
    """How often each true label (row) is called each label (column): float64 [K, K], rows sum to 1."""
    counts = np.asarray(confusion, np.float64) + PRIOR
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def corrected_shares(
    replicates: Floats, shares: Floats, confusion: Sequence[Sequence[int]], labels: Sequence[str], seed: int = 0
) -> Correction:
    """Estimate the true shares behind counted ones.

    replicates: float64 [R, K], bootstrap draws of the counted shares. shares: float64 [K], those counted. confusion:
    ints [K, K], rows = truth, in the order of `labels`, as the contract of the network has it.

    The estimate is the most likely one (Richardson 1972, Lucy 1974: unfolding), which can't be negative. Its interval
    holds the chance in both, the counted shares and the error rates, whose rows are drawn from their posterior.

    >>> found = corrected_shares(np.array([[0.5, 0.5]]), np.array([0.5, 0.5]), [[60, 40], [0, 100]], ["sad", "calm"])
    >>> [round(float(share), 1) for share in found.shares]
    [0.8, 0.2]
    """
    rates = error_rates(confusion)
    estimate = unfold(shares[None], rates[None])[0]
    rng = np.random.default_rng(seed)
    counts = np.asarray(confusion, np.float64) + PRIOR
    drawn = np.stack([rng.dirichlet(row, len(replicates)) for row in counts], axis=1)
    draws = unfold(replicates, drawn)
    low, high = np.percentile(draws, (2.5, 97.5), axis=0)
    return Correction(estimate, np.minimum(low, estimate), np.maximum(high, estimate), _warnings(confusion, labels))


def unfold(counted: Floats, rates: Floats) -> Floats:
    """The true shares float64 [R, K] that most likely give `counted` [R, K] with the error rates [R or 1, K, K]."""
    true = np.full(counted.shape, 1 / counted.shape[1])
    for _ in range(STEPS):
        expected = np.einsum("rt,rtl->rl", true, np.broadcast_to(rates, (len(true), *rates.shape[1:])))
        ratio = np.divide(counted, expected, out=np.zeros_like(counted), where=expected > 0)
        true = true * np.einsum("rl,rtl->rt", ratio, np.broadcast_to(rates, (len(true), *rates.shape[1:])))
        true /= np.maximum(true.sum(axis=1, keepdims=True), 1e-12)
    return true


def _warnings(confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> tuple[str, ...]:
    counts = np.asarray(confusion, np.float64).sum(axis=1)
    few = [
        f"{label} ({int(count)})" for label, count in zip(labels, counts, strict=True) if count < MIN_FACES_PER_LABEL
    ]
    found = []
    if few:
        found.append(f"The errors of {', '.join(few)} were measured on fewer than {MIN_FACES_PER_LABEL} faces.")
    condition = float(np.linalg.cond(error_rates(confusion)))
    if condition > MAX_CONDITION:
        found.append(
            f"Two emotions are mixed up so often that the counts hardly tell them apart (condition {condition:.0f})."
        )
    return tuple(found)
