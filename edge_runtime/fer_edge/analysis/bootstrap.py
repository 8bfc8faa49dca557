"""95 % intervals of shares from results that follow one another: a block bootstrap over time.

Two frames a thirtieth of a second apart say nearly the same, so intervals that take rows as independent are far too
narrow. Whole stretches of time are drawn instead (circular block bootstrap, Politis and Romano 1992), long enough that
what happens in one says little about the next.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

REPLICATES = 1000
MIN_BLOCKS = 10  # fewer independent stretches say too little about chance
MAX_LAG_SHARE = 0.25  # of the series; correlations at longer lags are mostly noise
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ShareIntervals:
    """Bootstrap intervals of shares.

    shares: float64 [K], of the whole series. low, high: float64 [K], the 2.5th and 97.5th percentile.
    replicates: float64 [REPLICATES, K]. blocks: how many independent stretches of time the series holds.
    """

    shares: Floats
    low: Floats
    high: Floats
    replicates: Floats
    blocks: float

    @property
    def is_reliable(self) -> bool:
        """Whether the series is long enough: at least MIN_BLOCKS stretches."""
        return self.blocks >= MIN_BLOCKS


def share_intervals(amounts: Floats, seed: int = 0) -> ShareIntervals:
    """95 % intervals of each column's share of the sum of `amounts`.

    amounts: float64 [bins, K], for example the seconds of each emotion in each second of a video, in order. A bin may
    be empty: no face was there. seed: of the draws.

    >>> rng = np.random.default_rng(0)
    >>> coin = (rng.random(1000) < 0.3).astype(float)
    >>> found = share_intervals(np.stack([coin, 1 - coin], axis=1))
    >>> bool(found.low[0] < 0.3 < found.high[0]), round(float(found.high[0] - found.low[0]), 2)
    (True, 0.06)
    """
    total = float(amounts.sum())
    shares = amounts.sum(axis=0) / total if total else np.zeros(amounts.shape[1])
    bins = len(amounts)
    # A share is a ratio, whose chance is that of these residuals. Unlike the amounts they have no pattern where bins
    # are as short as frames and some hold one frame, others two.
    length = block_length(amounts - shares * amounts.sum(axis=1, keepdims=True))
    count = -(-bins // length) if bins else 0
    if bins < 2 or not total:
        same = np.repeat(shares[None], REPLICATES, axis=0)
        return ShareIntervals(shares, shares, shares, same, float(bins > 0))
    wrapped = np.concatenate([np.zeros((1, amounts.shape[1])), np.cumsum(np.concatenate([amounts, amounts]), axis=0)])
    block_sums = wrapped[length : length + bins] - wrapped[:bins]  # of the block that starts at each bin
    starts = np.random.default_rng(seed).integers(0, bins, (REPLICATES, count))
    sums = np.zeros((REPLICATES, amounts.shape[1]))
    for column in starts.T:  # one block of all replicates at a time: memory stays small
        sums += block_sums[column]
    totals = sums.sum(axis=1, keepdims=True)
    replicates = np.divide(sums, totals, out=np.repeat(shares[None], REPLICATES, axis=0), where=totals > 0)
    low, high = np.percentile(replicates, (2.5, 97.5), axis=0)
    return ShareIntervals(shares, low, high, replicates, bins / length)


def block_length(residuals: Floats) -> int:
    """How many bins a block needs: where the autocorrelation of the columns, float64 [bins, K], has faded.

    Twice the first lag from which on three lags are within the noise of an uncorrelated series, 2 / sqrt(bins), of the
    column that takes longest (the rule of Politis and White 2004 for the bandwidth, with the blocks that long).
    """
    bins = len(residuals)
    if bins < 4:
        return 1
    longest = max(2, int(bins * MAX_LAG_SHARE))
    lag = max((_faded(column, longest) for column in residuals.T if column.std() > 0), default=1)
    return int(min(max(1, 2 * lag), max(1, bins // 2)))


def _faded(series: Floats, longest: int) -> int:
    """The first lag at which the autocorrelation and the next two are within noise, at most `longest`."""
    centered = series - series.mean()
    size = 1 << (2 * len(series) - 1).bit_length()
    spectrum = np.fft.rfft(centered, size)
    correlation = np.fft.irfft(spectrum * spectrum.conj(), size)[: longest + 3]
    correlation = correlation / correlation[0]
    within = np.abs(correlation) < 2 / np.sqrt(len(series))
    if len(within) < 3:
        return 1
    quiet = within[:-2] & within[1:-1] & within[2:]
    found = np.flatnonzero(quiet)
    return int(min(found[0] if len(found) else longest, longest))
