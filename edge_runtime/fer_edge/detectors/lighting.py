"""Lighting of a whole frame: dark frames are brightened and hazy ones get contrast before luma searches them.

`fer_edge.framing.normalize_light` does the same for a cropped face before classification.
"""

import numpy as np

from fer_edge.framing import Image
from fer_edge.opencv import cv2

DARK_GRAY = 80  # frames of a lower mean are brightened to it: the network learned from daylight and lamps
MIN_POWER = 0.4  # of that brightening: a black frame holds only noise
# Frames of less contrast (standard deviation) are stretched to CLEAR_DEVIATION, by at most HAZE_GAIN. A wall or a
# covered lens has next to no contrast and stays blank: the gain fades in over BLANK_DEVIATIONS.
CLEAR_DEVIATION, HAZE_GAIN, BLANK_DEVIATIONS = 45.0, 5.0, (3.0, 5.0)


def normalize_lighting(gray: Image) -> Image:
    """`gray`, uint8 [H, W], itself if it is well lit; otherwise a brighter or clearer copy."""
    table = lighting_table(gray)
    return gray if table is None else apply_table(table, gray)


def lighting_table(gray: Image) -> Image | None:
    """The lookup table, uint8 [256], that normalizes the lighting of `gray`, uint8 [H, W]; None if it is well lit."""
    mean, deviation = _mean_and_deviation(gray)
    hazy = BLANK_DEVIATIONS[0] < deviation < CLEAR_DEVIATION
    if mean >= DARK_GRAY and not hazy:
        return None
    table = _brightening_table(mean)
    if hazy:
        share = (deviation - BLANK_DEVIATIONS[0]) / (BLANK_DEVIATIONS[1] - BLANK_DEVIATIONS[0])
        mean, deviation = _mean_and_deviation(apply_table(table, gray))
        gain = min(max(CLEAR_DEVIATION / max(deviation, 0.01), 1.0), 1 + (HAZE_GAIN - 1) * min(share, 1.0))
        table = (mean + (table - np.float32(mean)) * gain).round().clip(0, 255).astype(np.uint8)
    return table


def brighten(gray: Image) -> Image:
    """`gray`, uint8 [H, W], itself, or if it is dark the gamma curve of it that lifts its mean level to DARK_GRAY."""
    mean = cv2.mean(gray)[0]
    return gray if mean >= DARK_GRAY else apply_table(_brightening_table(mean), gray)


def apply_table(table: Image, gray: Image) -> Image:
    """`gray` with each level replaced by its entry in `table`, uint8 [256]."""
    return np.asarray(cv2.LUT(gray, table), dtype=np.uint8)


def _mean_and_deviation(gray: Image) -> tuple[float, float]:
    means, deviations = cv2.meanStdDev(gray)
    return float(means[0, 0]), float(deviations[0, 0])


def _brightening_table(mean: float) -> Image:
    """The gamma curve, uint8 [256], that lifts a dark `mean` to DARK_GRAY; the identity for others."""
    power = max(MIN_POWER, float(np.log(DARK_GRAY / 255) / np.log(max(mean, 1.0) / 255))) if mean < DARK_GRAY else 1.0
    return ((np.arange(256) / 255) ** power * 255).round().astype(np.uint8)
