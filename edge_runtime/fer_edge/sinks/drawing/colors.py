"""A color per label that people with any color vision can distinguish, and text colors that are readable on it."""

import functools
from collections.abc import Sequence

Color = tuple[int, int, int]
"""B, G, R, 0 to 255."""
WHITE: Color = (255, 255, 255)
BLACK: Color = (0, 0, 0)
PANEL: Color = (32, 32, 32)
"""Behind the bars, the legend and the caption."""
UNSURE: Color = (100, 100, 100)
UNSURE_LINE: Color = (200, 200, 200)
# The hues of Okabe and Ito's palette (2008, "Color Universal Design"), moved apart until any two of these colors and
# UNSURE differ by a CIE76 distance of at least 25 to normal vision and to dichromats as simulated by Machado, Oliveira
# and Fernandes (2009, "A physiologically-based model for simulation of color vision deficiency"). A test holds that.
EMOTION_COLORS: dict[str, Color] = {
    "angry": (25, 36, 195),
    "disgust": (94, 175, 0),
    "fear": (172, 80, 178),
    "happy": (44, 233, 255),
    "sad": (226, 84, 47),
    "surprise": (26, 144, 226),
    "neutral": (230, 249, 216),
    "contempt": (255, 169, 151),
}
OTHER_COLORS: tuple[Color, ...] = ((138, 255, 130), (138, 13, 89), (29, 16, 96), (82, 49, 13))
"""Of labels without a color in EMOTION_COLORS."""


def color_of(label: str, labels: Sequence[str]) -> Color:
    """The color of `label`, one of `labels`; those without a color in EMOTION_COLORS take turns with OTHER_COLORS.

    >>> color_of("happy", ("happy", "bored"))
    (44, 233, 255)
    """
    if label in EMOTION_COLORS:
        return EMOTION_COLORS[label]
    others = [other for other in labels if other not in EMOTION_COLORS]
    return OTHER_COLORS[others.index(label) % len(OTHER_COLORS)] if label in others else OTHER_COLORS[0]


@functools.lru_cache(maxsize=64)
def luminance(color: Color) -> float:
    """The relative luminance of WCAG 2.1, 0 to 1."""
    blue, green, red = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (value / 255 for value in color)
    )
    return 0.0722 * blue + 0.7152 * green + 0.2126 * red


def contrasting(color: Color) -> Color:
    """BLACK or WHITE, whichever has more contrast with `color`: at least 4.5 to 1, as WCAG 2.1 asks of text."""
    return BLACK if luminance(color) > 0.179 else WHITE
