"""95 % intervals: of a fraction (Wilson), and of anything else by resampling faces or people (bootstrap)."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Z = 1.959964  # of a normal distribution, 95 % lie within this many standard deviations
DRAWS = 1000
Weights = npt.NDArray[np.float32]
Interval = tuple[float, float]


def wilson(hits: int, count: int) -> Interval:
    """The interval of a fraction `hits` / `count` (Wilson 1927), fractions 0 to 1; (0, 1) without a face.

    >>> low, high = wilson(20, 25)
    >>> print(f"{low:.3f} to {high:.3f}")
    0.609 to 0.911
    """
    if not count:
        return 0.0, 1.0
    share, spread = hits / count, Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * float(np.sqrt(share * (1 - share) / count + spread / (4 * count)))
    return max(0.0, middle - half), min(1.0, middle + half)


def resampled(groups: npt.NDArray[np.int64], draws: int = DRAWS, seed: int = 0) -> Weights:
    """How often each row is drawn, float32 [draws, N], if whole groups are drawn with replacement.

    groups: int64 [N], the group (person) of each row, from 0; np.arange(N) draws single rows.
    """
    count = int(groups.max(initial=-1)) + 1
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / max(count, 1)), draws).astype(np.float32)[:, groups]


def bootstrap(statistic: Callable[[Weights], npt.NDArray[np.float64]], weights: Weights) -> Interval:
    """The interval from 2.5 to 97.5 % of a statistic of each draw.

    statistic: takes weights [draws, N] to values [draws]; NaN where a draw has none. weights: from `resampled`.
    """
    values = statistic(weights)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
