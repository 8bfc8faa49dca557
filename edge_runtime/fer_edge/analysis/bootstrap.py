"""95 % intervals of shares from results that follow one another: a block bootstrap over time.

Two frames a thirtieth of a second apart say nearly the same, so intervals that take rows as independent are far too
narrow. Whole stretches of time are drawn instead (circular block bootstrap, Politis and Romano 1992), long enough that
what happens in one says little about the next. Their variance says how many independent rows the series is worth, and
Wilson's interval (1927) is that of a share of that many rows: unlike percentiles of the draws it also holds for rare
emotions and few stretches.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

REPLICATES = 1000
MIN_BLOCKS = 10  # fewer independent stretches say too little about chance
MIN_FREEDOM = 3.0  # degrees of freedom; the expansion of Student's percentile needs as many
EQUAL = 1e-9  # smaller residuals are rounding
MAX_LAG_SHARE = 0.25  # of the series; correlations at longer lags are mostly noise
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ShareIntervals:
    """Bootstrap intervals of shares.

    shares: float64 [K], of the whole series. low, high: float64 [K], with 95 %. replicates: float64 [REPLICATES, K],
    draws of the shares, as far apart as chance takes them. blocks: how many independent stretches of time the series
    holds. worth: float64 [K], how many independent rows would say as much about each share.
    """

    shares: Floats
    low: Floats
    high: Floats
    replicates: Floats
    blocks: float
    worth: Floats

    def bounds(self, confidence: float = 0.95) -> tuple[Floats, Floats]:
        """The ends of the intervals, float64 [K] each, that hold with this probability each."""
        if not self.shares.sum():
            return self.shares, self.shares
        return _wilson(self.shares, self.worth, _student(self.blocks - 1, (1 + confidence) / 2))

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
    if not total:
        return ShareIntervals(shares, shares, shares, np.repeat(shares[None], REPLICATES, axis=0), 0.0, shares)
    # A share is a ratio, whose chance is that of these residuals. Unlike the amounts they have no pattern where bins
    # are as short as frames and some hold one frame, others two.
    residuals = amounts - shares * amounts.sum(axis=1, keepdims=True)
    length = block_length(residuals) if np.abs(residuals).max() > EQUAL * amounts.max() else bins  # nothing changes
    block_sums = _block_sums(amounts, length)
    replicates = _draws(block_sums, shares, -(-bins // length), seed)
    blocks = bins / length
    variance = replicates.var(axis=0) * _few(blocks)
    worth = _worth(shares, variance, block_sums, blocks)
    low, high = _wilson(shares, worth, _student(blocks - 1))
    wide = shares + (replicates - shares) * np.sqrt(_few(blocks)) * _student(blocks - 1) / _student(np.inf)
    wide = np.clip(wide, 0.0, None)
    wide /= wide.sum(axis=1, keepdims=True)
    return ShareIntervals(shares, low, high, wide, blocks, worth)


def _block_sums(amounts: Floats, length: int) -> Floats:
    """The sums of the block that starts at each bin, float64 [bins, K]; the end is followed by the start."""
    bins = len(amounts)
    wrapped = np.concatenate([np.zeros((1, amounts.shape[1])), np.cumsum(np.concatenate([amounts, amounts]), axis=0)])
    return np.asarray(wrapped[length : length + bins] - wrapped[:bins])


def _draws(block_sums: Floats, shares: Floats, count: int, seed: int) -> Floats:
    """Shares float64 [REPLICATES, K] of `count` blocks drawn with replacement."""
    starts = np.random.default_rng(seed).integers(0, len(block_sums), (REPLICATES, count))
    sums = np.zeros((REPLICATES, block_sums.shape[1]))
    for column in starts.T:  # one block of all replicates at a time: memory stays small
        sums += block_sums[column]
    totals = sums.sum(axis=1, keepdims=True)
    drawn: Floats = np.divide(sums, totals, out=np.repeat(shares[None], REPLICATES, axis=0), where=totals > 0)
    return drawn


def _worth(shares: Floats, variance: Floats, block_sums: Floats, blocks: float) -> Floats:
    """How many independent rows would give this variance of each share: float64 [K].

    An emotion that few blocks hold has no variance that can be trusted, so it counts for no more than all of them do.
    """
    spread = shares * (1 - shares)
    together = float(spread.sum() / variance.sum()) if variance.sum() > 0 else blocks
    own = np.divide(spread, variance, out=np.full(len(shares), together), where=variance > 0)
    squares = np.square(block_sums).mean(axis=0)
    holders = blocks * np.divide(np.square(block_sums.mean(axis=0)), squares, out=np.zeros_like(own), where=squares > 0)
    worth: Floats = np.where(holders >= MIN_BLOCKS, own, np.minimum(own, together))
    return worth


def _wilson(shares: Floats, worth: Floats, quantile: float) -> tuple[Floats, Floats]:
    """Wilson's score interval of shares of `worth` independent rows."""
    square = quantile * quantile
    middle = (shares + square / (2 * worth)) / (1 + square / worth)
    half = quantile * np.sqrt(shares * (1 - shares) / worth + square / (4 * worth * worth)) / (1 + square / worth)
    return np.minimum(np.clip(middle - half, 0, 1), shares), np.maximum(np.clip(middle + half, 0, 1), shares)


def _few(blocks: float) -> float:
    """By how much the variance between few blocks is larger than that of their draws."""
    return blocks / max(blocks - 1, 1.0)


def _student(freedom: float, portion: float = 0.975) -> float:
    """The value below which `portion` of Student's distribution lies: the expansion of Abramowitz and Stegun (26.7.5).

    >>> [round(_student(freedom), 2) for freedom in (5, 30, 1e9)]  # tables have 2.57, 2.04, 1.96
    [2.57, 2.04, 1.96]
    """
    z, v = NormalDist().inv_cdf(portion), max(freedom, MIN_FREEDOM)
    terms = (z, (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return float(sum(term / v**power for power, term in enumerate(terms)))


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
